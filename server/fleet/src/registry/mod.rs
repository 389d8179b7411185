//! Which nodes live: a state machine over heartbeats, withdrawals and the reader's own clock.
//!
//! Time is the reader's, as a duration since any fixed moment; no two clocks are ever compared. A heartbeat carries
//! the registration's epoch and its own number, so that late and doubled ones change nothing. A withdrawal ends an
//! epoch: what belongs to it, however late it comes, no longer counts.

mod own;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{EdgeRecord, NodeId, NodeRecord, NodeView, PathQuality, Paths, Vector};

pub use own::Own;

/// Nodes a registry remembers, far above any fleet: bounds what a broken peer can make it hold.
const MAX_NODES: usize = 4096;

/// A server's heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub epoch: u64,
    /// Grows with each heartbeat of an epoch.
    pub number: u64,
    pub record: NodeRecord,
}

/// An edge agent's heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeBeat {
    /// Tells runs of the agent apart; a later run has a higher one.
    pub run: u64,
    pub number: u64,
    pub record: EdgeRecord,
}

/// The end of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub node: NodeId,
    /// Registrations up to this one count no more.
    pub epoch: u64,
    pub why: Why,
}

/// Why a node is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No heartbeat for too long.
    Silent,
    /// It said so itself.
    Left,
    /// Its edge agent found that it does not answer.
    Unresponsive(String),
}

/// What changed among the nodes. Load alone is no event: read the view.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeEvent {
    /// A node has appeared or come back.
    Joined(Arc<NodeView>),
    /// Where it is reached, or whether it takes calls, has changed.
    Changed(Arc<NodeView>),
    /// A node is gone, and with it every participant it had.
    Lost { id: NodeId, why: Why },
    /// A node has been started anew: what its former run held is gone.
    Restarted(Arc<NodeView>),
}

/// How long is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a heartbeat a node is lost.
    pub stale: Duration,
    /// A withdrawn server that hears nothing more from its agent announces itself again.
    pub hold: Duration,
    /// After which a lost node's epoch is forgotten.
    pub forget: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // Five missed heartbeats; a dead node is noticed sooner by its agent or its links.
            stale: Duration::from_secs(5),
            hold: Duration::from_secs(3),
            // Longer than any message is under way, and short enough for a node whose clock went back between two runs.
            forget: Duration::from_secs(15),
        }
    }
}

/// The nodes as one reader knows them.
#[derive(Debug, Default)]
pub struct Registry {
    patience: Patience,
    slots: BTreeMap<NodeId, Slot>,
    edges: BTreeMap<NodeId, Edge>,
    vectors: BTreeMap<NodeId, (Duration, BTreeMap<NodeId, PathQuality>)>,
    connected: bool,
    events: VecDeque<NodeEvent>,
}

#[derive(Debug)]
struct Slot {
    heard: Duration,
    epoch: u64,
    number: u64,
    /// Registrations up to this one are withdrawn.
    withdrawn: Option<u64>,
    /// `None` = lost.
    record: Option<NodeRecord>,
}

#[derive(Debug)]
struct Edge {
    heard: Duration,
    run: u64,
    number: u64,
    record: EdgeRecord,
}

impl Registry {
    /// A reader that is not connected yet.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            ..Self::default()
        }
    }

    /// A server's heartbeat has come in.
    pub fn heartbeat(&mut self, now: Duration, beat: Heartbeat) {
        let id = beat.record.id.clone();
        if !self.slots.contains_key(&id) && self.slots.len() >= MAX_NODES {
            return;
        }
        let slot = self.slots.entry(id.clone()).or_insert(Slot {
            heard: now,
            epoch: beat.epoch,
            number: 0,
            withdrawn: None,
            record: None,
        });
        let withdrawn = slot.withdrawn.is_some_and(|epoch| beat.epoch <= epoch);
        let known = slot.record.is_some() || slot.number > 0;
        let late = known && (beat.epoch, beat.number) <= (slot.epoch, slot.number);
        if withdrawn || late {
            return;
        }
        let before = slot.record.replace(beat.record);
        (slot.heard, slot.epoch, slot.number) = (now, beat.epoch, beat.number);
        self.tell_difference(now, &id, before);
    }

    /// An edge agent's heartbeat has come in.
    pub fn edge_beat(&mut self, now: Duration, beat: EdgeBeat) {
        let id = beat.record.node.clone();
        if !self.edges.contains_key(&id) && self.edges.len() >= MAX_NODES {
            return;
        }
        if let Some(edge) = self.edges.get(&id)
            && (beat.run, beat.number) <= (edge.run, edge.number)
        {
            return;
        }
        let edge = Edge {
            heard: now,
            run: beat.run,
            number: beat.number,
            record: beat.record,
        };
        let before = self.edges.insert(id.clone(), edge);
        let changed = match (&before, self.edges.get(&id)) {
            (Some(before), Some(after)) => {
                let of = |edge: &Edge| {
                    let EdgeRecord {
                        ready,
                        draining,
                        udp_probe,
                        ..
                    } = edge.record;
                    (ready, draining, udp_probe)
                };
                of(before) != of(after)
            }
            _ => true,
        };
        if changed && let Some(view) = self.view(now, &id) {
            self.events.push_back(NodeEvent::Changed(Arc::new(view)));
        }
    }

    /// An edge's measurements have come in.
    pub fn vector(&mut self, now: Duration, vector: Vector) {
        if self.vectors.contains_key(&vector.from) || self.vectors.len() < MAX_NODES {
            self.vectors.insert(vector.from, (now, vector.to));
        }
    }

    /// A withdrawal has come in.
    pub fn withdrawn(&mut self, now: Duration, withdrawal: &Withdrawal) {
        if !self.slots.contains_key(&withdrawal.node) && self.slots.len() >= MAX_NODES {
            return;
        }
        let slot = self.slots.entry(withdrawal.node.clone()).or_insert(Slot {
            heard: now,
            epoch: withdrawal.epoch,
            number: 0,
            withdrawn: None,
            record: None,
        });
        slot.withdrawn = slot.withdrawn.max(Some(withdrawal.epoch));
        if slot.epoch <= withdrawal.epoch && slot.record.take().is_some() {
            slot.heard = now;
            self.events.push_back(NodeEvent::Lost {
                id: withdrawal.node.clone(),
                why: withdrawal.why.clone(),
            });
        }
    }

    /// The backbone is there. Nobody could be heard while it was not, so everyone starts anew.
    pub fn connected(&mut self, now: Duration) {
        self.connected = true;
        self.slots.values_mut().for_each(|slot| slot.heard = now);
        self.edges.values_mut().for_each(|edge| edge.heard = now);
        for (heard, _) in self.vectors.values_mut() {
            *heard = now;
        }
    }

    /// The backbone is gone: what was known stays known.
    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// Drops who has been silent for too long. Call it at least a few times a second.
    pub fn poll(&mut self, now: Duration) {
        if !self.connected {
            return;
        }
        let Patience { stale, forget, .. } = self.patience;
        for (id, slot) in &mut self.slots {
            if now.saturating_sub(slot.heard) > stale && slot.record.take().is_some() {
                self.events.push_back(NodeEvent::Lost {
                    id: id.clone(),
                    why: Why::Silent,
                });
            }
        }
        self.slots
            .retain(|_, slot| slot.record.is_some() || now.saturating_sub(slot.heard) <= forget);
        self.edges
            .retain(|_, edge| now.saturating_sub(edge.heard) <= stale);
        self.vectors
            .retain(|_, (heard, _)| now.saturating_sub(*heard) <= stale * 2);
    }

    /// What has changed since, oldest first.
    pub fn poll_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front()
    }

    /// A node that lives.
    #[must_use]
    pub fn view(&self, now: Duration, id: &NodeId) -> Option<NodeView> {
        let slot = self.slots.get(id)?;
        Some(NodeView {
            record: slot.record.clone()?,
            epoch: slot.epoch,
            age: now.saturating_sub(slot.heard),
            edge: self.edges.get(id).map(|edge| edge.record.clone()),
        })
    }

    /// All nodes that live.
    pub fn views(&self, now: Duration) -> impl Iterator<Item = NodeView> {
        self.slots.keys().filter_map(move |id| self.view(now, id))
    }

    /// What edge agents say, also of nodes that do not live.
    pub fn edges(&self) -> impl Iterator<Item = &EdgeRecord> {
        self.edges.values().map(|edge| &edge.record)
    }

    /// Whether the node lives.
    #[must_use]
    pub fn lives(&self, id: &NodeId) -> bool {
        self.slots.get(id).is_some_and(|slot| slot.record.is_some())
    }

    /// The last epoch known of a node, alive or not.
    #[must_use]
    pub fn epoch(&self, id: &NodeId) -> Option<u64> {
        let slot = self.slots.get(id)?;
        Some(slot.epoch.max(slot.withdrawn.unwrap_or(0)))
    }

    /// All measurements between edges.
    #[must_use]
    pub fn paths(&self) -> Paths {
        let vectors = self.vectors.iter();
        Paths {
            from: vectors
                .map(|(from, (_, to))| (from.clone(), to.clone()))
                .collect(),
        }
    }

    fn tell_difference(&mut self, now: Duration, id: &NodeId, before: Option<NodeRecord>) {
        let Some(view) = self.view(now, id).map(Arc::new) else {
            return;
        };
        let after = &view.record;
        let event = match before {
            None => NodeEvent::Joined(view),
            Some(before) if before.started_ms != after.started_ms => NodeEvent::Restarted(view),
            Some(before) => {
                // Load changes each second; a view tells it.
                let unloaded = NodeRecord {
                    load: after.load,
                    ..before
                };
                if unloaded == *after {
                    return;
                }
                NodeEvent::Changed(view)
            }
        };
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
