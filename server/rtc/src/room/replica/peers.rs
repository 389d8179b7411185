//! Who holds replicas of the room, and messages to and from them.

use super::{Peer, Publisher, RemoteKey};
use crate::context::Context;
use crate::event::{ConnectionQuality, Event, Output, QualityReport};
use crate::id::PeerId;
use crate::info::DisconnectReason;
use crate::replica::{Inbox, Outbox, Progress, ReplicaBody, ReplicaMessage};
use crate::room::Room;

/// What is told of participants whose node cannot be reached.
const LOST_SCORE: f32 = 1.0;

impl Room {
    /// A peer holds a replica of this room, and the link to it is up.
    pub(crate) fn attach_peer(&mut self, cx: &mut Context, peer: PeerId) {
        let Some(known) = self.replicas.peers.get_mut(&peer) else {
            let epoch = cx.next_epoch();
            let fresh = Peer {
                outbox: Outbox::new(epoch),
                inbox: Inbox::default(),
                cut: false,
            };
            self.replicas.peers.insert(peer, fresh);
            self.sync_peer(cx, peer);
            return;
        };
        known.cut = false;
        // What was on its way when the link broke may be gone: both sides say how far they have come.
        let request = known.outbox.plain(known.inbox.request());
        self.output(cx, peer, request);
        self.arm_replica(cx, cx.now);
        self.tell_levels(cx, peer);
        self.pause_relays(cx, peer, false);
        let reports: Vec<QualityReport> = self
            .remotes_of(peer)
            .into_iter()
            .filter_map(|key| self.replicas.remotes.get(key)?.quality.clone())
            .collect();
        self.tell_quality(cx, reports);
    }

    /// A peer no longer holds a replica of this room: whoever it owned has left.
    pub(crate) fn detach_peer(&mut self, cx: &mut Context, peer: PeerId, reason: DisconnectReason) {
        if self.replicas.peers.remove(&peer).is_none() {
            return;
        }
        for key in self.remotes_of(peer) {
            self.forget_remote(cx, key, reason);
        }
        self.end_relays(cx, peer);
        self.replicas.calls.abandon(cx, peer);
    }

    /// The link to a peer is down. Its participants stay, but are shown as out of reach.
    pub(crate) fn peer_cut(&mut self, cx: &mut Context, peer: PeerId) {
        let Some(known) = self.replicas.peers.get_mut(&peer) else {
            return;
        };
        if std::mem::replace(&mut known.cut, true) {
            return;
        }
        self.pause_relays(cx, peer, true);
        let mut reports = Vec::new();
        for key in self.remotes_of(peer) {
            if let Some(remote) = self.replicas.remotes.get_mut(key) {
                remote.level = None;
                if remote.is_announced() {
                    reports.push(QualityReport {
                        participant: remote.info().sid.clone(),
                        quality: ConnectionQuality::Lost,
                        score: LOST_SCORE,
                    });
                }
            }
        }
        self.tell_quality(cx, reports);
    }

    /// Takes a message of another replica; one that was not attached yet is now.
    pub(crate) fn replica_message(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        message: ReplicaMessage,
    ) {
        let fence = self.replicas.fences.get(&peer).copied().unwrap_or(0);
        if message.epoch <= fence {
            return;
        }
        if matches!(message.body, ReplicaBody::Gone) {
            self.replicas.fences.insert(peer, message.epoch);
            self.detach_peer(cx, peer, DisconnectReason::ConnectionTimeout);
            return;
        }
        if !self.replicas.peers.contains_key(&peer) {
            self.attach_peer(cx, peer);
        }
        let Some(known) = self.replicas.peers.get_mut(&peer) else {
            return;
        };
        let Progress::Ready { bodies, new_life } = known.inbox.take(cx.now, message) else {
            return;
        };
        if let Some(at) = known.inbox.poll_timeout() {
            self.arm_replica(cx, at);
        }
        if new_life {
            self.sync_peer(cx, peer);
        }
        for body in bodies {
            self.take_body(cx, peer, body);
        }
    }

    fn take_body(&mut self, cx: &mut Context, peer: PeerId, body: ReplicaBody) {
        match body {
            ReplicaBody::Sync(state) => self.take_state(cx, peer, *state),
            ReplicaBody::Participant(told) => self.take_participant(cx, peer, told),
            ReplicaBody::Left {
                participant,
                reason,
            } => {
                if let Some(key) = self.owned_remote(peer, &participant) {
                    self.forget_remote(cx, key, reason);
                }
            }
            ReplicaBody::Room(record) => self.take_record(cx, *record),
            ReplicaBody::Closed { reason } => self.close(cx, cx.now, reason),
            ReplicaBody::Speakers(levels) => self.take_levels(cx, peer, &levels),
            ReplicaBody::Quality(reports) => self.take_quality(cx, peer, reports),
            ReplicaBody::Demand { track, demand } => self.take_demand(cx, peer, &track, demand),
            ReplicaBody::DataDemand { track, wanted } => {
                self.take_data_demand(peer, &track, wanted);
            }
            ReplicaBody::Data(data) => self.take_data(cx, &data),
            ReplicaBody::Call { id, call } => self.take_call(cx, peer, id, *call),
            ReplicaBody::Answer { id, answer } => {
                self.replicas.calls.answered(cx, peer, id, answer)
            }
            ReplicaBody::KeyFrame {
                track,
                source,
                encoding,
            } => self.take_key_frame_request(cx, &track, source, encoding),
            ReplicaBody::Clock {
                track,
                source,
                encoding,
                ntp,
                rtp,
            } => self.take_clock(cx, peer, &track, (source, encoding), ntp, rtp),
            ReplicaBody::DataTrackPacket { track, packet } => {
                self.take_data_packet(cx, peer, &track, packet);
            }
            ReplicaBody::Beat { .. } => self.reply(cx, peer, |known| {
                if known.inbox.is_complete() {
                    known.inbox.acknowledgement()
                } else {
                    known.inbox.request()
                }
            }),
            ReplicaBody::Ack { of, have } => {
                if let Some(known) = self.replicas.peers.get_mut(&peer) {
                    known.outbox.acknowledged(of, have);
                }
            }
            ReplicaBody::Resend { of, have } => self.resend(cx, peer, of, have),
            ReplicaBody::Nothing | ReplicaBody::Gone => {}
        }
    }

    fn resend(&mut self, cx: &mut Context, peer: PeerId, of: u64, have: u64) {
        let Some(known) = self.replicas.peers.get_mut(&peer) else {
            return;
        };
        known.outbox.acknowledged(of, have);
        match known.outbox.since(of, have) {
            Some(missing) => {
                for mut message in missing {
                    self.renew(peer, &mut message.body);
                    self.output(cx, peer, message);
                }
            }
            None => self.sync_peer(cx, peer),
        }
    }

    /// What is sent again tells of now: a session that came and went meanwhile must not end one that lives.
    fn renew(&self, peer: PeerId, body: &mut ReplicaBody) {
        match body {
            ReplicaBody::Sync(state) => **state = self.state_for(peer),
            ReplicaBody::Participant(told) => {
                let key = self.participant_by_sid(&told.info.sid);
                *body = match key.and_then(|key| self.described(key)) {
                    Some(told) => ReplicaBody::Participant(told),
                    None => ReplicaBody::Nothing,
                };
            }
            _ => {}
        }
    }

    fn reply(&mut self, cx: &mut Context, peer: PeerId, reply: impl FnOnce(&Peer) -> ReplicaBody) {
        if let Some(known) = self.replicas.peers.get(&peer) {
            let message = known.outbox.plain(reply(known));
            self.output(cx, peer, message);
        }
    }

    /// Sends what must arrive, in order.
    pub(super) fn tell_peer(&mut self, cx: &mut Context, peer: PeerId, body: ReplicaBody) {
        let Some(known) = self.replicas.peers.get_mut(&peer) else {
            return;
        };
        let message = known.outbox.number(cx.now, body);
        let (cut, beat) = (known.cut, known.outbox.poll_timeout());
        if !cut {
            self.output(cx, peer, message);
            if let Some(at) = beat {
                self.arm_replica(cx, at);
            }
        }
    }

    /// Sends all other replicas what must arrive, in order.
    pub(in crate::room) fn tell_peers(&mut self, cx: &mut Context, body: &ReplicaBody) {
        let peers: Vec<PeerId> = self.replicas.peers.keys().copied().collect();
        for peer in peers {
            self.tell_peer(cx, peer, body.clone());
        }
    }

    /// Sends what may be lost.
    pub(super) fn tell_peer_plain(&self, cx: &mut Context, peer: PeerId, body: ReplicaBody) {
        if let Some(known) = self.replicas.peers.get(&peer).filter(|known| !known.cut) {
            let message = known.outbox.plain(body);
            self.output(cx, peer, message);
        }
    }

    fn output(&self, cx: &mut Context, peer: PeerId, message: ReplicaMessage) {
        let (room, message) = (self.name.clone(), Box::new(message));
        cx.outputs.push_back(Output::Replica {
            room,
            peer,
            message,
        });
    }

    /// The replica ends: the others forget what it owned.
    pub(in crate::room) fn leave_peers(&mut self, cx: &mut Context) {
        let peers = std::mem::take(&mut self.replicas.peers);
        let epoch = cx.next_epoch();
        for peer in peers.into_keys() {
            let message = ReplicaMessage {
                epoch,
                number: 0,
                body: ReplicaBody::Gone,
            };
            self.output(cx, peer, message);
            self.replicas.calls.abandon(cx, peer);
        }
        for track in self.tracks.values() {
            if let Some(key) = track.publisher.remote() {
                self.forget_flow(cx, key, &track.info.sid);
            }
        }
    }

    /// Does what is due towards other replicas.
    pub(in crate::room) fn wake_replicas(&mut self, cx: &mut Context) {
        let peers: Vec<PeerId> = self.replicas.peers.keys().copied().collect();
        for peer in peers {
            let Some(known) = self
                .replicas
                .peers
                .get_mut(&peer)
                .filter(|known| !known.cut)
            else {
                continue;
            };
            let beat = known.outbox.poll_beat(cx.now);
            let request = known.inbox.poll_request(cx.now);
            let request = request.map(|body| known.outbox.plain(body));
            let timeouts = [known.outbox.poll_timeout(), known.inbox.poll_timeout()];
            for message in beat.into_iter().chain(request) {
                self.output(cx, peer, message);
            }
            for at in timeouts.into_iter().flatten() {
                self.arm_replica(cx, at);
            }
        }
        self.review_all_demands(cx);
        if let Some(at) = self.replicas.calls.expire(cx) {
            self.arm_replica(cx, at);
        }
    }

    /// Participants a peer owns.
    pub(super) fn remotes_of(&self, peer: PeerId) -> Vec<RemoteKey> {
        let remotes = self.replicas.remotes.iter();
        remotes
            .filter(|(_, remote)| remote.peer == peer)
            .map(|(key, _)| key)
            .collect()
    }

    /// The peer that owns a publisher; `None` if it is this replica.
    pub(super) fn owner_of(&self, publisher: Publisher) -> Option<PeerId> {
        let key = publisher.remote()?;
        self.replicas.remotes.get(key).map(|remote| remote.peer)
    }

    pub(super) fn tell_quality(&self, cx: &mut Context, reports: Vec<QualityReport>) {
        if reports.is_empty() {
            return;
        }
        for participant in self.participants.values() {
            cx.send(participant.connection, Event::Quality(reports.clone()));
        }
    }
}
