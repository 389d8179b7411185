//! The packet path: one packet of a publisher to everybody who wants it.

use std::sync::Arc;
use std::time::Instant;

use str0m::format::PayloadParams;
use str0m::media::Pt;
use str0m::rtp::{RtpPacket, Ssrc};

use super::participant::MediaRoute;
use super::subscription::PayloadTypeMap;
use super::{ParticipantKey, Room, SubscriptionKey};
use crate::context::Context;
use crate::counters::DropReason;
use crate::egress::{HeaderValues, OutgoingPacket};
use crate::id::Mid;
use crate::info::TrackKind;
use crate::media::codec::Codec;
use crate::media::descriptor::{FrameDescriptor, RawDescriptor};
use crate::media::forward::SourcePacket;
use crate::media::payload::{self, PayloadInfo};
use crate::media::red;
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
        let Some(incoming) = self.inspect(now, from, route, &packet) else {
            return;
        };
        if incoming.codec_changed {
            self.codec_found(cx, now, route);
        }
        let Some(track) = self.tracks.get(route.track) else {
            return;
        };
        let mut key_frame_for = None;
        // By index: the list is not changed while a packet is forwarded.
        for at in 0..track.subscribers.len() {
            let Some(subscription) = self
                .tracks
                .get(route.track)
                .and_then(|t| t.subscribers.get(at))
                .copied()
            else {
                break;
            };
            if let Some(encoding) =
                self.forward_to(cx, now, subscription, route, &incoming, &packet)
            {
                key_frame_for = Some(encoding);
            }
        }
        if let Some(encoding) = key_frame_for {
            self.request_key_frame(cx, now, route.track, route.source, encoding);
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
            let source = track.sources.iter().position(|source| source.mid == mid)?;
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

    /// Reads what forwarding needs to know of a packet, and keeps the track's measurements.
    fn inspect(
        &mut self,
        now: Instant,
        from: ParticipantKey,
        route: MediaRoute,
        packet: &RtpPacket,
    ) -> Option<Incoming> {
        let participant = self.participants.get_mut(from)?;
        let track = self.tracks.get_mut(route.track)?;
        let source = track.sources.get_mut(route.source)?;
        let payload_type = packet.header.payload_type;
        let known_codec = source.codec;
        if !source
            .params
            .is_some_and(|params| carries(&params, payload_type))
        {
            let params = participant.publisher.payload_params(payload_type)?;
            source.params = Some(params);
            source.codec = codec_of(&params);
        }
        let params = source.params?;
        if let Some(encoding) = source.encodings.get_mut(route.encoding) {
            encoding.meter.add(now, packet.payload.len());
        }
        let clock_rate = params.spec().clock_rate.get();
        let timestamp_offset = source.clocks.offset(route.encoding as u8);
        let captured = match timestamp_offset {
            Some(offset) => participant.uplink.clock.capture_time(
                route.track,
                packet.header.timestamp.wrapping_add(offset),
                clock_rate,
                now,
            ),
            None => now,
        };
        let info = payload::inspect(source.codec, &packet.payload);
        let codec_changed = source.codec != known_codec;
        let mut incoming = Incoming {
            captured,
            values: HeaderValues::from(&packet.header.ext_vals),
            timestamp_offset,
            info,
            descriptor: None,
            params,
            codec_changed,
        };
        match track.info.kind {
            TrackKind::Audio => {
                if let Some(level) = packet.header.ext_vals.audio_level {
                    track.observer.observe(now, level);
                }
            }
            TrackKind::Video => {
                if let Some(raw) = packet.header.ext_vals.user_values.get::<RawDescriptor>() {
                    incoming.descriptor = source.descriptors.read(raw.bytes()).ok();
                }
                if incoming.info.keyframe
                    || incoming
                        .descriptor
                        .as_ref()
                        .is_some_and(|d| d.has_structure)
                {
                    source.throttle.key_frame_arrived(route.encoding as u8);
                }
            }
        }
        Some(incoming)
    }

    /// Forwards to one subscriber; gives back the encoding it needs a key frame of.
    fn forward_to(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: SubscriptionKey,
        route: MediaRoute,
        incoming: &Incoming,
        packet: &RtpPacket,
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

        let payload_type = packet.header.payload_type;
        let map = match subscription.payload_type {
            Some(map) if map.incoming == payload_type => map,
            _ => {
                let map = map_payload_type(downstream, mid, &incoming.params, payload_type);
                subscription.payload_type = Some(map);
                map
            }
        };
        let outgoing_type = map.outgoing?;

        let out = subscription.forwarder.push(&SourcePacket {
            encoding: route.encoding as u8,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            arrival: packet.timestamp,
            payload: &packet.payload,
            info: incoming.info,
            descriptor: incoming.descriptor.as_ref(),
            timestamp_offset: incoming.timestamp_offset,
        });
        let wants = subscription.forwarder.wants_key_frame().map(usize::from);
        let Some(out) = out else {
            return wants;
        };
        let payload = if map.strip_redundancy {
            match red::primary(&packet.payload) {
                Some(primary) => Arc::from(primary),
                None => return wants,
            }
        } else {
            packet.payload.clone()
        };
        let outgoing = OutgoingPacket {
            payload_type: *outgoing_type,
            sequence: out.sequence,
            timestamp: out.timestamp,
            captured: incoming.captured,
            marker: out.marker,
            keep: !out.discardable,
            values: incoming.values.clone(),
            frame_number: out.frame_number,
            payload,
            vp8: out.vp8,
        };
        downstream.write_rtp(cx, now, mid, outgoing);
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
        let publisher = track.publisher;
        for key in track.subscribers.clone() {
            if let Some(subscription) = self
                .subscriptions
                .get_mut(key)
                .filter(|s| s.source == route.source)
            {
                subscription.forwarder.change_codec(codec);
            }
        }
        self.publish_change(cx, now, publisher);
    }

    /// Notes a sender report, which ties the clocks of a publisher's tracks and layers together.
    pub(super) fn sender_report(
        &mut self,
        now: Instant,
        from: ParticipantKey,
        feedback: &str0m::media::SenderFeedback,
    ) {
        let Some(participant) = self.participants.get_mut(from) else {
            return;
        };
        let Some(route) = participant
            .uplink
            .routes
            .get(&feedback.sender_info.ssrc)
            .copied()
        else {
            return;
        };
        let Some(track) = self.tracks.get_mut(route.track) else {
            return;
        };
        let Some(source) = track.sources.get_mut(route.source) else {
            return;
        };
        let info = &feedback.sender_info;
        let timestamp = info.rtp_time.numer() as u32;
        let rate = source.params.map_or(source.codec.clock_rate(), |params| {
            params.spec().clock_rate.get()
        });
        source
            .clocks
            .sender_report(route.encoding as u8, info.ntp_time, timestamp, rate);
        // One encoding is enough to tie the track to the publisher's clock: `clocks` ties the others to it.
        if route.encoding == 0 {
            participant.uplink.clock.sender_report(
                route.track,
                info.ntp_time,
                timestamp,
                rate,
                now,
            );
        }
    }
}

/// What forwarding knows of a packet beside its header.
struct Incoming {
    captured: Instant,
    values: HeaderValues,
    /// What ties the layer's timestamps to those of the lowest.
    timestamp_offset: Option<u32>,
    info: PayloadInfo,
    descriptor: Option<FrameDescriptor>,
    params: PayloadParams,
    /// The payload is not in the codec that was announced.
    codec_changed: bool,
}

fn carries(params: &PayloadParams, payload_type: Pt) -> bool {
    params.pt() == payload_type || params.red() == Some(payload_type)
}

fn codec_of(params: &PayloadParams) -> Codec {
    use str0m::format::Codec as Negotiated;
    match params.spec().codec {
        Negotiated::Opus => Codec::Opus,
        Negotiated::Vp8 => Codec::Vp8,
        Negotiated::Vp9 => Codec::Vp9,
        Negotiated::H264 => Codec::H264,
        Negotiated::H265 => Codec::H265,
        Negotiated::Av1 => Codec::Av1,
        _ => Codec::Other,
    }
}

fn map_payload_type(
    downstream: &Transport,
    mid: Mid,
    params: &PayloadParams,
    incoming: Pt,
) -> PayloadTypeMap {
    let redundant = params.red() == Some(incoming);
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
