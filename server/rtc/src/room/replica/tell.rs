//! What this replica tells the others of what it owns.

use std::sync::Arc;

use super::Publisher;
use crate::context::Context;
use crate::event::{Event, QualityReport, Speaker};
use crate::id::{ParticipantSid, PeerId};
use crate::info::DisconnectReason;
use crate::replica::{
    LayerDemand, MediaFormat, ReplicaBody, ReplicaParticipant, ReplicaSource, ReplicaState,
    ReplicaTrack, RoomRecord,
};
use crate::room::{ParticipantKey, Room, Track};

impl Room {
    /// Gives a peer everything.
    pub(super) fn sync_peer(&mut self, cx: &mut Context, peer: PeerId) {
        let state = Box::new(self.state_for(peer));
        self.tell_peer(cx, peer, ReplicaBody::Sync(state));
    }

    pub(super) fn state_for(&self, peer: PeerId) -> ReplicaState {
        let participants = self.participants.keys();
        let wanted = |track: &Track| {
            let demand = track.relays.demand.told();
            (self.owner_of(track.publisher) == Some(peer) && demand != LayerDemand::default())
                .then(|| (track.info.sid.clone(), demand))
        };
        ReplicaState {
            room: self.record(),
            participants: participants.filter_map(|key| self.described(key)).collect(),
            speakers: self.own_levels(),
            demands: self.tracks.values().filter_map(wanted).collect(),
            data_demands: self.data_demands_of(peer),
        }
    }

    /// A participant of this replica came or changed.
    pub(in crate::room) fn tell_participant(&mut self, cx: &mut Context, key: ParticipantKey) {
        if self.replicas.peers.is_empty() {
            return;
        }
        if let Some(participant) = self.participants.get_mut(key) {
            participant.revision += 1;
        }
        if let Some(told) = self.described(key) {
            self.tell_peers(cx, &ReplicaBody::Participant(told));
        }
    }

    /// A participant of this replica left.
    pub(in crate::room) fn tell_left(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantSid,
        reason: DisconnectReason,
    ) {
        self.replicas.levels.remove(participant);
        let participant = participant.clone();
        self.tell_peers(
            cx,
            &ReplicaBody::Left {
                participant,
                reason,
            },
        );
    }

    /// The configuration was changed here.
    pub(in crate::room) fn tell_record(&mut self, cx: &mut Context) {
        self.replicas.version += 1;
        let record = self.record();
        self.tell_peers(cx, &ReplicaBody::Room(Box::new(record)));
    }

    /// What the last window brought about among own speakers.
    pub(in crate::room) fn tell_speakers(&mut self, cx: &mut Context, changes: &[Speaker]) {
        let mut changed = false;
        for change in changes {
            if self.replicas.by_sid.contains_key(&change.participant) {
                continue;
            }
            changed = true;
            let levels = &mut self.replicas.levels;
            if change.active {
                levels.insert(change.participant.clone(), change.level);
            } else {
                levels.remove(&change.participant);
            }
        }
        if changed {
            let levels = self.own_levels();
            self.tell_peers(cx, &ReplicaBody::Speakers(levels));
        }
    }

    /// Tells a peer anew who speaks: it forgot when the link broke.
    pub(super) fn tell_levels(&mut self, cx: &mut Context, peer: PeerId) {
        let levels = self.own_levels();
        self.tell_peer(cx, peer, ReplicaBody::Speakers(levels));
    }

    /// Changes of quality among own participants.
    pub(in crate::room) fn tell_qualities(&mut self, cx: &mut Context, reports: &[QualityReport]) {
        self.tell_peers(cx, &ReplicaBody::Quality(reports.to_vec()));
    }

    fn own_levels(&self) -> Vec<(ParticipantSid, f32)> {
        let levels = self.replicas.levels.iter();
        levels.map(|(sid, level)| (sid.clone(), *level)).collect()
    }

    fn record(&self) -> RoomRecord {
        RoomRecord {
            sid: self.sid.clone(),
            created_at_ms: self.created_at_ms,
            config: self.config.clone(),
            version: self.replicas.version,
        }
    }

    /// Takes another replica's record of the room, if it counts for more.
    pub(crate) fn take_record(&mut self, cx: &mut Context, record: RoomRecord) {
        let own = self.record();
        let older = (record.created_at_ms, &record.sid) < (self.created_at_ms, &self.sid);
        if record.version > own.version || record.version == own.version && older {
            self.config = record.config;
            self.replicas.version = record.version;
        }
        if older {
            self.sid = record.sid;
            self.created_at_ms = record.created_at_ms;
        }
        if self.record() != own {
            let info = self.info();
            for participant in self.participants.values() {
                cx.send(participant.connection, Event::Room(Box::new(info.clone())));
            }
        }
    }

    pub(super) fn described(&self, key: ParticipantKey) -> Option<Arc<ReplicaParticipant>> {
        let participant = self.participants.get(key)?;
        let tracks = participant.uplink.tracks.iter();
        let track = |track: &Track| ReplicaTrack {
            sid: track.info.sid.clone(),
            flow: track.flow,
            sources: track
                .sources
                .iter()
                .map(|source| ReplicaSource {
                    codec: source.codec,
                    encodings: source.encodings.len() as u8,
                    format: source.params.as_ref().map(MediaFormat::of),
                })
                .collect(),
        };
        debug_assert!(
            participant
                .uplink
                .tracks
                .iter()
                .filter_map(|key| self.tracks.get(*key))
                .all(|track| track.publisher == Publisher::Local(key)),
            "only own tracks are told"
        );
        Some(Arc::new(ReplicaParticipant {
            info: participant.snapshot.clone(),
            revision: participant.revision,
            generation: participant.generation,
            subscription_permission: participant.uplink.permission.clone(),
            tracks: tracks
                .filter_map(|key| self.tracks.get(*key))
                .map(track)
                .collect(),
        }))
    }
}
