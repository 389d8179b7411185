//! Simulcast layers over an emulated link: the estimate drives the allocator, the layers given are what is sent.

use slotmap::SlotMap;

use super::link::{Loss, Path};
use super::world::World;
use crate::media::allocator::{Allocator, TrackDemand};
use crate::room::SubscriptionKey;

const M: u64 = 1_000_000;
const LAYERS: [u64; 3] = [150_000, 500_000, 1_700_000];
/// What sound takes in the emulation.
const SOUND: u64 = 60_000;

struct Subscriber {
    world: World,
    allocator: Allocator,
    demands: Vec<TrackDemand>,
    level: Option<u8>,
    /// Seconds at which the layer changed, and to what.
    switches: Vec<(f64, Option<u8>)>,
}

impl Subscriber {
    fn new(path: Path, seed: u64) -> Self {
        let mut keys: SlotMap<SubscriptionKey, ()> = SlotMap::with_key();
        let mut world = World::new(path, 300_000, 0, seed);
        world.follows = None;
        Self {
            world,
            allocator: Allocator::default(),
            demands: vec![TrackDemand {
                id: keys.insert(()),
                wanted: Some(2),
                priority: 0,
                screen_share: false,
                bitrates: LAYERS.to_vec(),
            }],
            level: None,
            switches: Vec::new(),
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            let now = self.world.instant();
            let budget = self.world.congestion.estimate();
            let plan = self.allocator.allocate(now, budget, &self.demands);
            self.world.congestion.set_demand(now, plan.desired);
            let level = plan.allocations[0].target.map(|layer| layer.spatial);
            if level != self.level {
                self.switches.push((self.world.now as f64 / 1e6, level));
                self.level = level;
            }
            self.world.demand = SOUND + level.map_or(0, |level| LAYERS[usize::from(level)]);
            self.world.run_millis(50);
        }
    }

    /// The first time from a second on at which a layer was given.
    fn reached(&self, from: f64, level: u8) -> f64 {
        let found = self
            .switches
            .iter()
            .find(|(at, to)| *at >= from && *to == Some(level));
        found.map_or(f64::INFINITY, |(at, _)| at - from)
    }

    fn switches_between(&self, from: f64, to: f64) -> usize {
        self.switches
            .iter()
            .filter(|(at, _)| *at >= from && *at < to)
            .count()
    }

    /// The longest time without media, in milliseconds.
    fn longest_freeze(&self) -> usize {
        let silent = self.world.samples.split(|sample| sample.media > 100_000);
        silent.map(|run| run.len() * 100).max().unwrap_or(0)
    }
}

#[test]
fn layers_fall_with_the_bandwidth_and_climb_with_it() {
    for seed in 1..=5 {
        let mut subscriber = Subscriber::new(Path::of(3 * M), seed);
        subscriber.run(20);
        assert!(
            subscriber.reached(0.0, 2) <= 5.0,
            "{:?}",
            subscriber.switches
        );
        subscriber.world.link.path.capacity = M;
        subscriber.run(30);
        assert!(
            subscriber.reached(20.0, 1) <= 2.0,
            "{:?}",
            subscriber.switches
        );
        assert_eq!(subscriber.level, Some(1), "{:?}", subscriber.switches);
        let queueing = subscriber.world.queueing_p95(23.0, 50.0);
        assert!(queueing <= 100.0, "{queueing}");
        subscriber.world.link.path.capacity = 3 * M;
        subscriber.run(30);
        assert!(
            subscriber.reached(50.0, 2) <= 15.0,
            "{:?}",
            subscriber.switches
        );
        assert!(subscriber.switches.len() <= 5, "{:?}", subscriber.switches);
        let freeze = subscriber.longest_freeze();
        assert!(freeze <= 500, "{freeze} ms");
    }
}

#[test]
fn layers_stay_put_whatever_the_width_of_the_link() {
    for capacity in [
        250_000, 400_000, 600_000, 800_000, 1_200_000, 1_800_000, 2_000_000, 2_200_000, 3_000_000,
    ] {
        for loss in [Loss::None, Loss::Random(0.02)] {
            let path = Path {
                loss,
                ..Path::of(capacity)
            };
            let mut subscriber = Subscriber::new(path, capacity);
            subscriber.run(100);
            let switches = subscriber.switches_between(20.0, 100.0);
            assert!(
                switches <= 3,
                "{capacity} {loss:?}: {:?}",
                subscriber.switches
            );
        }
    }
}

#[test]
fn ten_percent_of_loss_leave_a_picture_that_moves() {
    let path = Path {
        loss: Loss::Random(0.1),
        ..Path::of(3 * M)
    };
    let mut subscriber = Subscriber::new(path, 1);
    subscriber.run(120);
    let freeze = subscriber.longest_freeze();
    assert!(freeze <= 500, "{freeze} ms");
    let low = subscriber
        .switches
        .iter()
        .filter(|(at, to)| *at > 20.0 && *to < Some(1))
        .count();
    assert_eq!(low, 0, "{:?}", subscriber.switches);
}
