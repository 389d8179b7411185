//! Media to and from other replicas, and what is wanted of it.

use std::time::{Duration, Instant, SystemTime};

use super::{Publisher, Relay};
use crate::context::Context;
use crate::event::Event;
use crate::id::{PeerId, TrackSid};
use crate::info::TrackKind;
use crate::media::packet::MediaPacket;
use crate::replica::{LayerDemand, MediaExtensions, RelayedPacket, ReplicaBody};
use crate::room::participant::MediaRoute;
use crate::room::track::{Encoding, Track};
use crate::room::{ParticipantKey, Room, SubscriptionKey, TrackKey};

/// An encoding without a packet for this long has dried up; slow screen shares send a frame each second or so.
const DRY: Duration = Duration::from_secs(2);
/// How often is looked for encodings that are no longer forwarded after a switch.
const REVIEW: Duration = Duration::from_secs(1);
/// Replaying the last pictures may take this long at the estimated bandwidth.
const REPLAY_TIME: Duration = Duration::from_secs(1);

impl Room {
    /// Sends a packet of an own track to the replicas that want it: one copy each.
    pub(in crate::room) fn relay(
        &mut self,
        cx: &mut Context,
        now: Instant,
        route: MediaRoute,
        packet: &MediaPacket,
    ) {
        // Subscribers everywhere get the main codec.
        let Some(track) = self
            .tracks
            .get_mut(route.track)
            .filter(|_| route.source == 0)
        else {
            return;
        };
        let Some(source) = track.sources.first() else {
            return;
        };
        let mut begins = false;
        for relay in track.relays.to.iter_mut().filter(|relay| !relay.paused) {
            if relay.demand.wants(route.encoding) {
                relay.stand_in = None;
            } else if stands_in(relay.demand, route.encoding, &source.encodings, now) {
                begins |= relay.stand_in.replace(route.encoding) != Some(route.encoding);
            } else {
                continue;
            }
            cx.counters.relayed_out += 1;
            let packet = RelayedPacket {
                flow: track.flow,
                source: route.source as u8,
                encoding: route.encoding as u8,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                redundant: packet.redundant,
                extensions: MediaExtensions::from_values(&packet.extensions),
                payload: packet.payload.clone(),
            };
            cx.relayed.push_back((relay.peer, packet));
        }
        if begins {
            self.request_key_frame(cx, now, route.track, route.source, route.encoding);
        }
    }

    /// Takes a packet of another replica's track: from here on it is like one of a client's.
    pub(crate) fn relayed(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: TrackKey,
        packet: RelayedPacket,
    ) {
        let (source, encoding) = (usize::from(packet.source), usize::from(packet.encoding));
        let sources = self.tracks.get(key).map(|track| &track.sources);
        let known = sources.and_then(|sources| sources.get(source)?.encodings.get(encoding));
        if known.is_none() {
            cx.counters.drop_one(crate::DropReason::UnknownTrack);
            return;
        }
        let route = MediaRoute {
            track: key,
            source,
            encoding,
        };
        let packet = MediaPacket {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            redundant: packet.redundant,
            arrival: now,
            extensions: packet.extensions.into_values(),
            payload: packet.payload,
        };
        self.distribute(cx, now, route, &packet);
    }

    /// Sends a fresh subscriber the pictures since the last key frame; true if there are any.
    pub(in crate::room) fn replay_pictures(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
    ) -> bool {
        let Some(subscription) = self.subscriptions.get(key) else {
            return false;
        };
        let (track, source) = (subscription.track, subscription.source);
        let Some(encoding) = subscription.forwarder.wants_key_frame().map(usize::from) else {
            return false;
        };
        // Whoever sees a picture already waits for the next key frame: old pictures would throw it back in time.
        if subscription.forwarder.has_started() || !subscription.is_flowing() {
            return false;
        }
        let budget = self
            .participants
            .get(subscription.subscriber)
            .map_or(0, |participant| participant.downlink.budget());
        let Some(cache) = self
            .tracks
            .get(track)
            .filter(|track| track.publisher.local().is_none())
            .and_then(|track| track.sources.get(source)?.encodings.get(encoding))
            .map(|encoding| &encoding.pictures)
        else {
            return false;
        };
        let packets = cache.packets(cx.now).to_vec();
        let affordable = budget as f64 * REPLAY_TIME.as_secs_f64() / 8.0;
        if packets.is_empty() || cache.bytes() as f64 > affordable {
            return false;
        }
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.forwarder.rewind(encoding as u8);
        }
        let route = MediaRoute {
            track,
            source,
            encoding,
        };
        for cached in packets {
            if let Some(mut incoming) = self.describe_packet(route, &cached.packet) {
                incoming.captured = cached.captured;
                incoming.descriptor.clone_from(&cached.descriptor);
                self.forward_to(cx, key, route, &incoming, &cached.packet);
            }
        }
        let started = self
            .subscriptions
            .get(key)
            .map(|s| s.forwarder.has_started());
        started == Some(true)
    }

    /// What this replica's participants want of a track of another may have changed.
    pub(in crate::room) fn review_demand(&mut self, cx: &mut Context, key: TrackKey) {
        let Some(track) = self.tracks.get(key) else {
            return;
        };
        let Some(peer) = self.owner_of(track.publisher) else {
            return;
        };
        let wanted = self.wanted_of(track);
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        let changed = track.relays.demand.update(cx.now, wanted);
        let (told, lower_at) = (
            track.relays.demand.told(),
            track.relays.demand.poll_timeout(),
        );
        let sid = track.info.sid.clone();
        if let Some(demand) = changed {
            self.tell_peer(cx, peer, ReplicaBody::Demand { track: sid, demand });
        }
        if let Some(at) = lower_at {
            self.arm_replica(cx, at);
        }
        if told.encodings.count_ones() > 1 {
            self.arm_replica(cx, cx.now + REVIEW);
        }
    }

    /// Looks at everything a participant receives from other replicas.
    pub(in crate::room) fn review_demands_of(&mut self, cx: &mut Context, key: ParticipantKey) {
        if self.replicas.remotes.is_empty() {
            return;
        }
        let subscriptions = self
            .participants
            .get(key)
            .map(|p| p.downlink.subscriptions.clone());
        for subscription in subscriptions.unwrap_or_default() {
            if let Some(subscription) = self.subscriptions.get(subscription) {
                self.review_demand(cx, subscription.track);
            }
        }
    }

    pub(super) fn review_all_demands(&mut self, cx: &mut Context) {
        if self.replicas.remotes.is_empty() {
            return;
        }
        let tracks: Vec<TrackKey> = self.tracks.keys().collect();
        for track in tracks {
            self.review_demand(cx, track);
        }
    }

    fn wanted_of(&self, track: &Track) -> LayerDemand {
        let top = track.top_encoding() as u8;
        let mut wanted = LayerDemand::default();
        let subscriptions = track.subscribers.iter();
        for subscription in subscriptions.filter_map(|key| self.subscriptions.get(*key)) {
            if subscription.disabled {
                continue;
            }
            if track.info.kind == TrackKind::Video {
                wanted.quality = wanted.quality.max(Some(subscription.wanted));
            }
            if subscription.is_flowing() {
                // While a switch is under way the old layer is still needed.
                let layers = [
                    subscription.forwarder.target(),
                    subscription.forwarder.current(),
                ];
                for layer in layers.into_iter().flatten() {
                    wanted.encodings |= 1 << layer.spatial.min(top);
                }
            }
        }
        wanted
    }

    /// Another replica wants more or less of an own track.
    pub(super) fn take_demand(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        sid: &TrackSid,
        demand: LayerDemand,
    ) {
        let Some(key) = self.track_by_sid(sid) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        let Publisher::Local(publisher) = track.publisher else {
            return;
        };
        let relays = &mut track.relays.to;
        let before = match relays.iter_mut().find(|relay| relay.peer == peer) {
            Some(relay) => std::mem::replace(&mut relay.demand, demand),
            None => {
                relays.push(Relay {
                    peer,
                    demand,
                    paused: false,
                    stand_in: None,
                });
                LayerDemand::default()
            }
        };
        relays.retain(|relay| relay.demand != LayerDemand::default());
        let wanted = demand != LayerDemand::default();
        let tell = wanted && !std::mem::replace(&mut track.subscription_told, true);
        let (video, encodings) = (
            track.info.kind == TrackKind::Video,
            track.top_encoding() + 1,
        );
        if tell {
            let connection = self.participants.get(publisher).and_then(|p| p.connection);
            cx.send(connection, Event::TrackSubscribed { track: sid.clone() });
        }
        self.demand_changed(cx, cx.now, key);
        for encoding in (0..encodings).filter(|_| video) {
            if demand.wants(encoding) && !before.wants(encoding) {
                self.request_key_frame(cx, cx.now, key, 0, encoding);
            }
        }
    }

    /// Takes everything a peer wants; what it does not name it does not want.
    pub(super) fn take_demands(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        demands: &[(TrackSid, LayerDemand)],
    ) {
        let relayed = |track: &&Track| track.relays.to.iter().any(|relay| relay.peer == peer);
        let unnamed: Vec<TrackSid> = self
            .tracks
            .values()
            .filter(relayed)
            .map(|track| track.info.sid.clone())
            .filter(|sid| !demands.iter().any(|(named, _)| named == sid))
            .collect();
        for sid in unnamed {
            self.take_demand(cx, peer, &sid, LayerDemand::default());
        }
        for (sid, demand) in demands {
            self.take_demand(cx, peer, sid, *demand);
        }
    }

    /// Nothing goes to a peer any more.
    pub(super) fn end_relays(&mut self, cx: &mut Context, peer: PeerId) {
        self.take_demands(cx, peer, &[]);
        self.take_data_demands(peer, &[]);
    }

    pub(super) fn pause_relays(&mut self, cx: &mut Context, peer: PeerId, paused: bool) {
        let mut back = Vec::new();
        for (key, track) in &mut self.tracks {
            for relay in track
                .relays
                .to
                .iter_mut()
                .filter(|relay| relay.peer == peer)
            {
                relay.paused = paused;
                if !paused && track.info.kind == TrackKind::Video {
                    back.push((key, relay.demand));
                }
            }
        }
        for (key, demand) in back {
            for encoding in (0..8).filter(|encoding| demand.wants(*encoding)) {
                self.request_key_frame(cx, cx.now, key, 0, encoding);
            }
        }
    }

    /// The best quality other replicas have use for.
    pub(in crate::room) fn relayed_quality(track: &Track) -> Option<crate::VideoQuality> {
        let relays = track.relays.to.iter();
        relays.filter_map(|relay| relay.demand.quality).max()
    }

    /// Asks the owner of a track for a key frame; false if that is this replica.
    pub(in crate::room) fn ask_owner_for_key_frame(
        &self,
        cx: &mut Context,
        key: TrackKey,
        source: usize,
        encoding: usize,
    ) -> bool {
        let Some(track) = self.tracks.get(key) else {
            return false;
        };
        let Some(peer) = self.owner_of(track.publisher) else {
            return false;
        };
        let body = ReplicaBody::KeyFrame {
            track: track.info.sid.clone(),
            source: source as u8,
            encoding: encoding as u8,
        };
        self.tell_peer_plain(cx, peer, body);
        true
    }

    pub(super) fn take_key_frame_request(
        &mut self,
        cx: &mut Context,
        sid: &TrackSid,
        source: u8,
        encoding: u8,
    ) {
        let Some(key) = self.track_by_sid(sid) else {
            return;
        };
        let Some(track) = self
            .tracks
            .get(key)
            .filter(|t| t.publisher.local().is_some())
        else {
            return;
        };
        let (source, encoding) = (usize::from(source), usize::from(encoding));
        let Some(encodings) = track.sources.get(source).map(|source| &source.encodings) else {
            return;
        };
        if encodings.get(encoding).is_none() {
            return;
        }
        let Some(asked) = live_or_below(encoding, encodings, cx.now) else {
            return;
        };
        self.request_key_frame(cx, cx.now, key, source, asked);
    }

    /// Tells the replicas that receive a track of a sender report.
    pub(in crate::room) fn relay_clock(
        &self,
        cx: &mut Context,
        route: MediaRoute,
        ntp: SystemTime,
        rtp: u32,
    ) {
        let Some(track) = self.tracks.get(route.track) else {
            return;
        };
        for relay in &track.relays.to {
            let body = ReplicaBody::Clock {
                track: track.info.sid.clone(),
                source: route.source as u8,
                encoding: route.encoding as u8,
                ntp,
                rtp,
            };
            self.tell_peer_plain(cx, relay.peer, body);
        }
    }

    pub(super) fn take_clock(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        sid: &TrackSid,
        (source, encoding): (u8, u8),
        ntp: SystemTime,
        rtp: u32,
    ) {
        let Some(key) = self.track_by_sid(sid) else {
            return;
        };
        let owner = self
            .tracks
            .get(key)
            .and_then(|track| self.owner_of(track.publisher));
        if owner == Some(peer) {
            let route = MediaRoute {
                track: key,
                source: source.into(),
                encoding: encoding.into(),
            };
            self.clock_report(cx.now, route, ntp, rtp);
        }
    }
}

/// Whether an encoding is the best that lives in place of a wanted one that has dried up.
fn stands_in(demand: LayerDemand, encoding: usize, encodings: &[Encoding], now: Instant) -> bool {
    (encoding + 1..encodings.len())
        .filter(|wanted| demand.wants(*wanted))
        .any(|wanted| live_or_below(wanted, encodings, now) == Some(encoding))
}

/// The encoding, or the best below it if it has dried up.
fn live_or_below(encoding: usize, encodings: &[Encoding], now: Instant) -> Option<usize> {
    (0..=encoding).rev().find(|at| {
        let heard = encodings.get(*at).and_then(|encoding| encoding.last_packet);
        heard.is_some_and(|heard| now.saturating_duration_since(heard) < DRY)
    })
}
