//! Readers and nodes in virtual time, with messages that are lost, doubled, late and out of order, from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::Version;

const STEP: Duration = Duration::from_millis(100);

fn id(number: usize) -> NodeId {
    format!("n{number}").parse().unwrap()
}

fn record(number: usize, started_ms: u64) -> NodeRecord {
    NodeRecord::new(id(number), Version::default(), started_ms)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

#[derive(Clone, Debug)]
enum Notice {
    Beat(Box<Heartbeat>),
    Withdrawal(Withdrawal),
}

/// A fleet of nodes, each with a registry whose clock began at another moment.
struct World {
    random: Random,
    now: Duration,
    nodes: Vec<Option<Own>>,
    readers: Vec<(Duration, Registry)>,
    alive: Vec<BTreeSet<NodeId>>,
    cut: BTreeSet<usize>,
    under_way: BTreeMap<(Duration, u64), (usize, Notice)>,
    sent: u64,
    faults: bool,
}

impl World {
    fn new(seed: u64, nodes: usize) -> Self {
        let mut random = Random(seed);
        let readers = (0..nodes)
            .map(|_| {
                let offset = Duration::from_secs(random.below(1_000_000));
                let mut registry = Registry::new(Patience::default());
                registry.connected(offset);
                (offset, registry)
            })
            .collect();
        Self {
            now: Duration::ZERO,
            nodes: (0..nodes)
                .map(|n| Some(Own::new(record(n, 1), 1)))
                .collect(),
            readers,
            alive: vec![BTreeSet::new(); nodes],
            cut: BTreeSet::new(),
            under_way: BTreeMap::new(),
            sent: 0,
            faults: true,
            random,
        }
    }

    fn send(&mut self, from: usize, notice: &Notice) {
        for to in 0..self.readers.len() {
            if self.cut.contains(&from) || self.cut.contains(&to) {
                continue;
            }
            let copies = match self.random.below(10) {
                0 if self.faults => 0,
                1 | 2 if self.faults => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let longest = if self.faults { 4000 } else { 200 };
                let delay = Duration::from_millis(self.random.below(longest));
                self.sent += 1;
                let at = (self.now + delay, self.sent);
                self.under_way.insert(at, (to, notice.clone()));
            }
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        for number in 0..self.nodes.len() {
            let beat = self.nodes[number]
                .as_mut()
                .and_then(|own| own.poll(self.now));
            if let Some(beat) = beat {
                self.send(number, &Notice::Beat(Box::new(beat)));
            }
        }
        while let Some((&(at, number), _)) = self.under_way.first_key_value()
            && at <= self.now
        {
            let (to, notice) = self.under_way.remove(&(at, number)).unwrap();
            self.deliver(to, notice);
        }
        for reader in 0..self.readers.len() {
            let (offset, registry) = &mut self.readers[reader];
            registry.poll(self.now + *offset);
            while let Some(event) = registry.poll_event() {
                let alive = &mut self.alive[reader];
                match event {
                    NodeEvent::Joined(view) => {
                        assert!(alive.insert(view.record.id.clone()), "joined twice");
                    }
                    NodeEvent::Lost { id, .. } => assert!(alive.remove(&id), "lost twice"),
                    NodeEvent::Changed(view) | NodeEvent::Restarted(view) => {
                        assert!(alive.contains(&view.record.id), "changed while gone");
                    }
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, notice: Notice) {
        if self.cut.contains(&to) {
            return;
        }
        let (offset, registry) = &mut self.readers[to];
        let now = self.now + *offset;
        match notice {
            Notice::Beat(beat) => {
                if let Some(own) = &mut self.nodes[to]
                    && beat.record.id == id(to)
                {
                    own.heard_other(self.now, beat.epoch, beat.number);
                }
                registry.heartbeat(now, *beat);
            }
            Notice::Withdrawal(withdrawal) => {
                if let Some(own) = &mut self.nodes[to]
                    && withdrawal.node == id(to)
                {
                    own.withdrawn(self.now, &withdrawal, Patience::default());
                }
                registry.withdrawn(now, &withdrawal);
            }
        }
    }

    fn fault(&mut self) {
        let number = usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap();
        match self.random.below(12) {
            0 => self.nodes[number] = None,
            1 if self.nodes[number].is_none() => {
                // The wall clock of the new run may be anywhere, before the last run's too.
                let epoch = self.random.below(1000);
                self.nodes[number] = Some(Own::new(record(number, epoch + 2), epoch));
            }
            2 => {
                self.cut.insert(number);
                self.readers[number].1.disconnected();
            }
            3 => self.heal(number),
            4 => {
                let epoch = self.readers[number].1.epoch(&id(number)).unwrap_or(0);
                let withdrawal = Withdrawal {
                    node: id(number),
                    epoch,
                    why: Why::Unresponsive("test".to_owned()),
                };
                self.send(number, &Notice::Withdrawal(withdrawal));
            }
            _ => {}
        }
    }

    fn heal(&mut self, number: usize) {
        if self.cut.remove(&number) {
            let (offset, registry) = &mut self.readers[number];
            registry.connected(self.now + *offset);
            if let Some(own) = &mut self.nodes[number] {
                own.speak_soon(self.now);
            }
        }
    }
}

#[test]
fn after_any_faults_every_reader_sees_exactly_the_living() {
    for seed in 0..300 {
        let mut world = World::new(seed, 5);
        for step in 0..600 {
            world.step();
            if step % 5 == 0 {
                world.fault();
            }
        }
        world.faults = false;
        (0..5).for_each(|number| world.heal(number));
        // Late messages, then the memory of ended registrations, then a heartbeat.
        for _ in 0..250 {
            world.step();
        }
        let living: BTreeSet<NodeId> = (0..5)
            .filter(|number| world.nodes[*number].is_some())
            .map(id)
            .collect();
        for (reader, seen) in world.alive.iter().enumerate() {
            assert_eq!(*seen, living, "seed {seed}, reader {reader}");
        }
    }
}

#[test]
fn a_silent_node_is_lost_by_the_readers_clock_and_not_sooner() {
    let mut registry = Registry::new(Patience::default());
    registry.connected(Duration::ZERO);
    let beat = Heartbeat {
        epoch: 1,
        number: 1,
        record: record(1, 1),
    };
    registry.heartbeat(Duration::from_secs(1), beat);
    registry.poll(Duration::from_secs(6));
    assert!(registry.lives(&id(1)));
    registry.poll(Duration::from_millis(6001));
    assert!(!registry.lives(&id(1)));
}

#[test]
fn while_nobody_can_be_heard_nobody_is_lost() {
    let mut registry = Registry::new(Patience::default());
    registry.connected(Duration::ZERO);
    let beat = Heartbeat {
        epoch: 1,
        number: 1,
        record: record(1, 1),
    };
    registry.heartbeat(Duration::ZERO, beat);
    registry.disconnected();
    registry.poll(Duration::from_secs(3600));
    assert!(registry.lives(&id(1)));
    registry.connected(Duration::from_secs(3600));
    registry.poll(Duration::from_secs(3604));
    assert!(registry.lives(&id(1)));
    registry.poll(Duration::from_secs(3606));
    assert!(!registry.lives(&id(1)));
}

#[test]
fn a_withdrawal_outlives_late_heartbeats_and_yields_to_a_higher_epoch() {
    let mut registry = Registry::new(Patience::default());
    registry.connected(Duration::ZERO);
    let beat = |epoch, number| Heartbeat {
        epoch,
        number,
        record: record(1, 1),
    };
    registry.heartbeat(Duration::ZERO, beat(7, 10));
    let withdrawal = Withdrawal {
        node: id(1),
        epoch: 7,
        why: Why::Left,
    };
    registry.withdrawn(Duration::ZERO, &withdrawal);
    registry.heartbeat(Duration::ZERO, beat(7, 11));
    registry.heartbeat(Duration::ZERO, beat(6, 99));
    assert!(!registry.lives(&id(1)));
    registry.heartbeat(Duration::ZERO, beat(8, 1));
    assert!(registry.lives(&id(1)));
}

#[test]
fn no_number_of_names_fills_the_memory() {
    let mut registry = Registry::new(Patience::default());
    for number in 0..10_000 {
        let beat = Heartbeat {
            epoch: 1,
            number: 1,
            record: record(number, 1),
        };
        registry.heartbeat(Duration::ZERO, beat);
    }
    assert_eq!(registry.views(Duration::ZERO).count(), MAX_NODES);
}
