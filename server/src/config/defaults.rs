//! Every default of the configuration that is not simply empty or off, with its reason, and the preset of `--dev`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::secret::Secret;
use super::settings::{
    Http, Limits, Log, LogFormat, Metrics, Pages, Placement, Relay, Room, Rtc, Settings,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The port SDK examples use for signalling.
const HTTP_PORT: u16 = 7880;
/// Beside [`HTTP_PORT`], where firewall rules for SDKs expect ICE/TCP.
const TCP_PORT: u16 = 7881;
/// Beside [`TCP_PORT`]; shards count up from here.
const UDP_PORT: u16 = 7882;
/// Beside the first 108 shards' ports, and not in use by anything well known.
const RELAY_PORT: u16 = 7990;
/// Not used by the exporters Prometheus lists.
const METRICS_PORT: u16 = 9780;

/// Key and secret that SDK tools assume for local servers. Anybody knows them: loopback only.
const DEV_KEY: &str = "devkey";
const DEV_SECRET: &str = "secret";

impl Settings {
    /// The preset of `--dev`: all on loopback, with the well-known key and the pages.
    pub(super) fn dev() -> Self {
        Self {
            http: Http {
                bind: SocketAddr::new(LOOPBACK, HTTP_PORT),
                ..Http::default()
            },
            keys: BTreeMap::from([(DEV_KEY.to_owned(), Secret::from(DEV_SECRET))]),
            rtc: Rtc {
                bind: LOOPBACK,
                advertise: vec![LOOPBACK],
                ..Rtc::default()
            },
            pages: Pages {
                enabled: true,
                ..Pages::default()
            },
            ..Self::default()
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(ANY, HTTP_PORT),
            public_url: None,
            // A proxy on the same machine. Others on this machine could only dodge their own rate limits.
            trusted_proxies: vec![LOOPBACK.into(), IpAddr::V6(Ipv6Addr::LOCALHOST).into()],
        }
    }
}

impl Default for Rtc {
    fn default() -> Self {
        Self {
            udp_port: UDP_PORT,
            tcp_port: TCP_PORT,
            bind: ANY,
            advertise: Vec::new(),
            shards: 0,
            spread_room_after: 100,
            // A machine whose media threads are overloaded must still answer its operator.
            realtime: false,
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(ANY, RELAY_PORT),
            advertise: None,
            certificate_file: None,
            key_file: None,
            ca_file: None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // Loopback: numbers about calls are not for the public.
        Self {
            bind: SocketAddr::new(LOOPBACK, METRICS_PORT),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        // Info names rooms and participants, never addresses.
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // More than one machine's network carries; keeps memory bounded under a flood of joins.
            participants: 10_000,
            // A camera, a microphone and a shared screen with sound are 4; scripts may have more.
            tracks_per_participant: 64,
            // SDK users put product lists here; more belongs in a data stream.
            metadata_bytes: 512 * 1024,
            attributes_bytes: 64 * 1024,
            // The limit SDKs are tested against.
            signal_message_bytes: 2 * 1024 * 1024,
            // Room for a data message of the API with its text encoding.
            api_body_bytes: 10 * 1024 * 1024,
            // Every participant, half of them reconnecting, and operators.
            http_connections: 20_000,
            // An office or a mobile carrier's gateway behind one address.
            signal_connections_per_ip: 1_000,
            // Such an office reconnecting after a network fault is done in half a minute.
            joins_per_second_per_ip: 30,
            // More than a desk can answer before shoppers give up.
            waiting_calls: 200,
            // A shopper who tries again and again, and his neighbours.
            calls_per_minute_per_ip: 10,
        }
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            geoip_file: None,
            // Nothing is known better of a client than what it measures itself.
            client_probes: true,
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            // SDK examples join rooms nobody has made.
            auto_create: true,
            // The values SDK users know.
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_participants: 0,
            // Nobody should speak without having said so himself.
            enable_remote_unmute: false,
        }
    }
}
