//! Shares a subscriber's bandwidth out among its videos.
//!
//! Everybody gets the lowest layer first, the most important first; then all are raised in turns. Falling is immediate. Climbing
//! needs headroom that lasts, and a while since the last fall: longer each time a climb was taken back, so that layers do not
//! swing with the estimate.

mod calm;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Instant;

use super::forward::Layer;
use crate::room::SubscriptionKey;
use calm::Calm;

/// Share of the budget a climb must fit into.
const CLIMB_SHARE: f64 = 0.85;
/// What is looked for beyond the best of everything, so that a swing of the encoder finds room.
const MARGIN: f64 = 1.2;
/// The estimator probes at what is desired and believes the outcome, so that a small desire would make it forget a
/// wide link: nothing below this is ever asked for, and a little more or less is not worth a probe.
const LEAST_DESIRED: u64 = 3_000_000;
const DESIRED_STEP: u64 = 1_000_000;
/// Forward every temporal layer.
const ALL_TEMPORAL: u8 = 7;

/// What a subscription could use.
#[derive(Clone, Debug)]
pub(crate) struct TrackDemand {
    pub(crate) id: SubscriptionKey,
    /// Highest level of use; `None` = nothing at present.
    pub(crate) wanted: Option<u8>,
    pub(crate) priority: u32,
    pub(crate) screen_share: bool,
    /// Bits per second of each level, low to high.
    pub(crate) bitrates: Vec<u64>,
}

/// What a subscription gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) id: SubscriptionKey,
    pub(crate) target: Option<Layer>,
    /// It wanted something, and there is no bandwidth even for the least.
    pub(crate) paused: bool,
}

/// The outcome, in bits per second where not said otherwise.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) allocations: Vec<Allocation>,
    /// What the next raise takes in all; 0 when nobody is short of anything.
    pub(crate) minimum: u64,
    /// What the best of everything subscribed takes, in coarse steps; 0 without video.
    pub(crate) desired: u64,
    /// When a climb that waits should be looked at again.
    pub(crate) review_at: Option<Instant>,
}

/// Remembers what was given.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    given: BTreeMap<SubscriptionKey, Given>,
    calm: Calm,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    wanted: Option<u8>,
    level: Option<u8>,
}

impl Allocator {
    /// Shares `budget` bits per second out.
    pub(crate) fn allocate(&mut self, now: Instant, budget: u64, demands: &[TrackDemand]) -> Plan {
        let climb_budget = (budget as f64 * CLIMB_SHARE) as u64;
        let before: Vec<Option<Given>> = demands
            .iter()
            .map(|demand| self.given.get(&demand.id).copied())
            .collect();
        let as_before = demands
            .iter()
            .zip(&before)
            .all(|(demand, before)| before.is_some_and(|before| before.wanted == demand.wanted));

        // Who is new is served at once; the others keep what they have, as far as it fits.
        let kept = |at: usize| match before[at] {
            Some(given) => given.level.min(demands[at].wanted),
            None => demands[at].wanted,
        };
        let mut levels = vec![None; demands.len()];
        raise(&mut levels, budget, demands, kept);
        let fell = levels
            .iter()
            .enumerate()
            .any(|(at, level)| *level < kept(at));
        // Making room for others is not a sign of trouble.
        if fell && as_before {
            self.calm.fell(now);
        }

        let mut climbed = levels.clone();
        raise(&mut climbed, climb_budget, demands, |at| demands[at].wanted);
        let review_at = if climbed == levels {
            self.calm.no_room();
            None
        } else {
            let wait = self.calm.may_climb(now, !as_before);
            if wait.is_none() {
                levels = climbed;
            }
            wait
        };
        self.given = demands
            .iter()
            .zip(&levels)
            .map(|(demand, level)| {
                let (wanted, level) = (demand.wanted, *level);
                (demand.id, Given { wanted, level })
            })
            .collect();
        plan(demands, &levels, review_at)
    }
}

fn plan(demands: &[TrackDemand], levels: &[Option<u8>], review_at: Option<Instant>) -> Plan {
    let with_levels = || demands.iter().zip(levels.iter().copied());
    let given: u64 = with_levels()
        .map(|(demand, level)| cost(demand, level))
        .sum();
    let next_raise = with_levels()
        .filter(|(demand, level)| *level < demand.wanted)
        .map(|(demand, level)| raise_cost(demand, level))
        .min();
    let best: u64 = demands
        .iter()
        .filter_map(|demand| demand.bitrates.iter().max())
        .sum();
    let desired = match demands {
        [] => 0,
        _ => ((best as f64 * MARGIN) as u64)
            .next_multiple_of(DESIRED_STEP)
            .max(LEAST_DESIRED),
    };
    Plan {
        allocations: with_levels()
            .map(|(demand, level)| Allocation {
                id: demand.id,
                target: level.map(|spatial| Layer {
                    spatial,
                    temporal: ALL_TEMPORAL,
                }),
                paused: demand.wanted.is_some() && level.is_none(),
            })
            .collect(),
        minimum: next_raise.map_or(0, |raise| given + raise),
        desired,
        review_at,
    }
}

fn cost(demand: &TrackDemand, level: Option<u8>) -> u64 {
    level
        .and_then(|level| demand.bitrates.get(usize::from(level)))
        .copied()
        .unwrap_or(0)
}

/// What the level above takes more.
fn raise_cost(demand: &TrackDemand, level: Option<u8>) -> u64 {
    let next = level.map_or(0, |level| level + 1);
    cost(demand, Some(next)).saturating_sub(cost(demand, level))
}

/// Raises levels up to `top` as far as the budget goes: first everybody to the lowest, then all in turns.
fn raise(
    levels: &mut [Option<u8>],
    budget: u64,
    demands: &[TrackDemand],
    top: impl Fn(usize) -> Option<u8>,
) {
    let mut order: Vec<usize> = (0..demands.len())
        .filter(|at| demands[*at].wanted.is_some())
        .collect();
    order.sort_by_key(|at| std::cmp::Reverse((demands[*at].screen_share, demands[*at].priority)));
    let spent: u64 = demands
        .iter()
        .zip(&*levels)
        .map(|(demand, level)| cost(demand, *level))
        .sum();
    let mut left = budget.saturating_sub(spent);
    for at in &order {
        if levels[*at].is_some() || top(*at).is_none() {
            continue;
        }
        let least = cost(&demands[*at], Some(0));
        // An estimate is only an estimate: the most important picture is not given up for a small lack.
        let first = *at == order[0];
        if least <= left || first {
            left = left.saturating_sub(least);
            levels[*at] = Some(0);
        }
    }
    loop {
        let mut raised = false;
        for at in &order {
            let level = levels[*at];
            let Some(current) = level.filter(|level| Some(*level) < top(*at)) else {
                continue;
            };
            let more = raise_cost(&demands[*at], level);
            if more <= left {
                left -= more;
                levels[*at] = Some(current + 1);
                raised = true;
            }
        }
        if !raised {
            return;
        }
    }
}
