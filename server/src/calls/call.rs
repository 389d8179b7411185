//! A call as every node of the fleet holds it, and how two copies of it become one.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tradewind_placement::Explanation;

/// Milliseconds of Unix time.
pub(crate) type UnixMs = u64;

/// A call: two or more people, one room of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// Counts the lives of a call: a shopper who comes back after the end begins the next one.
    pub(crate) life: u32,
    /// Node that took the request. It ends the call when nobody comes.
    pub(crate) home: String,
    pub(crate) created_at_ms: UnixMs,
    pub(crate) details: Details,
    /// By identity.
    pub(crate) parties: BTreeMap<String, Party>,
    /// Where it was placed and why, for people and programs.
    pub(crate) placement: Option<Placement>,
    pub(crate) ended: Option<Ended>,
    /// Fingerprint of the request that made it, to tell a repeat from another request with the same key.
    pub(crate) request: String,
}

/// What the creator says about a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// BCP 47 tag; empty = not known.
    pub(crate) language: String,
    /// The application's word for what the call is about.
    pub(crate) scenario: String,
    /// Legal zone that carries the call; empty = any.
    pub(crate) residency: String,
    /// The application's customer, to filter by.
    pub(crate) tenant: String,
    /// The application's own data, returned as it came.
    pub(crate) custom: Map<String, Value>,
}

/// Somebody in a call, or expected there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) identity: String,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// Region the party was said to be in; empty = not said.
    pub(crate) region: String,
    /// Address or an address of its network, for estimates; never shown.
    pub(crate) address: Option<IpAddr>,
    /// Where the party is thought to be: degrees north and east.
    pub(crate) place: Option<(f64, f64)>,
    /// What the party measured itself, by node.
    pub(crate) probes: BTreeMap<String, Probe>,
    /// Node the party is sent to.
    pub(crate) node: String,
    pub(crate) presence: Presence,
    /// Round trip to its node that placement expected, milliseconds.
    pub(crate) predicted_rtt_ms: Option<f64>,
    /// Round trip to its node that the transport sees, milliseconds.
    pub(crate) measured_rtt_ms: Option<f64>,
    pub(crate) stamp: Stamp,
}

/// The least round trip of several tries, as a client measured it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) rtt_ms: f64,
    pub(crate) samples: u32,
    pub(crate) at_ms: UnixMs,
}

/// Which side of a call a party is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Shopper,
    Agent,
    /// Anybody else: an interpreter, a supervisor.
    Guest,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Agent => "agent",
            Self::Guest => "guest",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Shopper, Self::Agent, Self::Guest]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Whether a party is in the room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Presence {
    /// On its way, and waited for until then.
    Expected {
        until_ms: UnixMs,
    },
    /// In the room; `session` tells two sessions of one party apart.
    Here {
        since_ms: UnixMs,
        session: String,
    },
    Left {
        since_ms: UnixMs,
    },
}

impl Presence {
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Here { .. })
    }
}

/// Where a call was placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// Nodes that carry the call: one or two.
    pub(crate) nodes: Vec<String>,
    /// Nodes to go to if those fail, best first.
    pub(crate) standby: Vec<String>,
    /// One-way delay between the parties that was expected, milliseconds.
    pub(crate) predicted_ms: Option<f64>,
    /// Round trip between the two nodes that was expected, milliseconds; none on one node.
    pub(crate) link_rtt_ms: Option<f64>,
    /// Candidates, delays with sources, loads, exclusions, choice.
    pub(crate) explanation: Box<Explanation>,
    pub(crate) stamp: Stamp,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) at_ms: UnixMs,
    pub(crate) reason: EndReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndReason {
    /// The application ended it.
    Requested,
    /// The room closed behind its last party.
    Finished,
    /// The shopper did not come, or did not come back.
    NobodyCame,
}

/// Version of a part of a call. Higher wins; the node's name decides between equals.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) version: u64,
    pub(crate) node: String,
}

impl Stamp {
    /// The version `node` writes over this one.
    pub(crate) fn next(&self, node: &str) -> Self {
        Self {
            version: self.version + 1,
            node: node.to_owned(),
        }
    }
}

/// What people see of a call's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallState {
    /// Nobody has come yet.
    Created,
    /// Somebody is there and no agent has taken the call.
    Waiting,
    /// An agent is there or on the way.
    Answered,
    Ended,
}

impl Call {
    pub(crate) fn state(&self) -> CallState {
        let here = |role| self.with_role(role).any(|party| party.presence.is_here());
        if self.ended.is_some() {
            CallState::Ended
        } else if self.is_answered() {
            CallState::Answered
        } else if here(Role::Shopper) || here(Role::Guest) {
            CallState::Waiting
        } else {
            CallState::Created
        }
    }

    /// Whether an agent is there, or has taken it and is on the way to a shopper who is there.
    pub(crate) fn is_answered(&self) -> bool {
        let shopper = self.is_shopper_here();
        self.with_role(Role::Agent)
            .any(|agent| match agent.presence {
                Presence::Here { .. } => true,
                Presence::Expected { .. } => shopper,
                Presence::Left { .. } => false,
            })
    }

    pub(crate) fn is_shopper_here(&self) -> bool {
        self.with_role(Role::Shopper)
            .any(|party| party.presence.is_here())
    }

    /// The shopper's party, the first one by identity.
    pub(crate) fn shopper(&self) -> Option<&Party> {
        self.with_role(Role::Shopper).next()
    }

    /// The agent who is there, or else the one on the way.
    pub(crate) fn agent(&self) -> Option<&Party> {
        let agents = self
            .with_role(Role::Agent)
            .filter(|agent| !matches!(agent.presence, Presence::Left { .. }));
        agents.max_by_key(|agent| agent.presence.is_here())
    }

    /// Mean one-way delay between parties as measured, milliseconds, over the link as it was when the call was placed.
    /// `None` until two have been measured.
    pub(crate) fn measured_ms(&self) -> Option<f64> {
        self.measured_over(self.placement.as_ref()?.link_rtt_ms.unwrap_or_default())
    }

    /// The same with `link` for the round trip between nodes now, milliseconds: half of the parties' round trips, and
    /// of the link's where they are on different nodes.
    pub(crate) fn measured_over(&self, link: f64) -> Option<f64> {
        let measured = |party: &'_ Party| Some((party.node.clone(), party.measured_rtt_ms?));
        let legs: Vec<(String, f64)> = self.parties.values().filter_map(measured).collect();
        let mut delays = Vec::new();
        for (index, (node, rtt)) in legs.iter().enumerate() {
            for (other_node, other_rtt) in &legs[index + 1..] {
                let between = if node == other_node { 0.0 } else { link };
                delays.push((rtt + other_rtt + between) / 2.0);
            }
        }
        (!delays.is_empty()).then(|| delays.iter().sum::<f64>() / delays.len() as f64)
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &Party> {
        self.parties
            .values()
            .filter(move |party| party.role == role)
    }

    /// Takes over whatever `other` knows better. Any order of any copies gives the same call.
    pub(crate) fn merge(&mut self, other: &Self) {
        match other.life.cmp(&self.life) {
            Ordering::Greater => {
                *self = other.clone();
                return;
            }
            Ordering::Less => return,
            Ordering::Equal => {}
        }
        if (other.created_at_ms, &other.home) < (self.created_at_ms, &self.home) {
            self.created_at_ms = other.created_at_ms;
            self.home.clone_from(&other.home);
            self.details = other.details.clone();
            self.request.clone_from(&other.request);
        }
        for (identity, party) in &other.parties {
            match self.parties.get_mut(identity) {
                Some(mine) if mine.stamp >= party.stamp => {}
                Some(mine) => *mine = party.clone(),
                None => {
                    self.parties.insert(identity.clone(), party.clone());
                }
            }
        }
        if let Some(placement) = &other.placement
            && self
                .placement
                .as_ref()
                .is_none_or(|mine| mine.stamp < placement.stamp)
        {
            self.placement = Some(placement.clone());
        }
        self.ended = match (self.ended.take(), other.ended.clone()) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
