//! Capacity: finding it, and following it down and up.

use super::figures::{Figures, SEEDS, worst};
use super::link::Path;
use super::world::{World, mean};

const M: u64 = 1_000_000;

pub(super) fn wide_link(seed: u64) -> Figures {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, seed);
    world.run(60);
    Figures::of("3 Mbit/s from 300 kbit/s", &world, 3 * M, 0.0, 10.0, 60.0)
}

#[test]
fn a_link_of_ten_times_the_first_estimate_is_used_within_seconds() {
    let figures = worst(SEEDS.map(wide_link));
    assert!(figures.to_80_percent <= 5.0, "{figures:?}");
    assert!(figures.share >= 0.85, "{figures:?}");
    assert!(figures.queueing_p95 <= 120.0, "{figures:?}");
}

pub(super) fn very_wide_link(seed: u64) -> Figures {
    let mut world = World::new(Path::of(50 * M), 300_000, 40 * M, seed);
    world.run(30);
    Figures::of("50 Mbit/s, 40 wanted", &world, 40 * M, 0.0, 10.0, 30.0)
}

#[test]
fn a_hundredfold_is_found_by_doubling() {
    let figures = worst(SEEDS.map(very_wide_link));
    assert!(figures.to_80_percent <= 5.0, "{figures:?}");
    assert!(figures.share >= 0.95, "{figures:?}");
}

pub(super) fn narrow_link(seed: u64) -> Figures {
    let mut world = World::new(Path::of(150_000), 300_000, 3 * M, seed);
    world.run(60);
    Figures::of(
        "150 kbit/s from 300 kbit/s",
        &world,
        150_000,
        0.0,
        20.0,
        60.0,
    )
}

#[test]
fn a_link_of_half_the_first_estimate_is_kept_to() {
    let figures = worst(SEEDS.map(narrow_link));
    assert!(figures.share >= 0.7, "{figures:?}");
    assert!(figures.estimate <= 1.25, "{figures:?}");
}

pub(super) fn step_down(seed: u64) -> Figures {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, seed);
    world.run(20);
    world.link.path.capacity = M;
    world.run(20);
    Figures::of("step 3 to 1 Mbit/s", &world, M, 20.0, 23.0, 40.0)
}

#[test]
fn a_fall_of_capacity_leaves_no_standing_queue() {
    let figures = worst(SEEDS.map(step_down));
    assert!(figures.queueing_p95 <= 100.0, "{figures:?}");
    assert!(
        figures.share >= 0.7 && figures.estimate <= 1.1,
        "{figures:?}"
    );
}

pub(super) fn step_up(seed: u64) -> Figures {
    let mut world = World::new(Path::of(M), 300_000, 5 * M, seed);
    world.run(30);
    world.link.path.capacity = 3 * M;
    world.run(40);
    Figures::of("step 1 to 3 Mbit/s", &world, 3 * M, 30.0, 45.0, 70.0)
}

#[test]
fn a_rise_of_capacity_is_found() {
    let figures = worst(SEEDS.map(step_up));
    assert!(figures.to_80_percent <= 15.0, "{figures:?}");
    assert!(figures.share >= 0.8, "{figures:?}");
}

/// Demand of 5 Mbit/s for 10 s, then of half a Mbit/s for 40 s, then of 5 again.
pub(super) fn lowered_demand(seed: u64) -> Figures {
    let mut world = World::new(Path::of(8 * M), 300_000, 5 * M, seed);
    world.run(10);
    world.demand = M / 2;
    let now = world.instant();
    world.congestion.set_demand(now, M / 2);
    world.run(40);
    world.demand = 5 * M;
    let now = world.instant();
    world.congestion.set_demand(now, 5 * M);
    world.run(10);
    Figures::of(
        "back to 5 Mbit/s after a pause",
        &world,
        5 * M,
        50.0,
        52.0,
        60.0,
    )
}

#[test]
fn what_was_known_of_a_path_outlives_a_time_of_little_demand() {
    let figures = worst(SEEDS.map(lowered_demand));
    assert!(figures.to_80_percent <= 1.0, "{figures:?}");
    assert!(figures.share >= 0.9, "{figures:?}");
}

/// The application sends 500 kbit/s and could use 1.5 Mbit/s of a link of 5.
pub(super) fn limited_sender(seed: u64) -> Figures {
    let mut world = World::new(Path::of(5 * M), 300_000, M / 2, seed);
    let now = world.instant();
    world.congestion.set_demand(now, 3 * M / 2);
    world.run(60);
    Figures::of(
        "500 of 1,500 kbit/s on 5 Mbit/s",
        &world,
        M / 2,
        0.0,
        5.0,
        60.0,
    )
}

#[test]
fn a_sender_of_little_neither_loses_nor_inflates_its_estimate() {
    let figures = worst(SEEDS.map(limited_sender));
    assert!(
        figures.least_estimate >= 3.0,
        "covers the demand: {figures:?}"
    );
    assert!(figures.estimate <= 4.0, "and little more: {figures:?}");
    assert!(figures.variation <= 0.05, "{figures:?}");
}

/// As above; after 20 s the link carries only 300 kbit/s, and the application follows the estimate.
pub(super) fn limited_sender_on_a_falling_link(seed: u64) -> Figures {
    let mut world = World::new(Path::of(5 * M), 300_000, M / 2, seed);
    let now = world.instant();
    world.congestion.set_demand(now, 3 * M / 2);
    world.run(20);
    world.link.path.capacity = 300_000;
    world.link.path.queue = 30_000;
    world.run(20);
    Figures::of(
        "500 kbit/s, then room for 300",
        &world,
        300_000,
        20.0,
        24.0,
        40.0,
    )
}

#[test]
fn a_sender_of_little_notices_a_fall_below_what_it_sends() {
    let figures = worst(SEEDS.map(limited_sender_on_a_falling_link));
    assert!(figures.queueing_p95 <= 150.0, "{figures:?}");
    assert!(
        figures.share >= 0.7 && figures.estimate <= 1.1,
        "{figures:?}"
    );
}

/// On a path whose delay varies by 30 ms, which takes some probes to see through.
pub(super) fn limited_sender_with_jitter(seed: u64) -> Figures {
    let path = Path {
        jitter: 30_000,
        ..Path::of(5 * M)
    };
    let mut world = World::new(path, 300_000, M / 2, seed);
    let now = world.instant();
    world.congestion.set_demand(now, 3 * M / 2);
    world.run(120);
    Figures::of(
        "500 of 1,500 kbit/s, 30 ms of jitter",
        &world,
        M / 2,
        0.0,
        30.0,
        120.0,
    )
}

#[test]
fn a_jittery_path_does_not_take_from_a_sender_what_it_needs() {
    let figures = worst(SEEDS.map(limited_sender_with_jitter));
    assert!(figures.least_estimate >= 1.0, "{figures:?}");
    assert!(figures.variation <= 0.25, "{figures:?}");
}

/// Two transports behind one link of 4 Mbit/s; the second comes when the first has it all.
#[test]
fn a_latecomer_gets_its_share_of_a_common_link() {
    for seed in SEEDS {
        let world = |flow| {
            let mut world =
                World::new(Path::of(4 * M), 300_000, 6 * M, seed + 10 * u64::from(flow));
            world.flow = flow;
            world
        };
        let mut worlds = [world(0), world(1)];
        worlds[0].run(20);
        worlds[1].now = worlds[0].now;
        World::run_together(&mut worlds, 100);
        let shares = [0, 1].map(|flow: usize| {
            let steady = worlds[flow].between(60.0, 120.0);
            mean(&steady, |sample| sample.media) / (4 * M) as f64
        });
        assert!(shares[0] + shares[1] >= 0.75, "{shares:?}");
        assert!(shares[0].min(shares[1]) >= 0.2, "{shares:?}");
        assert!(worlds[0].queueing_p95(60.0, 120.0) <= 150.0);
    }
}
