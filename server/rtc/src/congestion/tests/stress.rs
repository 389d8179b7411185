//! Bad paths: loss, delay, jitter, reordering, silence.

use super::figures::{Figures, SEEDS, worst};
use super::link::{Loss, Path};
use super::world::World;

const M: u64 = 1_000_000;

fn bad_path(name: &'static str, path: Path, seed: u64) -> Figures {
    let mut world = World::new(path, 300_000, 5 * M, seed);
    world.run(90);
    Figures::of(name, &world, path.capacity, 0.0, 20.0, 90.0)
}

pub(super) fn two_percent(seed: u64) -> Figures {
    let path = Path {
        loss: Loss::Random(0.02),
        ..Path::of(3 * M)
    };
    bad_path("2 % random loss", path, seed)
}

#[test]
fn two_percent_of_loss_cost_next_to_nothing() {
    let figures = worst(SEEDS.map(two_percent));
    assert!(figures.share >= 0.85, "{figures:?}");
}

pub(super) fn ten_percent(seed: u64) -> Figures {
    let path = Path {
        loss: Loss::Random(0.1),
        ..Path::of(3 * M)
    };
    bad_path("10 % random loss", path, seed)
}

#[test]
fn ten_percent_of_loss_do_not_make_the_bitrate_collapse() {
    let figures = worst(SEEDS.map(ten_percent));
    assert!(figures.share >= 0.5, "{figures:?}");
    assert!(figures.least_estimate >= 0.3, "{figures:?}");
}

/// 4 % of loss in bursts of 10 packets on average.
pub(super) fn bursts(seed: u64) -> Figures {
    let path = Path {
        loss: Loss::Bursts {
            enter: 0.004,
            leave: 0.1,
        },
        ..Path::of(3 * M)
    };
    bad_path("4 % loss in bursts", path, seed)
}

#[test]
fn bursts_of_loss_are_ridden_out() {
    let figures = worst(SEEDS.map(bursts));
    assert!(figures.share >= 0.6, "{figures:?}");
    assert!(figures.least_estimate >= 0.3, "{figures:?}");
}

/// No queue to speak of: what is too much is lost, and delays tell nothing.
pub(super) fn shallow_queue(seed: u64) -> Figures {
    let path = Path {
        queue: 20_000,
        ..Path::of(2 * M)
    };
    bad_path("2 Mbit/s, queue of 20 kB", path, seed)
}

#[test]
fn a_path_without_a_queue_is_not_overrun() {
    let figures = worst(SEEDS.map(shallow_queue));
    assert!(figures.share >= 0.65, "{figures:?}");
    assert!(figures.estimate <= 1.15, "{figures:?}");
}

pub(super) fn far_away(seed: u64) -> Figures {
    let path = Path {
        delay: 150_000,
        ..Path::of(3 * M)
    };
    bad_path("300 ms round trip", path, seed)
}

#[test]
fn a_far_receiver_gets_what_its_link_carries() {
    let figures = worst(SEEDS.map(far_away));
    assert!(figures.to_80_percent <= 8.0, "{figures:?}");
    assert!(figures.share >= 0.75, "{figures:?}");
}

pub(super) fn farther(seed: u64) -> Figures {
    let path = Path {
        delay: 300_000,
        ..Path::of(3 * M)
    };
    bad_path("300 ms each way", path, seed)
}

#[test]
fn the_other_side_of_the_world_converges_too() {
    let figures = worst(SEEDS.map(farther));
    assert!(figures.to_80_percent <= 12.0, "{figures:?}");
    assert!(figures.share >= 0.7, "{figures:?}");
}

pub(super) fn reordering(seed: u64) -> Figures {
    let path = Path {
        reordered: 0.05,
        ..Path::of(3 * M)
    };
    bad_path("5 % reordered by 30 ms", path, seed)
}

#[test]
fn reordering_is_not_taken_for_congestion() {
    let figures = worst(SEEDS.map(reordering));
    assert!(figures.share >= 0.75, "{figures:?}");
    assert!(figures.least_estimate >= 0.5, "{figures:?}");
}

pub(super) fn jitter(seed: u64) -> Figures {
    let path = Path {
        jitter: 20_000,
        ..Path::of(3 * M)
    };
    bad_path("20 ms of jitter", path, seed)
}

#[test]
fn jitter_is_got_used_to() {
    let figures = worst(SEEDS.map(jitter));
    assert!(figures.share >= 0.65, "{figures:?}");
}

/// For 2 s nothing comes back.
pub(super) fn silence(seed: u64) -> (f64, Figures) {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, seed);
    world.run(20);
    world.deaf = true;
    world.run(2);
    let backed_off = world.congestion.estimate() as f64 / (3 * M) as f64;
    world.deaf = false;
    world.run(18);
    let figures = Figures::of(
        "after 2 s without feedback",
        &world,
        3 * M,
        22.0,
        25.0,
        40.0,
    );
    (backed_off, figures)
}

#[test]
fn silence_makes_careful_and_is_soon_forgotten() {
    for (backed_off, _) in SEEDS.map(silence) {
        assert!(backed_off <= 0.3, "{backed_off}");
    }
    let figures = worst(SEEDS.map(|seed| silence(seed).1));
    assert!(figures.to_80_percent <= 5.0, "{figures:?}");
    assert!(figures.share >= 0.75, "{figures:?}");
}

/// Key frames every 3 s, as many receivers joining and leaving ask for.
pub(super) fn key_frames(seed: u64) -> Figures {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, seed);
    world.key_frames = Some(3_000_000);
    world.run(90);
    Figures::of("key frame every 3 s", &world, 3 * M, 0.0, 20.0, 90.0)
}

#[test]
fn key_frames_are_paced_and_not_taken_for_congestion() {
    let figures = worst(SEEDS.map(key_frames));
    assert!(figures.share >= 0.75, "{figures:?}");
    assert!(figures.least_estimate >= 0.6, "{figures:?}");
}

/// The reference time of feedback wraps after ten seconds, and the receiver's clock is set back an hour after twenty.
#[test]
fn the_receivers_clock_may_wrap_and_be_set_anew() {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, 1);
    world.clock_ahead = (1 << 24) * 64_000 - 10_000_000;
    world.run(20);
    let at_wrap = world.between(8.0, 14.0);
    assert!(
        at_wrap.iter().all(|sample| sample.estimate > 2 * M),
        "{at_wrap:?}"
    );
    world.clock_ahead -= 3_600_000_000;
    world.run(20);
    let after = Figures::of("clock set anew", &world, 3 * M, 20.0, 25.0, 40.0);
    assert!(after.share >= 0.75, "{after:?}");
}
