//! What callers rely on: timers, bounds, and that probes only ever help.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::link::{Loss, Path};
use super::reports::build;
use super::start;
use super::world::World;
use crate::congestion::Congestion;

const M: u64 = 1_000_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sends a packet of 1,000 bytes every 10 ms for a second; each arrives after 20 ms and is reported 20 ms later.
fn second_of_media(congestion: &mut Congestion, begin: Instant) {
    for step in 0..100 {
        let now = begin + ms(step * 10);
        let sequence = congestion.packet_sent(now, 1_000);
        let report = build(sequence, &[Some((step + 100) * 10_000)]);
        congestion.handle_feedback(now + ms(9), &report).unwrap();
    }
}

#[test]
fn an_idle_transport_wakes_for_nothing() {
    let begin = start();
    let mut congestion = Congestion::new(begin, M);
    assert_eq!(congestion.poll_timeout(), None, "nothing sent");
    congestion.set_demand(begin, 10 * M);
    assert_eq!(congestion.poll_timeout(), None, "nothing to probe with");
    congestion.set_demand(begin, 0);
    second_of_media(&mut congestion, begin);
    assert_eq!(
        congestion.poll_timeout(),
        None,
        "all heard of, nothing wanted"
    );

    // More is wanted but media has stopped: it looks once or twice and leaves it at that.
    congestion.set_demand(begin + ms(1_000), 10 * M);
    let mut wakes = 0;
    while let Some(at) = congestion.poll_timeout() {
        congestion.handle_timeout(at);
        while congestion.poll_probe(at).is_some() {}
        wakes += 1;
        assert!(wakes < 50, "it never rests");
    }
}

#[test]
fn a_receiver_that_goes_away_costs_one_wake() {
    let begin = start();
    let mut congestion = Congestion::new(begin, M);
    second_of_media(&mut congestion, begin);
    let before = congestion.estimate();
    congestion.packet_sent(begin + ms(1_000), 1_000);
    assert_eq!(congestion.poll_timeout(), None, "one may be lost");
    for _ in 0..10 {
        congestion.packet_sent(begin + ms(1_000), 1_000);
    }
    let at = congestion.poll_timeout().unwrap();
    assert!(at >= begin + ms(1_500) && at <= begin + ms(2_000));
    congestion.handle_timeout(at);
    assert_eq!(congestion.estimate(), before / 2);
    assert_eq!(congestion.poll_timeout(), None);
}

#[test]
fn a_receiver_that_knows_no_such_feedback_keeps_its_first_estimate() {
    let mut world = World::new(Path::of(5 * M), M, 3 * M, 1);
    world.deaf = true;
    world.run(30);
    assert_eq!(world.congestion.estimate(), M);
    assert!(world.padding_sent < 50_000, "{}", world.padding_sent);
}

#[test]
fn the_receivers_bound_holds_while_it_is_repeated() {
    let mut world = World::new(Path::of(5 * M), 300_000, 3 * M, 1);
    world.run(5);
    assert!(world.congestion.estimate() > 2 * M);
    let now = world.instant();
    world.congestion.handle_remb(now, 700_000);
    world.run(5);
    assert_eq!(world.congestion.estimate(), 700_000);
    world.run(10);
    assert!(world.congestion.estimate() > M);
}

#[test]
fn nothing_is_probed_for_that_the_estimate_covers() {
    let mut world = World::new(Path::of(5 * M), 2 * M, 3 * M / 2, 1);
    world.run(30);
    assert_eq!(world.padding_sent, 0);
}

#[test]
fn a_probe_does_not_go_beyond_what_is_wanted() {
    let mut world = World::new(Path::of(20 * M), 300_000, 300_000, 1);
    let now = world.instant();
    world.congestion.set_demand(now, M);
    world.run(30);
    let estimate = world.congestion.estimate();
    assert!((M..=M * 6 / 5).contains(&estimate), "{estimate}");
}

#[test]
fn failed_probes_take_nothing_from_the_estimate() {
    // The link carries the 2 Mbit/s sent and not a bit more; 12 are wanted.
    let path = Path {
        queue: 40_000,
        ..Path::of(5 * M / 2)
    };
    let mut world = World::new(path, 300_000, 2 * M, 1);
    world.run(10);
    world.follows = None;
    let before = world.congestion.estimate();
    let now = world.instant();
    world.congestion.set_demand(now, 12 * M);
    let padding = world.padding_sent;
    world.run(40);
    assert!(world.padding_sent > padding, "it was probed");
    let least = world
        .between(10.0, 50.0)
        .iter()
        .map(|sample| sample.estimate)
        .min();
    assert!(
        least.unwrap() as f64 >= 0.8 * before.min(5 * M / 2) as f64,
        "{least:?} of {before}"
    );
}

/// An estimator that believed every probe once went from 5.2 Mbit/s to 0.2 when a layer was lowered.
#[test]
fn lowering_a_layer_and_wanting_it_back_leaves_the_estimate_alone() {
    for loss in [Loss::None, Loss::Random(0.05)] {
        let path = Path {
            loss,
            ..Path::of(8 * M)
        };
        let mut world = World::new(path, 300_000, 5 * M, 3);
        world.run(15);
        for _ in 0..10 {
            for demand in [200_000, 6 * M] {
                let now = world.instant();
                world.congestion.set_demand(now, demand);
                world.demand = 200_000;
                world.run(1);
            }
        }
        let least = world
            .between(15.0, 40.0)
            .iter()
            .map(|sample| sample.estimate)
            .min();
        assert!(least.unwrap() >= 4 * M, "{loss:?}: {least:?}");
    }
}

#[test]
fn a_full_bucket_says_when_it_takes_more() {
    let begin = start();
    let mut congestion = Congestion::new(begin, M);
    let mut sent = 0;
    while congestion.admits(begin) {
        congestion.packet_sent(begin, 1_200);
        sent += 1;
    }
    assert!((16..=18).contains(&sent), "a frame at once: {sent}");
    let at = congestion.admits_at();
    assert!(!congestion.admits(at - ms(1)));
    assert!(congestion.admits(at));
}

#[test]
fn the_round_trip_is_that_of_receiver_reports_once_there_are_any() {
    let mut world = World::new(Path::of(5 * M), 300_000, M, 1);
    assert_eq!(world.congestion.round_trip(), None);
    world.run(5);
    let by_feedback = world.congestion.round_trip().unwrap();
    assert!((ms(50)..ms(120)).contains(&by_feedback), "{by_feedback:?}");
    let now = world.instant();
    world.congestion.handle_round_trip(now, ms(52));
    assert_eq!(world.congestion.round_trip(), Some(ms(52)));
}

proptest! {
    /// Whatever a receiver says, in whatever order: no panic, an estimate within reason, and no timer that never rests.
    #[test]
    fn a_hostile_receiver_gains_nothing(
        steps in proptest::collection::vec((0u8..8, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40), 0u64..200), 1..200),
    ) {
        let mut now = start();
        let mut congestion = Congestion::new(now, 300_000);
        let mut sent = 0u64;
        for (kind, number, bytes, pause) in steps {
            now += ms(pause);
            match kind {
                0 => { let _ = congestion.handle_feedback(now, &bytes); }
                1 => {
                    let arrivals: Vec<_> = bytes.iter().map(|byte| (byte % 3 > 0).then_some(u64::from(*byte) * u64::from(number))).collect();
                    let _ = congestion.handle_feedback(now, &build(number % 512, &arrivals));
                }
                2 => congestion.handle_remb(now, u64::from(number) << (number % 40)),
                3 => congestion.handle_round_trip(now, Duration::from_secs(number.into())),
                4 => congestion.set_demand(now, u64::from(number) << (number % 40)),
                _ => {
                    congestion.packet_sent(now, usize::from(number));
                    sent += u64::from(number);
                }
            }
            let mut wakes = 0;
            while congestion.poll_timeout().is_some_and(|at| at <= now) {
                congestion.handle_timeout(now);
                while let Some(padding) = congestion.poll_probe(now) {
                    congestion.packet_sent(now, padding);
                    sent += padding as u64;
                }
                wakes += 1;
                prop_assert!(wakes < 10);
            }
            congestion.admits(now);
            prop_assert!(congestion.estimate() >= 30_000);
            // All that was sent within the shortest window an arrival bitrate is measured over, and half as much again.
            prop_assert!(congestion.estimate() <= 300_000 * 64 + sent * 8 * 1_000);
        }
    }
}
