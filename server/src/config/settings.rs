//! What can be configured. Defaults and their reasons are in `defaults.rs`, ranges in `check.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::text::{List, list, networks};

/// The effective configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) http: Http,
    /// API keys and their secrets. A token is signed with the secret of one of them.
    pub(crate) keys: BTreeMap<String, Secret>,
    /// File with further API keys, one `key: secret` a line, readable by its owner (and group) only.
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) rtc: Rtc,
    pub(crate) node: NodeSettings,
    pub(crate) region: Region,
    pub(crate) fleet: Fleet,
    pub(crate) relay: Relay,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
    pub(crate) limits: Limits,
    pub(crate) room: Room,
    pub(crate) webhook: Webhook,
    pub(crate) pages: Pages,
    pub(crate) placement: Placement,
}

/// Signalling, server API and pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Address and port of HTTP and WebSocket. TLS is the reverse proxy's.
    pub(crate) bind: SocketAddr,
    /// Where clients reach `bind`, such as `https://calls.example.com`. Unset = what the request's Host says.
    pub(crate) public_url: Option<String>,
    /// Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "List<String>")]
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtc {
    /// UDP port of the first shard; each further shard takes the next port.
    pub(crate) udp_port: u16,
    /// Port of ICE/TCP for clients without UDP; 0 = off.
    pub(crate) tcp_port: u16,
    /// Address of the media sockets.
    pub(crate) bind: IpAddr,
    /// Addresses clients reach the media sockets at. Empty = the address of the interface that leads outwards.
    #[serde(deserialize_with = "list")]
    #[schemars(with = "List<IpAddr>")]
    pub(crate) advertise: Vec<IpAddr>,
    /// Media threads; 0 = one per core.
    pub(crate) shards: u16,
    /// Participants of one room on one media thread before the next one to join is served by another, so that a large room
    /// uses several cores; 0 = any number.
    pub(crate) spread_room_after: u32,
    /// Whether media threads run ahead of all other work on the machine (Linux `SCHED_RR`), so that no packet waits for it.
    /// Needs the capability `CAP_SYS_NICE` or a limit `rtprio`; without, the node warns and goes on.
    pub(crate) realtime: bool,
}

/// This node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeSettings {
    /// Name of the node, unique in the fleet. Empty = `ND_` and random characters, new at each start.
    pub(crate) id: String,
}

/// Where the node is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Region {
    /// Name of the region, such as `eu-west`. Empty = not part of any.
    pub(crate) name: String,
    /// Degrees north, -90 to 90.
    pub(crate) latitude: Option<f64>,
    /// Degrees east, -180 to 180.
    pub(crate) longitude: Option<f64>,
    /// Legal zone that media of the region stay in, such as `eu`. Empty = none.
    pub(crate) residency: String,
}

/// How nodes find each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fleet {
    /// NATS servers, such as `nats://nats.example.com:4222`. Empty = this node is the whole fleet.
    #[serde(deserialize_with = "list")]
    #[schemars(with = "List<String>")]
    pub(crate) nats: Vec<String>,
    /// NATS credentials file. Unset = none, or what the addresses say.
    pub(crate) credentials_file: Option<PathBuf>,
}

/// The links that carry rooms between nodes. Used with `fleet.nats` only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Relay {
    /// UDP address and port of the links.
    pub(crate) bind: SocketAddr,
    /// Address and port other nodes reach `bind` at. Unset = the first of `rtc.advertise` with the port of `bind`.
    pub(crate) advertise: Option<SocketAddr>,
    /// Certificate of this node (PEM). One of its names is `node.id`. `tradewind relay-ca` makes one for tests.
    pub(crate) certificate_file: Option<PathBuf>,
    /// Private key of the certificate (PEM), readable by its owner only.
    pub(crate) key_file: Option<PathBuf>,
    /// Certificates of the authority that signed those of all nodes (PEM).
    pub(crate) ca_file: Option<PathBuf>,
}

/// Health and metrics for operators; not for the public.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`.
    pub(crate) bind: SocketAddr,
}

/// Logs on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; also per module: `info,tradewind::webhook=debug`.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object per line for collectors.
    Json,
}

/// Bounds on what clients may make the node do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Participants on this node.
    pub(crate) participants: u32,
    /// Tracks one participant may publish.
    pub(crate) tracks_per_participant: u32,
    /// Bytes of a room's or participant's metadata.
    pub(crate) metadata_bytes: usize,
    /// Bytes of all attribute keys and values of a participant.
    pub(crate) attributes_bytes: usize,
    /// Bytes of one signalling message.
    pub(crate) signal_message_bytes: usize,
    /// Bytes of the body of a server API request.
    pub(crate) api_body_bytes: usize,
    /// HTTP connections open at a time, signalling among them.
    pub(crate) http_connections: u32,
    /// Signalling connections open at a time from one address; 0 = no limit.
    pub(crate) signal_connections_per_ip: u32,
    /// Joins and reconnects per second from one address, over time; 0 = no limit.
    pub(crate) joins_per_second_per_ip: u32,
    /// Calls that shoppers of the pages have started and nobody has answered.
    pub(crate) waiting_calls: u32,
    /// Calls per minute that one address may start from the pages; 0 = no limit.
    pub(crate) calls_per_minute_per_ip: u32,
}

/// Rooms whose creator does not say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Room {
    /// A room appears when its first participant joins; otherwise only the server API makes rooms.
    pub(crate) auto_create: bool,
    /// Seconds an empty room waits for its first participant.
    pub(crate) empty_timeout_s: u32,
    /// Seconds a room outlives its last participant.
    pub(crate) departure_timeout_s: u32,
    /// Participants in a room; 0 = no limit.
    pub(crate) max_participants: u32,
    /// The server API may unmute tracks.
    pub(crate) enable_remote_unmute: bool,
}

/// Where room events are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhook {
    /// Addresses that receive every event.
    #[serde(deserialize_with = "list")]
    #[schemars(with = "List<String>")]
    pub(crate) urls: Vec<String>,
    /// API key whose secret signs the events. Empty = the only key there is.
    pub(crate) api_key: String,
}

/// Shopper page and agent desk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pages {
    /// Whether the node serves the pages and what they call. Anybody who reaches `http.bind` can then start a call.
    pub(crate) enabled: bool,
    /// What agents enter to see and answer calls. May be empty on loopback only.
    pub(crate) desk_key: Secret,
}

/// Where calls go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Placement {
    /// Database of places of addresses, in MaxMind DB format; read at the start. Unset = places are not looked up.
    pub(crate) geoip_file: Option<PathBuf>,
    /// Clients are asked to measure the nodes. Off for a fleet on one machine, to which all clients are equally near.
    pub(crate) client_probes: bool,
}
