//! Why a call went where it went: every candidate, what was believed of it, and what it would have scored.

use serde::{Deserialize, Serialize};

use crate::candidates::Candidates;
use crate::error::PlacementError;
use crate::estimate::{Estimate, estimate};
use crate::fleet::Fleet;
use crate::node::NodeId;
use crate::place::{Decision, decide};
use crate::placement::{Placement, Terms};
use crate::policy::Policy;
use crate::request::{PartyId, Request};
use crate::reservations::Reservations;
use crate::route;
use crate::rules::Exclusion;
use crate::score::Nodes;
use crate::units::{Points, Share};

/// What was believed of one party's leg to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    pub party: PartyId,
    pub estimate: Estimate,
}

/// A node as it was seen when the call was placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    pub node: NodeId,
    /// The rule that kept newcomers off it.
    pub excluded: Option<Exclusion>,
    /// With reservations.
    pub load: Share,
    pub legs: Vec<Leg>,
    pub chosen: bool,
    /// The best it could do, alone or with one of the chosen nodes; none if excluded or
    /// short of seats.
    pub best: Option<Terms>,
    /// The chosen node it does its best with; none if alone.
    pub with: Option<NodeId>,
}

/// Everything that led to a [`Placement`]. Its [`Display`](std::fmt::Display) is the text of `tradewind why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub placement: Placement,
    /// The sum of the placement's terms.
    pub score: Points,
    /// Every node of the fleet, best first, those excluded last.
    pub candidates: Vec<CandidateReport>,
}

/// Places the call as [`place`](crate::place()) does and tells why. Costs more: meant to be called once for a call, with
/// the same input.
///
/// # Errors
///
/// As [`place`](crate::place()).
pub fn explain(
    fleet: &Fleet,
    reservations: &Reservations,
    policy: &Policy,
    request: &Request,
) -> Result<Explanation, PlacementError> {
    let c = Candidates::new(fleet, reservations, policy, request)?;
    let decision = decide(&c)?;
    let estimates: Vec<_> = request
        .parties
        .iter()
        .map(|p| estimate(fleet, policy, p, request.now))
        .collect();
    let mut candidates: Vec<_> = (0..fleet.nodes().len())
        .map(|node| report(&c, &decision, &estimates, node))
        .collect();
    candidates.sort_by_key(|r| (r.best.map_or(Points::WORST, |t| t.total()), !r.chosen));
    let placement = decision.answer(&c);
    Ok(Explanation {
        score: placement.score(),
        placement,
        candidates,
    })
}

fn report(
    c: &Candidates,
    decision: &Decision,
    estimates: &[Vec<Estimate>],
    node: usize,
) -> CandidateReport {
    let excluded = c.exclusion(node);
    let chosen = decision.choice.nodes.contains(node);
    let name = |node: usize| c.fleet.nodes()[node].id.clone();
    let best = if chosen {
        Some((decision.choice.terms, decision.choice.nodes.other(node)))
    } else if excluded.is_none() {
        alternatives(c, decision, node).min_by_key(|(terms, with)| (terms.total(), *with))
    } else {
        None
    };
    let parties = c.request.parties.iter().zip(estimates);
    CandidateReport {
        node: name(node),
        excluded,
        load: Share(c.seats[node].load),
        legs: parties
            .map(|(party, of_party)| Leg {
                party: party.id.clone(),
                estimate: of_party[node],
            })
            .collect(),
        chosen,
        best: best.map(|(terms, _)| terms),
        with: best.and_then(|(_, with)| with).map(name),
    }
}

/// The node alone, and with each chosen node, every party on the nearer of the two.
fn alternatives<'a>(
    c: &'a Candidates,
    decision: &'a Decision,
    node: usize,
) -> impl Iterator<Item = (Terms, Option<usize>)> + 'a {
    let seated =
        move |entries: &[usize], node: usize| c.newcomers(entries, node) <= c.seats[node].free;
    let alone = vec![node; c.parties()];
    let alone = seated(&alone, node).then(|| (c.score(&alone, &Nodes::One(node), true), None));
    let mut partners = decision.choice.entries.clone();
    partners.sort_unstable();
    partners.dedup();
    let with = move |partner: usize| {
        let route = route::find(c, node, partner, None)?;
        let nearer = |p: usize| {
            if c.legs(node)[p].one_way < c.legs(partner)[p].one_way {
                node
            } else {
                partner
            }
        };
        let entries: Vec<usize> = (0..c.parties()).map(nearer).collect();
        let used = |node: usize| entries.contains(&node) && seated(&entries, node);
        (used(node) && used(partner)).then(|| {
            (
                c.score(&entries, &Nodes::Two(node, partner, route), true),
                Some(partner),
            )
        })
    };
    alone
        .into_iter()
        .chain(partners.into_iter().filter_map(with))
}
