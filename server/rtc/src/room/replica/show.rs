//! What other replicas own, shown to the participants of this one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Publisher, Remote, RemoteKey, TrackRelays};
use crate::context::Context;
use crate::event::{Event, LeaveAction, QualityReport};
use crate::id::{Identity, ParticipantSid, PeerId, TrackSid};
use crate::info::{DisconnectReason, ParticipantInfo, ParticipantState, TrackInfo};
use crate::media::clock::CaptureClock;
use crate::replica::{ReplicaParticipant, ReplicaState, ReplicaTrack};
use crate::room::track::{Source, Track};
use crate::room::{ParticipantKey, Room, TrackKey};

impl Room {
    /// Takes everything a peer owns.
    pub(super) fn take_state(&mut self, cx: &mut Context, peer: PeerId, state: ReplicaState) {
        self.take_record(cx, state.room);
        let named: BTreeSet<ParticipantSid> = state
            .participants
            .iter()
            .map(|told| told.info.sid.clone())
            .collect();
        for key in self.remotes_of(peer) {
            let remote = self.replicas.remotes.get(key);
            if remote.is_some_and(|remote| !named.contains(&remote.info().sid)) {
                self.forget_remote(cx, key, DisconnectReason::ConnectionTimeout);
            }
        }
        for told in state.participants {
            self.take_participant(cx, peer, told);
        }
        self.take_levels(cx, peer, &state.speakers);
        self.take_demands(cx, peer, &state.demands);
        self.take_data_demands(peer, &state.data_demands);
    }

    /// Takes a participant that came or changed.
    pub(super) fn take_participant(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        told: Arc<ReplicaParticipant>,
    ) {
        let (sid, identity) = (told.info.sid.clone(), told.info.identity.clone());
        let before = match self.replicas.by_sid.get(&sid).copied() {
            Some(key) => {
                let Some(remote) = self.replicas.remotes.get_mut(key) else {
                    return;
                };
                if remote.peer != peer {
                    tracing::warn!(room = %self.name, participant = %identity, "told by one who does not own it");
                    return;
                }
                if told.revision < remote.told.revision {
                    return;
                }
                Some((key, std::mem::replace(&mut remote.told, told)))
            }
            None => {
                let key = self.replicas.remotes.insert(Remote {
                    peer,
                    told,
                    present: false,
                    tracks: Vec::new(),
                    data_tracks: Vec::new(),
                    clock: CaptureClock::default(),
                    level: None,
                    quality: None,
                });
                self.replicas.by_sid.insert(sid, key);
                let known = self.replicas.by_identity.entry(identity.clone());
                known.or_default().push(key);
                None
            }
        };
        let was_present = |room: &Self, key| {
            room.replicas
                .remotes
                .get(key)
                .is_some_and(|remote: &Remote| remote.present)
        };
        let shown = before
            .as_ref()
            .is_some_and(|(key, _)| was_present(self, *key));
        self.settle_identity(cx, &identity);
        if let Some((key, before)) = before
            && shown
            && was_present(self, key)
        {
            self.show(cx, key, Some(&before));
        }
    }

    /// A participant of another replica left.
    pub(super) fn forget_remote(
        &mut self,
        cx: &mut Context,
        key: RemoteKey,
        reason: DisconnectReason,
    ) {
        self.hide(cx, key, reason);
        let Some(remote) = self.replicas.remotes.remove(key) else {
            return;
        };
        let info = remote.info();
        self.replicas.by_sid.remove(&info.sid);
        if let Some(known) = self.replicas.by_identity.get_mut(&info.identity) {
            known.retain(|known| *known != key);
            if known.is_empty() {
                self.replicas.by_identity.remove(&info.identity);
            }
        }
        self.settle_identity(cx, &info.identity.clone());
    }

    /// Of all sessions of an identity, in whatever replica, the newest is in the room.
    pub(in crate::room) fn settle_identity(&mut self, cx: &mut Context, identity: &Identity) {
        let rank = |generation: u64, info: &ParticipantInfo| {
            (generation, info.joined_at_ms, info.sid.clone())
        };
        let local = self.identities.get(identity).copied();
        let ranked = local
            .and_then(|key| self.participants.get(key))
            .map(|own| (rank(own.generation, &own.info), Publisher::Local(own.key)));
        let remotes = self.replicas.by_identity.get(identity).cloned();
        let remotes = remotes.unwrap_or_default();
        let newest = remotes
            .iter()
            .filter_map(|key| Some((*key, self.replicas.remotes.get(*key)?)))
            .map(|(key, remote)| {
                let rank = rank(remote.told.generation, remote.info());
                (rank, Publisher::Remote(key))
            })
            .chain(ranked)
            .max_by(|a, b| a.0.cmp(&b.0))
            .map(|(_, publisher)| publisher);
        for key in &remotes {
            if newest != Some(Publisher::Remote(*key)) {
                self.hide(cx, *key, DisconnectReason::DuplicateIdentity);
            }
        }
        if let Some(own) = local
            && newest != Some(Publisher::Local(own))
        {
            let (reason, action) = (DisconnectReason::DuplicateIdentity, LeaveAction::Disconnect);
            self.remove(cx, cx.now, own, reason, Some(action));
        }
        if let Some(Publisher::Remote(key)) = newest
            && let Some(remote) = self.replicas.remotes.get_mut(key)
            && !std::mem::replace(&mut remote.present, true)
        {
            self.show(cx, key, None);
        }
    }

    /// Brings what participants see of a present one up to date.
    fn show(&mut self, cx: &mut Context, key: RemoteKey, before: Option<&ReplicaParticipant>) {
        let Some(remote) = self.replicas.remotes.get(key) else {
            return;
        };
        let told = remote.told.clone();
        let announced = remote.is_announced();
        let ended = self.update_tracks(cx, key, &told);
        self.update_data_tracks(cx, key, &told.info);
        let changed = before.is_none_or(|before| before.info != told.info);
        if announced && changed {
            let event = Event::Participants(vec![told.info.clone()]);
            for participant in self.participants.values() {
                cx.send(participant.connection, event.clone());
            }
        }
        let publisher = Publisher::Remote(key);
        let tracks = self
            .replicas
            .remotes
            .get(key)
            .map(|remote| remote.tracks.clone());
        let tracks = tracks.unwrap_or_default();
        let rules = told.subscription_permission.as_ref();
        match before {
            Some(before) if before.subscription_permission.as_ref() != rules => {
                let sid = &told.info.sid;
                self.permission_changed(
                    cx,
                    publisher,
                    sid,
                    &tracks,
                    before.subscription_permission.as_ref(),
                );
            }
            _ => {}
        }
        let others: Vec<ParticipantKey> = self.participants.keys().collect();
        for other in others {
            let mut settled = ended;
            for track in &tracks {
                settled |= self.settle(cx, cx.now, other, *track);
            }
            if settled {
                self.offer_to(cx, cx.now, other);
            }
        }
        self.offer_remote_data_tracks(cx, key);
    }

    /// Takes a participant out of what others see.
    fn hide(&mut self, cx: &mut Context, key: RemoteKey, reason: DisconnectReason) {
        let Some(remote) = self.replicas.remotes.get_mut(key) else {
            return;
        };
        let announced = remote.is_announced();
        if !std::mem::replace(&mut remote.present, false) {
            return;
        }
        remote.level = None;
        let mut info = ParticipantInfo::clone(remote.info());
        let tracks = std::mem::take(&mut remote.tracks);
        let data_tracks = std::mem::take(&mut remote.data_tracks);
        self.end_data_tracks(cx, &data_tracks);
        for track in &tracks {
            self.end_remote_track(cx, key, *track);
        }
        self.speakers.remove(&info.sid);
        if announced {
            // The version stays: the owner may come back with it.
            info.tracks.clear();
            info.data_tracks.clear();
            info.state = ParticipantState::Disconnected;
            info.disconnect_reason = Some(reason);
            let info = Arc::new(info);
            self.departed.add(cx.now, info.clone());
            for participant in self.participants.values() {
                cx.send(
                    participant.connection,
                    Event::Participants(vec![info.clone()]),
                );
            }
        }
        if !tracks.is_empty() {
            let others: Vec<ParticipantKey> = self.participants.keys().collect();
            for other in others {
                self.offer_to(cx, cx.now, other);
            }
        }
    }

    /// Makes the tracks of a remote participant as its owner tells; true if one ended.
    fn update_tracks(
        &mut self,
        cx: &mut Context,
        key: RemoteKey,
        told: &ReplicaParticipant,
    ) -> bool {
        let known = self
            .replicas
            .remotes
            .get(key)
            .map(|remote| (remote.peer, remote.tracks.clone()));
        let Some((peer, known)) = known else {
            return false;
        };
        let mut ended = false;
        let mut kept = Vec::new();
        for track in known {
            let sid = self.tracks.get(track).map(|track| track.info.sid.clone());
            if told
                .tracks
                .iter()
                .any(|told| Some(&told.sid) == sid.as_ref())
            {
                kept.push(track);
            } else {
                self.end_remote_track(cx, key, track);
                ended = true;
            }
        }
        for described in &told.tracks {
            let Some(info) = told
                .info
                .tracks
                .iter()
                .find(|info| info.sid == described.sid)
            else {
                continue;
            };
            let existing = kept.iter().copied().find(|track| {
                self.tracks
                    .get(*track)
                    .is_some_and(|track| track.info.sid == info.sid)
            });
            match existing {
                Some(track) => self.update_track(cx, peer, track, described, info),
                None => kept.extend(self.new_track(cx, peer, key, described, info)),
            }
        }
        if let Some(remote) = self.replicas.remotes.get_mut(key) {
            remote.tracks = kept;
        }
        ended
    }

    fn new_track(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        key: RemoteKey,
        described: &ReplicaTrack,
        info: &TrackInfo,
    ) -> Option<TrackKey> {
        if self.track_by_sid(&info.sid).is_some() {
            return None;
        }
        let sources: Vec<Source> = described.sources.iter().map(Source::described).collect();
        let track = self.tracks.insert(Track {
            publisher: Publisher::Remote(key),
            info: info.clone(),
            flow: described.flow,
            sources,
            subscribers: Vec::new(),
            subscription_told: false,
            demand_told: None,
            observer: Default::default(),
            relays: TrackRelays::default(),
        });
        cx.flows.insert((peer, described.flow), (self.key, track));
        Some(track)
    }

    fn update_track(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        key: TrackKey,
        described: &ReplicaTrack,
        info: &TrackInfo,
    ) {
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        track.info.clone_from(info);
        if track.flow != described.flow {
            cx.flows.remove(&(peer, track.flow));
            cx.flows.insert((peer, described.flow), (self.key, key));
            track.flow = described.flow;
        }
        for (at, told) in described.sources.iter().enumerate() {
            let Some(source) = track.sources.get_mut(at) else {
                track.sources.push(Source::described(told));
                continue;
            };
            let codec = source.codec;
            if !source.update(told) {
                continue;
            }
            let subscribers = track.subscribers.iter();
            for subscription in subscribers.copied() {
                let Some(subscription) = self.subscriptions.get_mut(subscription) else {
                    continue;
                };
                if subscription.source == at {
                    subscription.payload_type = None;
                    if codec != told.codec {
                        subscription.forwarder.change_codec(told.codec);
                    }
                }
            }
        }
    }

    fn end_remote_track(&mut self, cx: &mut Context, key: RemoteKey, track: TrackKey) {
        let Some(ended) = self.tracks.remove(track) else {
            return;
        };
        for subscription in &ended.subscribers {
            self.drop_subscription(cx, *subscription);
        }
        if let Some(remote) = self.replicas.remotes.get_mut(key) {
            remote.clock.forget(track);
            cx.flows.remove(&(remote.peer, ended.flow));
        }
    }

    /// Packets of a track have nowhere to go any more.
    pub(super) fn forget_flow(&self, cx: &mut Context, key: RemoteKey, sid: &TrackSid) {
        if let Some(remote) = self.replicas.remotes.get(key)
            && let Some(told) = remote.told.tracks.iter().find(|told| told.sid == *sid)
        {
            cx.flows.remove(&(remote.peer, told.flow));
        }
    }

    /// Takes the levels of everybody who speaks at a peer.
    pub(super) fn take_levels(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        levels: &[(ParticipantSid, f32)],
    ) {
        for key in self.remotes_of(peer) {
            if let Some(remote) = self.replicas.remotes.get_mut(key) {
                let sid = remote.info().sid.clone();
                let level = levels.iter().find(|(speaker, _)| *speaker == sid);
                remote.level = level.map(|(_, level)| level.clamp(0.0, 1.0));
            }
        }
        self.arm_speakers(cx, cx.now);
    }

    /// Notes who of other replicas speaks; true if anybody does.
    pub(in crate::room) fn note_remote_levels(&mut self) -> bool {
        let mut any = false;
        for remote in self
            .replicas
            .remotes
            .values()
            .filter(|remote| remote.is_announced())
        {
            any |= remote.level.is_some();
            self.speakers.note(&remote.info().sid, remote.level);
        }
        any
    }

    /// Takes changes of quality.
    pub(super) fn take_quality(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        mut reports: Vec<QualityReport>,
    ) {
        reports.retain(|report| {
            let Some(key) = self.owned_remote(peer, &report.participant) else {
                return false;
            };
            let Some(remote) = self.replicas.remotes.get_mut(key) else {
                return false;
            };
            remote.quality = Some(report.clone());
            remote.is_announced()
        });
        self.tell_quality(cx, reports);
    }

    /// A participant of this sid, if the peer owns it.
    pub(super) fn owned_remote(&self, peer: PeerId, sid: &ParticipantSid) -> Option<RemoteKey> {
        let key = self.replicas.by_sid.get(sid).copied()?;
        let remote = self.replicas.remotes.get(key)?;
        (remote.peer == peer).then_some(key)
    }
}
