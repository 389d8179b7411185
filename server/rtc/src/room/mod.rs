//! A room: participants, their tracks, and who receives what.
//!
//! One file per concern; each adds methods to [`Room`]:
//! [`join`] and [`leave`] (sessions), [`signal`] (messages), [`negotiate`] (offers and answers), [`publish`],
//! [`subscribe`], [`forward`] (the packet path), [`feedback`] (bandwidth, key frames, demand), [`data`],
//! [`data_track`], [`admin`], [`tick`] (what happens by time), [`replica`] (participants connected to other shards).

mod admin;
mod data;
mod data_track;
mod feedback;
mod forward;
mod join;
mod leave;
mod negotiate;
mod participant;
mod publish;
mod replica;
mod signal;
mod subscribe;
mod subscription;
mod tick;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use slotmap::SlotMap;
use str0m::Event as RtcEvent;

use crate::command::Target;
use crate::context::Context;
use crate::event::{Event, RoomEvent};
use crate::id::{Identity, ParticipantSid, RoomName, RoomSid, TrackSid};
use crate::info::{ParticipantInfo, ParticipantState, RoomConfig, RoomInfo};
use crate::media::speakers::ActiveSpeakers;
use crate::replica::RoomRecord;
use crate::shard::Received;
use data::DataLog;
use data_track::DataTracks;
use forward::Collected;
use leave::Departed;
use participant::Participant;
use replica::{Publisher, Replicas};
use subscription::Subscription;
use tick::RoomTimers;
use track::Track;

slotmap::new_key_type! {
    /// A room of a shard.
    pub(crate) struct RoomKey;
    /// A participant of a room.
    pub(crate) struct ParticipantKey;
    /// A track of a room.
    pub(crate) struct TrackKey;
    /// A data track of a room.
    pub(crate) struct DataTrackKey;
    /// A subscription of a room.
    pub(crate) struct SubscriptionKey;
}

/// Names one transport of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransportRef {
    pub(crate) room: RoomKey,
    pub(crate) participant: ParticipantKey,
    pub(crate) target: Target,
}

/// A room of this shard.
pub(crate) struct Room {
    key: RoomKey,
    sid: RoomSid,
    name: RoomName,
    config: RoomConfig,
    created_at_ms: u64,
    participants: SlotMap<ParticipantKey, Participant>,
    identities: BTreeMap<Identity, ParticipantKey>,
    tracks: SlotMap<TrackKey, Track>,
    data_tracks: DataTracks,
    subscriptions: SlotMap<SubscriptionKey, Subscription>,
    speakers: ActiveSpeakers,
    data_log: DataLog,
    departed: Departed,
    timers: RoomTimers,
    replicas: Replicas,
    /// Scratch for the events of one drain, kept to save allocations.
    events: Vec<RtcEvent>,
    /// Media packets of this turn, not yet forwarded.
    collected: Vec<Collected>,
    /// Participants and publishers as last told with the room.
    counts_told: (u32, u32),
    closed: bool,
}

impl Room {
    pub(crate) fn new(
        cx: &mut Context,
        now: Instant,
        key: RoomKey,
        name: RoomName,
        record: RoomRecord,
    ) -> Self {
        let mut room = Self {
            key,
            sid: record.sid,
            name,
            created_at_ms: record.created_at_ms,
            config: record.config,
            participants: SlotMap::with_key(),
            identities: BTreeMap::new(),
            tracks: SlotMap::with_key(),
            data_tracks: DataTracks::default(),
            subscriptions: SlotMap::with_key(),
            speakers: ActiveSpeakers::default(),
            data_log: DataLog::default(),
            departed: Departed::default(),
            timers: RoomTimers::default(),
            replicas: Replicas::default(),
            events: Vec::new(),
            collected: Vec::new(),
            counts_told: (0, 0),
            closed: false,
        };
        room.replicas.version = record.version;
        room.arm_expiry(cx, now, true);
        cx.tell(RoomEvent::Started { room: room.info() });
        room
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.name
    }

    /// Participants of this replica, the hidden ones included.
    pub(crate) fn len(&self) -> usize {
        self.participants.len()
    }

    fn finish(&mut self, cx: &mut Context) {
        if !std::mem::replace(&mut self.closed, true) {
            cx.closed_rooms.push(self.key);
            self.leave_peers(cx);
            cx.tell(RoomEvent::Finished { room: self.info() });
        }
    }

    /// The room as others see it.
    pub(crate) fn info(&self) -> RoomInfo {
        let own = self.participants.values().map(|own| &own.info);
        let remotes = self.remote_infos().map(|info| &**info);
        let visible = own.chain(remotes).filter(|info| !info.permission.hidden);
        let publishes: Vec<bool> = visible.map(|info| info.is_publisher).collect();
        RoomInfo {
            sid: self.sid.clone(),
            name: self.name.clone(),
            config: self.config.clone(),
            created_at_ms: self.created_at_ms,
            num_participants: publishes.len() as u32,
            num_publishers: publishes.iter().filter(|publishes| **publishes).count() as u32,
        }
    }

    /// Whether a STUN request belongs to this transport.
    pub(crate) fn accepts(&self, now: Instant, at: TransportRef, received: &Received<'_>) -> bool {
        self.participants
            .get(at.participant)
            .is_some_and(|participant| match at.target {
                Target::Publisher => participant.publisher.accepts(now, received),
                Target::Subscriber => participant
                    .subscriber
                    .as_ref()
                    .is_some_and(|s| s.accepts(now, received)),
            })
    }

    /// Takes a datagram for one of the transports; false if it was unusable.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: TransportRef,
        received: &Received<'_>,
    ) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let mut usable = false;
        if let Some(participant) = self.participants.get_mut(at.participant) {
            participant.deadlines.last_heard = Some(now);
            if let Some(transport) = participant.transport(at.target) {
                usable = transport.receive(cx, now, received, &mut events);
            }
        }
        self.handle_events(cx, now, at, events);
        usable
    }

    /// Does what is due on a transport.
    pub(crate) fn wake_transport(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: TransportRef,
        fired: Instant,
    ) {
        let mut events = std::mem::take(&mut self.events);
        if let Some(transport) = self
            .participants
            .get_mut(at.participant)
            .and_then(|p| p.transport(at.target))
        {
            transport.schedule(cx, Some(fired));
            if transport.deadline() <= now {
                transport.wake(cx, now, &mut events);
            }
        }
        self.handle_events(cx, now, at, events);
    }

    /// Sends what was written to a transport in this turn.
    pub(crate) fn flush(&mut self, cx: &mut Context, now: Instant, at: TransportRef) {
        let mut events = std::mem::take(&mut self.events);
        if let Some(transport) = self
            .participants
            .get_mut(at.participant)
            .and_then(|p| p.transport(at.target))
        {
            transport.flush(cx, now, &mut events);
        }
        self.handle_events(cx, now, at, events);
    }

    fn handle_events(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: TransportRef,
        mut events: Vec<RtcEvent>,
    ) {
        for event in events.drain(..) {
            self.handle_event(cx, now, at, event);
        }
        self.events = events;
        if self
            .participants
            .get(at.participant)
            .is_some_and(Participant::has_failed)
        {
            self.fail(cx, now, at.participant);
        }
    }

    fn handle_event(&mut self, cx: &mut Context, now: Instant, at: TransportRef, event: RtcEvent) {
        match event {
            RtcEvent::RtpPacket(packet) => self.forward(cx, now, at.participant, packet),
            RtcEvent::Connected => self.transport_connected(cx, now, at),
            RtcEvent::KeyframeRequest(request) => {
                self.key_frame_wanted(cx, now, at.participant, request.mid)
            }
            RtcEvent::EgressBitrateEstimate(estimate) => {
                self.bandwidth_changed(cx, now, at, estimate)
            }
            RtcEvent::SenderFeedback(feedback) => {
                self.sender_report(cx, now, at.participant, &feedback)
            }
            RtcEvent::ChannelData(message) => self.data_received(cx, now, at, message),
            RtcEvent::PeerStats(stats) => self.peer_stats(at, &stats),
            RtcEvent::MediaIngressStats(stats) => self.ingress_stats(cx, at.participant, &stats),
            RtcEvent::MediaEgressStats(stats) => self.egress_stats(cx, at.participant, &stats),
            _ => {}
        }
    }

    fn transport_connected(&mut self, cx: &mut Context, now: Instant, at: TransportRef) {
        let Some(participant) = self.participants.get_mut(at.participant) else {
            return;
        };
        if at.target == participant.primary() {
            participant.deadlines.connect = None;
            self.activate(cx, now, at.participant);
        }
        // Key frames asked for before the transport was up would have been wasted.
        self.ask_for_first_frames(cx, now, at.participant);
    }

    fn activate(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        if participant.info.state >= ParticipantState::Active {
            return;
        }
        participant.info.state = ParticipantState::Active;
        self.publish_change(cx, now, key);
        if let Some(snapshot) = self.snapshot(key) {
            cx.tell(RoomEvent::ParticipantJoined {
                room: self.info(),
                participant: snapshot,
            });
        }
    }

    fn snapshot(&self, key: ParticipantKey) -> Option<Arc<ParticipantInfo>> {
        self.participants
            .get(key)
            .map(|participant| participant.snapshot.clone())
    }

    /// Makes a new version of what others see of a participant, and sends it to those who may see it, itself included.
    fn publish_change(&mut self, cx: &mut Context, _now: Instant, key: ParticipantKey) {
        let data_tracks = self.published_data_tracks(key);
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        participant.info.data_tracks = data_tracks;
        participant.info.tracks = participant
            .uplink
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .map(|t| t.info.clone())
            .collect();
        participant.info.is_publisher = !participant.info.tracks.is_empty();
        participant.info.version += 1;
        participant.snapshot = Arc::new(participant.info.clone());
        let (snapshot, announced) = (participant.snapshot.clone(), participant.is_announced());
        for other in self.participants.values() {
            if other.key == key || announced {
                cx.send(
                    other.connection,
                    Event::Participants(vec![snapshot.clone()]),
                );
            }
        }
        self.tell_participant(cx, key);
    }

    /// Participants that `viewer` may see, without itself.
    fn others(&self, viewer: ParticipantKey) -> Vec<Arc<ParticipantInfo>> {
        self.participants
            .values()
            .filter(|other| other.key != viewer && other.is_announced())
            .map(|other| &other.snapshot)
            .chain(self.announced_remotes())
            .cloned()
            .collect()
    }

    fn participant_by_sid(&self, sid: &ParticipantSid) -> Option<ParticipantKey> {
        self.participants
            .values()
            .find(|participant| participant.sid() == sid)
            .map(|participant| participant.key)
    }

    fn track_by_sid(&self, sid: &TrackSid) -> Option<TrackKey> {
        self.tracks
            .iter()
            .find(|(_, track)| track.info.sid == *sid)
            .map(|(key, _)| key)
    }

    /// Adds the room's gauges to a copy of the counters.
    pub(crate) fn count(&self, counters: &mut crate::Counters) {
        counters.rooms += 1;
        counters.participants += self.participants.len() as u64;
        let own = |track: &&Track| track.publisher.local().is_some();
        for track in self.tracks.values().filter(own) {
            match track.info.kind {
                crate::TrackKind::Audio => counters.tracks_audio += 1,
                crate::TrackKind::Video => counters.tracks_video += 1,
            }
        }
        counters.subscriptions += self.subscriptions.len() as u64;
    }
}
