//! Places a call: the free choice, weighed against staying where it is, with standby nodes and reasons.

use crate::candidates::Candidates;
use crate::emodel::{delay_impairment, loss_impairment, mean_opinion_score, r_factor};
use crate::error::PlacementError;
use crate::fleet::Fleet;
use crate::placement::{PairPrediction, Placement, Reason, Spill};
use crate::policy::Policy;
use crate::request::Request;
use crate::reservations::Reservations;
use crate::rules::Exclusion;
use crate::score::Nodes;
use crate::search::{Choice, Found, Freedom, search};
use crate::standby::standby;
use crate::units::{Millis, Points, Share, Timestamp};

/// Chooses the nodes of a call.
///
/// Equal input gives an equal answer, in whatever order nodes are listed. Reserve the entries afterwards, so that the
/// next call sees them. A call on a draining or failed node is moved by placing it again.
///
/// # Errors
///
/// See [`PlacementError`]: the request cannot be understood, or no node may carry the call.
pub fn place(
    fleet: &Fleet,
    reservations: &Reservations,
    policy: &Policy,
    request: &Request,
) -> Result<Placement, PlacementError> {
    let c = Candidates::new(fleet, reservations, policy, request)?;
    decide(&c).map(|decision| decision.answer(&c))
}

/// A choice with what led to it.
pub(crate) struct Decision {
    pub(crate) choice: Choice,
    /// The best single node, if the search looked for it.
    single: Option<Choice>,
    stability: Option<Stability>,
    better_since: Option<Timestamp>,
}

/// How a running call's present nodes compared with the best.
enum Stability {
    Kept { forgone: f64 },
    Moved { saved: f64 },
}

pub(crate) fn decide(c: &Candidates) -> Result<Decision, PlacementError> {
    let anywhere = vec![None; c.parties()];
    let free = search(
        c,
        Freedom {
            pinned: &anywhere,
            for_load: true,
        },
    )
    .ok_or_else(|| why_none(c))?;
    let decision = |found: Found, stability, better_since| Decision {
        choice: found.best,
        single: found.single,
        stability,
        better_since,
    };
    let Some(running) = c.request.running else {
        return Ok(decision(free, None, None));
    };
    let stay = c.current.iter().any(Option::is_some).then(|| {
        search(
            c,
            Freedom {
                pinned: &c.current,
                for_load: true,
            },
        )
    });
    let Some(stay) = stay.flatten() else {
        return Ok(decision(free, None, None));
    };
    if stay.best.terms.total() <= free.best.terms.total() {
        return Ok(decision(stay, None, None));
    }
    let mean = |choice: &Choice| c.mean_one_way(&choice.entries, &choice.nodes);
    let now = c.request.now;
    let gain = mean(&stay.best) - mean(&free.best);
    let policy = c.policy;
    if gain < policy.move_gain.0 || gain < policy.move_gain_share.0 * mean(&stay.best) {
        let kept = (gain > 0.0).then_some(Stability::Kept { forgone: gain });
        return Ok(decision(stay, kept, None));
    }
    let since = running.better_since.unwrap_or(now);
    let held = now.since(since).0 >= policy.move_hold.0;
    let rested = running
        .moved_at
        .is_none_or(|at| now.since(at).0 >= policy.move_interval.0);
    if held && rested {
        return Ok(decision(free, Some(Stability::Moved { saved: gain }), None));
    }
    Ok(decision(
        stay,
        Some(Stability::Kept { forgone: gain }),
        Some(since),
    ))
}

fn why_none(c: &Candidates) -> PlacementError {
    let mut full = 0;
    let mut barred = std::collections::BTreeMap::new();
    for node in 0..c.seats.len() {
        match c.seats[node].barred {
            None => full += 1,
            Some(rule) => {
                let name = match rule {
                    Exclusion::Residency => "outside the residency",
                    Exclusion::Unhealthy => "unhealthy",
                    Exclusion::Silent { .. } => "silent",
                    Exclusion::Draining => "draining",
                    Exclusion::Protocol { .. } => "of another protocol version",
                    Exclusion::Full { .. } => "full",
                };
                *barred.entry(name).or_insert(0) += 1;
            }
        }
    }
    if !c.seats.is_empty() && barred.get("outside the residency") == Some(&c.seats.len()) {
        let tags: Vec<&str> = c.request.residency.iter().map(String::as_str).collect();
        return PlacementError::ImpossibleResidency(tags.join(", "));
    }
    if full > 0 {
        barred.insert("full", full);
    }
    let counts: Vec<String> = barred
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    match counts.join(", ") {
        counts if full > 0 => PlacementError::NoCapacity(counts),
        counts if counts.is_empty() => {
            PlacementError::NoUsableNode("the fleet is empty".to_owned())
        }
        counts => PlacementError::NoUsableNode(counts),
    }
}

impl Decision {
    pub(crate) fn answer(self, c: &Candidates) -> Placement {
        let name = |node: usize| c.fleet.nodes()[node].id.clone();
        let reasons = self.reasons(c);
        let Choice {
            nodes,
            entries,
            terms,
            ..
        } = &self.choice;
        let (mut route, protocol): (Vec<usize>, u16) = match nodes {
            Nodes::One(a) => (vec![*a], c.fleet.nodes()[*a].protocols.newest),
            Nodes::Two(a, b, way) => {
                let stops = std::iter::once(*a).chain(way.via()).chain([*b]).collect();
                (stops, way.protocol)
            }
        };
        if route.first() != entries.first() {
            route.reverse();
        }
        let parties = c.request.parties.iter();
        Placement {
            entries: parties
                .zip(entries)
                .map(|(party, &node)| (party.id.clone(), name(node)))
                .collect(),
            route: route.into_iter().map(name).collect(),
            standby: standby(c, &self.choice),
            pairs: predictions(c, entries, nodes),
            mean_one_way: Millis(c.mean_one_way(entries, nodes)),
            terms: *terms,
            protocol: c
                .request
                .running
                .and_then(|r| r.protocol)
                .unwrap_or(protocol),
            reasons,
            better_since: self.better_since,
        }
    }

    fn reasons(&self, c: &Candidates) -> Vec<Reason> {
        let name = |node: usize| c.fleet.nodes()[node].id.clone();
        let mean = |choice: &Choice| c.mean_one_way(&choice.entries, &choice.nodes);
        let mut reasons = Vec::with_capacity(2);
        match (&self.choice.nodes, &self.single) {
            (Nodes::One(_), _) => reasons.push(Reason::OneNode),
            (Nodes::Two(..), Some(single)) => {
                reasons.push(Reason::SecondNode {
                    delay_saved: Millis(mean(single) - mean(&self.choice)),
                });
            }
            (Nodes::Two(..), None) => reasons.push(Reason::OnlyTogether),
        }
        if let Nodes::Two(_, _, route) = &self.choice.nodes
            && route.links() > 1
        {
            reasons.push(Reason::Detour {
                via: route.via().map(name).collect(),
            });
        }
        match self.stability {
            Some(Stability::Kept { forgone }) => reasons.push(Reason::Kept {
                delay_forgone: Millis(forgone),
            }),
            Some(Stability::Moved { saved }) => reasons.push(Reason::MovedForGain {
                delay_saved: Millis(saved),
            }),
            None => {}
        }
        reasons.extend(forced_moves(c));
        let kept = matches!(self.stability, Some(Stability::Kept { .. }));
        reasons.extend(spill(c, &self.choice, kept).map(Reason::Spilled));
        reasons
    }
}

/// Nodes that parties have to leave, each once.
fn forced_moves(c: &Candidates) -> Vec<Reason> {
    let mut left: Vec<_> = c
        .request
        .parties
        .iter()
        .zip(&c.current)
        .filter(|(_, now)| now.is_none())
        .filter_map(|(p, _)| p.entry.as_ref())
        .collect();
    left.sort_unstable();
    left.dedup();
    let because = |node| c.fleet.index(node).and_then(|i| c.seats[i].barred);
    left.into_iter()
        .map(|node| Reason::MovedAway {
            from: node.clone(),
            because: because(node),
        })
        .collect()
}

/// The nearly full node that would have been chosen if it were empty.
fn spill(c: &Candidates, choice: &Choice, kept: bool) -> Option<Spill> {
    let mark = choice.terms.total();
    let crowded = |node: &usize| {
        let seat = &c.seats[*node];
        let short = seat.load > c.policy.soft_load.0 || seat.free < c.parties() as u32;
        short && seat.barred.is_none() && !choice.nodes.contains(*node)
    };
    if !(0..c.seats.len()).any(|node| crowded(&node) && promise(c, node, choice) < mark) {
        return None;
    }
    let anywhere = vec![None; c.parties()];
    let pinned = if kept { &c.current } else { &anywhere };
    let wanted = search(
        c,
        Freedom {
            pinned,
            for_load: false,
        },
    )?
    .best;
    let node = match wanted.nodes {
        Nodes::One(a) => [Some(a), None],
        Nodes::Two(a, b, _) => [Some(a), Some(b)],
    };
    let node = node.into_iter().flatten().find(crowded)?;
    let mean = |choice: &Choice| c.mean_one_way(&choice.entries, &choice.nodes);
    Some(Spill {
        wanted: c.fleet.nodes()[node].id.clone(),
        load: Share(c.seats[node].load),
        delay_cost: Millis(mean(choice) - mean(&wanted)),
    })
}

/// The least that this node could make of the choice's score, alone or beside its nodes.
fn promise(c: &Candidates, node: usize, choice: &Choice) -> Points {
    let at = |party: usize, node: usize| c.legs(node)[party].one_way;
    let nearest = (0..c.parties())
        .map(|p| at(p, node).min(at(p, choice.entries[p])))
        .sum::<f64>();
    c.bound(nearest * c.legs_per_pair(), 0.0, false)
}

fn predictions(c: &Candidates, entries: &[usize], nodes: &Nodes) -> Vec<PairPrediction> {
    let parties = &c.request.parties;
    let mut pairs = Vec::with_capacity(parties.len() * parties.len().saturating_sub(1));
    for (s, from) in parties.iter().enumerate() {
        for (t, to) in parties.iter().enumerate().filter(|(t, _)| *t != s) {
            let pair = c.pair((s, entries[s]), (t, entries[t]), nodes);
            let mouth_to_ear = c.policy.fixed_delay.0 + pair.one_way;
            let loss = loss_impairment(pair.unrepaired, c.policy.loss_robustness);
            let r = r_factor(delay_impairment(mouth_to_ear) + loss);
            pairs.push(PairPrediction {
                from: from.id.clone(),
                to: to.id.clone(),
                one_way: Millis(pair.one_way),
                deviation: Millis(pair.deviation),
                mouth_to_ear: Millis(mouth_to_ear),
                unrepaired_loss: Share(pair.unrepaired),
                r,
                mos: mean_opinion_score(r),
            });
        }
    }
    pairs
}
