//! A relayed packet as an RTP packet (RFC 3550) inside a link.
//!
//! The SSRC field tells the codec, the encoding and the rollover counter, so that the far side knows the extended sequence
//! number without keeping state. Header extensions are of the two-byte form (RFC 8285 section 4.3), since dependency
//! descriptors are long, with the fixed identifiers below.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tradewind_rtc::replica::{MediaExtensions, RelayedPacket};
use tradewind_rtc::{FlowId, TrackKind};

const HEADER: usize = 12;
const VERSION: u8 = 2 << 6;
const EXTENSION_BIT: u8 = 1 << 4;
const MARKER_BIT: u8 = 1 << 7;
/// Dynamic payload types (RFC 3551 section 6) that tell plain from redundant payloads.
const PLAIN: u8 = 96;
const REDUNDANT: u8 = 97;
/// "Defined by profile" of the two-byte form.
const TWO_BYTE_FORM: [u8; 2] = [0x10, 0x00];

const AUDIO_LEVEL: u8 = 1;
const ROTATION: u8 = 2;
const CONTENT_TYPE: u8 = 3;
const CAPTURED: u8 = 4;
const PLAYOUT_DELAY: u8 = 5;
const DESCRIPTOR: u8 = 6;
/// The voice activity bit is valid, and set.
const VOICE_KNOWN: u8 = 1;
const VOICE_ACTIVE: u8 = 2;

/// Why bytes of a peer are not a relayed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("the packet is cut short")]
    Short,
    #[error("not an RTP packet of this kind of link")]
    Unknown,
}

/// Appends the packet to `out`.
pub(crate) fn write(packet: &RelayedPacket, out: &mut Vec<u8>) {
    out.reserve(HEADER + packet.payload.len() + 32);
    let at = out.len();
    let marker = if packet.marker { MARKER_BIT } else { 0 };
    let kind = if packet.redundant { REDUNDANT } else { PLAIN };
    let [.., rollover_high, rollover_low, high, low] = packet.sequence.to_be_bytes();
    out.extend_from_slice(&[VERSION, marker | kind, high, low]);
    out.extend_from_slice(&packet.timestamp.to_be_bytes());
    out.extend_from_slice(&[packet.source, packet.encoding, rollover_high, rollover_low]);
    write_extensions(&packet.extensions, at, out);
    out.extend_from_slice(&packet.payload);
}

/// Reads a packet of `flow`, whose class on the link tells the kind.
///
/// # Errors
/// The bytes are none.
pub(crate) fn read(
    flow: FlowId,
    kind: TrackKind,
    bytes: &[u8],
) -> Result<RelayedPacket, PacketError> {
    let (header, mut rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(PacketError::Short)?;
    let [
        first,
        second,
        high,
        low,
        t3,
        t2,
        t1,
        t0,
        source,
        encoding,
        rollover_high,
        rollover_low,
    ] = *header;
    let redundant = match second & !MARKER_BIT {
        PLAIN => false,
        REDUNDANT => true,
        _ => return Err(PacketError::Unknown),
    };
    if first & !EXTENSION_BIT != VERSION {
        return Err(PacketError::Unknown);
    }
    let mut extensions = MediaExtensions::default();
    if first & EXTENSION_BIT != 0 {
        let (head, after) = rest.split_first_chunk::<4>().ok_or(PacketError::Short)?;
        let [form_high, form_low, words_high, words_low] = *head;
        if [form_high, form_low] != TWO_BYTE_FORM {
            return Err(PacketError::Unknown);
        }
        let length = usize::from(u16::from_be_bytes([words_high, words_low])) * 4;
        let (block, payload) = after.split_at_checked(length).ok_or(PacketError::Short)?;
        extensions = read_extensions(block)?;
        rest = payload;
    }
    Ok(RelayedPacket {
        flow,
        kind,
        source,
        encoding,
        sequence: u32::from_be_bytes([rollover_high, rollover_low, high, low]).into(),
        timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
        marker: second & MARKER_BIT != 0,
        redundant,
        extensions,
        payload: Arc::from(rest),
    })
}

fn write_extensions(extensions: &MediaExtensions, packet: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&TWO_BYTE_FORM);
    out.extend_from_slice(&[0, 0]);
    let mut put = |id: u8, value: &[u8]| {
        // Longer ones are not ours: a descriptor has at most 255 bytes.
        if let Ok(length) = u8::try_from(value.len()) {
            out.extend_from_slice(&[id, length]);
            out.extend_from_slice(value);
        }
    };
    if let Some(level) = extensions.audio_level {
        let voice = match extensions.voice_activity {
            Some(true) => VOICE_KNOWN | VOICE_ACTIVE,
            Some(false) => VOICE_KNOWN,
            None => 0,
        };
        put(AUDIO_LEVEL, &[level.unsigned_abs(), voice]);
    }
    if let Some(rotation) = extensions.rotation {
        put(ROTATION, &[rotation]);
    }
    if let Some(content) = extensions.content_type {
        put(CONTENT_TYPE, &[content]);
    }
    if let Some(captured) = extensions.captured {
        let mut value = [0; 16];
        let since = captured
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (time, offset) = value.split_at_mut(8);
        time.copy_from_slice(
            &u64::try_from(since.as_nanos())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        match extensions.capture_offset {
            Some(known) => {
                offset.copy_from_slice(&known.to_be_bytes());
                put(CAPTURED, &value);
            }
            None => put(CAPTURED, time),
        }
    }
    if let Some((least, most)) = extensions.playout_delay {
        let ([a, b], [c, d]) = (least.to_be_bytes(), most.to_be_bytes());
        put(PLAYOUT_DELAY, &[a, b, c, d]);
    }
    if let Some(descriptor) = &extensions.descriptor {
        put(DESCRIPTOR, descriptor);
    }
    let length = out.len() - start - 4;
    if length == 0 {
        out.truncate(start);
        return;
    }
    out.resize(start + 4 + length.next_multiple_of(4), 0);
    let words = u16::try_from(length.div_ceil(4)).unwrap_or(u16::MAX);
    if let (Some(first), Some(count)) =
        (out.get(packet).copied(), out.get_mut(start + 2..start + 4))
    {
        count.copy_from_slice(&words.to_be_bytes());
        if let Some(byte) = out.get_mut(packet) {
            *byte = first | EXTENSION_BIT;
        }
    }
}

fn read_extensions(mut block: &[u8]) -> Result<MediaExtensions, PacketError> {
    let mut extensions = MediaExtensions::default();
    while let Some((id, rest)) = block.split_first() {
        // Padding between elements (RFC 8285 section 4.1.2).
        if *id == 0 {
            block = rest;
            continue;
        }
        let (length, rest) = rest.split_first().ok_or(PacketError::Short)?;
        let (value, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(PacketError::Short)?;
        block = rest;
        match (*id, value) {
            (AUDIO_LEVEL, [level, voice]) => {
                extensions.audio_level = Some(-(i8::try_from(*level).unwrap_or(i8::MAX)));
                extensions.voice_activity =
                    (voice & VOICE_KNOWN != 0).then_some(voice & VOICE_ACTIVE != 0);
            }
            (ROTATION, [rotation]) => extensions.rotation = Some(rotation & 3),
            (CONTENT_TYPE, [content]) => extensions.content_type = Some(*content),
            (CAPTURED, value) => {
                let (time, offset) = value.split_first_chunk::<8>().ok_or(PacketError::Short)?;
                let since = Duration::from_nanos(u64::from_be_bytes(*time));
                extensions.captured = SystemTime::UNIX_EPOCH.checked_add(since);
                extensions.capture_offset = offset.first_chunk().copied().map(i64::from_be_bytes);
            }
            (PLAYOUT_DELAY, [a, b, c, d]) => {
                let delays = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                extensions.playout_delay = Some(delays);
            }
            (DESCRIPTOR, value) => extensions.descriptor = Some(Arc::from(value)),
            // Of a later version.
            _ => {}
        }
    }
    Ok(extensions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet() -> RelayedPacket {
        RelayedPacket {
            flow: FlowId(7),
            kind: TrackKind::Video,
            source: 1,
            encoding: 2,
            sequence: 0x1_2345,
            timestamp: 0xdead_beef,
            marker: true,
            redundant: false,
            extensions: MediaExtensions {
                audio_level: Some(-30),
                voice_activity: Some(false),
                rotation: Some(3),
                content_type: Some(1),
                captured: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(1_700)),
                capture_offset: Some(-5),
                playout_delay: Some((10, 40)),
                descriptor: Some(Arc::from(&[1u8, 2, 3][..])),
            },
            payload: Arc::from(&b"picture"[..]),
        }
    }

    #[test]
    fn a_packet_survives_the_link() {
        let mut bytes = b"before".to_vec();
        write(&packet(), &mut bytes);
        assert_eq!(read(FlowId(7), TrackKind::Video, &bytes[6..]), Ok(packet()));
    }

    #[test]
    fn a_packet_without_extensions_costs_twelve_bytes() {
        let plain = RelayedPacket {
            extensions: MediaExtensions::default(),
            redundant: true,
            marker: false,
            ..packet()
        };
        let mut bytes = Vec::new();
        write(&plain, &mut bytes);
        assert_eq!(bytes.len(), HEADER + plain.payload.len());
        assert_eq!(read(FlowId(7), TrackKind::Video, &bytes), Ok(plain));
    }

    proptest! {
        #[test]
        fn junk_is_refused_or_read_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(FlowId(0), TrackKind::Audio, &bytes);
        }

        #[test]
        fn a_packet_cut_anywhere_is_refused_or_shorter(cut in 0usize..60) {
            let mut bytes = Vec::new();
            write(&packet(), &mut bytes);
            let cut = cut.min(bytes.len());
            if let Ok(read) = read(FlowId(7), TrackKind::Video, &bytes[..cut]) {
                prop_assert!(read.payload.len() <= packet().payload.len());
            }
        }
    }
}
