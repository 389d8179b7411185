//! Offers and answers: which section carries what.
//!
//! In single mode the client always offers: the room fills the client's receive-only sections, and asks for an offer
//! (`media_sections_requirement`) when something changed or sections are missing. In dual mode the room offers on the
//! subscriber connection, reusing sections that lost their track before adding new ones.

use std::time::Instant;

use str0m::media::Direction;

use super::publish::SectionChange;
use super::{ParticipantKey, Room, SubscriptionKey};
use crate::command::{PeerMode, SessionDescription, Target};
use crate::context::Context;
use crate::event::{Description, Event, ForwardedTrack, LeaveAction, Section};
use crate::id::Mid;
use crate::info::{DisconnectReason, ParticipantState, TrackKind};
use crate::sdp_text;
use crate::transport::{NegotiationError, add_channels, media_kind};

impl Room {
    /// Answers an offer of the client.
    pub(super) fn offer_received(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        offer: SessionDescription,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let answer = match participant.publisher.accept_offer(cx, &offer.sdp) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(room = %self.name, participant = %participant.info.identity, %error, "offer refused");
                self.remove(
                    cx,
                    now,
                    key,
                    DisconnectReason::MediaFailure,
                    Some(LeaveAction::Disconnect),
                );
                return;
            }
        };
        participant.downlink.requirement_open = false;
        let first = participant.info.state == ParticipantState::Joining;
        if first {
            participant.info.state = ParticipantState::Joined;
        }
        let offered = sdp_text::media_sections(&offer.sdp);
        let change = self.match_sections(cx, now, key, &offered);
        if first || change == SectionChange::TracksChanged {
            self.publish_change(cx, now, key);
        }
        self.subscribe_others(cx, now, key);

        if self
            .participants
            .get(key)
            .is_some_and(|p| p.mode() == PeerMode::Single)
        {
            self.fill_sections(cx, key, &offered);
        }
        let description = SessionDescription {
            sdp: answer,
            id: offer.id,
        };
        self.send_answer(cx, now, key, description, &offered);
    }

    /// Single mode: puts waiting subscriptions on sections the client can receive on.
    fn fill_sections(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        offered: &[sdp_text::OfferedSection],
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let receivable: Vec<(Mid, TrackKind)> = offered
            .iter()
            .filter(|section| section.can_receive())
            .filter_map(|section| Some((Mid::from(section.mid.as_str()), section.track_kind()?)))
            .collect();

        // The client took sections away, or publishes on them now: their subscriptions wait for others.
        let lost: Vec<Mid> = participant
            .downlink
            .sections
            .keys()
            .filter(|mid| !receivable.iter().any(|(known, _)| known == *mid))
            .copied()
            .collect();
        for mid in lost {
            if let Some(key) = participant.downlink.sections.remove(&mid)
                && let Some(subscription) = self.subscriptions.get_mut(key)
            {
                subscription.mid = None;
                subscription.negotiated = false;
                participant.publisher.renew_stream(cx, mid);
            }
        }
        participant.downlink.released.clear();
        participant.downlink.receivable.clone_from(&receivable);

        let mut free: Vec<(Mid, TrackKind)> = receivable
            .into_iter()
            .filter(|(mid, _)| !participant.downlink.sections.contains_key(mid))
            .collect();
        for subscription_key in participant.downlink.subscriptions.clone() {
            let Some(subscription) = self
                .subscriptions
                .get_mut(subscription_key)
                .filter(|s| s.mid.is_none())
            else {
                continue;
            };
            let Some(at) = free.iter().position(|(_, kind)| *kind == subscription.kind) else {
                continue;
            };
            let (mid, _) = free.remove(at);
            subscription.mid = Some(mid);
            participant.downlink.sections.insert(mid, subscription_key);
        }
    }

    fn send_answer(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        description: SessionDescription,
        offered: &[sdp_text::OfferedSection],
    ) {
        let mids: Vec<Mid> = offered
            .iter()
            .filter(|section| section.track_kind().is_some())
            .map(|section| Mid::from(section.mid.as_str()))
            .collect();
        let sections = self.describe_sections(key, Target::Publisher, &mids);
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let single = participant.mode() == PeerMode::Single;
        let connection = participant.connection;
        let description = Description {
            target: Target::Publisher,
            description,
            sections,
        };
        cx.send(connection, Event::Answer(Box::new(description)));
        if single {
            self.negotiated(cx, now, key);
        }
    }

    /// Media may flow on every section that now carries a subscription.
    fn negotiated(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        for subscription in participant.downlink.sections.values() {
            if let Some(subscription) = self.subscriptions.get_mut(*subscription) {
                subscription.negotiated = true;
            }
        }
        self.allocate(cx, now, key);
        self.ask_for_first_frames(cx, now, key);
    }

    /// Makes the descriptions catch up with the subscriptions of a participant, as far as that is possible now.
    pub(super) fn offer_to(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        match self
            .participants
            .get(key)
            .map(|participant| participant.mode())
        {
            Some(PeerMode::Single) => self.require_sections(cx, key),
            Some(PeerMode::Dual) => self.offer_sections(cx, now, key),
            None => {}
        }
    }

    /// Single mode: asks the client to offer, with as many more sections as are missing.
    fn require_sections(&mut self, cx: &mut Context, key: ParticipantKey) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let downlink = &mut participant.downlink;
        let waiting = |kind| {
            let subscriptions = downlink
                .subscriptions
                .iter()
                .filter_map(|key| self.subscriptions.get(*key));
            subscriptions
                .filter(|s| s.mid.is_none() && s.kind == kind)
                .count()
        };
        let (audios, videos) = (waiting(TrackKind::Audio), waiting(TrackKind::Video));
        if audios == 0 && videos == 0 && downlink.released.is_empty() {
            return;
        }
        // Before the first offer everything fits into its answer; and one requirement at a time.
        if downlink.requirement_open || participant.info.state < ParticipantState::Joined {
            return;
        }
        downlink.requirement_open = true;
        let free = |kind| {
            let unused = downlink
                .receivable
                .iter()
                .filter(|(mid, _)| !downlink.sections.contains_key(mid));
            unused.filter(|(_, known)| *known == kind).count()
        };
        let requirement = Event::MediaSectionsRequirement {
            audios: audios.saturating_sub(free(TrackKind::Audio)) as u32,
            videos: videos.saturating_sub(free(TrackKind::Video)) as u32,
        };
        cx.send(participant.connection, requirement);
    }

    /// Dual mode: offers what changed on the subscriber connection.
    fn offer_sections(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let (downlink, Some(subscriber)) = (&mut participant.downlink, &mut participant.subscriber)
        else {
            return;
        };
        if subscriber.offer_is_open() {
            downlink.needs_negotiation = true;
            return;
        }
        downlink.needs_negotiation = false;
        let waiting: Vec<SubscriptionKey> = downlink
            .subscriptions
            .iter()
            .filter(|key| {
                self.subscriptions
                    .get(**key)
                    .is_some_and(|s| s.mid.is_none())
            })
            .copied()
            .collect();
        let mut released = std::mem::take(&mut downlink.released);

        let mut reused: Vec<(SubscriptionKey, Mid)> = Vec::new();
        let mut fresh: Vec<SubscriptionKey> = Vec::new();
        for waiting in waiting {
            let Some(kind) = self.subscriptions.get(waiting).map(|s| s.kind) else {
                continue;
            };
            let slot =
                take_slot(&mut released, kind).or_else(|| take_slot(&mut downlink.idle, kind));
            match slot {
                Some(mid) => reused.push((waiting, mid)),
                None => fresh.push(waiting),
            }
        }
        let (subscriptions, tracks) = (&mut self.subscriptions, &self.tracks);
        let first = !subscriber.has_offered();
        let offer = subscriber.offer(cx, |api| {
            if first {
                add_channels(api);
            }
            for (mid, _) in &released {
                api.set_direction(*mid, Direction::Inactive);
            }
            for (_, mid) in &reused {
                api.set_direction(*mid, Direction::SendOnly);
            }
            let mut placed = reused.clone();
            for key in fresh {
                let Some(subscription) = subscriptions.get(key) else {
                    continue;
                };
                let track = tracks
                    .get(subscription.track)
                    .map(|track| track.info.sid.to_string());
                let kind = media_kind(subscription.kind);
                placed.push((
                    key,
                    api.add_media(kind, Direction::SendOnly, None, track, None),
                ));
            }
            placed
        });
        downlink.idle.extend(released);
        let Some((placed, id, sdp)) = offer else {
            return;
        };
        for (key, mid) in placed {
            if let Some(subscription) = subscriptions.get_mut(key) {
                subscription.mid = Some(mid);
                downlink.sections.insert(mid, key);
            }
        }
        self.send_offer(cx, now, key, id, sdp);
    }

    pub(super) fn send_offer(
        &mut self,
        cx: &mut Context,
        _now: Instant,
        key: ParticipantKey,
        id: u32,
        sdp: String,
    ) {
        let Some(participant) = self.participants.get(key) else {
            return;
        };
        let downlink = &participant.downlink;
        let mut mids: Vec<Mid> = downlink.sections.keys().copied().collect();
        mids.extend(
            downlink
                .idle
                .iter()
                .chain(&downlink.released)
                .map(|(mid, _)| *mid),
        );
        let connection = participant.connection;
        let sections = self.describe_sections(key, Target::Subscriber, &mids);
        let description = SessionDescription { sdp, id };
        let description = Description {
            target: Target::Subscriber,
            description,
            sections,
        };
        cx.send(connection, Event::Offer(Box::new(description)));
    }

    /// Applies the client's answer to an offer of ours.
    pub(super) fn answer_received(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        answer: &SessionDescription,
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        let Some(subscriber) = participant.subscriber.as_mut() else {
            return;
        };
        match subscriber.accept_answer(cx, &answer.sdp, answer.id) {
            Ok(()) => {}
            Err(NegotiationError::Stale) => return,
            Err(error) => {
                tracing::warn!(room = %self.name, participant = %participant.info.identity, %error, "answer refused");
                self.remove(
                    cx,
                    now,
                    key,
                    DisconnectReason::MediaFailure,
                    Some(LeaveAction::Reconnect),
                );
                return;
            }
        }
        if participant.info.state == ParticipantState::Joining {
            participant.info.state = ParticipantState::Joined;
            self.publish_change(cx, now, key);
        }
        self.negotiated(cx, now, key);
        if self
            .participants
            .get(key)
            .is_some_and(|p| p.downlink.needs_negotiation)
        {
            self.offer_sections(cx, now, key);
        }
    }

    fn describe_sections(&self, key: ParticipantKey, target: Target, mids: &[Mid]) -> Vec<Section> {
        let Some(participant) = self.participants.get(key) else {
            return Vec::new();
        };
        let downstream = match participant.mode() {
            PeerMode::Single => Target::Publisher,
            PeerMode::Dual => Target::Subscriber,
        };
        let section = |mid: &Mid| {
            let carried = participant
                .downlink
                .sections
                .get(mid)
                .filter(|_| target == downstream);
            let forwards = carried.and_then(|key| self.describe_forwarded(*key));
            let (received, own_kind) = match self
                .received_on(participant, *mid)
                .filter(|_| target == Target::Publisher)
            {
                Some((received, kind)) => (Some(received), Some(kind)),
                None => (None, None),
            };
            let transport = match target {
                Target::Publisher => Some(&participant.publisher),
                Target::Subscriber => participant.subscriber.as_ref(),
            };
            let kind = carried
                .and_then(|key| self.subscriptions.get(*key))
                .map(|subscription| subscription.kind)
                .or(own_kind)
                .or_else(|| transport.and_then(|transport| transport.kind(*mid)))?;
            Some(Section {
                mid: *mid,
                kind,
                forwards,
                receives: received,
            })
        };
        mids.iter().filter_map(section).collect()
    }

    fn describe_forwarded(&self, key: SubscriptionKey) -> Option<ForwardedTrack> {
        let track = self.tracks.get(self.subscriptions.get(key)?.track)?;
        let publisher = self.publisher_info(track.publisher)?;
        let stream = self
            .config
            .sync_streams
            .then(|| match track.info.stream.as_str() {
                "" => "camera".to_owned(),
                named => named.to_owned(),
            });
        Some(ForwardedTrack {
            participant: publisher.sid.clone(),
            track: track.info.sid.clone(),
            stream,
        })
    }
}

fn take_slot(slots: &mut Vec<(Mid, TrackKind)>, kind: TrackKind) -> Option<Mid> {
    let at = slots.iter().position(|(_, known)| *known == kind)?;
    Some(slots.remove(at).0)
}
