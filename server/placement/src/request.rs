//! What is asked: who calls, what is known of their delays, and where the call runs already.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::node::NodeId;
use crate::units::{Coordinates, Millis, Share, Timestamp};

/// A party's identity in its call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PartyId(Arc<str>);

impl PartyId {
    /// The identity's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PartyId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for PartyId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<PartyId> for String {
    fn from(id: PartyId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A measured round trip between a party and a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub node: NodeId,
    /// For probes the least of `samples`, since queues only ever add.
    pub rtt: Millis,
    /// Standard deviation, where the source knows it; the round trip is then taken as it is. Else the policy's model
    /// of noise and queueing tells.
    pub deviation: Option<Millis>,
    pub samples: u32,
    pub loss: Option<Share>,
    pub at: Timestamp,
}

/// Who says where a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationSource {
    GeoIp,
    StatedRegion,
}

/// Where a party probably is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub coordinates: Coordinates,
    /// Likely error of the coordinates.
    pub accuracy_km: f64,
    pub source: LocationSource,
}

/// A party and all that is known of its delays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Party {
    pub id: PartyId,
    /// What the client measured itself.
    pub probes: Vec<Measurement>,
    /// What real calls from the same network measured: see [`History::recall`](crate::History::recall).
    pub history: Vec<Measurement>,
    pub location: Option<Location>,
    /// The node that carries the party now; none for a newcomer.
    pub entry: Option<NodeId>,
}

/// The state of a call that is placed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The last move that only served to lower the delay.
    pub moved_at: Option<Timestamp>,
    /// Since when a better placement has been known: [`Placement::better_since`](crate::Placement) of the last answer.
    pub better_since: Option<Timestamp>,
    /// The protocol version that the call's nodes use between them.
    pub protocol: Option<u16>,
}

/// A question to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub parties: Vec<Party>,
    /// If not empty, only nodes with one of these tags may carry the call, on detours and as standby too.
    pub residency: BTreeSet<String>,
    /// Present if the call runs already.
    pub running: Option<Running>,
    pub now: Timestamp,
    /// Decides between equals and spreads simultaneous calls over nodes; the call's id makes a good one.
    pub seed: u64,
}
