//! Tracks come and go.

use std::time::Instant;

use super::participant::PendingTrack;
use super::track::{self, Source, Track};
use super::{ParticipantKey, Publisher, Room, TrackKey};
use crate::command::AddTrack;
use crate::context::Context;
use crate::event::{Event, ReceivedTrack, RefusalReason, RefusedRequest, RoomEvent};
use crate::id::{Mid, TrackSid};
use crate::info::{Permission, TrackKind, TrackSource};
use crate::media::codec::Codec;
use crate::sdp_text::OfferedSection;

/// What an offer did to the published tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SectionChange {
    None,
    TracksChanged,
}

impl Room {
    /// Notes a track the client is about to send; it is published once it has a media section.
    pub(super) fn add_track(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        add: AddTrack,
    ) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let connection = participant.connection;
        if let Some((reason, message)) = self.refusal(cx, key, &add) {
            let refused = RefusedRequest::AddTrack(Box::new(add));
            cx.send(
                connection,
                Event::RequestFailed {
                    request_id: 0,
                    refused,
                    reason,
                    message,
                },
            );
            return;
        }
        let sid = match &add.sid {
            Some(sid) => sid.clone(),
            None => TrackSid::from(cx.ids.next_id(sid_prefix(add.kind, add.source))),
        };
        let cid = add.cid.clone();
        let pending = PendingTrack {
            sid: sid.clone(),
            muted: add.muted,
            add,
        };
        let described = match self
            .track_by_sid(&sid)
            .and_then(|track| self.tracks.get_mut(track))
        {
            // A further codec of a published track.
            Some(track) => {
                track.info.codecs.extend(track::codecs(&pending.add));
                track.info.clone()
            }
            None => track::describe(&pending, cx.unix_us(now)),
        };
        cx.send(
            connection,
            Event::TrackPublished {
                cid,
                track: Box::new(described),
            },
        );
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        participant.uplink.pending.push(pending);

        // The offer may have come first.
        let unmatched = std::mem::take(&mut participant.uplink.unmatched);
        if self.match_sections(cx, now, key, &unmatched) == SectionChange::TracksChanged {
            self.publish_change(cx, now, key);
            self.subscribe_others(cx, now, key);
        }
    }

    fn refusal(
        &self,
        cx: &Context,
        key: ParticipantKey,
        add: &AddTrack,
    ) -> Option<(RefusalReason, String)> {
        let participant = self.participants.get(key)?;
        if !participant.info.permission.allows_source(add.source) {
            return Some((
                RefusalReason::NotAllowed,
                "the token does not allow to publish this source".into(),
            ));
        }
        let limit = cx.config.max_tracks_per_participant as usize;
        if participant.uplink.tracks.len() + participant.uplink.pending.len() >= limit {
            return Some((
                RefusalReason::LimitExceeded,
                format!("a participant may publish {limit} tracks"),
            ));
        }
        if participant
            .uplink
            .pending
            .iter()
            .any(|pending| pending.add.cid == add.cid)
        {
            return Some((
                RefusalReason::Queued,
                "a track with this cid is already waiting".into(),
            ));
        }
        match &add.sid {
            Some(sid) if !self.owns_track(key, sid) => Some((
                RefusalReason::NotFound,
                "the track to add a codec to is not published".into(),
            )),
            _ => None,
        }
    }

    fn owns_track(&self, key: ParticipantKey, sid: &TrackSid) -> bool {
        self.track_by_sid(sid)
            .and_then(|track| self.tracks.get(track))
            .is_some_and(|track| track.publisher == Publisher::Local(key))
    }

    /// Brings announced tracks and the sections of an offer together, and ends tracks whose section fell silent.
    pub(super) fn match_sections(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        offered: &[OfferedSection],
    ) -> SectionChange {
        let mut change = SectionChange::None;
        for section in offered {
            let Some(kind) = section.track_kind() else {
                continue;
            };
            let mid = Mid::from(section.mid.as_str());
            match (self.source_on(key, mid), section.can_send()) {
                (Some(track), false) => {
                    self.unpublish(cx, now, key, track);
                    change = SectionChange::TracksChanged;
                }
                (None, true) if self.publish_section(cx, now, key, section, mid, kind) => {
                    change = SectionChange::TracksChanged;
                }
                _ => {}
            }
        }
        change
    }

    fn publish_section(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        section: &OfferedSection,
        mid: Mid,
        kind: TrackKind,
    ) -> bool {
        let unix_us = cx.unix_us(now);
        let Some(participant) = self.participants.get_mut(key) else {
            return false;
        };
        let uplink = &mut participant.uplink;
        let Some(at) = position_of(&uplink.pending, section, kind) else {
            uplink.unmatched.retain(|known| known.mid != section.mid);
            uplink.unmatched.push(section.clone());
            return false;
        };
        let pending = uplink.pending.remove(at);
        let cid = section.track_id.as_deref();
        let named = pending
            .add
            .codecs
            .iter()
            .find(|codec| Some(codec.cid.as_str()) == cid);
        // The announcement names the codec, or else the offer does; the first packet has the last word.
        let codec = match kind {
            TrackKind::Audio => Codec::Opus,
            TrackKind::Video => named
                .or(pending.add.codecs.first())
                .and_then(|codec| track::named_codec(&codec.codec))
                .or_else(|| section.codec.as_deref().and_then(track::named_codec))
                .unwrap_or(Codec::Vp8),
        };
        let source = Source::new(mid, codec, section.rids.clone());
        let existing = self
            .tracks
            .iter()
            .find(|(_, track)| track.info.sid == pending.sid)
            .map(|(key, _)| key);
        if let Some(track) = existing.and_then(|key| self.tracks.get_mut(key)) {
            track.sources.push(source);
            return true;
        }
        let mut info = track::describe(&pending, unix_us);
        info.mid = section.mid.clone();
        if info.mime_type.is_empty() {
            info.mime_type = codec.mime().to_owned();
        }
        if let Some(first) = info.codecs.first_mut() {
            first.mid.clone_from(&section.mid);
            if first.mime_type.is_empty() {
                first.mime_type.clone_from(&info.mime_type);
            }
        }
        tracing::info!(room = %self.name, participant = %participant.info.identity, track = %info.sid, "published");
        let flow = cx.next_flow();
        let track = self
            .tracks
            .insert(Track::new(key, info.clone(), flow, source));
        participant.uplink.tracks.push(track);
        if info.kind == TrackKind::Audio {
            self.arm_speakers(cx, now);
        }
        if let Some(snapshot) = self.snapshot(key) {
            let (room, track) = (self.info(), Box::new(info));
            cx.tell(RoomEvent::TrackPublished {
                room,
                participant: snapshot,
                track,
            });
        }
        true
    }

    /// The track whose media comes on a section.
    fn source_on(&self, key: ParticipantKey, mid: Mid) -> Option<TrackKey> {
        let participant = self.participants.get(key)?;
        let has = |key: &&TrackKey| {
            self.tracks
                .get(**key)
                .is_some_and(|track| track.sources.iter().any(|source| source.mid == Some(mid)))
        };
        participant.uplink.tracks.iter().find(has).copied()
    }

    /// What the answer says about a section the client sends on.
    pub(super) fn received_on(
        &self,
        participant: &super::Participant,
        mid: Mid,
    ) -> Option<(ReceivedTrack, TrackKind)> {
        let track = self.tracks.get(self.source_on(participant.key, mid)?)?;
        let source = track
            .sources
            .iter()
            .find(|source| source.mid == Some(mid))?;
        let received = ReceivedTrack {
            track: track.info.sid.clone(),
            disable_dtx: track.info.disable_dtx,
            stereo: track.info.stereo,
            disable_red: track.info.disable_red,
            codec: (track.info.kind == TrackKind::Video)
                .then(|| source.codec.short_name().to_owned()),
        };
        Some((received, track.info.kind))
    }

    /// Ends a track; the caller tells the others.
    pub(super) fn unpublish(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        track: TrackKey,
    ) {
        let Some(ended) = self.tracks.remove(track) else {
            return;
        };
        for subscription in &ended.subscribers {
            self.drop_subscription(cx, *subscription);
        }
        let subscribers: Vec<ParticipantKey> = self
            .participants
            .keys()
            .filter(|other| *other != key)
            .collect();
        if let Some(participant) = self.participants.get_mut(key) {
            participant.uplink.tracks.retain(|known| *known != track);
            participant
                .uplink
                .routes
                .retain(|_, route| route.track != track);
            participant.uplink.clock.forget(track);
            tracing::info!(room = %self.name, participant = %participant.info.identity, track = %ended.info.sid, "unpublished");
        }
        if let Some(snapshot) = self.snapshot(key) {
            let (room, track) = (self.info(), Box::new(ended.info));
            cx.tell(RoomEvent::TrackUnpublished {
                room,
                participant: snapshot,
                track,
            });
        }
        for other in subscribers {
            self.offer_to(cx, now, other);
        }
    }

    /// Ends all tracks of a participant that is about to go.
    pub(super) fn unpublish_all(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let tracks = self
            .participants
            .get(key)
            .map(|p| p.uplink.tracks.clone())
            .unwrap_or_default();
        for track in tracks {
            self.unpublish(cx, now, key, track);
        }
    }

    /// Ends what a participant may no longer publish, and tells it.
    pub(super) fn enforce_publish_permission(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        permission: &Permission,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let connection = participant.connection;
        if !permission.can_publish_data {
            self.revoke_data_tracks(cx, now, key);
        }
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        participant
            .uplink
            .pending
            .retain(|pending| permission.allows_source(pending.add.source));
        for track in participant.uplink.tracks.clone() {
            let Some(info) = self.tracks.get(track).map(|track| &track.info) else {
                continue;
            };
            if permission.allows_source(info.source) {
                continue;
            }
            let sid = info.sid.clone();
            self.unpublish(cx, now, key, track);
            cx.send(connection, Event::TrackUnpublished { track: sid });
        }
    }

    /// The client mutes or unmutes its own track.
    pub(super) fn mute_own(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        sid: &TrackSid,
        muted: bool,
    ) {
        if self.owns_track(key, sid) {
            self.set_muted(cx, now, sid, muted);
        } else if let Some(participant) = self.participants.get_mut(key)
            && let Some(pending) = participant
                .uplink
                .pending
                .iter_mut()
                .find(|pending| pending.sid == *sid)
        {
            pending.muted = muted;
        }
    }

    /// Notes that a track is muted and tells everybody.
    pub(super) fn set_muted(
        &mut self,
        cx: &mut Context,
        now: Instant,
        sid: &TrackSid,
        muted: bool,
    ) {
        let unix_us = cx.unix_us(now);
        let Some(track) = self
            .track_by_sid(sid)
            .and_then(|track| self.tracks.get_mut(track))
        else {
            return;
        };
        if track.info.muted != muted {
            track.info.muted = muted;
            track.info.version_us = unix_us;
            if let Publisher::Local(publisher) = track.publisher {
                self.publish_change(cx, now, publisher);
            }
        }
    }
}

/// The announcement a sending section belongs to: by the client's name for the track, else the first of its kind
/// (browsers that reuse transceivers or replace tracks send other names).
fn position_of(
    pending: &[PendingTrack],
    section: &OfferedSection,
    kind: TrackKind,
) -> Option<usize> {
    let named = section.track_id.as_deref().and_then(|id| {
        pending.iter().position(|pending| {
            pending.add.kind == kind
                && (pending.add.cid == id || pending.add.codecs.iter().any(|codec| codec.cid == id))
        })
    });
    named.or_else(|| pending.iter().position(|pending| pending.add.kind == kind))
}

fn sid_prefix(kind: TrackKind, source: TrackSource) -> &'static str {
    match (kind, source) {
        (TrackKind::Audio, TrackSource::Microphone) => "TR_AM",
        (TrackKind::Audio, TrackSource::ScreenShareAudio) => "TR_As",
        (TrackKind::Audio, _) => "TR_AU",
        (TrackKind::Video, TrackSource::Camera) => "TR_VC",
        (TrackKind::Video, TrackSource::ScreenShare) => "TR_VS",
        (TrackKind::Video, _) => "TR_VU",
    }
}
