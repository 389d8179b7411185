//! Delays, jitter and losses between edges, as their agents measure them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// What probes say of the way to one other edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathQuality {
    /// Round trip, smoothed, milliseconds.
    pub rtt_ms: f64,
    /// Mean deviation of the round trip, milliseconds.
    pub jitter_ms: f64,
    /// Share of probes without an answer in the last window, 0 to 1.
    pub loss: f64,
    /// Probes the figures rest on.
    #[serde(default)]
    pub samples: u32,
}

/// What one edge measured to the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    pub from: NodeId,
    pub to: BTreeMap<NodeId, PathQuality>,
}

/// The vectors of all edges that have spoken lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    pub(crate) from: BTreeMap<NodeId, BTreeMap<NodeId, PathQuality>>,
}

impl Paths {
    /// What `from` measured to `to`; if it did not, what `to` measured the other way.
    #[must_use]
    pub fn between(&self, from: &NodeId, to: &NodeId) -> Option<PathQuality> {
        let measured = |a: &NodeId, b: &NodeId| self.from.get(a)?.get(b).copied();
        measured(from, to).or_else(|| measured(to, from))
    }

    /// All measurements, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &NodeId, PathQuality)> {
        self.from
            .iter()
            .flat_map(|(from, to)| to.iter().map(move |(id, quality)| (from, id, *quality)))
    }
}
