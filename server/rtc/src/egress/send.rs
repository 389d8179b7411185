//! Packets into the send buffer: media, retransmissions and padding.

use std::time::{Duration, Instant};

use super::header::{self, ExtensionIds, Outer};
use super::media::OutgoingPacket;
use super::{Egress, Keys, PayloadType, RESEND_BURST, RESEND_SHARE};
use crate::context::Context;
use crate::id::Mid;
use crate::info::TrackKind;

/// Packets taken from the queue in one turn.
const MAX_DRAINED: usize = 512;
/// Padding packets of one turn.
const MAX_PROBES: usize = 128;
/// A padding packet says its length in one octet (RFC 3550 section 5.1).
const MAX_PADDING: usize = 255;
/// Between two retransmissions of one packet while the round trip is unknown, and at least.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);
const MIN_SPACING: Duration = Duration::from_millis(10);
/// Bytes the largest packet may take.
const LARGEST: u64 = 1_500;

/// What goes into a packet.
struct Parts<'a> {
    ids: ExtensionIds,
    mid: Mid,
    outer: Outer,
    /// Rollover counter and sequence number, claimed for the SSRC.
    index: u64,
    packet: &'a OutgoingPacket,
    /// Number of the packet that is sent again (RFC 4588 section 4).
    original: Option<u16>,
    padding: usize,
}

impl Egress {
    /// Seals a packet of the stream at `at`; its index has been claimed.
    pub(super) fn send_media(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: usize,
        packet: &OutgoingPacket,
    ) {
        let current = self.streams.get(at).and_then(|stream| stream.payload_type);
        let payload_type = current
            .filter(|current| current.number == packet.payload_type)
            .or_else(|| self.payload_type(packet.payload_type));
        let Some(stream) = self.streams.get_mut(at) else {
            return;
        };
        let parts = Parts {
            ids: stream.ids,
            mid: stream.mid,
            outer: Outer {
                ssrc: stream.ssrc,
                payload_type: packet.payload_type,
                sequence: packet.sequence as u16,
                names_section: !stream.acknowledged,
            },
            index: packet.sequence,
            packet,
            original: None,
            padding: 0,
        };
        stream.payload_type = payload_type;
        stream.note_sent(now, packet);
        if let Some(report_at) = stream.report_at() {
            self.report_at = Some(self.report_at.map_or(report_at, |at| at.min(report_at)));
        }
        let sent = self.emit(cx, now, &parts);
        if sent > 0 {
            cx.counters.rtp_out += 1;
            let credit = self.resend_credit + sent as u64 / RESEND_SHARE;
            self.resend_credit = credit.min(RESEND_BURST);
        }
    }

    /// Sends a packet again, if it is known, allowed and not just been sent. Video asks the pacer first.
    pub(super) fn resend(&mut self, cx: &mut Context, now: Instant, ssrc: u32, sequence: u16) {
        let spacing = self
            .congestion
            .round_trip()
            .unwrap_or(UNKNOWN_ROUND_TRIP)
            .max(MIN_SPACING);
        if self.resend_credit < LARGEST {
            return;
        }
        let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == ssrc) else {
            return;
        };
        let kept = stream.ring.take_for_resend(now, sequence, spacing);
        if let Some(packet) = kept {
            let sent = self.send_again(cx, now, ssrc, &packet);
            self.resend_credit = self.resend_credit.saturating_sub(sent as u64);
        }
    }

    /// Whether a retransmission of this stream may go past the pacer.
    pub(super) fn is_urgent(&self, ssrc: u32) -> bool {
        self.streams
            .iter()
            .any(|s| s.ssrc == ssrc && s.kind == TrackKind::Audio)
    }

    /// Sends what waits, as far as the path has room.
    pub(super) fn drain_queue(&mut self, cx: &mut Context, now: Instant) {
        for _ in 0..MAX_DRAINED {
            if self.queue.is_empty() || !self.congestion.admits(now) {
                return;
            }
            if let Some((ssrc, sequence)) = self.queue.pop_resend() {
                self.resend(cx, now, ssrc, sequence);
            } else if let Some(waiting) = self.queue.pop()
                // A stream whose SSRC was replaced while its packets waited has nobody who wants them.
                && let Some(at) = self.streams.iter().position(|s| s.ssrc == waiting.ssrc)
            {
                self.send_media(cx, now, at, &waiting.packet);
            }
        }
    }

    /// Sends what the estimator wants to measure with: the newest packet again where it fits, else padding.
    pub(super) fn send_probes(&mut self, cx: &mut Context, now: Instant) {
        let Some(at) = self.padding_stream() else {
            return;
        };
        for _ in 0..MAX_PROBES {
            let Some(bytes) = self.congestion.poll_probe(now) else {
                return;
            };
            let mut left = bytes;
            while left > 0 {
                let sent = self.send_probe(cx, now, at, left);
                if sent == 0 {
                    return;
                }
                left = left.saturating_sub(sent);
            }
        }
    }

    /// One packet of a probe, of about `bytes`; gives back its size.
    fn send_probe(&mut self, cx: &mut Context, now: Instant, at: usize, bytes: usize) -> usize {
        let Some(stream) = self.streams.get(at) else {
            return 0;
        };
        match stream.newest_sent(MAX_PADDING..=bytes + bytes / 4) {
            Some(packet) => self.send_again(cx, now, stream.ssrc, &packet),
            None => self.send_padding(cx, now, at, bytes),
        }
    }

    /// Seals a packet for the resend stream; gives back its size.
    fn send_again(
        &mut self,
        cx: &mut Context,
        now: Instant,
        ssrc: u32,
        packet: &OutgoingPacket,
    ) -> usize {
        let resend_type = self
            .payload_type(packet.payload_type)
            .and_then(|payload_type| payload_type.resend);
        let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == ssrc) else {
            return 0;
        };
        let (Some(resend_ssrc), Some(resend_type)) = (stream.resend_ssrc, resend_type) else {
            return 0;
        };
        let index = stream.claim_resend();
        let parts = Parts {
            ids: stream.ids,
            mid: stream.mid,
            outer: Outer {
                ssrc: resend_ssrc,
                payload_type: resend_type,
                sequence: index as u16,
                names_section: !stream.resend_acknowledged,
            },
            index,
            packet,
            original: Some(packet.sequence as u16),
            padding: 0,
        };
        let sent = self.emit(cx, now, &parts);
        cx.counters.rtp_resent += u64::from(sent > 0);
        sent
    }

    /// Seals a packet of padding; gives back its size.
    fn send_padding(&mut self, cx: &mut Context, now: Instant, at: usize, bytes: usize) -> usize {
        let resend_type = self
            .payload_types
            .iter()
            .find_map(|payload_type| payload_type.resend);
        let Some(stream) = self.streams.get_mut(at) else {
            return 0;
        };
        let current = stream.payload_type.and_then(|current| current.resend);
        let (Some(ssrc), Some(payload_type), Some(timestamp)) = (
            stream.resend_ssrc,
            current.or(resend_type),
            stream.last_timestamp(),
        ) else {
            return 0;
        };
        let index = stream.claim_resend();
        let parts = Parts {
            ids: stream.ids,
            mid: stream.mid,
            outer: Outer {
                ssrc,
                payload_type,
                sequence: index as u16,
                names_section: !stream.resend_acknowledged,
            },
            index,
            packet: &header::padding(timestamp, now),
            original: None,
            padding: bytes.clamp(1, MAX_PADDING),
        };
        self.emit(cx, now, &parts)
    }

    /// A video stream that can carry padding and whose arrival is reported.
    fn padding_stream(&self) -> Option<usize> {
        self.streams.iter().position(|stream| {
            stream.kind == TrackKind::Video
                && stream.resend_ssrc.is_some()
                && stream.ids.transport_sequence != 0
                && !stream.is_idle()
        })
    }

    fn payload_type(&self, number: u8) -> Option<PayloadType> {
        self.payload_types
            .iter()
            .find(|known| known.number == number)
            .copied()
    }

    /// Writes and seals one packet; gives back its size on the wire, 0 if it could not be sealed.
    fn emit(&mut self, cx: &mut Context, now: Instant, parts: &Parts<'_>) -> usize {
        let Some(Keys { sealer, .. }) = &self.keys else {
            return 0;
        };
        let buffer = self.batch.begin(&mut cx.buffers);
        let start = buffer.len();
        let sequence_at = header::write(
            buffer,
            &parts.ids,
            parts.mid,
            parts.outer,
            parts.packet,
            (&cx.clock, now),
        );
        if let Some(original) = parts.original {
            buffer.extend_from_slice(&original.to_be_bytes());
        }
        let payload_at = buffer.len();
        buffer.extend_from_slice(&parts.packet.media.payload);
        if let (Some(patch), Some(payload)) = (&parts.packet.vp8, buffer.get_mut(payload_at..)) {
            patch.apply(payload);
        }
        if parts.padding > 0 {
            buffer.resize(buffer.len() + parts.padding - 1, 0);
            buffer.push(parts.padding as u8);
            if let Some(first) = buffer.get_mut(start) {
                *first |= 0x20;
            }
        }
        if let Some(at) = sequence_at {
            let bytes = buffer.len() - start + sealer.rtp_overhead();
            let sequence = self.congestion.packet_sent(now, bytes);
            if let Some(field) = buffer.get_mut(at..at + 2) {
                field.copy_from_slice(&sequence.to_be_bytes());
            }
        }
        if let Err(error) = sealer.seal_rtp(buffer, start, parts.index) {
            tracing::warn!(%error, ssrc = parts.outer.ssrc, "packet not sealed");
            buffer.truncate(start);
        }
        self.batch.end(&mut cx.buffers, start)
    }
}
