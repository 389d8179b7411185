//! All rooms of one thread.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use slotmap::SlotMap;
use tradewind_srtp::tap;

use crate::command::{AdminRequest, Command, Join, Resume};
use crate::config::ShardConfig;
use crate::context::Context;
use crate::counters::{Counters, DropReason};
use crate::data::DataCodec;
use crate::demux::{self, Kind};
use crate::event::{AdminError, AdminReply, Event, JoinRefusal, LeaveAction, Output};
use crate::id::{ConnectionId, PeerId, RequestId, RoomName, RoomSid};
use crate::info::{DisconnectReason, RoomConfig};
use crate::replica::{RelayedPacket, ReplicaBody, ReplicaMessage, RoomRecord};
use crate::room::{ParticipantKey, Room, RoomKey, TransportRef};
use crate::timers::TimerKey;

/// Transport protocol of a datagram. ICE/TCP frames are datagrams too, once unframed (RFC 4571).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub protocol: Protocol,
    pub source: SocketAddr,
    /// The candidate address it came to: one of `udp_candidates` or `tcp_candidates`.
    pub destination: SocketAddr,
    pub contents: &'a [u8],
}

/// A datagram to send, or several to the same address that may leave by one call.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub protocol: Protocol,
    /// The candidate address to send from.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
    /// Bytes of each datagram in `contents` but the last, which may be shorter; `None` = one datagram.
    pub segment_size: Option<usize>,
}

impl Transmit {
    /// The datagrams, one by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.contents.len().max(1);
        self.contents
            .chunks(self.segment_size.unwrap_or(whole).max(1))
    }
}

/// Why a shard wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    Transport,
    Room,
}

/// The rooms of one thread: commands, datagrams and time in; datagrams, outputs and the next deadline out.
///
/// Order of use, once per turn of the owning thread, with one `now` for the whole turn:
/// 1. any number of [`Self::handle_command`], [`Self::handle_datagram`], and [`Self::handle_timeout`] when due,
/// 2. [`Self::finish_turn`] once, or [`Self::finish_transport`] until it is false,
/// 3. [`Self::poll_transmit`], in between too, and [`Self::poll_output`] until `None`,
/// 4. sleep until [`Self::poll_timeout`] or input.
pub struct Shard {
    cx: Context,
    rooms: SlotMap<RoomKey, Room>,
    names: BTreeMap<RoomName, RoomKey>,
    connections: HashMap<ConnectionId, (RoomKey, ParticipantKey)>,
}

/// Wake-ups handled in one turn; the rest follow in the next, so that sockets are read in between.
const MAX_WAKEUPS: usize = 4_096;

impl Shard {
    /// `unix_ms` is the wall-clock time of `start`; `seed` makes identifiers unpredictable to others and
    /// equal seeds give equal identifiers.
    ///
    /// # Panics
    /// No DTLS certificate can be generated: the cryptography library is unusable.
    pub fn new(
        config: ShardConfig,
        start: Instant,
        unix_ms: u64,
        seed: u64,
        codec: Box<dyn DataCodec>,
    ) -> Self {
        let crypto = Arc::new(tap::provider());
        #[expect(
            clippy::expect_used,
            reason = "a node without DTLS serves nobody; it says so at start"
        )]
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the crypto provider makes certificates");
        Self {
            cx: Context::new(config, start, unix_ms, seed, codec, crypto, certificate),
            rooms: SlotMap::with_key(),
            names: BTreeMap::new(),
            connections: HashMap::new(),
        }
    }

    /// Takes a command.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.cx.now = now;
        self.forward(now);
        match command {
            Command::Join(join) => self.join(now, *join),
            Command::Resume(resume) => self.resume(now, *resume),
            Command::Signal {
                connection,
                request,
            } => {
                if let Some((room, participant)) = self.owner(connection)
                    && let Some(room) = self.rooms.get_mut(room)
                {
                    room.signal(&mut self.cx, now, participant, *request);
                }
            }
            Command::ConnectionClosed { connection } => {
                if let Some((room, participant)) = self.connections.remove(&connection)
                    && let Some(room) = self.rooms.get_mut(room)
                {
                    room.connection_closed(&mut self.cx, now, participant, connection);
                }
            }
            Command::Admin { request, command } => {
                if let Some(reply) = self.administer(now, request, *command) {
                    self.cx.outputs.push_back(Output::Reply(request, reply));
                }
            }
            Command::Drain { participants } => {
                let mut left = participants;
                for room in self.rooms.values_mut() {
                    left -= room.drain(&mut self.cx, now, left);
                }
            }
            Command::OpenReplica { .. }
            | Command::AttachPeer { .. }
            | Command::DetachPeer { .. }
            | Command::PeerCut { .. }
            | Command::PeerLost { .. }
            | Command::Replica { .. } => self.replicate(now, command),
            Command::Shutdown { reason } => {
                for room in self.rooms.values_mut() {
                    room.close(&mut self.cx, now, reason);
                }
            }
        }
        self.drop_closed_rooms();
    }

    /// Takes a datagram from a socket.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Received<'_>) {
        self.cx.now = now;
        self.cx.counters.datagrams_in += 1;
        self.cx.counters.bytes_in += datagram.contents.len() as u64;
        match self.find_transport(now, &datagram) {
            Ok(at) => {
                let usable = self
                    .rooms
                    .get_mut(at.room)
                    .is_some_and(|room| room.receive(&mut self.cx, now, at, &datagram));
                if !usable {
                    self.cx.counters.drop_one(DropReason::TransportError);
                }
            }
            Err(reason) => self.cx.counters.drop_one(reason),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.cx.now = now;
        self.forward(now);
        for _ in 0..MAX_WAKEUPS {
            let Some((fired, key)) = self.cx.timers.pop_due(now) else {
                break;
            };
            match key {
                TimerKey::Transport(at) => {
                    if let Some(room) = self.rooms.get_mut(at.room) {
                        room.wake_transport(&mut self.cx, now, at, fired);
                    }
                }
                TimerKey::Room(key) => {
                    if let Some(room) = self.rooms.get_mut(key) {
                        room.wake(&mut self.cx, now, fired);
                    }
                }
            }
        }
        self.drop_closed_rooms();
    }

    /// Turns what the turn wrote into datagrams.
    pub fn finish_turn(&mut self, now: Instant) {
        while self.finish_transport(now) {}
    }

    /// As [`Self::finish_turn`], but for one transport only; false if none is left. Whoever sends in between lets nobody
    /// wait for the others, and finds the datagrams in the processor's cache.
    pub fn finish_transport(&mut self, now: Instant) -> bool {
        self.cx.now = now;
        self.forward(now);
        // Flushing may write again (a key-frame request for a packet that came out), so ask until nothing is left.
        let Some(at) = self.cx.dirty.pop_front() else {
            return false;
        };
        if let Some(room) = self.rooms.get_mut(at.room) {
            room.flush(&mut self.cx, now, at);
        }
        true
    }

    /// Forwards the media that came in, before anything changes who gets it.
    fn forward(&mut self, now: Instant) {
        while let Some(key) = self.cx.forwarding.pop_front() {
            if let Some(room) = self.rooms.get_mut(key) {
                room.distribute(&mut self.cx, now);
            }
        }
    }

    /// Next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.cx.transmits.pop_front()
    }

    /// Takes a media packet of a peer's replica.
    pub fn handle_relayed(&mut self, now: Instant, peer: PeerId, packet: RelayedPacket) {
        self.cx.now = now;
        self.cx.counters.relayed_in += 1;
        let at = self.cx.flows.get(&(peer, packet.flow)).copied();
        match at.and_then(|(room, track)| Some((self.rooms.get_mut(room)?, track))) {
            Some((room, track)) => room.relayed(&mut self.cx, now, track, packet),
            None => self.cx.counters.drop_one(DropReason::UnknownTrack),
        }
    }

    /// Next media packet for a peer's replica.
    pub fn poll_relayed(&mut self) -> Option<(PeerId, RelayedPacket)> {
        self.cx.relayed.pop_front()
    }

    /// Takes back the memory of a datagram that has left, so that the next one needs none.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.cx.buffers.put(buffer);
    }

    /// Next message for the rest of the node.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.cx.outputs.pop_front();
        if let Some(Output::CloseConnection(connection)) = &output {
            self.connections.remove(connection);
        }
        output
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        self.cx.timers.next().map(|(at, key)| match key {
            TimerKey::Transport(_) => (at, WakeReason::Transport),
            TimerKey::Room(_) => (at, WakeReason::Room),
        })
    }

    /// A copy of the counters.
    pub fn counters(&self) -> Counters {
        let mut counters = self.cx.counters;
        for room in self.rooms.values() {
            room.count(&mut counters);
        }
        counters
    }

    fn owner(&self, connection: ConnectionId) -> Option<(RoomKey, ParticipantKey)> {
        self.connections.get(&connection).copied()
    }

    fn join(&mut self, now: Instant, join: Join) {
        let connection = join.connection;
        let refused = |refusal| Output::Connection(connection, Event::JoinRefused(refusal));
        let participants: usize = self.rooms.values().map(Room::len).sum();
        if participants >= self.cx.config.max_participants as usize {
            self.cx.outputs.push_back(refused(JoinRefusal::NodeFull));
            return;
        }
        let key = match self.names.get(&join.room) {
            Some(key) => *key,
            None if self.cx.config.auto_create_rooms => {
                let config = join
                    .room_config
                    .clone()
                    .unwrap_or_else(|| self.cx.config.room_defaults.clone());
                self.create_room(now, join.room.clone(), config)
            }
            None => {
                self.cx.outputs.push_back(refused(JoinRefusal::NoSuchRoom));
                return;
            }
        };
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        match room.join(&mut self.cx, now, join) {
            Ok(participant) => {
                self.connections.insert(connection, (key, participant));
            }
            Err(refusal) => self.cx.outputs.push_back(refused(refusal)),
        }
    }

    fn resume(&mut self, now: Instant, resume: Resume) {
        let connection = resume.connection;
        let key = self.names.get(&resume.room).copied();
        let resumed = key.and_then(|key| {
            let participant = self.rooms.get_mut(key)?.resume(&mut self.cx, now, resume)?;
            Some((key, participant))
        });
        match resumed {
            Some(owner) => {
                self.connections.insert(connection, owner);
            }
            None => {
                let (reason, action) = (DisconnectReason::StateMismatch, LeaveAction::Reconnect);
                self.cx
                    .send(Some(connection), Event::Leave { reason, action });
                self.cx
                    .outputs
                    .push_back(Output::CloseConnection(connection));
            }
        }
    }

    fn create_room(&mut self, now: Instant, name: RoomName, config: RoomConfig) -> RoomKey {
        let record = RoomRecord {
            sid: RoomSid::from(self.cx.ids.next_id("RM_")),
            created_at_ms: self.cx.unix_ms(now),
            config,
            version: 0,
        };
        self.open_room(now, name, record)
    }

    fn open_room(&mut self, now: Instant, name: RoomName, record: RoomRecord) -> RoomKey {
        let cx = &mut self.cx;
        let key = self
            .rooms
            .insert_with_key(|key| Room::new(cx, now, key, name.clone(), record));
        self.names.insert(name, key);
        key
    }

    /// `None` if the answer comes from another replica of the room.
    fn administer(
        &mut self,
        now: Instant,
        id: RequestId,
        request: AdminRequest,
    ) -> Option<Result<AdminReply, AdminError>> {
        let name = match &request {
            AdminRequest::ListRooms { names } => {
                let wanted = |room: &&Room| names.is_empty() || names.contains(room.name());
                let rooms = self.rooms.values().filter(wanted).map(Room::info);
                return Some(Ok(AdminReply::Rooms(rooms.collect())));
            }
            AdminRequest::Counters => {
                return Some(Ok(AdminReply::Counters(Box::new(self.counters()))));
            }
            AdminRequest::RoundTrips => {
                let rooms = self.rooms.values();
                let measured = rooms.flat_map(Room::round_trips).collect();
                return Some(Ok(AdminReply::RoundTrips(measured)));
            }
            AdminRequest::CreateRoom { room, config } => {
                let limit = self.cx.config.max_metadata_bytes;
                if config.metadata.len() > limit {
                    let message = format!("metadata is longer than {limit} bytes");
                    return Some(Err(AdminError::LimitExceeded(message)));
                }
                let key = match self.names.get(room) {
                    Some(key) => *key,
                    None => self.create_room(now, room.clone(), config.clone()),
                };
                let room = self.rooms.get(key).map(Room::info);
                return Some(room.map(AdminReply::Room).ok_or(AdminError::NoSuchRoom));
            }
            AdminRequest::DeleteRoom { room }
            | AdminRequest::ListParticipants { room }
            | AdminRequest::GetParticipant { room, .. }
            | AdminRequest::RemoveParticipant { room, .. }
            | AdminRequest::MuteTrack { room, .. }
            | AdminRequest::UpdateParticipant { room, .. }
            | AdminRequest::UpdateSubscriptions { room, .. }
            | AdminRequest::UpdateRoomMetadata { room, .. } => room,
            AdminRequest::SendData(data) => &data.room,
        };
        let key = self.names.get(name).copied();
        match key.and_then(|key| self.rooms.get_mut(key)) {
            Some(room) => room.administer(&mut self.cx, now, id, request),
            None => Some(Err(AdminError::NoSuchRoom)),
        }
    }

    /// What concerns rooms that live on other shards too.
    fn replicate(&mut self, now: Instant, command: Command) {
        let cx = &mut self.cx;
        let known = |name: &RoomName| self.names.get(name).copied();
        match command {
            Command::OpenReplica { room, record } => {
                if let Some(known) = known(&room).and_then(|key| self.rooms.get_mut(key)) {
                    known.take_record(cx, *record);
                } else {
                    self.open_room(now, room, *record);
                }
            }
            Command::AttachPeer { room, peer } => {
                if let Some(room) = known(&room).and_then(|key| self.rooms.get_mut(key)) {
                    room.attach_peer(cx, peer);
                }
            }
            Command::DetachPeer { room, peer } => {
                if let Some(room) = known(&room).and_then(|key| self.rooms.get_mut(key)) {
                    room.detach_peer(cx, peer, DisconnectReason::ConnectionTimeout);
                }
            }
            Command::PeerCut { peer } => {
                for room in self.rooms.values_mut() {
                    room.peer_cut(cx, peer);
                }
            }
            Command::PeerLost { peer } => {
                for room in self.rooms.values_mut() {
                    room.detach_peer(cx, peer, DisconnectReason::ConnectionTimeout);
                }
            }
            Command::Replica {
                room: name,
                peer,
                message,
            } => match known(&name).and_then(|key| self.rooms.get_mut(key)) {
                Some(room) => room.replica_message(cx, peer, *message),
                None if matches!(message.body, ReplicaBody::Gone) => {}
                None => {
                    let message = Box::new(ReplicaMessage {
                        epoch: cx.next_epoch(),
                        number: 0,
                        body: ReplicaBody::Gone,
                    });
                    cx.outputs.push_back(Output::Replica {
                        room: name,
                        peer,
                        message,
                    });
                }
            },
            _ => {}
        }
    }

    fn drop_closed_rooms(&mut self) {
        while let Some(key) = self.cx.closed_rooms.pop() {
            if let Some(room) = self.rooms.remove(key) {
                self.names.remove(room.name());
            }
        }
    }

    /// Finds the transport of a datagram, validating addresses by the message integrity of STUN requests.
    fn find_transport(
        &mut self,
        now: Instant,
        datagram: &Received<'_>,
    ) -> Result<TransportRef, DropReason> {
        let kind = demux::kind(datagram.contents).ok_or(DropReason::Unrecognised)?;
        let route = self.cx.demux.by_address(datagram.protocol, datagram.source);
        match (kind, route) {
            (_, Some(route)) if route.validated && kind != Kind::Stun => return Ok(route.transport),
            (Kind::Stun, _) => {}
            _ => return Err(DropReason::UnvalidatedAddress),
        }
        let Some(fragment) = demux::local_fragment(datagram.contents) else {
            // A response: only to checks we sent.
            return route
                .map(|route| route.transport)
                .ok_or(DropReason::UnknownFragment);
        };
        let at = self
            .cx
            .demux
            .by_fragment(&fragment)
            .ok_or(DropReason::UnknownFragment)?;
        if route.is_some_and(|route| route.validated && route.transport == at) {
            return Ok(at);
        }
        if !self
            .rooms
            .get(at.room)
            .is_some_and(|room| room.accepts(now, at, datagram))
        {
            return Err(DropReason::BadIntegrity);
        }
        self.cx
            .demux
            .validate(at, datagram.protocol, datagram.source);
        Ok(at)
    }
}
