//! What a node says of itself, what its edge agent says of it, and what a reader makes of both.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{NodeId, RegionName, Residency};

/// A place on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// Release of a node; nodes whose major parts agree and whose minor parts differ by at most one work together.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    /// Whether nodes of the two releases can share a room.
    #[must_use]
    pub fn works_with(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }

    /// Reads `1.2.3`; a pre-release suffix is ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next()?;
        let mut parts = core.split('.').map(|part| part.parse::<u16>().ok());
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
        };
        parts.next().is_none().then_some(version)
    }
}

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// WebSocket URLs for clients, such as `wss://tokyo.example.com`, the preferred first.
    pub client_urls: Vec<String>,
    /// QUIC address of the cascade.
    pub relay: Option<SocketAddr>,
    /// UDP probe of the edge agent.
    pub udp_probe: Option<SocketAddr>,
    /// HTTP probe of the edge agent, such as `https://tokyo.example.com/probe`.
    pub http_probe: Option<String>,
}

/// How busy a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    pub participants: u32,
    pub rooms: u32,
    /// Packets in and out per second.
    pub packets_per_second: u64,
    /// Busy share of the media threads, 0 to 1.
    pub cpu_share: f64,
    /// Participants the node takes.
    pub capacity: u32,
}

/// What a server says of itself, each second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub id: NodeId,
    #[serde(default)]
    pub region: Option<RegionName>,
    #[serde(default)]
    pub coordinates: Option<Coordinates>,
    #[serde(default)]
    pub residency: Option<Residency>,
    #[serde(default)]
    pub version: Version,
    #[serde(default)]
    pub addresses: Addresses,
    /// Milliseconds since 1970 by the node's own clock when it started: tells runs apart, never compared with a clock.
    #[serde(default)]
    pub started_ms: u64,
    #[serde(default)]
    pub load: Load,
    /// No new rooms and participants.
    #[serde(default)]
    pub draining: bool,
    /// Takes calls.
    #[serde(default)]
    pub ready: bool,
    /// Why not ready.
    #[serde(default)]
    pub reason: Option<String>,
}

impl NodeRecord {
    /// A record of a node that is not ready yet.
    #[must_use]
    pub fn new(id: NodeId, version: Version, started_ms: u64) -> Self {
        Self {
            id,
            region: None,
            coordinates: None,
            residency: None,
            version,
            addresses: Addresses::default(),
            started_ms,
            load: Load::default(),
            draining: false,
            ready: false,
            reason: Some("starting".to_owned()),
        }
    }
}

/// What presses on the host of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Busy share of all cores, 0 to 1.
    pub cpu_busy: f64,
    /// Share of time the hypervisor took away, 0 to 1.
    pub cpu_steal: f64,
    /// Share of time the control group was throttled, 0 to 1.
    pub cpu_throttled: f64,
    /// Datagrams per second that arrived and found their socket's buffer full.
    pub udp_drops_per_second: f64,
    /// Bytes per second in and out of all interfaces but loopback.
    pub nic_in_bytes_per_second: f64,
    pub nic_out_bytes_per_second: f64,
    /// Jumps of the wall clock against the monotonic clock since the agent started.
    pub clock_jumps: u64,
}

/// What the edge agent beside a node says of it, each second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeRecord {
    pub node: NodeId,
    /// UDP address other edges probe.
    #[serde(default)]
    pub udp_probe: Option<SocketAddr>,
    #[serde(default)]
    pub http_probe: Option<String>,
    #[serde(default)]
    pub pressure: Pressure,
    #[serde(default)]
    pub draining: bool,
    /// The public address answers, and the server lives.
    #[serde(default)]
    pub ready: bool,
    #[serde(default)]
    pub reason: Option<String>,
}

/// What a reader knows of a node that lives.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    pub record: NodeRecord,
    /// Registration number: grows when the node comes back after a withdrawal or restart.
    pub epoch: u64,
    /// Time since the last heartbeat, by the reader's clock, when the view was taken.
    pub age: Duration,
    /// What its edge agent says, if one has spoken lately.
    pub edge: Option<EdgeRecord>,
}

impl NodeView {
    /// Whether new rooms and participants may be put there; otherwise why not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn takes_calls(&self) -> Result<(), String> {
        let edge = self.edge.as_ref();
        if self.record.draining || edge.is_some_and(|edge| edge.draining) {
            return Err("draining".to_owned());
        }
        if !self.record.ready {
            let reason = self.record.reason.as_deref().unwrap_or("no reason given");
            return Err(format!("not ready: {reason}"));
        }
        match edge {
            Some(edge) if !edge.ready => {
                let reason = edge.reason.as_deref().unwrap_or("no reason given");
                Err(format!("edge not ready: {reason}"))
            }
            _ => Ok(()),
        }
    }

    /// Address of the UDP probe: the agent knows it better than the server.
    #[must_use]
    pub fn udp_probe(&self) -> Option<SocketAddr> {
        let by_agent = self.edge.as_ref().and_then(|edge| edge.udp_probe);
        by_agent.or(self.record.addresses.udp_probe)
    }

    /// URL of the HTTP probe.
    #[must_use]
    pub fn http_probe(&self) -> Option<&str> {
        let by_agent = self
            .edge
            .as_ref()
            .and_then(|edge| edge.http_probe.as_deref());
        by_agent.or(self.record.addresses.http_probe.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_minor_versions_work_together() {
        let one = Version::parse("1.4.0").unwrap();
        assert!(one.works_with(Version::parse("1.5.2-rc1").unwrap()));
        assert!(!one.works_with(Version::parse("1.6.0").unwrap()));
        assert!(!one.works_with(Version::parse("2.4.0").unwrap()));
        assert_eq!(Version::parse("1.2"), None);
        assert_eq!(Version::parse("1.2.3.4"), None);
    }
}
