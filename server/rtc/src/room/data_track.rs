//! Data tracks: streams of small frames that a participant publishes and others choose to receive.
//!
//! A track has one handle on its way up, chosen by the publisher, and another on its way down to each subscriber, chosen
//! here; a packet is forwarded with nothing changed but that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use slotmap::SlotMap;

use super::{DataTrackKey, ParticipantKey, Publisher, Room};
use crate::command::{PublishDataTrack, SyncState};
use crate::context::Context;
use crate::counters::DropReason;
use crate::event::{Event, ForwardedDataTrack, RefusalReason, RefusedRequest};
use crate::id::{DataTrackHandle, DataTrackSid, PeerId};
use crate::info::{DataTrackInfo, ParticipantState};
use crate::media::data_track;
use crate::transport::ChannelLabel;

/// All data tracks of a room.
#[derive(Default)]
pub(super) struct DataTracks {
    pub(super) tracks: SlotMap<DataTrackKey, DataTrack>,
    pub(super) by_sid: BTreeMap<DataTrackSid, DataTrackKey>,
}

pub(super) struct DataTrack {
    pub(super) publisher: Publisher,
    pub(super) info: DataTrackInfo,
    /// Replicas with somebody who receives it.
    pub(super) peers: BTreeSet<PeerId>,
    /// Each with the handle the track has on its way down.
    pub(super) subscribers: BTreeMap<ParticipantKey, DataTrackHandle>,
}

/// The data tracks a participant publishes and receives.
pub(super) struct DataTrackState {
    auto_subscribe: bool,
    published: BTreeMap<DataTrackHandle, DataTrackKey>,
    received: BTreeMap<DataTrackHandle, DataTrackKey>,
    /// The client's choices among the tracks of the room, against `auto_subscribe`.
    choices: BTreeMap<DataTrackSid, bool>,
    /// Of the track that was subscribed to last.
    last_handle: u16,
}

impl DataTrackState {
    pub(super) fn new(auto_subscribe: bool) -> Self {
        Self {
            auto_subscribe,
            published: BTreeMap::new(),
            received: BTreeMap::new(),
            choices: BTreeMap::new(),
            last_handle: 0,
        }
    }

    pub(super) fn receives_any(&self) -> bool {
        !self.received.is_empty()
    }

    /// Numbers come round as late as possible: packets still under way must not be taken for those of another track.
    fn next_handle(&mut self) -> Option<DataTrackHandle> {
        for _ in 0..=self.received.len() {
            self.last_handle = self.last_handle.checked_add(1).unwrap_or(1);
            let handle = DataTrackHandle::new(u32::from(self.last_handle))?;
            if !self.received.contains_key(&handle) {
                return Some(handle);
            }
        }
        None
    }
}

impl Room {
    /// Publishes a data track, or says why not.
    pub(super) fn publish_data_track(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        wish: PublishDataTrack,
    ) {
        let refusal = self.data_track_refusal(cx, key, &wish);
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        if let Some((reason, message)) = refusal {
            let refused = RefusedRequest::PublishDataTrack(Box::new(wish));
            let event = Event::RequestFailed {
                request_id: 0,
                refused,
                reason,
                message,
            };
            cx.send(participant.connection, event);
            return;
        }
        let info = DataTrackInfo {
            sid: cx.ids.next_id("DTR_").into(),
            handle: wish.handle,
            name: wish.name,
            encryption: wish.encryption,
            frame_encoding: wish.frame_encoding,
            schema: wish.schema,
        };
        tracing::info!(room = %self.name, participant = %participant.info.identity, track = %info.sid, "published data");
        let connection = participant.connection;
        let track = self.insert_data_track(Publisher::Local(key), info.clone());
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        participant.data_tracks.published.insert(info.handle, track);
        cx.send(connection, Event::DataTrackPublished(Box::new(info)));
        self.publish_change(cx, now, key);
        self.offer_data_tracks(cx, key);
    }

    pub(super) fn insert_data_track(
        &mut self,
        publisher: Publisher,
        info: DataTrackInfo,
    ) -> DataTrackKey {
        let sid = info.sid.clone();
        let track = self.data_tracks.tracks.insert(DataTrack {
            publisher,
            info,
            peers: BTreeSet::new(),
            subscribers: BTreeMap::new(),
        });
        self.data_tracks.by_sid.insert(sid, track);
        track
    }

    pub(super) fn data_track_by_sid(
        &self,
        sid: &DataTrackSid,
    ) -> Option<(DataTrackKey, Publisher)> {
        let key = *self.data_tracks.by_sid.get(sid)?;
        Some((key, self.data_tracks.tracks.get(key)?.publisher))
    }

    pub(super) fn data_track_sid(&self, key: DataTrackKey) -> Option<&DataTrackSid> {
        self.data_tracks
            .tracks
            .get(key)
            .map(|track| &track.info.sid)
    }

    fn data_track_refusal(
        &self,
        cx: &Context,
        key: ParticipantKey,
        wish: &PublishDataTrack,
    ) -> Option<(RefusalReason, String)> {
        let participant = self.participants.get(key)?;
        let published = &participant.data_tracks.published;
        if !participant.info.permission.can_publish_data {
            let message = "the token does not allow to publish data";
            return Some((RefusalReason::NotAllowed, message.into()));
        }
        if published.contains_key(&wish.handle) {
            let message = format!("another data track has handle {}", wish.handle.get());
            return Some((RefusalReason::DuplicateHandle, message));
        }
        let mut infos = published
            .values()
            .filter_map(|track| self.data_tracks.tracks.get(*track));
        if infos.any(|track| track.info.name == wish.name) {
            let message = "another data track has this name";
            return Some((RefusalReason::DuplicateName, message.into()));
        }
        let limit = cx.config.max_data_tracks_per_participant as usize;
        if published.len() >= limit {
            let message = format!("a participant may publish {limit} data tracks");
            return Some((RefusalReason::LimitExceeded, message));
        }
        None
    }

    /// Ends a data track by its publisher's wish.
    pub(super) fn unpublish_data_track(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        handle: DataTrackHandle,
    ) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let connection = participant.connection;
        let Some(track) = participant.data_tracks.published.get(&handle).copied() else {
            let event = Event::RequestFailed {
                request_id: 0,
                refused: RefusedRequest::UnpublishDataTrack { handle },
                reason: RefusalReason::NotFound,
                message: format!("no data track has handle {}", handle.get()),
            };
            cx.send(connection, event);
            return;
        };
        for info in self.end_data_tracks(cx, &[track]) {
            cx.send(connection, Event::DataTrackUnpublished(Box::new(info)));
        }
        self.publish_change(cx, now, key);
    }

    /// Ends all data tracks of a participant that is about to go, and all it receives.
    pub(super) fn leave_data_tracks(&mut self, cx: &mut Context, key: ParticipantKey) {
        self.end_published_data_tracks(cx, key);
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        for track_key in std::mem::take(&mut participant.data_tracks.received).values() {
            if let Some(track) = self.data_tracks.tracks.get_mut(*track_key) {
                track.subscribers.remove(&key);
                self.data_subscribers_changed(cx, *track_key, true);
            }
        }
    }

    /// Ends the data tracks of a participant that may publish no data any more, and tells it.
    pub(super) fn revoke_data_tracks(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
    ) {
        let ended = self.end_published_data_tracks(cx, key);
        if ended.is_empty() {
            return;
        }
        let connection = self
            .participants
            .get(key)
            .and_then(|participant| participant.connection);
        for info in ended {
            cx.send(connection, Event::DataTrackUnpublished(Box::new(info)));
        }
        self.publish_change(cx, now, key);
    }

    fn end_published_data_tracks(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
    ) -> Vec<DataTrackInfo> {
        let Some(participant) = self.participants.get(key) else {
            return Vec::new();
        };
        let tracks: Vec<DataTrackKey> = participant
            .data_tracks
            .published
            .values()
            .copied()
            .collect();
        self.end_data_tracks(cx, &tracks)
    }

    /// Ends data tracks; the caller tells the others who publishes what.
    pub(super) fn end_data_tracks(
        &mut self,
        cx: &mut Context,
        tracks: &[DataTrackKey],
    ) -> Vec<DataTrackInfo> {
        let mut ended = Vec::new();
        let mut lost_one = Vec::new();
        for key in tracks {
            let Some(track) = self.data_tracks.tracks.remove(*key) else {
                continue;
            };
            self.data_tracks.by_sid.remove(&track.info.sid);
            for (key, participant) in &mut self.participants {
                let state = &mut participant.data_tracks;
                state.choices.remove(&track.info.sid);
                if let Some(handle) = track.subscribers.get(&key) {
                    state.received.remove(handle);
                    lost_one.push(key);
                }
            }
            let publisher = track.publisher.local();
            if let Some(publisher) = publisher.and_then(|key| self.participants.get_mut(key)) {
                publisher.data_tracks.published.remove(&track.info.handle);
            }
            tracing::info!(room = %self.name, track = %track.info.sid, "unpublished data");
            ended.push(track.info);
        }
        lost_one.sort_unstable();
        lost_one.dedup();
        for subscriber in lost_one {
            self.tell_data_track_handles(cx, subscriber);
        }
        ended
    }

    /// What others see of the data tracks of a participant.
    pub(super) fn published_data_tracks(&self, key: ParticipantKey) -> Vec<DataTrackInfo> {
        let Some(participant) = self.participants.get(key) else {
            return Vec::new();
        };
        let tracks = participant.data_tracks.published.values();
        tracks
            .filter_map(|track| self.data_tracks.tracks.get(*track))
            .map(|track| track.info.clone())
            .collect()
    }

    /// The client chooses data tracks by hand. Tracks that are not there are ignored: a client knows them from the room.
    pub(super) fn choose_data_tracks(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        choices: &[(DataTrackSid, bool)],
    ) {
        let mut answer = false;
        for (sid, subscribe) in choices {
            let Some(track) = self.data_tracks.by_sid.get(sid).copied() else {
                continue;
            };
            if let Some(participant) = self.participants.get_mut(key) {
                participant
                    .data_tracks
                    .choices
                    .insert(sid.clone(), *subscribe);
            }
            // Who asks again may not have got the first answer.
            answer |= self.settle_data_track(cx, key, track) || *subscribe;
        }
        if answer {
            self.tell_data_track_handles(cx, key);
        }
    }

    /// Lets a participant receive the data tracks it should, and no others.
    pub(super) fn subscribe_to_data_tracks(&mut self, cx: &mut Context, key: ParticipantKey) {
        let tracks: Vec<DataTrackKey> = self.data_tracks.tracks.keys().collect();
        let mut changed = false;
        for track in tracks {
            changed |= self.settle_data_track(cx, key, track);
        }
        if changed {
            self.tell_data_track_handles(cx, key);
        }
    }

    /// Lets the others receive the data tracks of a participant, or no longer.
    pub(super) fn offer_data_tracks(&mut self, cx: &mut Context, key: ParticipantKey) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let tracks: Vec<DataTrackKey> = participant
            .data_tracks
            .published
            .values()
            .copied()
            .collect();
        self.settle_data_tracks(cx, Some(key), &tracks);
    }

    /// Lets everybody but `except` receive what they should of some tracks.
    pub(super) fn settle_data_tracks(
        &mut self,
        cx: &mut Context,
        except: Option<ParticipantKey>,
        tracks: &[DataTrackKey],
    ) {
        if tracks.is_empty() {
            return;
        }
        let others: Vec<ParticipantKey> = self
            .participants
            .keys()
            .filter(|other| Some(*other) != except)
            .collect();
        for other in others {
            let mut changed = false;
            for track in tracks {
                changed |= self.settle_data_track(cx, other, *track);
            }
            if changed {
                self.tell_data_track_handles(cx, other);
            }
        }
    }

    /// Makes one subscription exist, or not, as the rules say; true if that changed anything.
    fn settle_data_track(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        track_key: DataTrackKey,
    ) -> bool {
        let should = self.should_receive_data(key, track_key);
        let (Some(participant), Some(track)) = (
            self.participants.get_mut(key),
            self.data_tracks.tracks.get_mut(track_key),
        ) else {
            return false;
        };
        let state = &mut participant.data_tracks;
        let had = !track.subscribers.is_empty();
        match (should, track.subscribers.get(&key).copied()) {
            (true, None) => {
                let Some(handle) = state.next_handle() else {
                    return false;
                };
                state.received.insert(handle, track_key);
                track.subscribers.insert(key, handle);
            }
            (false, Some(handle)) => {
                state.received.remove(&handle);
                track.subscribers.remove(&key);
            }
            _ => return false,
        }
        self.data_subscribers_changed(cx, track_key, had);
        true
    }

    fn should_receive_data(&self, key: ParticipantKey, track: DataTrackKey) -> bool {
        let (Some(subscriber), Some(track)) = (
            self.participants.get(key),
            self.data_tracks.tracks.get(track),
        ) else {
            return false;
        };
        let Some(publisher) = self.publisher_info(track.publisher) else {
            return false;
        };
        let state = &subscriber.data_tracks;
        let chosen = state.choices.get(&track.info.sid).copied();
        track.publisher != Publisher::Local(key)
            && subscriber.info.permission.can_subscribe
            && chosen.unwrap_or(state.auto_subscribe)
            && publisher.state >= ParticipantState::Joined
            && !publisher.permission.hidden
            && self.publisher_allows(key, track.publisher, track.info.sid.as_str())
    }

    /// Tells a subscriber which track each handle stands for.
    pub(super) fn tell_data_track_handles(&self, cx: &mut Context, key: ParticipantKey) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let forwarded = participant
            .data_tracks
            .received
            .iter()
            .filter_map(|(handle, track)| {
                let track = self.data_tracks.tracks.get(*track)?;
                let publisher = self.publisher_info(track.publisher)?;
                Some(ForwardedDataTrack {
                    handle: *handle,
                    publisher: publisher.sid.clone(),
                    publisher_identity: publisher.identity.clone(),
                    track: track.info.sid.clone(),
                })
            });
        let event = Event::DataTrackHandles(forwarded.collect());
        cx.send(participant.connection, event);
    }

    /// Whether the room has all data tracks that a client which resumes believes to publish.
    pub(super) fn publishes_data_tracks(&self, key: ParticipantKey, sids: &[DataTrackSid]) -> bool {
        let owned = |sid: &DataTrackSid| {
            let track = self
                .data_tracks
                .by_sid
                .get(sid)
                .and_then(|track| self.data_tracks.tracks.get(*track));
            track.is_some_and(|track| track.publisher == Publisher::Local(key))
        };
        sids.iter().all(owned)
    }

    /// Takes up a client's data tracks after its signalling was away.
    pub(super) fn sync_data_tracks(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        state: &SyncState,
    ) {
        self.choose_data_tracks(cx, key, &state.data_subscription);
        let connection = self
            .participants
            .get(key)
            .and_then(|participant| participant.connection);
        for info in self.published_data_tracks(key) {
            // The client still waits for an answer that was lost with the old connection.
            if !state.published_data.contains(&info.sid) {
                cx.send(connection, Event::DataTrackPublished(Box::new(info)));
            }
        }
    }

    /// Forwards a packet of a data track.
    pub(super) fn data_track_received(
        &mut self,
        cx: &mut Context,
        from: ParticipantKey,
        packet: Vec<u8>,
    ) {
        let published = self.participants.get(from).and_then(|participant| {
            let handle = data_track::handle(&packet)?;
            participant.data_tracks.published.get(&handle)
        });
        let published = published.copied();
        let Some((key, track)) =
            published.and_then(|key| Some((key, self.data_tracks.tracks.get(key)?)))
        else {
            cx.counters.drop_one(DropReason::DataRefused);
            return;
        };
        let packet: Arc<[u8]> = packet.into();
        self.relay_data_packet(cx, &track.peers, &track.info.sid, &packet);
        self.forward_data_packet(cx, key, packet);
    }

    /// Sends a packet of a data track to those of this replica who receive it.
    pub(super) fn forward_data_packet(
        &mut self,
        cx: &mut Context,
        key: DataTrackKey,
        mut packet: Arc<[u8]>,
    ) {
        let Some(track) = self.data_tracks.tracks.get(key) else {
            return;
        };
        if data_track::handle(&packet).is_none() {
            cx.counters.drop_one(DropReason::DataRefused);
            return;
        }
        for (subscriber, handle) in &track.subscribers {
            if let Some(participant) = self.participants.get_mut(*subscriber) {
                // Lossy channels keep no reference, so this writes in place.
                data_track::set_handle(Arc::make_mut(&mut packet), *handle);
                let label = ChannelLabel::DataTrack;
                participant
                    .data_transport(label)
                    .send_data(cx, label, &packet);
            }
        }
    }
}
