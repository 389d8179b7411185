//! The packet path: one packet of a publisher to everybody who wants it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use str0m::format::PayloadParams;
use str0m::media::Pt;
use str0m::rtp::{RtpPacket, Ssrc};

use super::participant::MediaRoute;
use super::subscription::PayloadTypeMap;
use super::{ParticipantKey, Room, SubscriptionKey};
use crate::context::Context;
use crate::counters::DropReason;
use crate::egress::{HeaderValues, OutgoingMedia, OutgoingPacket};
use crate::id::Mid;
use crate::info::TrackKind;
use crate::media::descriptor::{FrameDescriptor, RawDescriptor};
use crate::media::forward::SourcePacket;
use crate::media::packet::MediaPacket;
use crate::media::payload::{self, PayloadInfo};
use crate::media::red;
use crate::replica::{CachedPacket, codec_of};
use crate::transport::Transport;

impl Room {
    /// Forwards a packet that `from` sent.
    pub(super) fn forward(
        &mut self,
        cx: &mut Context,
        now: Instant,
        from: ParticipantKey,
        packet: RtpPacket,
    ) {
        cx.counters.rtp_in += 1;
        let Some(route) = self.route(from, packet.header.ssrc) else {
            cx.counters.drop_one(DropReason::UnknownTrack);
            return;
        };
        let payload_type = packet.header.payload_type;
        let Some(redundant) = self.learn_format(cx, now, from, route, payload_type) else {
            return;
        };
        let packet = MediaPacket::from_rtp(packet, redundant);
        self.relay(cx, now, route, &packet);
        self.collect(cx, now, route, packet);
    }

    /// Keeps a packet for everybody of this replica who wants it, wherever it came from, until [`Self::distribute`].
    pub(super) fn collect(
        &mut self,
        cx: &mut Context,
        now: Instant,
        route: MediaRoute,
        packet: MediaPacket,
    ) {
        let Some(incoming) = self.inspect(now, route, &packet) else {
            return;
        };
        if self.collected.is_empty() {
            cx.forwarding.push_back(self.key);
        }
        self.collected.push(Collected {
            route,
            incoming,
            packet,
        });
    }

    /// Forwards what was collected. Each subscriber gets all packets of a track at once: what is known of a subscriber
    /// does not stay in the processor's cache while all others are served.
    pub(crate) fn distribute(&mut self, cx: &mut Context, now: Instant) {
        let mut collected = std::mem::take(&mut self.collected);
        for packets in collected.chunk_by(|one, next| one.route.track == next.route.track) {
            self.forward_all(cx, now, packets);
        }
        collected.clear();
        self.collected = collected;
    }

    /// Forwards packets of one track.
    fn forward_all(&mut self, cx: &mut Context, now: Instant, packets: &[Collected]) {
        let Some(track) = packets.first().map(|packet| packet.route.track) else {
            return;
        };
        let mut key_frames_for = BTreeSet::new();
        // By index: the list is not changed while packets are forwarded.
        for at in 0.. {
            let subscribers = self.tracks.get(track).map(|track| &track.subscribers);
            let Some(subscription) = subscribers.and_then(|all| all.get(at)).copied() else {
                break;
            };
            for Collected {
                route,
                incoming,
                packet,
            } in packets
            {
                if let Some(encoding) = self.forward_to(cx, subscription, *route, incoming, packet)
                {
                    key_frames_for.insert((route.source, encoding));
                }
            }
        }
        for (source, encoding) in key_frames_for {
            self.request_key_frame(cx, now, track, source, encoding);
        }
    }

    /// Which encoding of which track an SSRC is; learnt once.
    fn route(&mut self, from: ParticipantKey, ssrc: Ssrc) -> Option<MediaRoute> {
        let participant = self.participants.get_mut(from)?;
        if let Some(route) = participant.uplink.routes.get(&ssrc) {
            return Some(*route);
        }
        let (mid, rid) = participant.publisher.stream_origin(ssrc)?;
        let route = participant.uplink.tracks.iter().find_map(|track_key| {
            let track = self.tracks.get(*track_key)?;
            let source = track
                .sources
                .iter()
                .position(|source| source.mid == Some(mid))?;
            let encoding = track.sources.get(source)?.encoding_of(rid)?;
            Some(MediaRoute {
                track: *track_key,
                source,
                encoding,
            })
        })?;
        participant.uplink.routes.insert(ssrc, route);
        let encoding = self
            .tracks
            .get_mut(route.track)?
            .sources
            .get_mut(route.source)?
            .encodings
            .get_mut(route.encoding)?;
        encoding.ssrc = Some(ssrc);
        tracing::debug!(room = %self.name, %ssrc, encoding = route.encoding, "media stream found");
        Some(route)
    }

    /// Learns what a payload type of a client means, with its first packet; gives back whether it is redundant audio.
    fn learn_format(
        &mut self,
        cx: &mut Context,
        now: Instant,
        from: ParticipantKey,
        route: MediaRoute,
        payload_type: Pt,
    ) -> Option<bool> {
        let source = self
            .tracks
            .get_mut(route.track)?
            .sources
            .get_mut(route.source)?;
        if let Some(params) = source.params
            && carries(&params, payload_type)
        {
            return Some(params.red() == Some(payload_type));
        }
        let publisher = &self.participants.get(from)?.publisher;
        let params = publisher.payload_params(payload_type)?;
        source.params = Some(params);
        let codec = codec_of(&params);
        if std::mem::replace(&mut source.codec, codec) != codec {
            self.codec_found(cx, now, route);
        } else {
            self.tell_participant(cx, from);
        }
        Some(params.red() == Some(payload_type))
    }

    /// Reads what forwarding needs to know of a packet, and keeps the track's measurements.
    fn inspect(
        &mut self,
        now: Instant,
        route: MediaRoute,
        packet: &MediaPacket,
    ) -> Option<Incoming> {
        let mut incoming = self.describe_packet(route, packet)?;
        let track = self.tracks.get_mut(route.track)?;
        let source = track.sources.get_mut(route.source)?;
        let encoding = source.encodings.get_mut(route.encoding)?;
        encoding.meter.add(now, packet.payload.len());
        encoding.last_packet = Some(now);
        let remote = track.publisher.local().is_none();
        if track.info.kind == TrackKind::Audio {
            if let Some(level) = packet.extensions.audio_level.filter(|_| !remote) {
                track.observer.observe(now, level);
            }
            return Some(incoming);
        }
        if let Some(raw) = packet.extensions.user_values.get::<RawDescriptor>() {
            incoming.descriptor = source.descriptors.read(raw.bytes()).ok();
        }
        let described = incoming.descriptor.as_ref();
        if incoming.info.keyframe || described.is_some_and(|d| d.has_structure) {
            source.throttle.key_frame_arrived(route.encoding as u8);
        }
        if remote && !packet.payload.is_empty() {
            let starts = described.map_or(incoming.info.keyframe, |descriptor| {
                descriptor.has_structure && descriptor.start_of_frame
            });
            let cached = CachedPacket {
                packet: packet.clone(),
                captured: incoming.media.captured,
                descriptor: incoming.descriptor,
            };
            encoding.pictures.push(cached, starts);
        }
        Some(incoming)
    }

    /// What a packet tells on its own.
    pub(super) fn describe_packet(
        &mut self,
        route: MediaRoute,
        packet: &MediaPacket,
    ) -> Option<Incoming> {
        let track = self.tracks.get_mut(route.track)?;
        let source = track.sources.get(route.source)?;
        let params = source.params?;
        let clock_rate = params.spec().clock_rate.get();
        let timestamp_offset = source.clocks.offset(route.encoding as u8);
        let info = payload::inspect(source.codec, &packet.payload);
        let captured = match (timestamp_offset, track.publisher) {
            (Some(offset), publisher) => {
                let timestamp = packet.timestamp.wrapping_add(offset);
                let clock = self.clock_of(publisher)?;
                clock.capture_time(route.track, timestamp, clock_rate, packet.arrival)
            }
            _ => packet.arrival,
        };
        Some(Incoming {
            media: Arc::new(OutgoingMedia {
                captured,
                values: HeaderValues::from(&packet.extensions),
                payload: packet.payload.clone(),
            }),
            timestamp_offset,
            info,
            descriptor: None,
            params,
        })
    }

    /// Forwards to one subscriber; gives back the encoding it needs a key frame of.
    pub(super) fn forward_to(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        route: MediaRoute,
        incoming: &Incoming,
        packet: &MediaPacket,
    ) -> Option<usize> {
        let subscription = self.subscriptions.get_mut(key)?;
        if subscription.source != route.source || !subscription.is_flowing() {
            return None;
        }
        let mid = subscription.mid?;
        let participant = self.participants.get_mut(subscription.subscriber)?;
        let downstream = participant
            .subscriber
            .as_mut()
            .unwrap_or(&mut participant.publisher);
        if !downstream.is_connected() {
            return None;
        }

        let kind = (incoming.params.pt(), packet.redundant);
        let map = match subscription.payload_type {
            Some(map) if map.incoming == kind => map,
            _ => {
                let map = map_payload_type(downstream, mid, &incoming.params, kind);
                subscription.payload_type = Some(map);
                map
            }
        };
        let outgoing_type = map.outgoing?;

        let out = subscription.forwarder.push(&SourcePacket {
            encoding: route.encoding as u8,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            arrival: packet.arrival,
            payload: &packet.payload,
            info: incoming.info,
            descriptor: incoming.descriptor.as_ref(),
            timestamp_offset: incoming.timestamp_offset,
        });
        let wants = subscription.forwarder.wants_key_frame().map(usize::from);
        let Some(out) = out else {
            return wants;
        };
        let media = if map.strip_redundancy {
            match red::primary(&packet.payload) {
                Some(primary) => Arc::new(OutgoingMedia {
                    payload: Arc::from(primary),
                    ..OutgoingMedia::clone(&incoming.media)
                }),
                None => return wants,
            }
        } else {
            incoming.media.clone()
        };
        let outgoing = OutgoingPacket {
            payload_type: *outgoing_type,
            sequence: out.sequence,
            timestamp: out.timestamp,
            marker: out.marker,
            keep: !out.discardable,
            frame_number: out.frame_number,
            vp8: out.vp8,
            media,
        };
        downstream.write_rtp(cx, mid, outgoing);
        wants
    }

    /// The first packet told another codec than the announcement: others learn it, and forwarding starts anew.
    fn codec_found(&mut self, cx: &mut Context, now: Instant, route: MediaRoute) {
        let Some(track) = self.tracks.get_mut(route.track) else {
            return;
        };
        let Some(codec) = track.sources.get(route.source).map(|source| source.codec) else {
            return;
        };
        if route.source == 0 && track.info.kind == TrackKind::Video {
            track.info.mime_type = codec.mime().to_owned();
        }
        if let Some(described) = track.info.codecs.get_mut(route.source) {
            described.mime_type = codec.mime().to_owned();
        }
        let publisher = track.publisher.local();
        for key in track.subscribers.clone() {
            if let Some(subscription) = self
                .subscriptions
                .get_mut(key)
                .filter(|s| s.source == route.source)
            {
                subscription.forwarder.change_codec(codec);
            }
        }
        if let Some(publisher) = publisher {
            self.publish_change(cx, now, publisher);
        }
    }

    /// Notes a sender report of a client.
    pub(super) fn sender_report(
        &mut self,
        cx: &mut Context,
        now: Instant,
        from: ParticipantKey,
        feedback: &str0m::media::SenderFeedback,
    ) {
        let info = &feedback.sender_info;
        let participant = self.participants.get(from);
        let Some(route) = participant.and_then(|from| from.uplink.routes.get(&info.ssrc).copied())
        else {
            return;
        };
        let timestamp = info.rtp_time.numer() as u32;
        self.clock_report(now, route, info.ntp_time, timestamp);
        self.relay_clock(cx, route, info.ntp_time, timestamp);
    }

    /// Notes a sender report, which ties the clocks of a publisher's tracks and layers together.
    pub(super) fn clock_report(
        &mut self,
        now: Instant,
        route: MediaRoute,
        ntp: SystemTime,
        timestamp: u32,
    ) {
        let Some(track) = self.tracks.get_mut(route.track) else {
            return;
        };
        let publisher = track.publisher;
        let Some(source) = track.sources.get_mut(route.source) else {
            return;
        };
        let rate = source.params.map_or(source.codec.clock_rate(), |params| {
            params.spec().clock_rate.get()
        });
        let encoding = route.encoding as u8;
        source.clocks.sender_report(encoding, ntp, timestamp, rate);
        // One encoding is enough to tie the track to the publisher's clock: `clocks` ties the others to it.
        if route.encoding == 0
            && let Some(clock) = self.clock_of(publisher)
        {
            clock.sender_report(route.track, ntp, timestamp, rate, now);
        }
    }
}

/// A packet that waits for the end of the turn.
pub(super) struct Collected {
    route: MediaRoute,
    incoming: Incoming,
    packet: MediaPacket,
}

/// What forwarding knows of a packet beside its header.
pub(super) struct Incoming {
    pub(super) media: Arc<OutgoingMedia>,
    /// What ties the layer's timestamps to those of the lowest.
    timestamp_offset: Option<u32>,
    info: PayloadInfo,
    pub(super) descriptor: Option<FrameDescriptor>,
    params: PayloadParams,
}

impl Incoming {
    /// Replaces the time of capture, where it is known from before.
    pub(super) fn captured_at(&mut self, at: Instant) {
        Arc::make_mut(&mut self.media).captured = at;
    }
}

fn carries(params: &PayloadParams, payload_type: Pt) -> bool {
    params.pt() == payload_type || params.red() == Some(payload_type)
}

fn map_payload_type(
    downstream: &Transport,
    mid: Mid,
    params: &PayloadParams,
    incoming: (Pt, bool),
) -> PayloadTypeMap {
    let redundant = incoming.1;
    match downstream.matching_payload_type(mid, params) {
        Some((_, Some(red))) if redundant => PayloadTypeMap {
            incoming,
            outgoing: Some(red),
            strip_redundancy: false,
        },
        Some((plain, _)) => PayloadTypeMap {
            incoming,
            outgoing: Some(plain),
            strip_redundancy: redundant,
        },
        None => PayloadTypeMap {
            incoming,
            outgoing: None,
            strip_redundancy: false,
        },
    }
}
