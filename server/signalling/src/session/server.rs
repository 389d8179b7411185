//! What the node tells every client about itself, and what it asks of some.

use std::fmt;

use tradewind_rtc::Joined;

use super::Session;
use crate::convert::{ENABLED_CODECS, codecs, participant_info, proto, room_info};
use crate::join::ConnectionSettings;

/// Signalling protocol the node speaks. 18 would make native SDKs open data channels with agreed SCTP ids, which the
/// node does not create: their data would be lost in silence.
pub const PROTOCOL: i32 = 17;

/// The server version SDKs are told unless configured otherwise: they switch features by it. It must be a semantic
/// version; below 1.8.0 calls between participants (RPC v2) are off, above 1.13.6 browsers send SVC and simulcast mixed.
pub const COMPATIBLE_VERSION: &str = "1.13.5";

/// Seconds between the client's pings.
const PING_INTERVAL_S: i32 = 5;
/// Seconds without a pong after which the client reconnects.
const PING_TIMEOUT_S: i32 = 15;

/// What the node tells every client; one per process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    pub node_id: String,
    pub region: String,
    /// See [`COMPATIBLE_VERSION`].
    pub version: String,
    pub ice_servers: Vec<IceServer>,
    /// Version of the protocol for agent workers.
    pub agent_protocol: i32,
}

/// A STUN or TURN server for clients.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    pub urls: Vec<String>,
    pub username: String,
    pub credential: String,
}

impl fmt::Debug for IceServer {
    // Credentials must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn join_response(&self, joined: &Joined) -> proto::JoinResponse {
        let others = joined
            .others
            .iter()
            .map(|participant| participant_info(participant));
        proto::JoinResponse {
            room: Some(room_info(&joined.room)),
            participant: Some(participant_info(&joined.participant)),
            other_participants: others.collect(),
            server_version: self.server.version.clone(),
            ice_servers: self.ice_servers(),
            subscriber_primary: joined.subscriber_primary,
            client_configuration: client_configuration(&self.settings),
            server_region: self.server.region.clone(),
            ping_timeout: PING_TIMEOUT_S,
            ping_interval: PING_INTERVAL_S,
            server_info: Some(self.server_info()),
            enabled_publish_codecs: codecs(&ENABLED_CODECS),
            fast_publish: joined.participant.permission.can_publish,
            ..proto::JoinResponse::default()
        }
    }

    pub(super) fn reconnect_response(&self, last_message_seq: u32) -> proto::ReconnectResponse {
        proto::ReconnectResponse {
            ice_servers: self.ice_servers(),
            client_configuration: client_configuration(&self.settings),
            server_info: Some(self.server_info()),
            last_message_seq,
        }
    }

    fn server_info(&self) -> proto::ServerInfo {
        proto::ServerInfo {
            edition: proto::server_info::Edition::Standard as i32,
            version: self.server.version.clone(),
            protocol: PROTOCOL,
            region: self.server.region.clone(),
            node_id: self.server.node_id.clone(),
            agent_protocol: self.server.agent_protocol,
            ..proto::ServerInfo::default()
        }
    }

    fn ice_servers(&self) -> Vec<proto::IceServer> {
        let server = |server: &IceServer| proto::IceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        };
        self.server.ice_servers.iter().map(server).collect()
    }
}

/// Codecs that are known to go wrong in the client's browser.
fn client_configuration(settings: &ConnectionSettings) -> Option<proto::ClientConfiguration> {
    let os = settings.client.os.to_lowercase();
    let (both_ways, publish): (&[&str], &[&str]) = match settings.client.browser.as_str() {
        "safari" if is_after(&settings.browser_version, &[18, 3]) => {
            (&["video/AV1"], &["video/VP9"])
        }
        "safari" => (&["video/AV1"], &[]),
        "firefox" if os == "linux" || os == "android" => (&[], &["video/H264"]),
        _ => return None,
    };
    Some(proto::ClientConfiguration {
        disabled_codecs: Some(proto::DisabledCodecs {
            codecs: codecs(both_ways),
            publish: codecs(publish),
        }),
        ..proto::ClientConfiguration::default()
    })
}

/// Whether a version like `18.3.1` is later than `than`; numbers that are missing count as 0, as do odd ones.
fn is_after(version: &str, than: &[u32]) -> bool {
    let mut version: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect();
    while version.len() > than.len() && version.last() == Some(&0) {
        version.pop();
    }
    version.as_slice() > than
}
