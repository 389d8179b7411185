//! Writes RTP headers with their extensions (RFC 3550, RFC 8285).

use std::sync::Arc;
use std::time::Instant;

use str0m::media::Media;
use str0m::rtp::Extension;

use super::media::{self, HeaderValues, OutgoingPacket};
use crate::context::WallClock;
use crate::id::Mid;
use crate::media::descriptor;

/// Numbers of the header extensions of one section; 0 = not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtensionIds {
    pub(super) transport_sequence: u8,
    mid: u8,
    send_time: u8,
    audio_level: u8,
    orientation: u8,
    content_type: u8,
    playout_delay: u8,
    capture_time: u8,
    descriptor: u8,
}

impl ExtensionIds {
    pub(super) fn of(media: &Media) -> Self {
        let mut ids = Self::default();
        for (id, extension) in media.remote_extmap().iter() {
            match extension {
                Extension::TransportSequenceNumber => ids.transport_sequence = id,
                Extension::RtpMid => ids.mid = id,
                Extension::AbsoluteSendTime => ids.send_time = id,
                Extension::AudioLevel => ids.audio_level = id,
                Extension::VideoOrientation => ids.orientation = id,
                Extension::VideoContentType => ids.content_type = id,
                Extension::PlayoutDelay => ids.playout_delay = id,
                Extension::AbsoluteCaptureTime => ids.capture_time = id,
                other if other.as_uri() == descriptor::URI => ids.descriptor = id,
                _ => {}
            }
        }
        ids
    }

    fn any_long(&self) -> bool {
        [
            self.transport_sequence,
            self.mid,
            self.send_time,
            self.audio_level,
            self.orientation,
            self.content_type,
            self.playout_delay,
            self.capture_time,
            self.descriptor,
        ]
        .into_iter()
        .any(|id| id > 14)
    }
}

/// The fields in which a retransmission or padding differs from the packet itself.
#[derive(Clone, Copy)]
pub(super) struct Outer {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    /// The receiver still has to learn which section the stream belongs to.
    pub(super) names_section: bool,
}

/// Appends a header to the buffer; gives back where the transport-wide sequence number is to be written.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    ids: &ExtensionIds,
    mid: Mid,
    outer: Outer,
    packet: &OutgoingPacket,
    (clock, now): (&WallClock, Instant),
) -> Option<usize> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0x80, u8::from(packet.marker) << 7 | outer.payload_type]);
    buffer.extend_from_slice(&outer.sequence.to_be_bytes());
    buffer.extend_from_slice(&packet.timestamp.to_be_bytes());
    buffer.extend_from_slice(&outer.ssrc.to_be_bytes());
    let mid = outer.names_section.then_some(mid);
    write_extensions(buffer, start, ids, mid, packet, (clock, now))
}

fn write_extensions(
    buffer: &mut Vec<u8>,
    start: usize,
    ids: &ExtensionIds,
    mid: Option<Mid>,
    packet: &OutgoingPacket,
    (clock, now): (&WallClock, Instant),
) -> Option<usize> {
    let values = &packet.media.values;
    let descriptor = values.descriptor.as_deref().filter(|_| ids.descriptor != 0);
    let long = ids.any_long() || descriptor.is_some_and(|bytes| bytes.len() > 16);
    let at = buffer.len();
    let profile: [u8; 2] = if long { [0x10, 0x00] } else { [0xbe, 0xde] };
    buffer.extend_from_slice(&profile);
    buffer.extend_from_slice(&[0, 0]);
    let mut element = Elements { buffer, long };

    let sequence_at = element.put(ids.transport_sequence, &[0, 0]);
    if let Some(mid) = mid {
        element.put(ids.mid, mid.as_bytes());
    }
    if ids.transport_sequence == 0 && ids.send_time != 0 {
        // 24 bits of seconds, 18 of them the fraction.
        let time = (u128::from(clock.unix_us(now)) << 18) / 1_000_000;
        element.put(ids.send_time, &(time as u32).to_be_bytes()[1..]);
    }
    if let Some(level) = values.audio_level {
        element.put(ids.audio_level, &[level]);
    }
    if let Some(turned) = values.orientation {
        element.put(ids.orientation, &[turned]);
    }
    if let Some(content) = values.content_type {
        element.put(ids.content_type, &[content]);
    }
    if let Some(delay) = values.playout_delay {
        element.put(ids.playout_delay, &delay);
    }
    if let Some(time) = values.capture_time {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.ntp.to_be_bytes());
        let length = match time.clock_offset {
            Some(offset) => {
                bytes[8..].copy_from_slice(&offset.to_be_bytes());
                16
            }
            None => 8,
        };
        element.put(ids.capture_time, &bytes[..length]);
    }
    if let Some(bytes) = descriptor
        && let Some(written) = element.put(ids.descriptor, bytes)
        && let Some(number) = packet.frame_number
        && let Some(field) = element.buffer.get_mut(written + 1..written + 3)
    {
        field.copy_from_slice(&number.to_be_bytes());
    }

    let length = buffer.len() - at - 4;
    if length == 0 {
        buffer.truncate(at);
        return None;
    }
    let padded = length.next_multiple_of(4);
    buffer.resize(at + 4 + padded, 0);
    let words = (padded / 4) as u16;
    if let Some(field) = buffer.get_mut(at + 2..at + 4) {
        field.copy_from_slice(&words.to_be_bytes());
    }
    if let Some(first) = buffer.get_mut(start) {
        *first |= 0x10;
    }
    sequence_at
}

struct Elements<'a> {
    buffer: &'a mut Vec<u8>,
    long: bool,
}

impl Elements<'_> {
    /// Appends one element, unless it was not negotiated; gives back where its data begins.
    fn put(&mut self, id: u8, data: &[u8]) -> Option<usize> {
        if id == 0 || data.is_empty() || data.len() > 255 || (!self.long && data.len() > 16) {
            return None;
        }
        if self.long {
            self.buffer.extend_from_slice(&[id, data.len() as u8]);
        } else {
            self.buffer.push(id << 4 | (data.len() - 1) as u8);
        }
        self.buffer.extend_from_slice(data);
        Some(self.buffer.len() - data.len())
    }
}

/// What padding says: nothing but its timestamp.
pub(super) fn padding(timestamp: u32, now: Instant) -> OutgoingPacket {
    OutgoingPacket {
        payload_type: 0,
        sequence: 0,
        timestamp,
        marker: false,
        keep: false,
        frame_number: None,
        vp8: None,
        media: Arc::new(media::Media {
            captured: now,
            values: HeaderValues::default(),
            payload: Arc::default(),
        }),
    }
}
