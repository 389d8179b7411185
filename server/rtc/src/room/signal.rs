//! Messages of joined participants.

use std::time::Instant;

use super::{ParticipantKey, Publisher, Room};
use crate::command::{Scenario, SignalRequest, SyncState, Target, UpdateMetadata};
use crate::context::Context;
use crate::event::{Event, LeaveAction, RefusalReason, RefusedRequest, Speaker};
use crate::id::TrackSid;
use crate::info::DisconnectReason;

impl Room {
    /// Takes a message.
    pub(crate) fn signal(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        request: SignalRequest,
    ) {
        match request {
            SignalRequest::Offer(offer) => {
                self.offer_received(cx, now, key, offer);
                self.offer_to(cx, now, key);
            }
            SignalRequest::Answer(answer) => self.answer_received(cx, now, key, &answer),
            SignalRequest::Trickle { target, candidate } => {
                self.trickled(cx, key, target, &candidate)
            }
            SignalRequest::AddTrack(add) => self.add_track(cx, now, key, *add),
            SignalRequest::Mute { track, muted } => self.mute_own(cx, now, key, &track, muted),
            SignalRequest::Subscription { tracks, subscribe } => {
                self.choose(cx, now, key, &tracks, subscribe);
            }
            SignalRequest::TrackSettings(settings) => self.track_settings(cx, now, key, settings),
            SignalRequest::SubscriptionPermission(permission) => {
                self.restrict_subscribers(cx, key, permission);
            }
            SignalRequest::SyncState(state) => self.sync_state(cx, now, key, *state),
            SignalRequest::UpdateMetadata(update) => self.update_own_metadata(cx, now, key, update),
            SignalRequest::UpdateAudioTrack { track, features } => {
                self.update_own_track(cx, now, key, &track, |info| info.audio_features = features);
            }
            SignalRequest::UpdateVideoTrack {
                track,
                width,
                height,
            } => {
                self.update_own_track(cx, now, key, &track, |info| {
                    (info.width, info.height) = (width, height)
                });
            }
            SignalRequest::PublishDataTrack(wish) => self.publish_data_track(cx, now, key, *wish),
            SignalRequest::UnpublishDataTrack { handle } => {
                self.unpublish_data_track(cx, now, key, handle)
            }
            SignalRequest::DataSubscription(choices) => self.choose_data_tracks(cx, key, &choices),
            SignalRequest::RoundTrip { ms } => self.round_trip(key, ms),
            SignalRequest::Simulate(scenario) => self.simulate(cx, now, key, scenario),
            SignalRequest::Leave { reason } => self.remove(cx, now, key, reason, None),
        }
    }

    fn trickled(&mut self, cx: &mut Context, key: ParticipantKey, target: Target, candidate: &str) {
        if let Some(transport) = self
            .participants
            .get_mut(key)
            .and_then(|p| p.transport(target))
        {
            transport.add_remote_candidate(cx, candidate);
        }
    }

    fn update_own_metadata(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        update: UpdateMetadata,
    ) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let connection = participant.connection;
        let refusal = if !participant.info.permission.can_update_metadata {
            Some((
                RefusalReason::NotAllowed,
                "the token does not allow to update own metadata".to_owned(),
            ))
        } else {
            self.apply_metadata(cx, now, key, &update)
                .err()
                .map(|text| (RefusalReason::LimitExceeded, text))
        };
        if let Some((reason, message)) = refusal {
            let request_id = update.request_id;
            let refused = RefusedRequest::UpdateMetadata(update);
            cx.send(
                connection,
                Event::RequestFailed {
                    request_id,
                    refused,
                    reason,
                    message,
                },
            );
        }
    }

    /// Changes name, metadata and attributes, within the limits, and tells everybody.
    ///
    /// # Errors
    /// Says which limit was passed; nothing has changed then.
    pub(super) fn apply_metadata(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        update: &UpdateMetadata,
    ) -> Result<(), String> {
        let Some(participant) = self.participants.get_mut(key) else {
            return Ok(());
        };
        let mut attributes = participant.info.attributes.clone();
        for (name, value) in &update.attributes {
            if value.is_empty() {
                attributes.remove(name);
            } else {
                attributes.insert(name.clone(), value.clone());
            }
        }
        let size: usize = attributes
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let limit = cx.config.max_attributes_bytes;
        if size > limit {
            return Err(format!("attributes take {size} bytes, {limit} are allowed"));
        }
        let limit = cx.config.max_metadata_bytes;
        if update
            .metadata
            .as_ref()
            .is_some_and(|metadata| metadata.len() > limit)
        {
            return Err(format!("metadata is longer than {limit} bytes"));
        }
        participant.info.attributes = attributes;
        if let Some(metadata) = &update.metadata {
            participant.info.metadata.clone_from(metadata);
        }
        if let Some(name) = &update.name {
            participant.info.name.clone_from(name);
        }
        self.publish_change(cx, now, key);
        Ok(())
    }

    fn update_own_track(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        sid: &TrackSid,
        change: impl FnOnce(&mut crate::TrackInfo),
    ) {
        let unix_us = cx.unix_us(now);
        let track = self
            .track_by_sid(sid)
            .and_then(|track| self.tracks.get_mut(track));
        let own = Publisher::Local(key);
        if let Some(track) = track.filter(|track| track.publisher == own) {
            change(&mut track.info);
            track.info.version_us = unix_us;
            self.publish_change(cx, now, key);
        }
    }

    /// Takes the client's picture after a reconnect; if it publishes what we do not know, it has to join anew.
    pub(super) fn sync_state(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        state: SyncState,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let known = |sid: &TrackSid| {
            participant
                .uplink
                .pending
                .iter()
                .any(|pending| pending.sid == *sid)
                || participant.uplink.tracks.iter().any(|track| {
                    self.tracks
                        .get(*track)
                        .is_some_and(|track| track.info.sid == *sid)
                })
        };
        if !state.published.iter().all(|(_, sid)| known(sid))
            || !self.publishes_data_tracks(key, &state.published_data)
        {
            self.remove(
                cx,
                now,
                key,
                DisconnectReason::StateMismatch,
                Some(LeaveAction::Reconnect),
            );
            return;
        }
        self.sync_data_tracks(cx, key, &state);
        if let Some((tracks, subscribe)) = state.subscription {
            self.choose(cx, now, key, &tracks, subscribe);
        }
        for sid in &state.disabled {
            self.set_disabled(key, sid);
        }
        self.replay(cx, now, key, &state.received);
        self.offer_to(cx, now, key);
    }

    fn simulate(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        scenario: Scenario,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let connection = participant.connection;
        match scenario {
            Scenario::SpeakerUpdate { .. } => {
                let speaker = Speaker {
                    participant: participant.sid().clone(),
                    level: 0.9,
                    active: true,
                };
                for other in self.participants.values() {
                    cx.send(other.connection, Event::Speakers(vec![speaker.clone()]));
                }
                // The next update finds the participant silent and says so.
                self.speakers.force_active(&speaker.participant);
                self.arm_speakers(cx, now);
            }
            Scenario::SubscriberBandwidth { bitrate } => {
                participant.downlink.bandwidth_cap = bitrate;
                self.allocate(cx, now, key);
            }
            Scenario::NodeFailure => {
                // As if this node had died: no word, the session is unknown from now on.
                self.remove(cx, now, key, DisconnectReason::StateMismatch, None);
            }
            Scenario::ServerLeave => {
                self.remove(
                    cx,
                    now,
                    key,
                    DisconnectReason::ServerShutdown,
                    Some(LeaveAction::Disconnect),
                );
            }
            Scenario::LeaveRequestFullReconnect => {
                self.remove(
                    cx,
                    now,
                    key,
                    DisconnectReason::StateMismatch,
                    Some(LeaveAction::Reconnect),
                );
            }
            Scenario::Migration | Scenario::SwitchCandidateProtocol { .. } => {
                let leave = Event::Leave {
                    reason: DisconnectReason::SignalClose,
                    action: LeaveAction::Resume,
                };
                cx.send(connection, leave);
            }
            Scenario::DisconnectSignalOnResume | Scenario::DisconnectSignalOnResumeNoMessages => {
                participant.drop_on_resume = true;
            }
        }
    }
}
