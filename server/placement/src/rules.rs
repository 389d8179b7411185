//! Who may carry a call at all.

use serde::{Deserialize, Serialize};

use crate::fleet::Fleet;
use crate::node::{Health, Node};
use crate::policy::Policy;
use crate::request::Request;
use crate::units::{Millis, Share};

/// Why a node does not carry a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Exclusion {
    /// Lies outside the call's jurisdictions.
    Residency,
    Unhealthy,
    /// Has not reported for too long.
    Silent {
        age: Millis,
    },
    Draining,
    /// Does not speak the protocol that the call's nodes use.
    Protocol {
        needed: u16,
    },
    /// Has no seat left for a newcomer; parties it carries already may stay.
    Full {
        load: Share,
    },
}

/// The rule that forbids a node to carry this call, on any leg; the order is from law to transient state.
pub(crate) fn barred(
    fleet: &Fleet,
    policy: &Policy,
    request: &Request,
    mask: Option<u64>,
    index: usize,
) -> Option<Exclusion> {
    let node = &fleet.nodes()[index];
    if mask.is_some_and(|mask| fleet.residency_of(index) & mask == 0) {
        return Some(Exclusion::Residency);
    }
    if node.health == Health::Unhealthy {
        return Some(Exclusion::Unhealthy);
    }
    let age = request.now.since(node.reported_at);
    if age.0 > policy.report_timeout.0 {
        return Some(Exclusion::Silent { age });
    }
    if node.draining {
        return Some(Exclusion::Draining);
    }
    match request.running.and_then(|r| r.protocol) {
        Some(needed) if !node.protocols.includes(needed) => Some(Exclusion::Protocol { needed }),
        _ => None,
    }
}

/// Newcomers that a node can still take.
pub(crate) fn free_seats(policy: &Policy, node: &Node, reserved: u32) -> u32 {
    let left = policy.hard_load.0 - node.capacity.load(reserved);
    // The small term keeps a seat that is there from being lost to rounding.
    (left * f64::from(node.capacity.parties) + 1e-6).max(0.0) as u32
}
