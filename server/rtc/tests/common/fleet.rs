//! Several shards with links between them, in one virtual time: what the fleet's directory and the cascade do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use tradewind_rtc::replica::{RelayedPacket, ReplicaMessage};
use tradewind_rtc::{Command, ConnectionId, PeerId, RoomEvent, RoomName, ShardConfig, TrackKind};

use super::{Client, World};

/// The link between two nodes, each way.
#[derive(Clone, Copy, Debug)]
pub struct FleetLink {
    pub delay: Duration,
    /// Up to this much more, so that things overtake each other.
    pub jitter: Duration,
    /// Share of media packets lost, 0 to 1.
    pub loss: f64,
    /// Share of messages lost, 0 to 1. A reliable stream loses none.
    pub message_loss: f64,
}

impl Default for FleetLink {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(50),
            jitter: Duration::ZERO,
            loss: 0.0,
            message_loss: 0.0,
        }
    }
}

enum Item {
    Message(RoomName, Box<ReplicaMessage>),
    Packet(RelayedPacket),
}

type Key = (Instant, u64);

/// Nodes by index; the peer of that number is the node.
pub struct Fleet {
    pub nodes: Vec<World>,
    pub link: FleetLink,
    /// Media packets that left a node for another.
    pub relayed: Vec<(Instant, usize, usize, RelayedPacket)>,
    /// Messages that left a node for another.
    pub messages: Vec<(Instant, usize, usize, Box<ReplicaMessage>)>,
    /// Nodes that have the room.
    homes: BTreeSet<usize>,
    cut: BTreeSet<(usize, usize)>,
    dead: BTreeSet<usize>,
    order: BinaryHeap<Reverse<Key>>,
    in_flight: BTreeMap<Key, (usize, usize, Item)>,
    random: u64,
    count: u64,
}

impl Fleet {
    pub fn new(seed: u64, nodes: usize) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock; only its distance matters"
        )]
        let start = Instant::now();
        let world = |node: usize| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(node as u64 + 1);
            World::starting(start, seed, ShardConfig::default())
        };
        Self {
            nodes: (0..nodes).map(world).collect(),
            link: FleetLink::default(),
            relayed: Vec::new(),
            messages: Vec::new(),
            homes: BTreeSet::new(),
            cut: BTreeSet::new(),
            dead: BTreeSet::new(),
            order: BinaryHeap::new(),
            in_flight: BTreeMap::new(),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            count: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.nodes[0].now
    }

    pub fn join(&mut self, node: usize, identity: &str) -> ConnectionId {
        self.join_as(node, identity, |_| {})
    }

    /// Lets a client join that differs from others.
    pub fn join_as(
        &mut self,
        node: usize,
        identity: &str,
        change: impl FnOnce(&mut Client),
    ) -> ConnectionId {
        let mut client = Client::new(&mut self.nodes[node], identity);
        change(&mut client);
        let connection = self.nodes[node].join(client);
        self.settle();
        connection
    }

    pub fn client(&mut self, node: usize, connection: ConnectionId) -> &mut Client {
        self.nodes[node].client(connection)
    }

    /// A client on a node that publishes audio and one encoding of video.
    pub fn publisher(&mut self, node: usize, identity: &str) -> ConnectionId {
        let connection = self.connected(node, identity);
        self.publish(node, connection, "microphone", TrackKind::Audio, &[]);
        self.publish(node, connection, "camera", TrackKind::Video, &[]);
        connection
    }

    /// A client on a node that publishes three encodings of video.
    pub fn simulcaster(&mut self, node: usize, identity: &str) -> ConnectionId {
        let connection = self.connected(node, identity);
        self.publish(
            node,
            connection,
            "camera",
            TrackKind::Video,
            &["q", "h", "f"],
        );
        connection
    }

    fn connected(&mut self, node: usize, identity: &str) -> ConnectionId {
        let connection = self.join(node, identity);
        self.run_until("connected", |fleet| {
            fleet.client(node, connection).connected
        });
        connection
    }

    fn publish(
        &mut self,
        node: usize,
        connection: ConnectionId,
        name: &str,
        kind: TrackKind,
        rids: &[&str],
    ) {
        self.client(node, connection).publish(name, kind, rids);
        self.run(Duration::from_millis(100));
    }

    /// Participants a client knows of, itself excluded.
    pub fn sees(&mut self, node: usize, connection: ConnectionId) -> Vec<String> {
        let client = self.client(node, connection);
        let me = client
            .joined
            .as_ref()
            .map(|joined| joined.participant.sid.to_string());
        let mut seen: Vec<String> = client
            .participants
            .iter()
            .filter(|(sid, info)| {
                Some(*sid) != me.as_ref()
                    && info.state < tradewind_rtc::ParticipantState::Disconnected
            })
            .map(|(_, info)| info.identity.to_string())
            .collect();
        seen.sort();
        seen
    }

    /// The link breaks, and what was on it is gone.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
        let between = |from, to| (from, to) == (a, b) || (from, to) == (b, a);
        self.in_flight
            .retain(|_, (from, to, _)| !between(*from, *to));
        self.tell(a, Command::PeerCut { peer: peer(b) });
        self.tell(b, Command::PeerCut { peer: peer(a) });
    }

    /// The link is back.
    pub fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
        self.attach(a, b);
    }

    /// A node is gone for good.
    pub fn kill(&mut self, node: usize) {
        self.dead.insert(node);
        self.homes.remove(&node);
        self.in_flight
            .retain(|_, (from, to, _)| *from != node && *to != node);
        self.nodes[node].clients.clear();
    }

    /// The others give a peer up.
    pub fn lose(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if other != node {
                self.tell(other, Command::PeerLost { peer: peer(node) });
            }
        }
    }

    /// One node gives another up that may still live.
    pub fn give_up(&mut self, node: usize, other: usize) {
        self.tell(node, Command::PeerLost { peer: peer(other) });
    }

    fn tell(&mut self, node: usize, command: Command) {
        if !self.dead.contains(&node) {
            self.nodes[node].command(command);
        }
    }

    fn attach(&mut self, a: usize, b: usize) {
        let linked = !self.cut.contains(&(a.min(b), a.max(b)));
        if a != b && linked && self.homes.contains(&a) && self.homes.contains(&b) {
            for (node, other) in [(a, b), (b, a)] {
                let (room, peer) = ("shop".into(), peer(other));
                self.tell(node, Command::AttachPeer { room, peer });
            }
        }
    }

    /// Runs for some virtual time.
    pub fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        loop {
            self.settle();
            let worlds = self
                .living()
                .filter_map(|node| self.nodes[node].next_wake())
                .min();
            let arrival = self.order.peek().map(|Reverse((at, _))| *at);
            let next = [worlds, arrival].into_iter().flatten().min();
            let now = next.filter(|at| *at < end).unwrap_or(end).max(self.now());
            for world in &mut self.nodes {
                world.now = now;
            }
            self.arrive(now);
            let living: Vec<usize> = self.living().collect();
            for node in living {
                self.nodes[node].step();
            }
            if now >= end {
                self.settle();
                return;
            }
        }
    }

    /// Runs until `done`, at most for twenty seconds of virtual time.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + Duration::from_secs(20);
        while !done(self) {
            assert!(self.now() < end, "not within twenty seconds: {what}");
            self.run(Duration::from_millis(5));
        }
    }

    fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| !self.dead.contains(node))
    }

    fn arrive(&mut self, now: Instant) {
        while self.order.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse(key)) = self.order.pop() else {
                return;
            };
            // Gone if the link was cut meanwhile.
            let Some((from, to, item)) = self.in_flight.remove(&key) else {
                continue;
            };
            match item {
                Item::Message(room, message) => {
                    let peer = peer(from);
                    self.tell(
                        to,
                        Command::Replica {
                            room,
                            peer,
                            message,
                        },
                    );
                }
                Item::Packet(packet) => {
                    self.nodes[to].shard.handle_relayed(now, peer(from), packet);
                }
            }
        }
    }

    /// Moves everything that is ready.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for node in self.living().collect::<Vec<_>>() {
                self.nodes[node].settle();
                moved |= self.follow_room(node);
                let messages = std::mem::take(&mut self.nodes[node].replica_messages);
                for (room, to, message) in messages {
                    moved = true;
                    let now = self.now();
                    self.messages
                        .push((now, node, to.0 as usize, message.clone()));
                    self.send(node, to, Item::Message(room, message));
                }
                while let Some((to, packet)) = self.nodes[node].shard.poll_relayed() {
                    moved = true;
                    let now = self.now();
                    self.relayed
                        .push((now, node, to.0 as usize, packet.clone()));
                    self.send(node, to, Item::Packet(packet));
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// The directory: who has the room.
    fn follow_room(&mut self, node: usize) -> bool {
        let events = &self.nodes[node].room_events;
        let life = events.iter().rev().find_map(|event| match event {
            RoomEvent::Started { .. } => Some(true),
            RoomEvent::Finished { .. } => Some(false),
            _ => None,
        });
        let lives = life == Some(true);
        if lives == self.homes.contains(&node) {
            return false;
        }
        if lives {
            self.homes.insert(node);
            for other in 0..self.nodes.len() {
                self.attach(node, other);
            }
        } else {
            self.homes.remove(&node);
        }
        true
    }

    fn send(&mut self, from: usize, to: PeerId, item: Item) {
        let to = to.0 as usize;
        let lost = match item {
            Item::Message(..) => self.link.message_loss,
            Item::Packet(_) => self.link.loss,
        };
        let cut = self.cut.contains(&(from.min(to), from.max(to)));
        if cut || self.dead.contains(&to) || self.chance() < lost {
            return;
        }
        let jitter = self.link.jitter.mul_f64(self.chance());
        self.count += 1;
        let key = (self.now() + self.link.delay + jitter, self.count);
        self.order.push(Reverse(key));
        self.in_flight.insert(key, (from, to, item));
    }

    /// A number from 0 to 1.
    pub fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of `count` numbers from 0.
    pub fn pick(&mut self, count: usize) -> usize {
        ((self.chance() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

fn peer(node: usize) -> PeerId {
    PeerId(node as u64)
}
