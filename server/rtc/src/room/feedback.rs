//! What comes back from subscribers: bandwidth, key-frame requests, and what they want of each track.

use std::time::Instant;

use str0m::bwe::BweKind;

use super::{ParticipantKey, Room, TrackKey, TransportRef};
use crate::context::Context;
use crate::event::{Event, StreamState, SubscribedCodec};
use crate::id::Mid;
use crate::info::{TrackKind, TrackSource, VideoQuality};
use crate::media::allocator::{Allocation, TrackDemand};

impl Room {
    /// A subscriber cannot decode what it has and asks for a key frame.
    pub(super) fn key_frame_wanted(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        mid: Mid,
    ) {
        cx.counters.keyframe_requests_in += 1;
        let carried = self
            .participants
            .get(key)
            .and_then(|p| p.downlink.sections.get(&mid))
            .copied();
        let Some(subscription) = carried.and_then(|key| self.subscriptions.get(key)) else {
            return;
        };
        let encoding = subscription
            .forwarder
            .wants_key_frame()
            .or_else(|| subscription.forwarder.current().map(|layer| layer.spatial));
        if let Some(encoding) = encoding {
            let (track, source) = (subscription.track, subscription.source);
            self.request_key_frame(
                cx,
                now,
                track,
                source,
                self.encoding_index(track, source, encoding),
            );
        }
    }

    /// Asks a publisher for a key frame, within the limits of the throttle.
    pub(super) fn request_key_frame(
        &mut self,
        cx: &mut Context,
        now: Instant,
        track: TrackKey,
        source: usize,
        encoding: usize,
    ) {
        let Some(throttle) = self
            .tracks
            .get_mut(track)
            .and_then(|t| t.sources.get_mut(source))
            .map(|source| &mut source.throttle)
        else {
            return;
        };
        if throttle.request(now, encoding as u8) {
            self.send_key_frame_request(cx, track, source, encoding);
        } else if let Some(at) = throttle.poll_timeout() {
            self.arm_key_frames(cx, at);
        }
    }

    /// Sends a key-frame request to a publisher.
    pub(super) fn send_key_frame_request(
        &mut self,
        cx: &mut Context,
        track: TrackKey,
        source: usize,
        encoding: usize,
    ) {
        if self.ask_owner_for_key_frame(cx, track, source, encoding) {
            return;
        }
        let Some(track) = self.tracks.get(track) else {
            return;
        };
        let Some(publisher) = track.publisher.local() else {
            return;
        };
        let ssrc = track
            .sources
            .get(source)
            .and_then(|source| source.encodings.get(encoding)?.ssrc);
        if let (Some(ssrc), Some(publisher)) = (ssrc, self.participants.get_mut(publisher)) {
            publisher.publisher.request_key_frame(cx, ssrc);
        }
    }

    /// In SVC all spatial layers come in one encoding.
    fn encoding_index(&self, track: TrackKey, source: usize, spatial: u8) -> usize {
        let encodings = self
            .tracks
            .get(track)
            .and_then(|t| t.sources.get(source))
            .map_or(1, |s| s.encodings.len());
        usize::from(spatial).min(encodings.saturating_sub(1))
    }

    /// The bandwidth towards a subscriber was estimated anew.
    pub(super) fn bandwidth_changed(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: TransportRef,
        estimate: BweKind,
    ) {
        let bandwidth = match estimate {
            BweKind::Twcc { estimate, .. } => estimate.as_u64(),
            _ => return,
        };
        let Some(participant) = self.participants.get_mut(at.participant) else {
            return;
        };
        let downstream = if participant.subscriber.is_some() {
            crate::command::Target::Subscriber
        } else {
            crate::command::Target::Publisher
        };
        if at.target == downstream {
            participant.downlink.bandwidth = bandwidth;
            self.allocate(cx, now, at.participant);
        }
    }

    /// Shares a subscriber's bandwidth out among its videos.
    pub(super) fn allocate(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let demands: Vec<TrackDemand> = participant
            .downlink
            .subscriptions
            .iter()
            .filter_map(|subscription| self.demand(now, *subscription))
            .collect();
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let budget = participant.downlink.budget();
        let plan = participant
            .downlink
            .allocator
            .allocate(now, budget, &demands);
        let goal = (plan.minimum, plan.desired);
        if std::mem::replace(&mut participant.downlink.told, goal) != goal {
            participant.downstream().set_demand(cx, now, goal.1);
        }
        let connection = participant.connection;
        if let Some(at) = plan.review_at {
            self.arm_allocation(cx, at);
        }

        let mut changed = Vec::new();
        let mut wanted = Vec::new();
        for Allocation { id, target, paused } in plan.allocations {
            let Some(subscription) = self.subscriptions.get_mut(id) else {
                continue;
            };
            subscription.forwarder.set_target(target);
            if subscription.is_flowing()
                && let Some(encoding) = subscription.forwarder.wants_key_frame()
            {
                let (track, source) = (subscription.track, subscription.source);
                wanted.push((id, track, source, usize::from(encoding)));
            }
            if std::mem::replace(&mut subscription.paused, paused) == paused {
                continue;
            }
            let (key, track) = (subscription.track, subscription.sid.clone());
            let publisher = self.tracks.get(key).map(|track| track.publisher);
            if let Some(publisher) = publisher.and_then(|key| self.publisher_info(key)) {
                let participant = publisher.sid.clone();
                changed.push(StreamState {
                    participant,
                    track,
                    paused,
                });
            }
        }
        if !changed.is_empty() {
            cx.send(connection, Event::StreamStates(changed));
        }
        let connected = self
            .participants
            .get_mut(key)
            .is_some_and(|p| p.downstream().is_connected());
        for (id, track, source, encoding) in wanted.into_iter().filter(|_| connected) {
            if !self.replay_pictures(cx, id) {
                self.request_key_frame(cx, now, track, source, encoding);
            }
        }
        self.review_demands_of(cx, key);
    }

    fn demand(&self, now: Instant, key: super::SubscriptionKey) -> Option<TrackDemand> {
        let subscription = self.subscriptions.get(key)?;
        if subscription.kind != TrackKind::Video {
            return None;
        }
        let track = self.tracks.get(subscription.track)?;
        let source = track.sources.get(subscription.source)?;
        let encodings = &source.encodings;
        let bitrates = encodings
            .iter()
            .enumerate()
            .map(|(index, encoding)| {
                encoding
                    .meter
                    .bitrate(now)
                    .filter(|rate| *rate > 0)
                    .unwrap_or(track.expected_bitrate(index))
            })
            .collect();
        let wanted = (!subscription.disabled && subscription.mid.is_some()).then(|| {
            track
                .encoding_of(subscription.wanted)
                .min(encodings.len().saturating_sub(1)) as u8
        });
        Some(TrackDemand {
            id: key,
            wanted,
            priority: subscription.priority,
            screen_share: track.info.source == TrackSource::ScreenShare,
            bitrates,
        })
    }

    /// What subscribers want of a track may have changed: more is asked for at once, less after a while.
    pub(super) fn demand_changed(&mut self, cx: &mut Context, now: Instant, key: TrackKey) {
        let Some(track) = self.tracks.get(key) else {
            return;
        };
        if track.publisher.local().is_none() {
            self.review_demand(cx, key);
            return;
        }
        if track.info.kind != TrackKind::Video {
            return;
        }
        let wanted = self.demanded(key);
        match track.demand_told {
            // Without being told a publisher sends everything.
            None if wanted == Some(VideoQuality::High) => {}
            Some(told) if wanted == told => {}
            Some(told) if wanted > told => self.tell_demand(cx, key, wanted),
            _ => self.arm_demand(cx, now + cx.config.dynacast_pause_delay),
        }
    }

    /// Tells publishers of layers that nobody has wanted for a while.
    pub(super) fn lower_demands(&mut self, cx: &mut Context) {
        let keys: Vec<TrackKey> = self.tracks.keys().collect();
        for key in keys {
            let wanted = self.demanded(key);
            let Some(track) = self
                .tracks
                .get(key)
                .filter(|track| track.info.kind == TrackKind::Video)
                .filter(|track| track.publisher.local().is_some())
            else {
                continue;
            };
            // Never an all-off before anybody wanted anything: it would stop the encoder for nothing.
            let told = track.demand_told.unwrap_or(Some(VideoQuality::High));
            if wanted < told && track.subscription_told {
                self.tell_demand(cx, key, wanted);
            }
        }
    }

    fn demanded(&self, key: TrackKey) -> super::track::Demand {
        let track = self.tracks.get(key)?;
        let subscriptions = track
            .subscribers
            .iter()
            .filter_map(|key| self.subscriptions.get(*key));
        subscriptions
            .filter(|subscription| !subscription.disabled)
            .map(|subscription| subscription.wanted)
            .max()
            .max(Self::relayed_quality(track))
    }

    fn tell_demand(&mut self, cx: &mut Context, key: TrackKey, wanted: super::track::Demand) {
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        track.demand_told = Some(wanted);
        let qualities: Vec<(VideoQuality, bool)> = VideoQuality::ALL
            .iter()
            .map(|quality| (*quality, wanted.is_some_and(|top| *quality <= top)))
            .collect();
        let codecs = track
            .sources
            .iter()
            .map(|source| SubscribedCodec {
                codec: source.codec.short_name().to_owned(),
                qualities: qualities.clone(),
            })
            .collect();
        let event = Event::SubscribedQuality {
            track: track.info.sid.clone(),
            codecs,
        };
        let connection = track
            .publisher
            .local()
            .and_then(|publisher| self.participants.get(publisher)?.connection);
        cx.send(connection, event);
    }
}
