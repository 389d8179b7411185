//! Payloads that servers take for VP8 and Opus, with a stamp inside.

use crate::stamp::{STAMP_BYTES, Stamp, TAIL_BYTES};

/// Bytes of the VP8 payload descriptor we write (RFC 7741 section 4.2): flags, extension flags, 15-bit picture id,
/// TL0PICIDX, temporal layer.
const DESCRIPTOR_BYTES: usize = 6;
/// Bytes of a VP8 key frame's header (RFC 6386 section 9.1). Other packets have as many of filler, for equal sizes.
const FRAME_HEADER_BYTES: usize = 10;
/// Opus: SILK-only would be judged by energy; this is CELT, 20 ms, mono, one frame (RFC 6716 section 3.1).
const OPUS_TOC: u8 = 0xF8;

/// Smallest video payload that holds a stamp, in bytes.
pub(crate) const MIN_VIDEO_BYTES: usize =
    DESCRIPTOR_BYTES + FRAME_HEADER_BYTES + STAMP_BYTES + TAIL_BYTES;
/// Smallest audio payload that holds a stamp, in bytes.
pub(crate) const MIN_AUDIO_BYTES: usize = 1 + STAMP_BYTES + TAIL_BYTES;

/// Where a packet is in its video stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    /// 15 bits.
    pub(crate) id: u16,
    pub(crate) tl0: u8,
    pub(crate) key: bool,
    /// First packet of the picture.
    pub(crate) first: bool,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// Fills `payload`, of at least [`MIN_VIDEO_BYTES`], as VP8.
pub(crate) fn write_video(payload: &mut [u8], picture: &Picture, stamp: &Stamp) {
    let start = if picture.first { 0x10 } else { 0 };
    let [high, low] = picture.id.to_be_bytes();
    payload[..DESCRIPTOR_BYTES].copy_from_slice(&[
        0x80 | start,
        0xE0,
        0x80 | high,
        low,
        picture.tl0,
        0x20,
    ]);
    let header = &mut payload[DESCRIPTOR_BYTES..DESCRIPTOR_BYTES + FRAME_HEADER_BYTES];
    header.fill(0xAB);
    if picture.first {
        let inter = u8::from(!picture.key);
        header[..6].copy_from_slice(&[0x10 | inter, 0, 0, 0x9D, 0x01, 0x2A]);
        header[6..8].copy_from_slice(&picture.width.to_le_bytes());
        header[8..10].copy_from_slice(&picture.height.to_le_bytes());
    }
    stamp.write(&mut payload[DESCRIPTOR_BYTES + FRAME_HEADER_BYTES..]);
}

/// Fills `payload`, of at least [`MIN_AUDIO_BYTES`], as Opus.
pub(crate) fn write_audio(payload: &mut [u8], stamp: &Stamp) {
    payload[0] = OPUS_TOC;
    stamp.write(&mut payload[1..]);
}

/// The stamp of a VP8 payload, whatever form of descriptor the server has given it.
pub(crate) fn read_video(payload: &[u8]) -> Option<Stamp> {
    let mut length = 1;
    if *payload.first()? & 0x80 != 0 {
        let flags = *payload.get(1)?;
        length += 1;
        if flags & 0x80 != 0 {
            length += if *payload.get(2)? & 0x80 != 0 { 2 } else { 1 };
        }
        length += usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
    }
    Stamp::read(payload.get(length + FRAME_HEADER_BYTES..)?)
}

/// The stamp of an Opus payload.
pub(crate) fn read_audio(payload: &[u8]) -> Option<Stamp> {
    Stamp::read(payload.get(1..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        run: 1,
        source: 2,
        layer: 0,
        flags: 0,
        sequence: 3,
        sent_ns: 4,
    };

    #[test]
    fn a_video_payload_is_read_back_also_with_a_rewritten_descriptor() {
        let mut payload = vec![0; 300];
        let picture = Picture {
            id: 0x7ABC,
            tl0: 3,
            key: true,
            first: true,
            width: 640,
            height: 360,
        };
        write_video(&mut payload, &picture, &STAMP);
        assert_eq!(read_video(&payload), Some(STAMP));
        assert_eq!(payload[6] & 1, 0, "the frame header says key frame");
        // A 7-bit picture id and no temporal layer.
        let mut short = vec![0x90, 0x80, 0x11];
        short.extend_from_slice(&payload[6..]);
        assert_eq!(read_video(&short), Some(STAMP));
    }

    #[test]
    fn the_smallest_payloads_hold_a_stamp_and_truncated_ones_give_none() {
        let mut video = [0; MIN_VIDEO_BYTES];
        let picture = Picture {
            id: 1,
            tl0: 0,
            key: false,
            first: false,
            width: 0,
            height: 0,
        };
        write_video(&mut video, &picture, &STAMP);
        let mut audio = [0; MIN_AUDIO_BYTES];
        write_audio(&mut audio, &STAMP);
        assert_eq!(
            (read_video(&video), read_audio(&audio)),
            (Some(STAMP), Some(STAMP))
        );
        for cut in 0..video.len() {
            assert_eq!(read_video(&video[..cut]), None);
        }
        assert_eq!(read_audio(&[]), None);
    }
}
