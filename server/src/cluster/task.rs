//! The one task that decides about shared rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};
use tradewind_fleet::directory::RoomEvent;
use tradewind_fleet::registry::{NodeEvent, Why};
use tradewind_fleet::{Fleet, FleetEvent, NodeId, NodeRecord, NodeView};
use tradewind_relay::{Event, Peer as RelayPeer, RelayHandle, RoomKey};
use tradewind_rtc::{Command, PeerId, RoomName};

use super::envelope::{Assembly, Envelope};
use super::peers::{Peer, Peers};
use super::record;
use super::rooms::{Action, PeerNames, Received, Rooms};
use super::{ClusterInput, TICK, room_spec};
use crate::config::Settings;
use crate::metrics;
use crate::node::{Node, WeakNode};
use crate::shard::Input;

/// Messages about rooms that may be incomplete at a time; each room and node has at most one.
const MAX_ASSEMBLIES: usize = 4_096;

pub(super) struct Task {
    me: NodeId,
    fleet: Fleet,
    relay: Option<RelayHandle>,
    peers: std::sync::Arc<Peers>,
    node: WeakNode,
    about: NodeRecord,
    rooms: Rooms,
    assemblies: BTreeMap<(String, String), Assembly>,
    relay_peers: Vec<RelayPeer>,
    /// Nodes that the registry says are dead, rather than silent.
    dead: BTreeSet<NodeId>,
    drain_told: bool,
}

impl PeerNames for &Peers {
    fn peer(&mut self, node: &NodeId, shard: u16) -> Option<PeerId> {
        self.number(node, shard)
    }
}

impl Task {
    pub(super) fn new(
        fleet: Fleet,
        relay: Option<RelayHandle>,
        peers: std::sync::Arc<Peers>,
        node: WeakNode,
        settings: &Settings,
        run: u64,
    ) -> Self {
        let me = fleet.me().clone();
        let shards = settings.rtc.shard_count();
        Self {
            about: record::about(settings, &me, run),
            rooms: Rooms::new(me.clone(), shards),
            me,
            fleet,
            relay,
            peers,
            node,
            assemblies: BTreeMap::new(),
            relay_peers: Vec::new(),
            dead: BTreeSet::new(),
            drain_told: false,
        }
    }

    /// Runs until the node ends.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<ClusterInput>,
        mut links: mpsc::Receiver<Event>,
    ) {
        let mut events = self.fleet.events();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.input(input),
                    None => return,
                },
                Some(event) = links.recv() => self.link(event),
                event = events.next() => match event {
                    Some(event) => self.fleet_event(event),
                    None => return,
                },
                _ = tick.tick() => {
                    let Some(node) = self.node.upgrade() else {
                        return;
                    };
                    self.tick(&node);
                }
            }
            self.act().await;
        }
    }

    fn input(&mut self, input: ClusterInput) {
        match input {
            ClusterInput::Started { room, shard } => {
                let holders = self.holders(&room);
                if let Ok(shard) = u16::try_from(shard) {
                    self.rooms.started(&mut &*self.peers, room, shard, holders);
                }
            }
            ClusterInput::Finished { room, shard } => {
                let is_last =
                    u16::try_from(shard).is_ok_and(|shard| self.rooms.finished(&room, shard));
                if !is_last {
                    return;
                }
                if let Ok(name) = room.as_str().parse()
                    && let Err(error) = self.fleet.close_room(name)
                {
                    // The reconciliation of the next tick sees it again.
                    debug!(%room, %error, "the fleet was not told of a room's end");
                }
            }
            ClusterInput::Replica {
                shard,
                room,
                peer,
                message,
            } => match self.peers.resolve(peer) {
                Some(Peer::Remote { node, shard: to }) => {
                    let node = node.clone();
                    if let Ok(from) = u16::try_from(shard) {
                        let envelope = Envelope::Message { from, to, message };
                        self.send(&node, &room, &envelope);
                    }
                }
                Some(Peer::Sibling { shard: to }) => self.to_sibling(shard, to, room, message),
                None => {}
            },
        }
    }

    fn link(&mut self, event: Event) {
        let parse = |node: &tradewind_relay::NodeId| node.as_str().parse::<NodeId>().ok();
        match event {
            Event::Up { peer, round_trip } => {
                info!(%peer, round_trip_ms = round_trip.as_millis() as u64, "link is up");
                self.forget_parts(&peer);
                if let Some(node) = parse(&peer) {
                    self.rooms.link_up(&node);
                }
            }
            Event::Down { peer, reason } => {
                warn!(%peer, reason, "link is down");
                self.forget_parts(&peer);
                if let Some(node) = parse(&peer) {
                    self.rooms.link_down(Instant::now(), &node);
                }
            }
            Event::Room {
                peer,
                room,
                payload,
            } => {
                if let Some(node) = parse(&peer) {
                    self.part(&node, room.as_str(), &payload);
                }
            }
            Event::Draining { peer } => info!(%peer, "node is draining"),
            Event::Quality { .. } => {}
        }
    }

    fn part(&mut self, node: &NodeId, room: &str, part: &[u8]) {
        let key = (node.to_string(), room.to_owned());
        if self.assemblies.len() >= MAX_ASSEMBLIES && !self.assemblies.contains_key(&key) {
            warn!(%node, "too many messages are incomplete: dropped one");
            return;
        }
        let assembly = self.assemblies.entry(key.clone()).or_default();
        let envelope = assembly.push(part);
        if assembly.is_empty() {
            self.assemblies.remove(&key);
        }
        let received = match envelope {
            Ok(Some(Envelope::Hello { shards, answer })) => Received::Hello { shards, answer },
            Ok(Some(Envelope::Message { from, to, message })) => {
                Received::Message { from, to, message }
            }
            Ok(None) => return,
            Err(error) => {
                warn!(%node, room, %error, "message of another node dropped");
                return;
            }
        };
        let mut names = &*self.peers;
        self.rooms
            .received(&mut names, node, &RoomName::from(room), received);
    }

    fn fleet_event(&mut self, event: FleetEvent) {
        match event {
            FleetEvent::Node(event) => self.node_event(event),
            FleetEvent::Room(RoomEvent::Changed(entry)) => {
                let holders = entry.replicas.clone();
                self.rooms
                    .held_by(&RoomName::from(entry.name.as_str()), holders);
            }
            FleetEvent::Room(RoomEvent::Gone(room)) => {
                let nobody = BTreeSet::new();
                self.rooms.held_by(&RoomName::from(room.as_str()), nobody);
            }
            // The two rooms are one from now on: the replicas agree on the record of the older, and nobody has to leave.
            FleetEvent::Room(RoomEvent::Superseded { winner, .. }) => {
                let holders = winner.replicas.clone();
                self.rooms
                    .held_by(&RoomName::from(winner.name.as_str()), holders);
            }
            FleetEvent::Disconnected => {
                warn!("the fleet's registry is away: calls and links go on without it");
            }
            FleetEvent::Reconnected => info!("the fleet's registry is back"),
            FleetEvent::Missed => {}
        }
    }

    fn node_event(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Joined(view) | NodeEvent::Changed(view) => {
                self.dead.remove(&view.record.id);
                if view.record.id != self.me {
                    self.rooms.registered(&view.record.id);
                }
            }
            NodeEvent::Restarted(view) => {
                self.dead.remove(&view.record.id);
                if view.record.id != self.me {
                    self.rooms.restarted(&view.record.id);
                }
            }
            NodeEvent::Lost { id, why } => {
                // A node that only the registry cannot hear is still here for those who are linked with it.
                let silent = why == Why::Silent;
                if id == self.me || (silent && self.rooms.is_linked(&id)) {
                    return;
                }
                info!(node = %id, ?why, "node is lost");
                if !silent {
                    self.dead.insert(id.clone());
                }
                self.rooms.unregistered(Instant::now(), &id);
            }
        }
    }

    fn tick(&mut self, node: &Node) {
        let record = record::now(self.about.clone(), node);
        if let Err(error) = self.fleet.announce(record) {
            debug!(%error, "not announced");
        }
        let snapshot = self.fleet.snapshot();
        self.rooms.tick(Instant::now(), snapshot.connected);
        self.choose_links(snapshot.nodes.values().map(|view| &**view));
        metrics::fleet(snapshot.connected, snapshot.nodes.len(), self.rooms.links());
        if snapshot.connected {
            self.reconcile(node);
        }
        if node.drain_status().draining && !self.drain_told {
            let told = self.relay.as_ref().map(RelayHandle::drain);
            self.drain_told = told.is_none_or(|told| told.is_ok());
        }
    }

    /// Keeps links with every node that works with this one, and with those the registry has lost sight of as long as they
    /// answer.
    fn choose_links<'a>(&mut self, nodes: impl Iterator<Item = &'a NodeView>) {
        let Some(relay) = &self.relay else {
            return;
        };
        let usable = |view: &&NodeView| {
            view.record.id != self.me && view.record.version.works_with(self.about.version)
        };
        let mut wanted: Vec<_> = nodes
            .filter(usable)
            .filter_map(|view| {
                Some(RelayPeer {
                    node: tradewind_relay::NodeId::from(view.record.id.as_str()),
                    address: view.record.addresses.relay?,
                })
            })
            .collect();
        for known in &self.relay_peers {
            let listed = wanted.iter().any(|peer| peer.node == known.node);
            let lives = known
                .node
                .as_str()
                .parse()
                .is_ok_and(|node| self.rooms.is_linked(&node) && !self.dead.contains(&node));
            if !listed && lives {
                wanted.push(known.clone());
            }
        }
        wanted.sort_by(|a, b| a.node.cmp(&b.node));
        if wanted != self.relay_peers && relay.set_peers(wanted.clone()).is_ok() {
            self.relay_peers = wanted;
        }
    }

    /// Tells the directory of rooms it does not have, and hears of holders whose announcement was missed.
    fn reconcile(&mut self, node: &Node) {
        for room in self.rooms.local() {
            let Ok(name) = room.as_str().parse() else {
                continue;
            };
            match self.fleet.room(&name) {
                Some(entry) if entry.replicas.contains(&self.me) => {
                    self.rooms.held_by(&room, entry.replicas.clone());
                }
                _ => {
                    let (fleet, node) = (self.fleet.clone(), node.clone());
                    tokio::spawn(async move {
                        if let Some(spec) = node
                            .room_record(&room)
                            .await
                            .and_then(|record| room_spec(&room, &record))
                        {
                            // Tried again at the next tick.
                            let _ = fleet.open_room(spec).await;
                        }
                    });
                }
            }
        }
    }

    fn holders(&self, room: &RoomName) -> BTreeSet<NodeId> {
        let entry = room
            .as_str()
            .parse()
            .ok()
            .and_then(|name| self.fleet.room(&name));
        entry
            .map(|entry| entry.replicas.clone())
            .unwrap_or_default()
    }

    async fn act(&mut self) {
        for action in self.rooms.take_actions() {
            match action {
                Action::Send {
                    node,
                    room,
                    envelope,
                } => {
                    let node = tradewind_relay::NodeId::from(node.as_str());
                    self.send(&node, &room, &envelope);
                }
                Action::Command { shard, command } => {
                    self.command(shard, command).await;
                }
            }
        }
    }

    async fn command(&self, shard: u16, command: Command) {
        if let Some(node) = self.node.upgrade()
            && let Some(shard) = node.shards().get(usize::from(shard))
            && let Err(error) = shard.send(Input::Command(command)).await
        {
            warn!(%error, "a shard was not told of another replica");
        }
    }

    fn send(&self, node: &tradewind_relay::NodeId, room: &RoomName, envelope: &Envelope) {
        let Some(relay) = &self.relay else {
            return;
        };
        let parts = match envelope.parts() {
            Ok(parts) => parts,
            Err(error) => {
                warn!(%room, %error, "a message for another node cannot be written");
                return;
            }
        };
        let key = RoomKey::from(room.as_str());
        for part in parts {
            // Replicas ask again for what is missing.
            if let Err(error) = relay.send_room(node, &key, part.into()) {
                debug!(%node, %room, %error, "a message for another node was dropped");
                return;
            }
        }
    }

    fn to_sibling(
        &self,
        from: usize,
        to: u16,
        room: RoomName,
        message: Box<tradewind_rtc::replica::ReplicaMessage>,
    ) {
        let peer = u16::try_from(from)
            .ok()
            .and_then(|from| self.peers.number(&self.me, from));
        if let Some(peer) = peer
            && let Some(node) = self.node.upgrade()
            && let Some(shard) = node.shards().get(usize::from(to))
        {
            shard.try_send(Input::Command(Command::Replica {
                room,
                peer,
                message,
            }));
        }
    }

    fn forget_parts(&mut self, node: &tradewind_relay::NodeId) {
        self.assemblies.retain(|(of, _), _| of != node.as_str());
    }
}
