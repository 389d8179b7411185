//! Shares a subscriber's bandwidth out among its videos.
//!
//! Everybody gets the lowest layer first, the most important first; then all are raised in turns. Falling is immediate;
//! climbing needs headroom, and a while since the last fall, so that layers do not swing with the estimate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::forward::Layer;
use crate::room::SubscriptionKey;

/// Share of the budget a climb must fit into.
const CLIMB_SHARE: f64 = 0.85;
/// No climb this soon after a fall.
const HOLD: Duration = Duration::from_secs(3);
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
    levels: BTreeMap<SubscriptionKey, Option<u8>>,
    hold_until: Option<Instant>,
}

impl Allocator {
    /// Shares `budget` bits per second out.
    pub(crate) fn allocate(&mut self, now: Instant, budget: u64, demands: &[TrackDemand]) -> Plan {
        let full = share_out(budget, demands);
        let safe = share_out((budget as f64 * CLIMB_SHARE) as u64, demands);
        let held = self.hold_until.is_some_and(|until| now < until);

        let mut levels = BTreeMap::new();
        let (mut fell, mut waits) = (false, false);
        for ((demand, full), safe) in demands.iter().zip(&full).zip(&safe) {
            let level = match self.levels.get(&demand.id) {
                None => *full,
                Some(current) if full < current => {
                    // What the client no longer wants is not a sign of trouble.
                    fell |= demand.wanted >= *current;
                    *full
                }
                Some(current) if safe.min(full) > current => {
                    if held {
                        waits = true;
                        *current
                    } else {
                        *safe.min(full)
                    }
                }
                Some(current) => *current,
            };
            levels.insert(demand.id, level);
        }
        self.levels = levels;
        if fell {
            self.hold_until = Some(now + HOLD);
        }

        let given: u64 = demands
            .iter()
            .map(|demand| cost(demand, self.level(demand)))
            .sum();
        let next_raise = demands
            .iter()
            .filter(|demand| self.level(demand) < demand.wanted)
            .map(|demand| {
                let level = self.level(demand);
                let next = level.map_or(0, |level| level + 1);
                cost(demand, Some(next)).saturating_sub(cost(demand, level))
            })
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
            allocations: demands
                .iter()
                .map(|demand| Allocation {
                    id: demand.id,
                    target: self.level(demand).map(|spatial| Layer {
                        spatial,
                        temporal: ALL_TEMPORAL,
                    }),
                    paused: demand.wanted.is_some() && self.level(demand).is_none(),
                })
                .collect(),
            minimum: next_raise.map_or(0, |raise| given + raise),
            desired,
            review_at: if waits { self.hold_until } else { None },
        }
    }

    fn level(&self, demand: &TrackDemand) -> Option<u8> {
        self.levels.get(&demand.id).copied().flatten()
    }
}

fn cost(demand: &TrackDemand, level: Option<u8>) -> u64 {
    level
        .and_then(|level| demand.bitrates.get(usize::from(level)))
        .copied()
        .unwrap_or(0)
}

/// The level of each demand, in their order, within the budget.
fn share_out(budget: u64, demands: &[TrackDemand]) -> Vec<Option<u8>> {
    let mut order: Vec<usize> = (0..demands.len())
        .filter(|at| demands[*at].wanted.is_some())
        .collect();
    order.sort_by_key(|at| std::cmp::Reverse((demands[*at].screen_share, demands[*at].priority)));
    let mut levels = vec![None; demands.len()];
    let mut left = budget;
    for at in &order {
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
            let (demand, level) = (&demands[*at], levels[*at]);
            let Some(current) = level.filter(|level| Some(*level) < demand.wanted) else {
                continue;
            };
            let more = cost(demand, Some(current + 1)).saturating_sub(cost(demand, level));
            if more <= left {
                left -= more;
                levels[*at] = Some(current + 1);
                raised = true;
            }
        }
        if !raised {
            return levels;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slotmap::SlotMap;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made from the clock"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn demands(count: usize) -> Vec<TrackDemand> {
        let mut keys: SlotMap<SubscriptionKey, ()> = SlotMap::with_key();
        (0..count)
            .map(|_| TrackDemand {
                id: keys.insert(()),
                wanted: Some(2),
                priority: 0,
                screen_share: false,
                bitrates: vec![150_000, 500_000, 1_700_000],
            })
            .collect()
    }

    fn levels(plan: &Plan) -> Vec<Option<u8>> {
        plan.allocations
            .iter()
            .map(|allocation| allocation.target.map(|layer| layer.spatial))
            .collect()
    }

    #[test]
    fn everybody_gets_something_before_anybody_gets_more() {
        let plan = Allocator::default().allocate(start(), 700_000, &demands(4));
        assert_eq!(levels(&plan), [Some(0); 4]);
        let plan = Allocator::default().allocate(start(), 1_200_000, &demands(2));
        assert_eq!(levels(&plan), [Some(1); 2]);
    }

    #[test]
    fn a_shared_screen_outlives_cameras_when_bandwidth_is_short() {
        let mut demands = demands(3);
        demands[2].screen_share = true;
        let plan = Allocator::default().allocate(start(), 200_000, &demands);
        assert_eq!(levels(&plan), [None, None, Some(0)]);
        assert_eq!(
            plan.allocations
                .iter()
                .filter(|allocation| allocation.paused)
                .count(),
            2
        );
    }

    #[test]
    fn falling_is_immediate_and_climbing_waits() {
        let (now, mut allocator, demands) = (start(), Allocator::default(), demands(1));
        assert_eq!(
            levels(&allocator.allocate(now, 3_000_000, &demands)),
            [Some(2)]
        );
        assert_eq!(
            levels(&allocator.allocate(now, 600_000, &demands)),
            [Some(1)]
        );
        let plan = allocator.allocate(now + Duration::from_secs(1), 3_000_000, &demands);
        assert_eq!(levels(&plan), [Some(1)]);
        assert_eq!(plan.review_at, Some(now + HOLD));
        assert_eq!(
            levels(&allocator.allocate(now + HOLD, 3_000_000, &demands)),
            [Some(2)]
        );
    }

    #[test]
    fn the_next_raise_is_what_is_looked_for() {
        let plan = Allocator::default().allocate(start(), 600_000, &demands(1));
        assert_eq!(plan.minimum, 1_700_000);
        let plan = Allocator::default().allocate(start(), 6_000_000, &demands(1));
        assert_eq!((plan.minimum, plan.desired), (0, 3_000_000));
    }

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(budgets in proptest::collection::vec(0u64..8_000_000, 1..20), count in 0usize..8) {
            let (mut now, mut allocator, demands) = (start(), Allocator::default(), demands(count));
            for budget in budgets {
                now += Duration::from_secs(1);
                let plan = allocator.allocate(now, budget, &demands);
                let spent: u64 = demands.iter().zip(levels(&plan)).map(|(demand, level)| cost(demand, level)).sum();
                prop_assert!(spent <= budget.max(150_000), "but for one picture");
            }
        }

        #[test]
        fn layers_do_not_swing_when_the_estimate_wobbles(base in 100_000u64..8_000_000, wobble in proptest::collection::vec(-5i64..=5, 60)) {
            let (mut now, mut allocator, demands) = (start(), Allocator::default(), demands(3));
            let mut changes = 0;
            let mut last = None;
            for percent in wobble {
                now += Duration::from_secs(1);
                let budget = (base as i64 + base as i64 * percent / 100) as u64;
                let given = levels(&allocator.allocate(now, budget, &demands));
                if last.as_ref().is_some_and(|last| *last != given) {
                    changes += 1;
                }
                last = Some(given);
            }
            // One way down is allowed; up again needs more than the wobble gives.
            prop_assert!(changes <= 4, "{changes} changes");
        }
    }
}
