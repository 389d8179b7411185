//! Who receives which track.

use std::time::Instant;

use super::subscription::Subscription;
use super::{ParticipantKey, Publisher, Room, SubscriptionKey, TrackKey};
use crate::command::{SubscriptionPermission, TrackSettings};
use crate::context::Context;
use crate::event::Event;
use crate::id::{ParticipantSid, TrackSid};
use crate::info::{ParticipantState, TrackKind, VideoQuality};
use crate::media::forward::Forwarder;

/// Choices kept for tracks that do not exist (yet).
const MAX_CHOICES: usize = 1_024;

impl Room {
    /// Subscribes a participant to everything it should receive.
    pub(super) fn subscribe_to_all(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let tracks: Vec<TrackKey> = self.tracks.keys().collect();
        for track in tracks {
            self.settle(cx, now, key, track);
        }
        self.subscribe_to_data_tracks(cx, key);
    }

    /// Subscribes the others to what a participant publishes, and this one to what they publish.
    pub(super) fn subscribe_others(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let tracks = self
            .participants
            .get(key)
            .map(|p| p.uplink.tracks.clone())
            .unwrap_or_default();
        let others: Vec<ParticipantKey> = self
            .participants
            .keys()
            .filter(|other| *other != key)
            .collect();
        for other in others {
            let mut changed = false;
            for track in &tracks {
                changed |= self.settle(cx, now, other, *track);
            }
            if changed {
                self.offer_to(cx, now, other);
            }
        }
        self.offer_data_tracks(cx, key);
        self.subscribe_to_all(cx, now, key);
    }

    /// The client chooses tracks by hand.
    pub(super) fn choose(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        tracks: &[TrackSid],
        subscribe: bool,
    ) {
        for sid in tracks {
            let Some(participant) = self.participants.get_mut(key) else {
                return;
            };
            if participant.downlink.choices.len() < MAX_CHOICES
                || participant.downlink.choices.contains_key(sid)
            {
                participant.downlink.choices.insert(sid.clone(), subscribe);
            }
            if let Some(track) = self.track_by_sid(sid) {
                self.settle(cx, now, key, track);
            }
        }
        self.offer_to(cx, now, key);
    }

    /// Makes one subscription exist, or not, as the rules say; true if that changed anything.
    pub(super) fn settle(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        track_key: TrackKey,
    ) -> bool {
        let existing = self.subscription_of(key, track_key);
        match (self.should_receive(key, track_key), existing) {
            (true, None) => {
                self.subscribe(cx, now, key, track_key);
                true
            }
            (false, Some(subscription)) => {
                self.drop_subscription(cx, subscription);
                if let Some(track) = self.tracks.get_mut(track_key) {
                    track.subscribers.retain(|known| *known != subscription);
                }
                self.demand_changed(cx, now, track_key);
                true
            }
            _ => false,
        }
    }

    fn subscription_of(&self, key: ParticipantKey, track: TrackKey) -> Option<SubscriptionKey> {
        let subscriptions = &self.participants.get(key)?.downlink.subscriptions;
        subscriptions
            .iter()
            .find(|s| {
                self.subscriptions
                    .get(**s)
                    .is_some_and(|s| s.track == track)
            })
            .copied()
    }

    fn should_receive(&self, key: ParticipantKey, track: TrackKey) -> bool {
        let (Some(subscriber), Some(track)) = (self.participants.get(key), self.tracks.get(track))
        else {
            return false;
        };
        let Some(publisher) = self.publisher_info(track.publisher) else {
            return false;
        };
        let chosen = subscriber.downlink.choices.get(&track.info.sid).copied();
        track.publisher != Publisher::Local(key)
            && subscriber.info.permission.can_subscribe
            && chosen.unwrap_or(subscriber.auto_subscribe)
            && publisher.state >= ParticipantState::Joined
            && !publisher.permission.hidden
            && self.publisher_allows(key, track.publisher, track.info.sid.as_str())
    }

    /// Whether the publisher lets a participant have its track, or data track, of this sid.
    pub(super) fn publisher_allows(
        &self,
        key: ParticipantKey,
        publisher: Publisher,
        sid: &str,
    ) -> bool {
        self.rules_allow(self.publisher_rules(publisher), key, sid)
    }

    fn rules_allow(
        &self,
        rules: Option<&SubscriptionPermission>,
        key: ParticipantKey,
        sid: &str,
    ) -> bool {
        let Some(subscriber) = self.participants.get(key) else {
            return false;
        };
        let Some(rules) = rules else {
            return true;
        };
        rules.all_participants
            || rules.tracks.iter().any(|rule| {
                let named = rule
                    .participant
                    .as_ref()
                    .is_some_and(|sid| sid == subscriber.sid())
                    || rule
                        .identity
                        .as_ref()
                        .is_some_and(|identity| identity == subscriber.identity());
                named && (rule.all_tracks || rule.tracks.iter().any(|track| track.as_str() == sid))
            })
    }

    fn subscribe(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        track_key: TrackKey,
    ) {
        let first_sequence = (cx.ids.next_u64() & 0x3FFF) as u16;
        let (Some(participant), Some(track)) = (
            self.participants.get_mut(key),
            self.tracks.get_mut(track_key),
        ) else {
            return;
        };
        let Some(source) = track.sources.first() else {
            return;
        };
        let mut subscription = Subscription {
            subscriber: key,
            track: track_key,
            sid: track.info.sid.clone(),
            kind: track.info.kind,
            mid: None,
            negotiated: false,
            source: 0,
            forwarder: Forwarder::new(source.codec, first_sequence),
            payload_type: None,
            disabled: false,
            wanted: VideoQuality::High,
            priority: 0,
            paused: false,
        };
        if let Some(settings) = participant.downlink.settings.get(&track.info.sid) {
            subscription.apply(settings, wanted_quality(track, settings));
        }
        if subscription.kind == TrackKind::Audio {
            subscription
                .forwarder
                .set_target(Some(crate::media::forward::Layer {
                    spatial: 0,
                    temporal: 0,
                }));
        }
        let subscription_key = self.subscriptions.insert(subscription);
        participant.downlink.subscriptions.push(subscription_key);
        track.subscribers.push(subscription_key);
        if !std::mem::replace(&mut track.subscription_told, true) {
            let event = Event::TrackSubscribed {
                track: track.info.sid.clone(),
            };
            let publisher = track.publisher.local();
            let connection = publisher.and_then(|key| self.participants.get(key)?.connection);
            cx.send(connection, event);
        }
        self.demand_changed(cx, now, track_key);
    }

    /// Ends a subscription on the subscriber's side; the track forgets it elsewhere.
    pub(super) fn drop_subscription(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.remove(key) else {
            return;
        };
        let Some(participant) = self.participants.get_mut(subscription.subscriber) else {
            return;
        };
        participant
            .downlink
            .subscriptions
            .retain(|known| *known != key);
        if let Some(mid) = subscription.mid {
            participant.downlink.sections.remove(&mid);
            participant.downlink.released.push((mid, subscription.kind));
            // The next track on this section must not look like a continuation of this one.
            participant.downstream().renew_stream(cx, mid);
        }
    }

    /// Ends everything a participant receives; it is about to go.
    pub(super) fn unsubscribe_all(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let subscriptions = self
            .participants
            .get_mut(key)
            .map(|p| std::mem::take(&mut p.downlink.subscriptions))
            .unwrap_or_default();
        for subscription_key in subscriptions {
            if let Some(subscription) = self.subscriptions.remove(subscription_key)
                && let Some(track) = self.tracks.get_mut(subscription.track)
            {
                track.subscribers.retain(|known| *known != subscription_key);
                self.demand_changed(cx, now, subscription.track);
            }
        }
    }

    /// What the client wants of some tracks: size, quality, or nothing for the moment.
    pub(super) fn track_settings(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        settings: TrackSettings,
    ) {
        for sid in &settings.tracks {
            let Some(participant) = self.participants.get_mut(key) else {
                return;
            };
            let stored = &mut participant.downlink.settings;
            if stored.len() < MAX_CHOICES || stored.contains_key(sid) {
                stored.insert(sid.clone(), settings.clone());
            }
            let Some(track_key) = self.track_by_sid(sid) else {
                continue;
            };
            let Some(subscription) = self.subscription_of(key, track_key) else {
                continue;
            };
            let Some(track) = self.tracks.get(track_key) else {
                continue;
            };
            let quality = wanted_quality(track, &settings);
            if let Some(subscription) = self.subscriptions.get_mut(subscription) {
                subscription.apply(&settings, quality);
            }
            self.demand_changed(cx, now, track_key);
        }
        self.allocate(cx, now, key);
    }

    /// After a reconnect the client tells which tracks it had disabled.
    pub(super) fn set_disabled(&mut self, key: ParticipantKey, sid: &TrackSid) {
        let subscription = self
            .track_by_sid(sid)
            .and_then(|track| self.subscription_of(key, track));
        if let Some(subscription) = subscription.and_then(|key| self.subscriptions.get_mut(key)) {
            subscription.disabled = true;
        }
    }

    /// The publisher says who may receive its tracks.
    pub(super) fn restrict_subscribers(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        permission: SubscriptionPermission,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let before = participant.uplink.permission.replace(permission);
        let (sid, tracks) = (participant.sid().clone(), participant.uplink.tracks.clone());
        let publisher = Publisher::Local(key);
        self.permission_changed(cx, publisher, &sid, &tracks, before.as_ref());
        self.offer_data_tracks(cx, key);
        self.tell_participant(cx, key);
    }

    /// Gives and takes tracks as the publisher's new rules say, and tells whom they concern.
    pub(super) fn permission_changed(
        &mut self,
        cx: &mut Context,
        publisher: Publisher,
        sid: &ParticipantSid,
        tracks: &[TrackKey],
        before: Option<&SubscriptionPermission>,
    ) {
        let now = cx.now;
        let others: Vec<ParticipantKey> = self
            .participants
            .keys()
            .filter(|other| publisher != Publisher::Local(*other))
            .collect();
        for other in others {
            for track_key in tracks {
                let Some(track) = self.tracks.get(*track_key) else {
                    continue;
                };
                let track = track.info.sid.clone();
                let was = self.rules_allow(before, other, track.as_str());
                let is = self.publisher_allows(other, publisher, track.as_str());
                if was == is {
                    continue;
                }
                self.settle(cx, now, other, *track_key);
                let connection = self.participants.get(other).and_then(|p| p.connection);
                let event = Event::SubscriptionPermission {
                    participant: sid.clone(),
                    track,
                    allowed: is,
                };
                cx.send(connection, event);
            }
            self.offer_to(cx, now, other);
        }
    }

    /// A participant may no longer, or may again, subscribe.
    pub(super) fn enforce_subscribe_permission(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
    ) {
        self.subscribe_to_all(cx, now, key);
        self.offer_to(cx, now, key);
    }

    /// Asks for key frames of everything that just began to flow to a participant.
    pub(super) fn ask_for_first_frames(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        if !participant.downstream().is_connected() {
            return;
        }
        let fresh: Vec<SubscriptionKey> = participant.downlink.subscriptions.clone();
        for subscription in fresh {
            self.replay_pictures(cx, subscription);
        }
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let waiting: Vec<(TrackKey, usize, usize)> = participant
            .downlink
            .subscriptions
            .iter()
            .filter_map(|key| self.subscriptions.get(*key))
            .filter(|subscription| {
                subscription.kind == TrackKind::Video && subscription.is_flowing()
            })
            .filter_map(|s| {
                Some((
                    s.track,
                    s.source,
                    usize::from(s.forwarder.wants_key_frame()?),
                ))
            })
            .collect();
        for (track, source, encoding) in waiting {
            self.request_key_frame(cx, now, track, source, encoding);
        }
    }
}

fn wanted_quality(track: &super::Track, settings: &TrackSettings) -> VideoQuality {
    if settings.width > 0 || settings.height > 0 {
        track.quality_for(settings.width, settings.height)
    } else {
        settings.quality
    }
}
