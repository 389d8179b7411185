//! The fleet at one moment, laid out for searching.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::FleetError;
use crate::node::{Node, NodeId};
use crate::policy::Policy;
use crate::tie;
use crate::units::{Direction, Millis, Share, Timestamp};

/// Nodes placed on at most: the matrix of links between them stays below 40 MB.
const MAX_NODES: usize = 2_048;

/// What the edge agent at one node measures towards another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub from: NodeId,
    pub to: NodeId,
    pub rtt: Millis,
    pub loss: Share,
    pub up: bool,
    pub measured_at: Timestamp,
}

/// The registry's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub nodes: Vec<Node>,
    /// Directed; a link that nobody measured is not used.
    pub links: Vec<Link>,
    pub taken_at: Timestamp,
}

/// A snapshot ready for [`place`](crate::place()). Immutable: threads share it without a lock.
#[derive(Clone, Debug)]
pub struct Fleet {
    nodes: Vec<Node>,
    directions: Vec<Direction>,
    name_hashes: Vec<u64>,
    residency: Vec<u64>,
    residency_bits: BTreeMap<String, u32>,
    links: Vec<Cell>,
    /// Mean one-way delay of each pair's link in ms if it is good both ways, else 0: what no route is faster than.
    least_between: Vec<f32>,
}

/// One directed link; not usable if the delay is infinite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) rtt: f32,
    pub(crate) loss: f32,
}

impl Cell {
    const DOWN: Self = Self {
        rtt: f32::INFINITY,
        loss: 1.0,
    };

    pub(crate) fn is_up(self) -> bool {
        self.rtt.is_finite()
    }
}

impl Fleet {
    /// Lays out a snapshot. Links between unknown nodes, down, or measured too long ago are left out.
    pub fn new(snapshot: Snapshot, policy: &Policy) -> Result<Self, FleetError> {
        let Snapshot {
            mut nodes,
            links,
            taken_at,
        } = snapshot;
        if nodes.len() > MAX_NODES {
            return Err(FleetError::TooManyNodes(nodes.len(), MAX_NODES));
        }
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        check(&nodes)?;
        let (residency_bits, residency) = residency(&nodes)?;
        let mut fleet = Self {
            directions: nodes.iter().map(|n| n.coordinates.direction()).collect(),
            name_hashes: nodes
                .iter()
                .map(|n| tie::hash_name(n.id.as_str()))
                .collect(),
            links: vec![Cell::DOWN; nodes.len() * nodes.len()],
            least_between: Vec::new(),
            nodes,
            residency,
            residency_bits,
        };
        for link in links {
            let (Some(from), Some(to)) = (fleet.index(&link.from), fleet.index(&link.to)) else {
                continue;
            };
            let plausible =
                link.rtt.0.is_finite() && link.rtt.0 >= 0.0 && (0.0..=1.0).contains(&link.loss.0);
            if link.up && plausible && taken_at.since(link.measured_at).0 <= policy.link_timeout.0 {
                let cell = fleet.nodes.len() * from + to;
                fleet.links[cell] = Cell {
                    rtt: link.rtt.0 as f32,
                    loss: link.loss.0 as f32,
                };
            }
        }
        fleet.least_between = fleet.least_between(policy.bad_link_loss);
        Ok(fleet)
    }

    /// The nodes, ordered by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of this name.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.index(id).map(|i| &self.nodes[i])
    }

    pub(crate) fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.binary_search_by(|n| n.id.cmp(id)).ok()
    }

    pub(crate) fn direction(&self, node: usize) -> &Direction {
        &self.directions[node]
    }

    pub(crate) fn name_hash(&self, node: usize) -> u64 {
        self.name_hashes[node]
    }

    fn least_between(&self, bad_loss: Share) -> Vec<f32> {
        let count = self.nodes.len();
        let good = |link: Cell| link.is_up() && f64::from(link.loss) < bad_loss.0;
        let least = |cell: usize| {
            let (forth, back) = (
                self.links[cell],
                self.links[cell % count * count + cell / count],
            );
            if good(forth) && good(back) {
                (forth.rtt + back.rtt) / 4.0
            } else {
                0.0
            }
        };
        (0..count * count).map(least).collect()
    }

    /// A one-way delay in ms, mean of both directions, that no route between two nodes is faster than. Zero if the
    /// direct link is not good, when a detour may be used.
    pub(crate) fn at_least_between(&self, a: usize, b: usize) -> f64 {
        f64::from(self.least_between[self.nodes.len() * a + b])
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> Cell {
        self.links[self.nodes.len() * from + to]
    }

    /// The set of nodes' tags as bits, for comparing with [`Fleet::residency_of`]; `None` allows every node.
    pub(crate) fn residency_mask(&self, tags: &BTreeSet<String>) -> Option<u64> {
        (!tags.is_empty()).then(|| {
            tags.iter()
                .filter_map(|t| self.residency_bits.get(t))
                .fold(0, |m, bit| m | 1 << bit)
        })
    }

    pub(crate) fn residency_of(&self, node: usize) -> u64 {
        self.residency[node]
    }
}

fn check(nodes: &[Node]) -> Result<(), FleetError> {
    if let Some(twin) = nodes.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(FleetError::DuplicateNode(twin[0].id.clone()));
    }
    for node in nodes {
        if !node.coordinates.is_valid() {
            return Err(FleetError::BadCoordinates(node.id.clone()));
        }
        let share = |s: Share| s.0.is_finite() && s.0 >= 0.0;
        let price = node.price_per_gb.is_finite() && node.price_per_gb >= 0.0;
        let versions = node.protocols.oldest <= node.protocols.newest;
        if !(share(node.capacity.cpu) && share(node.capacity.egress) && price && versions) {
            return Err(FleetError::BadNumbers(node.id.clone()));
        }
    }
    Ok(())
}

fn residency(nodes: &[Node]) -> Result<(BTreeMap<String, u32>, Vec<u64>), FleetError> {
    let tags: BTreeSet<&String> = nodes.iter().flat_map(|n| &n.residency).collect();
    if tags.len() > 64 {
        return Err(FleetError::TooManyTags);
    }
    let bits: BTreeMap<String, u32> = tags.into_iter().cloned().zip(0..).collect();
    let masks = nodes
        .iter()
        .map(|n| {
            n.residency
                .iter()
                .fold(0, |mask, tag| mask | 1 << bits[tag])
        })
        .collect();
    Ok((bits, masks))
}
