//! What follows from the settings and the machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use reqwest::Url;
use tradewind_signalling::token::Keys;

use super::settings::{Rtc, Settings};

/// Documentation addresses (RFC 5737, RFC 3849): they lead outwards on every machine and belong to nobody.
const OUTWARDS_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OUTWARDS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

impl Rtc {
    /// Media threads: `shards`, or one per core.
    pub(crate) fn shard_count(&self) -> u16 {
        match self.shards {
            0 => std::thread::available_parallelism()
                .map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(1)),
            shards => shards,
        }
    }

    /// Addresses to offer clients: `advertise`, or else `bind`, or else the address of the interface that leads
    /// outwards. Nothing is sent to find it.
    ///
    /// # Errors
    /// No interface leads outwards: then `rtc.advertise` must be set.
    pub(crate) fn advertised(&self) -> io::Result<Vec<IpAddr>> {
        if !self.advertise.is_empty() {
            return Ok(self.advertise.clone());
        }
        match self.bind {
            bind if !bind.is_unspecified() => Ok(vec![bind]),
            IpAddr::V4(_) => source_towards(OUTWARDS_V4).map(|address| vec![address]),
            IpAddr::V6(_) => {
                // An unspecified IPv6 socket serves IPv4 as well.
                let found: Vec<IpAddr> = [OUTWARDS_V4, OUTWARDS_V6]
                    .into_iter()
                    .filter_map(|to| source_towards(to).ok())
                    .collect();
                if found.is_empty() {
                    source_towards(OUTWARDS_V6).map(|address| vec![address])
                } else {
                    Ok(found)
                }
            }
        }
    }
}

impl Settings {
    /// Lifts the limits per address that nobody set: on a machine of one's own every client has the same address.
    /// Gives the keys it changed.
    pub(super) fn lift_limits_per_ip(
        &mut self,
        is_set: impl Fn(&str) -> bool,
    ) -> Vec<&'static str> {
        let limits = &mut self.limits;
        [
            (
                "limits.signal_connections_per_ip",
                &mut limits.signal_connections_per_ip,
            ),
            (
                "limits.joins_per_second_per_ip",
                &mut limits.joins_per_second_per_ip,
            ),
            (
                "limits.calls_per_minute_per_ip",
                &mut limits.calls_per_minute_per_ip,
            ),
        ]
        .into_iter()
        .filter(|(key, _)| !is_set(key))
        .map(|(key, limit)| {
            *limit = 0;
            key
        })
        .collect()
    }

    /// The keys that sign and check tokens.
    pub(crate) fn api_keys(&self) -> Keys {
        self.keys
            .iter()
            .map(|(key, secret)| (key.clone(), secret.expose().to_owned()))
            .collect()
    }

    /// Whether only this machine can reach HTTP: bound to loopback, and no proxy is said to publish it.
    pub(crate) fn is_local(&self) -> bool {
        let published = self
            .http
            .public_url
            .as_deref()
            .and_then(|url| Url::parse(url).ok());
        self.http.bind.ip().is_loopback()
            && published.is_none_or(|url| url.host_str().is_some_and(is_loopback_host))
    }
}

/// Whether a host name of a URL or Host header means this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn source_towards(destination: IpAddr) -> io::Result<IpAddr> {
    let any = match destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Connecting a datagram socket only asks the routing table.
    socket.connect(SocketAddr::new(destination, 9))?;
    Ok(socket.local_addr()?.ip())
}
