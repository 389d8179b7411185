//! Media to and from other replicas.

use std::time::{Duration, Instant, SystemTime};

use crate::context::Context;
use crate::id::{PeerId, TrackSid};
use crate::media::packet::MediaPacket;
use crate::replica::{LayerDemand, MediaExtensions, RelayedPacket, ReplicaBody};
use crate::room::participant::MediaRoute;
use crate::room::track::Encoding;
use crate::room::{Room, SubscriptionKey, TrackKey};

/// An encoding without a packet for this long has dried up; slow screen shares send a frame each second or so.
const DRY: Duration = Duration::from_secs(2);
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
                kind: track.info.kind,
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
        self.collect(cx, now, route, packet);
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
        let now = cx.now;
        let packets = cache.packets(now).to_vec();
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
                incoming.captured_at(cached.captured);
                incoming.descriptor = cached.descriptor;
                self.forward_to(cx, key, route, &incoming, &cached.packet);
            }
        }
        let started = self
            .subscriptions
            .get(key)
            .map(|s| s.forwarder.has_started());
        started == Some(true)
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
