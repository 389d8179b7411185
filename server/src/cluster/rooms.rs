//! Which replicas of this node's rooms are linked with which replicas elsewhere: a state machine without I/O.
//!
//! Nodes learn from the fleet's directory who holds a room, and say hello to each other over their link, which tells the
//! shards its replicas live on. Either side's hello is enough, so that a directory that lags, or that only one of them can
//! reach, does no harm. A large room has replicas on several shards of a node; every replica of a room is linked with
//! every other, on this node and elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tradewind_fleet::NodeId;
use tradewind_rtc::replica::ReplicaMessage;
use tradewind_rtc::{Command, PeerId, RoomName};

use super::envelope::Envelope;

/// How long a node may be missing from the directory before its participants are given up: a server that restarts its
/// registration is back sooner, and clients of a dead one have joined elsewhere by then.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// How long a link may be down while the directory cannot be asked: longer than the route changes of carriers.
const CUT_AFTER: Duration = Duration::from_secs(30);
/// How long a node that the directory no longer names may still have a replica: the directory may lag.
const DETACH_AFTER: Duration = Duration::from_secs(5);

/// What the state machine wants done.
#[derive(Debug)]
pub(super) enum Action {
    /// Send to the node's replica of the room.
    Send {
        node: NodeId,
        room: RoomName,
        envelope: Envelope,
    },
    /// Give to a shard of this node.
    Command { shard: u16, command: Command },
}

/// A message that has arrived.
#[derive(Debug)]
pub(super) enum Received {
    /// All shards of the node that have a replica of the room.
    Hello { shards: Vec<u16>, answer: bool },
    /// From the replica on one shard of the node to the replica on one of this node's.
    Message {
        from: u16,
        to: u16,
        message: Box<ReplicaMessage>,
    },
}

/// Names a shard of a node on the links; the same for as long as this process lives.
pub(super) trait PeerNames {
    fn peer(&mut self, node: &NodeId, shard: u16) -> Option<PeerId>;
}

/// The rooms of this node and their links.
pub(super) struct Rooms {
    me: NodeId,
    shards: u16,
    rooms: BTreeMap<RoomName, Room>,
    nodes: BTreeMap<NodeId, Node>,
    actions: Vec<Action>,
}

/// A room with a replica here.
#[derive(Default)]
struct Room {
    /// Shards of this node that have a replica.
    shards: BTreeSet<u16>,
    /// By node: its replicas, each linked with all of this node's.
    peers: BTreeMap<NodeId, Linked>,
    /// As the directory says.
    holders: BTreeSet<NodeId>,
}

#[derive(Default)]
struct Linked {
    /// By shard of the node.
    replicas: BTreeMap<u16, PeerId>,
    /// The link came up since they were named last: they may be others by now.
    unsure: bool,
    /// The directory has not named the node since.
    unnamed_since: Option<Instant>,
}

/// Another node.
#[derive(Default)]
struct Node {
    linked: bool,
    registered: bool,
    /// Peers of it that rooms were linked with since the link came up.
    peers: BTreeSet<PeerId>,
    /// The link has been down, or the registration gone, since.
    missing_since: Option<Instant>,
}

impl Rooms {
    pub(super) fn new(me: NodeId, shards: u16) -> Self {
        Self {
            me,
            shards,
            rooms: BTreeMap::new(),
            nodes: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    /// What is to be done since the last call, in order.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Rooms with a replica here.
    pub(super) fn local(&self) -> Vec<RoomName> {
        self.rooms.keys().cloned().collect()
    }

    /// Links that work.
    pub(super) fn links(&self) -> usize {
        self.nodes.values().filter(|node| node.linked).count()
    }

    /// Whether the link to the node works.
    pub(super) fn is_linked(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|node| node.linked)
    }

    /// A room began on a shard of this node, on which it may be on others already.
    pub(super) fn started(
        &mut self,
        names: &mut impl PeerNames,
        room: RoomName,
        shard: u16,
        holders: BTreeSet<NodeId>,
    ) {
        let known = self.rooms.entry(room.clone()).or_default();
        let siblings: Vec<u16> = known.shards.iter().copied().collect();
        known.shards.insert(shard);
        let linked: Vec<PeerId> = known
            .peers
            .values()
            .flat_map(|link| link.replicas.values().copied())
            .collect();
        let nodes: Vec<NodeId> = known.peers.keys().cloned().collect();
        for sibling in siblings.into_iter().filter(|sibling| *sibling != shard) {
            for (at, other) in [(shard, sibling), (sibling, shard)] {
                if let Some(peer) = names.peer(&self.me, other) {
                    self.attach(at, &room, peer);
                }
            }
        }
        for peer in linked {
            self.attach(shard, &room, peer);
        }
        for node in nodes
            .into_iter()
            .filter(|node| self.is_linked(node))
            .collect::<Vec<_>>()
        {
            self.hello(&room, node, false);
        }
        self.held_by(&room, holders);
    }

    /// The room ended on a shard of this node. Its replica has said so to the others. Gives back whether the node has
    /// none left.
    pub(super) fn finished(&mut self, room: &RoomName, shard: u16) -> bool {
        let Some(known) = self.rooms.get_mut(room) else {
            return true;
        };
        known.shards.remove(&shard);
        if known.shards.is_empty() {
            self.rooms.remove(room);
            return true;
        }
        let nodes: Vec<NodeId> = known.peers.keys().cloned().collect();
        for node in nodes
            .into_iter()
            .filter(|node| self.is_linked(node))
            .collect::<Vec<_>>()
        {
            self.hello(room, node, false);
        }
        false
    }

    /// The directory says who holds the room.
    pub(super) fn held_by(&mut self, room: &RoomName, mut holders: BTreeSet<NodeId>) {
        holders.remove(&self.me);
        let Some(known) = self.rooms.get_mut(room) else {
            return;
        };
        known.holders = holders;
        let greet: Vec<_> = known
            .holders
            .iter()
            .filter(|node| !known.peers.contains_key(*node))
            .filter(|node| self.nodes.get(*node).is_some_and(|node| node.linked))
            .cloned()
            .collect();
        for node in greet {
            self.hello(room, node, true);
        }
    }

    /// A link works, for the first time or again.
    pub(super) fn link_up(&mut self, node: &NodeId) {
        let known = self.nodes.entry(node.clone()).or_default();
        known.linked = true;
        known.missing_since = None;
        known.peers.clear();
        for link in self
            .rooms
            .values_mut()
            .filter_map(|room| room.peers.get_mut(node))
        {
            link.unsure = true;
        }
        self.greet(node);
    }

    fn greet(&mut self, node: &NodeId) {
        let shared: Vec<_> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.holders.contains(node) || room.peers.contains_key(node))
            .map(|(name, _)| name.clone())
            .collect();
        for room in shared {
            self.hello(&room, node.clone(), true);
        }
    }

    /// A link ended. Participants beyond it stay, shown with lost connections, until [`Self::tick`] gives them up.
    pub(super) fn link_down(&mut self, now: Instant, node: &NodeId) {
        let known = self.nodes.entry(node.clone()).or_default();
        known.linked = false;
        known.missing_since.get_or_insert(now);
        self.cut(node);
    }

    /// The node is in the registry.
    pub(super) fn registered(&mut self, node: &NodeId) {
        let known = self.nodes.entry(node.clone()).or_default();
        let is_back = !std::mem::replace(&mut known.registered, true);
        if known.linked {
            known.missing_since = None;
            if is_back {
                self.greet(node);
            }
        }
    }

    /// The node is no longer in the registry: it died, was withdrawn, or left.
    pub(super) fn unregistered(&mut self, now: Instant, node: &NodeId) {
        let known = self.nodes.entry(node.clone()).or_default();
        known.registered = false;
        known.missing_since.get_or_insert(now);
        self.cut(node);
    }

    /// A run of the node is over, and a new one has begun: what the former held is gone.
    pub(super) fn restarted(&mut self, node: &NodeId) {
        self.give_up(node);
        self.registered(node);
    }

    /// A message for a room came over a link.
    pub(super) fn received(
        &mut self,
        names: &mut impl PeerNames,
        node: &NodeId,
        room: &RoomName,
        received: Received,
    ) {
        match received {
            Received::Hello { shards, answer } => {
                self.greeted(names, node, room, &shards, answer);
            }
            Received::Message { from, to, message } => {
                let Some(known) = self.rooms.get(room) else {
                    return;
                };
                // Hellos go first on the same stream, so that an unknown sender is one that was given up.
                let peer = known
                    .peers
                    .get(node)
                    .and_then(|link| link.replicas.get(&from));
                if let Some(peer) = peer.copied().filter(|_| known.shards.contains(&to)) {
                    let room = room.clone();
                    self.command(
                        to,
                        Command::Replica {
                            room,
                            peer,
                            message,
                        },
                    );
                }
            }
        }
    }

    /// A node names all shards on which it has a replica of the room.
    fn greeted(
        &mut self,
        names: &mut impl PeerNames,
        node: &NodeId,
        room: &RoomName,
        shards: &[u16],
        answer: bool,
    ) {
        let Some(known) = self.rooms.get_mut(room) else {
            return;
        };
        let link = known.peers.entry(node.clone()).or_default();
        let before = std::mem::take(&mut link.replicas);
        let is_fresh = std::mem::take(&mut link.unsure) || answer;
        link.unnamed_since = None;
        link.replicas = shards
            .iter()
            .filter_map(|shard| Some((*shard, names.peer(node, *shard)?)))
            .collect();
        let gone: Vec<_> = before
            .iter()
            .filter(|(shard, _)| !link.replicas.contains_key(shard))
            .map(|(_, peer)| *peer)
            .collect();
        let attach: Vec<_> = link
            .replicas
            .iter()
            .filter(|(shard, _)| is_fresh || !before.contains_key(shard))
            .map(|(_, peer)| *peer)
            .collect();
        let ours: Vec<u16> = known.shards.iter().copied().collect();
        let of_node = &mut self.nodes.entry(node.clone()).or_default().peers;
        of_node.extend(&attach);
        for shard in ours {
            for peer in &gone {
                self.detach(shard, room, *peer);
            }
            for peer in &attach {
                self.attach(shard, room, *peer);
            }
        }
        if answer {
            self.hello(room, node.clone(), false);
        }
    }

    /// Gives up what has been missing for too long. `registry` tells whether the registry can be asked at present.
    pub(super) fn tick(&mut self, now: Instant, registry: bool) {
        let lost: Vec<_> = self
            .nodes
            .iter()
            .filter(|(_, node)| {
                let patience = match (registry, node.registered, node.linked) {
                    // The registry says that it lives, so that only the way to it is cut.
                    (true, true, _) | (false, _, true) => return false,
                    (true, false, _) => LOST_AFTER,
                    (false, _, false) => CUT_AFTER,
                };
                node.missing_since
                    .is_some_and(|since| now.saturating_duration_since(since) >= patience)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for node in lost {
            self.give_up(&node);
        }
        if registry {
            self.detach_unnamed(now);
        }
    }

    fn detach_unnamed(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for (name, room) in &mut self.rooms {
            for (node, link) in &mut room.peers {
                // Over a working link the far side says itself when its replica ends.
                let linked = self.nodes.get(node).is_some_and(|node| node.linked);
                if linked || room.holders.contains(node) {
                    link.unnamed_since = None;
                    continue;
                }
                let since = *link.unnamed_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= DETACH_AFTER {
                    gone.push((name.clone(), node.clone()));
                }
            }
        }
        for (name, node) in gone {
            let unlinked = self
                .rooms
                .get_mut(&name)
                .and_then(|room| Some((room.shards.clone(), room.peers.remove(&node)?)));
            let Some((shards, link)) = unlinked else {
                continue;
            };
            for shard in shards {
                for peer in link.replicas.values() {
                    self.detach(shard, &name, *peer);
                }
            }
        }
    }

    fn cut(&mut self, node: &NodeId) {
        for peer in self.peers_of(node) {
            for shard in 0..self.shards {
                self.command(shard, Command::PeerCut { peer });
            }
        }
    }

    fn give_up(&mut self, node: &NodeId) {
        for peer in self.peers_of(node) {
            for shard in 0..self.shards {
                self.command(shard, Command::PeerLost { peer });
            }
        }
        for room in self.rooms.values_mut() {
            room.peers.remove(node);
        }
        if let Some(known) = self.nodes.get_mut(node) {
            known.peers.clear();
            known.missing_since = None;
        }
    }

    fn peers_of(&self, node: &NodeId) -> BTreeSet<PeerId> {
        let linked = self
            .rooms
            .values()
            .filter_map(|room| room.peers.get(node))
            .flat_map(|link| link.replicas.values().copied());
        let mut peers: BTreeSet<_> = linked.collect();
        if let Some(known) = self.nodes.get(node) {
            peers.extend(&known.peers);
        }
        peers
    }

    fn hello(&mut self, room: &RoomName, node: NodeId, answer: bool) {
        let Some(known) = self.rooms.get(room) else {
            return;
        };
        let envelope = Envelope::Hello {
            shards: known.shards.iter().copied().collect(),
            answer,
        };
        let room = room.clone();
        self.actions.push(Action::Send {
            node,
            room,
            envelope,
        });
    }

    fn attach(&mut self, shard: u16, room: &RoomName, peer: PeerId) {
        let room = room.clone();
        self.command(shard, Command::AttachPeer { room, peer });
    }

    fn detach(&mut self, shard: u16, room: &RoomName, peer: PeerId) {
        let room = room.clone();
        self.command(shard, Command::DetachPeer { room, peer });
    }

    fn command(&mut self, shard: u16, command: Command) {
        self.actions.push(Action::Command { shard, command });
    }
}

#[cfg(test)]
mod tests;
