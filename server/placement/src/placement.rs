//! The answer: nodes, route, standby, prediction, score and reasons.

use serde::{Deserialize, Serialize};

use crate::node::NodeId;
use crate::request::PartyId;
use crate::rules::Exclusion;
use crate::units::{Millis, Points, Share, Timestamp};

/// The parts of a score; less is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Delay impairment of the pairs.
    pub delay: Points,
    /// Loss impairment of the pairs.
    pub loss: Points,
    /// Charge for the nodes' load.
    pub load: Points,
    /// Charge for a second node and the traffic to it.
    pub relay: Points,
    /// Charge for parties moved.
    pub moves: Points,
}

impl Terms {
    /// The score: exactly the sum of its terms.
    pub fn total(&self) -> Points {
        self.by_name().into_iter().map(|(_, points)| points).sum()
    }

    /// What is predicted of the conversation, without charges.
    pub fn impairment(&self) -> Points {
        self.delay + self.loss
    }

    /// The terms with their names.
    pub fn by_name(&self) -> [(&'static str, Points); 5] {
        [
            ("delay", self.delay),
            ("loss", self.loss),
            ("load", self.load),
            ("relay", self.relay),
            ("moves", self.moves),
        ]
    }
}

/// What one party will hear of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairPrediction {
    pub from: PartyId,
    pub to: PartyId,
    /// Delay of the network and the nodes.
    pub one_way: Millis,
    /// Standard deviation of that.
    pub deviation: Millis,
    /// With capture, codec, jitter buffer and playout.
    pub mouth_to_ear: Millis,
    /// Packets lost for good.
    pub unrepaired_loss: Share,
    /// R of ITU-T G.107.
    pub r: f64,
    /// Mean opinion score, 1 to 4.5.
    pub mos: f64,
}

/// The node that takes over an entry node's parties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standby {
    pub replaces: NodeId,
    pub node: NodeId,
    /// Mean one-way delay of the call with it.
    pub mean_one_way: Millis,
}

/// A better node that was passed over because it is full or nearly so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spill {
    pub wanted: NodeId,
    pub load: Share,
    /// What that costs in mean one-way delay; may be negative, as quality is more than delay.
    pub delay_cost: Millis,
}

/// Why the answer is as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// No second node earns its traffic.
    OneNode,
    /// The second node is worth more than its traffic costs.
    SecondNode { delay_saved: Millis },
    /// No single node can carry the call.
    OnlyTogether,
    /// The direct link is down or bad.
    Detour { via: Vec<NodeId> },
    /// A better node has no room.
    Spilled(Spill),
    /// A better placement exists, but a running call moves only for a lasting and considerable gain.
    Kept { delay_forgone: Millis },
    /// The gain was considerable and lasted.
    MovedForGain { delay_saved: Millis },
    /// The node may not carry the party any longer.
    MovedAway {
        from: NodeId,
        because: Option<Exclusion>,
    },
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The entry node of each party, in the request's order.
    pub entries: Vec<(PartyId, NodeId)>,
    /// One node, or the way from the first party's entry node to the other with the nodes of a detour between.
    pub route: Vec<NodeId>,
    /// One for each entry node, if the fleet has one.
    pub standby: Vec<Standby>,
    /// Every ordered pair of parties.
    pub pairs: Vec<PairPrediction>,
    pub mean_one_way: Millis,
    pub terms: Terms,
    /// Newest protocol version that all nodes of the route speak.
    pub protocol: u16,
    pub reasons: Vec<Reason>,
    /// Since when a placement worth a move has been known; goes into [`Running`](crate::Running) next time.
    pub better_since: Option<Timestamp>,
}

impl Placement {
    /// The score; less is better.
    pub fn score(&self) -> Points {
        self.terms.total()
    }

    /// Whether the call uses two entry nodes.
    pub fn is_cascaded(&self) -> bool {
        self.route.len() > 1
    }

    /// The node that a party enters by.
    pub fn entry_of(&self, party: &PartyId) -> Option<&NodeId> {
        self.entries
            .iter()
            .find(|(id, _)| id == party)
            .map(|(_, node)| node)
    }

    /// Whether a better node was passed over for lack of room.
    pub fn spill(&self) -> Option<&Spill> {
        self.reasons.iter().find_map(|r| match r {
            Reason::Spilled(spill) => Some(spill),
            _ => None,
        })
    }
}
