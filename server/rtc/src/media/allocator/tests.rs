//! Layers under changing budgets.

use std::time::Duration;

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

/// After a fall nothing climbs for this long.
const HOLD: Duration = Duration::from_secs(3);

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

#[test]
fn room_must_last_before_layers_climb() {
    let (mut now, mut allocator, demands) = (start(), Allocator::default(), demands(1));
    allocator.allocate(now, 600_000, &demands);
    for _ in 0..100 {
        // Room for 200 ms in every second.
        now += Duration::from_millis(800);
        let plan = allocator.allocate(now, 3_000_000, &demands);
        assert!(plan.review_at.is_some());
        now += Duration::from_millis(200);
        assert_eq!(
            levels(&allocator.allocate(now, 600_000, &demands)),
            [Some(1)]
        );
    }
    let review_at = allocator
        .allocate(now, 3_000_000, &demands)
        .review_at
        .unwrap();
    assert!(review_at <= now + Duration::from_secs(1));
    assert_eq!(
        levels(&allocator.allocate(review_at, 3_000_000, &demands)),
        [Some(2)]
    );
}

#[test]
fn a_greater_wish_is_met_at_once_if_there_is_room() {
    let (now, mut allocator, mut demands) = (start(), Allocator::default(), demands(1));
    demands[0].wanted = Some(0);
    allocator.allocate(now, 3_000_000, &demands);
    demands[0].wanted = Some(2);
    assert_eq!(
        levels(&allocator.allocate(now, 3_000_000, &demands)),
        [Some(2)]
    );
}

#[test]
fn a_newcomer_gets_its_share_and_nobody_is_held_back_for_it() {
    let (now, mut allocator, demands) = (start(), Allocator::default(), demands(2));
    assert_eq!(
        levels(&allocator.allocate(now, 2_000_000, &demands[..1])),
        [Some(2)]
    );
    assert_eq!(
        levels(&allocator.allocate(now, 2_000_000, &demands)),
        [Some(1); 2]
    );
    // Gone again: what was given up is had back as soon as the room lasts.
    let plan = allocator.allocate(now, 2_100_000, &demands[..1]);
    assert!(plan.review_at.unwrap() < now + HOLD);
}

/// A path that shows more than it carries until it is used: every climb fails.
#[test]
fn a_climb_that_keeps_failing_is_tried_ever_more_seldom() {
    let (begin, mut allocator, demands) = (start(), Allocator::default(), demands(1));
    let (mut climbs, mut above) = (Vec::new(), None::<Instant>);
    for step in 0..6_000u64 {
        let now = begin + Duration::from_millis(step * 100);
        let full = above.is_some_and(|since| now - since > Duration::from_secs(1));
        let budget = if full || step == 0 {
            1_000_000
        } else {
            2_500_000
        };
        let high = levels(&allocator.allocate(now, budget, &demands)) == [Some(2)];
        if high && above.is_none() {
            climbs.push(now);
        }
        above = high.then(|| above.unwrap_or(now));
    }
    // In ten minutes; with no memory it would be one in four seconds.
    assert!((8..=16).contains(&climbs.len()), "{}", climbs.len());
    let last = climbs.len() - 1;
    assert!(climbs[last] - climbs[last - 1] >= Duration::from_secs(60));
}

#[test]
fn falls_long_ago_do_not_count() {
    let (mut now, mut allocator, demands) = (start(), Allocator::default(), demands(1));
    allocator.allocate(now, 1_000_000, &demands);
    for _ in 0..6 {
        while levels(&allocator.allocate(now, 3_000_000, &demands)) != [Some(2)] {
            now += Duration::from_millis(100);
        }
        now += Duration::from_secs(1);
        allocator.allocate(now, 1_000_000, &demands);
    }
    let held = allocator
        .allocate(now, 3_000_000, &demands)
        .review_at
        .unwrap();
    assert_eq!(held, now + Duration::from_secs(60));
    assert_eq!(
        levels(&allocator.allocate(held, 3_000_000, &demands)),
        [Some(2)]
    );
    let later = held + Duration::from_secs(300);
    allocator.allocate(later, 1_000_000, &demands);
    let held = allocator
        .allocate(later, 3_000_000, &demands)
        .review_at
        .unwrap();
    assert_eq!(held, later + HOLD);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Up to a fifth up and down at random twenty times a second, for a minute.
    #[test]
    fn a_nervous_estimate_makes_no_nervous_picture(base in 300_000u64..8_000_000, wobble in proptest::collection::vec(-20i64..=20, 1_200)) {
        let (mut now, mut allocator, demands) = (start(), Allocator::default(), demands(3));
        let mut changes = 0;
        let mut last = None;
        for percent in wobble {
            now += Duration::from_millis(50);
            let budget = (base as i64 + base as i64 * percent / 100) as u64;
            let given = levels(&allocator.allocate(now, budget, &demands));
            changes += u32::from(last.as_ref().is_some_and(|last| *last != given));
            last = Some(given);
        }
        prop_assert!(changes <= 12, "{changes} changes");
    }
}
