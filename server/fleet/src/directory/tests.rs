//! Nodes that open and close rooms in virtual time while some are cut off or die and the bucket loses its disk, from a
//! seed; afterwards the bucket must say exactly who holds what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

const STEP: Duration = Duration::from_millis(100);
const NODES: usize = 4;
const ROOMS: u64 = 3;

fn id(number: usize) -> NodeId {
    format!("n{number}").parse().unwrap()
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

/// The bucket: last value and revision of each room.
#[derive(Default)]
struct Bucket {
    rooms: BTreeMap<RoomName, (Option<RoomEntry>, u64)>,
    revision: u64,
}

struct Node {
    directory: Directory,
    connected: bool,
    /// Rooms whose opener has its answer and has not been told otherwise: what users see.
    open: BTreeMap<RoomName, String>,
}

enum Late {
    Written(RoomName, Outcome),
    Changed(RoomName, Option<RoomEntry>, u64),
    Read(RoomName, Option<RoomEntry>, u64),
}

struct World {
    random: Random,
    now: Duration,
    bucket: Bucket,
    nodes: Vec<Option<Node>>,
    under_way: BTreeMap<(Duration, u64), (usize, u64, Late)>,
    sent: u64,
    /// Number of each node's connection: what belongs to an earlier one is not told any more.
    connections: Vec<u64>,
    sids: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            now: Duration::ZERO,
            bucket: Bucket::default(),
            nodes: (0..NODES).map(|_| None).collect(),
            under_way: BTreeMap::new(),
            sent: 0,
            connections: vec![0; NODES],
            sids: 0,
        };
        (0..NODES).for_each(|number| world.start(number));
        world
    }

    fn start(&mut self, number: usize) {
        if self.nodes[number].is_some() {
            return;
        }
        self.nodes[number] = Some(Node {
            directory: Directory::new(id(number)),
            connected: false,
            open: BTreeMap::new(),
        });
        self.heal(number);
        for other in 0..NODES {
            if self.nodes[other].is_some() {
                self.each_directory(|directory, _| directory.node_joined(id(other)));
            }
        }
    }

    fn kill(&mut self, number: usize) {
        if self.nodes[number].take().is_some() {
            self.each_directory(|directory, now| directory.node_lost(now, id(number)));
        }
    }

    fn each_directory(&mut self, act: impl Fn(&mut Directory, Duration)) {
        for node in self.nodes.iter_mut().flatten() {
            act(&mut node.directory, self.now);
        }
        self.act();
    }

    fn cut(&mut self, number: usize) {
        self.connections[number] += 1;
        if let Some(node) = &mut self.nodes[number] {
            node.connected = false;
            node.directory.disconnected();
        }
        self.act();
    }

    fn heal(&mut self, number: usize) {
        let listed = self.bucket.rooms.clone();
        if let Some(node) = &mut self.nodes[number]
            && !node.connected
        {
            node.connected = true;
            self.connections[number] += 1;
            let judge_after = Duration::from_secs(5);
            node.directory.listed(self.now, listed, judge_after);
        }
        self.act();
    }

    fn later(&mut self, to: usize, late: Late) {
        let delay = Duration::from_millis(self.random.below(400));
        self.sent += 1;
        let at = (self.now + delay, self.sent);
        let connection = self.connections[to];
        self.under_way.insert(at, (to, connection, late));
    }

    fn act(&mut self) {
        for number in 0..NODES {
            while let Some(action) = self.nodes[number]
                .as_mut()
                .and_then(|node| node.directory.poll_action())
            {
                self.carry_out(number, action);
            }
        }
    }

    fn carry_out(&mut self, number: usize, action: Action) {
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        match action {
            Action::Opened(opened) => {
                let sid = opened.entry.sid.clone();
                node.open.insert(opened.entry.name.clone(), sid);
            }
            Action::Event(RoomEvent::Superseded { lost_sid, winner }) => {
                assert_eq!(node.open.remove(&winner.name), Some(lost_sid));
            }
            Action::Event(_) => {}
            Action::Write { room, .. } if !node.connected => {
                self.later(number, Late::Written(room, Outcome::Unavailable));
            }
            Action::Write {
                room,
                entry,
                expected,
            } => {
                let revision = self
                    .bucket
                    .rooms
                    .get(&room)
                    .map_or(0, |(_, revision)| *revision);
                if revision != expected {
                    self.later(number, Late::Written(room, Outcome::Conflict));
                    return;
                }
                self.bucket.revision += 1;
                let revision = self.bucket.revision;
                self.bucket
                    .rooms
                    .insert(room.clone(), (entry.clone(), revision));
                // One write in ten happens, and its writer never hears of it.
                let outcome = match self.random.below(10) {
                    0 => Outcome::Unavailable,
                    _ => Outcome::Done(revision),
                };
                self.later(number, Late::Written(room.clone(), outcome));
                for to in 0..NODES {
                    if self.nodes[to].as_ref().is_some_and(|node| node.connected) {
                        let change = Late::Changed(room.clone(), entry.clone(), revision);
                        self.later(to, change);
                    }
                }
            }
            Action::Read(room) => {
                let (entry, revision) = self.bucket.rooms.get(&room).cloned().unwrap_or((None, 0));
                self.later(number, Late::Read(room, entry, revision));
            }
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        while let Some((&key, _)) = self.under_way.first_key_value()
            && key.0 <= self.now
        {
            let (to, connection, late) = self.under_way.remove(&key).unwrap();
            if connection == self.connections[to]
                && let Some(node) = &mut self.nodes[to]
            {
                let directory = &mut node.directory;
                match late {
                    Late::Written(room, outcome) => directory.written(self.now, &room, outcome),
                    Late::Changed(room, entry, revision) => {
                        directory.changed(self.now, &room, entry, revision);
                    }
                    Late::Read(room, entry, revision) => {
                        directory.read(self.now, &room, entry, revision);
                    }
                }
            }
            self.act();
        }
        self.each_directory(Directory::poll);
    }

    fn fault(&mut self) {
        let number = usize::try_from(self.random.below(NODES as u64)).unwrap();
        let room: RoomName = format!("room {}", self.random.below(ROOMS))
            .parse()
            .unwrap();
        match self.random.below(20) {
            0..6 => {
                self.sids += 1;
                let spec = RoomSpec::new(room, format!("RM_{}", self.sids));
                if let Some(node) = &mut self.nodes[number] {
                    node.directory.open(self.now, &spec);
                }
            }
            6..10 => {
                if let Some(node) = &mut self.nodes[number]
                    && node.open.remove(&room).is_some()
                {
                    node.directory.close(self.now, &room);
                }
            }
            10 | 11 => self.cut(number),
            12..15 => self.heal(number),
            15 => self.kill(number),
            16 | 17 => self.start(number),
            18 => {
                // The whole backbone dies and comes back, now and then without its disk.
                (0..NODES).for_each(|number| self.cut(number));
                if self.random.below(3) == 0 {
                    self.bucket = Bucket::default();
                }
                (0..NODES).for_each(|number| self.heal(number));
            }
            _ => {}
        }
        self.act();
    }

    /// What the bucket must say, from what users see alone.
    fn check(&self, seed: u64) {
        let mut holders: BTreeMap<&RoomName, BTreeSet<NodeId>> = BTreeMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            for (room, sid) in &node.open {
                holders.entry(room).or_default().insert(id(number));
                let entry = node.directory.room(room).unwrap();
                assert_eq!(entry.sid, *sid, "seed {seed}: a replica of another room");
            }
        }
        for (room, (entry, _)) in &self.bucket.rooms {
            let replicas = entry.as_ref().map(|entry| entry.replicas.clone());
            let wanted = holders.remove(room);
            assert_eq!(replicas, wanted, "seed {seed}: {room}");
            if let Some(entry) = entry {
                assert!(entry.replicas.contains(&entry.home), "seed {seed}: {room}");
            }
        }
        assert!(
            holders.is_empty(),
            "seed {seed}: not announced: {holders:?}"
        );
    }
}

#[test]
fn after_any_faults_the_bucket_says_who_holds_what() {
    for seed in 0..120 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
            world.fault();
        }
        // Somebody must be left to tidy up.
        world.start(0);
        (0..NODES).for_each(|number| world.heal(number));
        for _ in 0..200 {
            world.step();
        }
        world.check(seed);
    }
}

#[test]
fn a_room_that_others_agreed_to_outlives_one_that_nobody_did() {
    let mut directory = Directory::new(id(0));
    let second = Duration::from_secs;
    let name: RoomName = "till".parse().unwrap();
    directory.disconnected();
    // The provisional room's sid is the greater one, which decides only among equals.
    directory.open(second(0), &RoomSpec::new(name.clone(), "RM_z"));
    let opened = directory.poll_action();
    assert!(matches!(opened, Some(Action::Opened(opened)) if !opened.confirmed));

    let theirs = RoomEntry::first(&RoomSpec::new(name.clone(), "RM_a"), &id(1));
    let listed = BTreeMap::from([(name, (Some(theirs.clone()), 7))]);
    directory.listed(second(1), listed, second(5));
    let actions: Vec<Action> = std::iter::from_fn(|| directory.poll_action()).collect();
    let superseded = Action::Event(RoomEvent::Superseded {
        lost_sid: "RM_z".to_owned(),
        winner: Arc::new(theirs),
    });
    assert!(actions.contains(&superseded), "{actions:?}");
}

#[test]
fn who_opens_a_room_before_the_first_list_waits_for_it() {
    let mut directory = Directory::new(id(0));
    let name: RoomName = "till".parse().unwrap();
    let spec = RoomSpec::new(name.clone(), "RM_z");
    directory.open(Duration::ZERO, &spec);
    assert_eq!(directory.poll_action(), None);
    let theirs = RoomEntry::first(&RoomSpec::new(name.clone(), "RM_a"), &id(1));
    let listed = BTreeMap::from([(name, (Some(theirs), 7))]);
    directory.listed(Duration::ZERO, listed, Duration::from_secs(5));
    let joins = |action: &Action| {
        matches!(action, Action::Write { entry: Some(entry), expected: 7, .. }
            if entry.sid == "RM_a" && entry.replicas.len() == 2)
    };
    assert!(std::iter::from_fn(|| directory.poll_action()).any(|action| joins(&action)));
}

#[test]
fn a_quiet_fleet_writes_nothing() {
    let mut world = World::new(1);
    let name: RoomName = "till".parse().unwrap();
    for node in world.nodes.iter_mut().flatten() {
        node.directory
            .open(Duration::ZERO, &RoomSpec::new(name.clone(), "RM_1"));
    }
    for _ in 0..100 {
        world.step();
    }
    let before = world.bucket.revision;
    // Opening takes one write a node, and a conflict costs no further one.
    assert_eq!(before, NODES as u64);
    for _ in 0..1000 {
        world.step();
    }
    assert_eq!(world.bucket.revision, before);
}

#[test]
fn nodes_that_think_each_other_dead_do_not_write_without_end() {
    let mut world = World::new(1);
    let name: RoomName = "till".parse().unwrap();
    for node in world.nodes.iter_mut().flatten() {
        node.directory
            .open(Duration::ZERO, &RoomSpec::new(name.clone(), "RM_1"));
    }
    for _ in 0..100 {
        world.step();
    }
    world.each_directory(|directory, now| directory.node_lost(now, id(3)));
    let before = world.bucket.revision;
    for _ in 0..600 {
        world.step();
    }
    // Each side writes once in two seconds at most.
    assert!(
        world.bucket.revision - before <= 70,
        "{}",
        world.bucket.revision - before
    );
}
