//! What a node says of itself.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Coordinates, Share, Timestamp};

/// A node's name, unique in the fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for NodeId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a node's own checks and its neighbours find it well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Healthy,
    Unhealthy,
}

/// The versions of the protocol between nodes that a node speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocols {
    pub oldest: u16,
    pub newest: u16,
}

impl Protocols {
    pub(crate) const ANY: Self = Self {
        oldest: 0,
        newest: u16::MAX,
    };

    /// The versions both speak, if there are any.
    pub fn shared_with(self, other: Self) -> Option<Self> {
        let shared = Self {
            oldest: self.oldest.max(other.oldest),
            newest: self.newest.min(other.newest),
        };
        (shared.oldest <= shared.newest).then_some(shared)
    }

    /// Whether `version` is among them.
    pub fn includes(self, version: u16) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }
}

/// How much a node can carry and how much of that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Parties the node is sized for.
    pub parties: u32,
    /// Parties it carries now, without those only reserved.
    pub in_use: u32,
    /// Share of the processor time in use.
    pub cpu: Share,
    /// Share of the egress bandwidth in use.
    pub egress: Share,
}

impl Capacity {
    /// The scarcest resource's use, with `reserved` parties on their way.
    pub(crate) fn load(&self, reserved: u32) -> f64 {
        if self.parties == 0 {
            return 1.0;
        }
        let size = f64::from(self.parties);
        let reported = (f64::from(self.in_use) / size)
            .max(self.cpu.0)
            .max(self.egress.0);
        reported + f64::from(reserved) / size
    }
}

/// A media node as the fleet's registry knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    /// Nodes of one region may fail together.
    pub region: String,
    pub coordinates: Coordinates,
    pub health: Health,
    /// A draining node takes no calls.
    pub draining: bool,
    pub capacity: Capacity,
    /// Jurisdictions the node lies in, such as `eu` and `fr`.
    pub residency: BTreeSet<String>,
    pub protocols: Protocols,
    /// Price of a gigabyte sent to other nodes, in the operator's currency.
    pub price_per_gb: f64,
    /// When the node last reported.
    pub reported_at: Timestamp,
}
