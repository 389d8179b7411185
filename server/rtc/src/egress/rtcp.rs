//! Reads what receivers report (RFC 3550, RFC 4585, RFC 5104 and the drafts on REMB and transport-wide feedback).

/// Lost packets named in one datagram that are looked at: more is no loss but a flood.
const MAX_LOST: usize = 512;
/// Reports in one datagram that are looked at.
const MAX_REPORTS: usize = 64;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Whether the datagram, known to be RTP or RTCP, is RTCP (RFC 5761 section 4).
pub(crate) fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(..2), Some([128..=191, 192..=223]))
}

/// One thing a receiver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// About a stream of ours.
    Received(ReceptionReport),
    /// A packet of the stream did not arrive.
    Lost { ssrc: u32, sequence: u16 },
    /// The stream cannot be decoded without a key frame.
    KeyFrame { ssrc: u32, full: bool },
    /// The path carries this much, bits per second.
    Bitrate(u64),
    /// Arrival times by transport-wide sequence number: what follows the media SSRC.
    Arrivals(&'a [u8]),
    /// Something that concerns what the peer sends.
    Other,
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceptionReport {
    pub(super) ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub(super) fraction_lost: u8,
    pub(super) total_lost: i32,
    /// Extended highest sequence number received.
    pub(super) highest_sequence: u32,
    /// In timestamp units.
    pub(super) jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 = none received.
    pub(super) last_report: u32,
    /// Since that report, in 1/65,536 s.
    pub(super) delay: u32,
}

/// Reads a compound packet in the clear; stops at the first part that is broken.
pub(super) fn read<'a>(packet: &'a [u8], mut say: impl FnMut(Said<'a>)) {
    let mut rest = packet;
    let mut lost = 0;
    for _ in 0..MAX_REPORTS {
        let Some(header) = rest.get(..4) else { return };
        let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (Some(body), 2) = (rest.get(4..length), header[0] >> 6) else {
            return;
        };
        let count = header[0] & 0x1f;
        let body = if header[0] & 0x20 != 0 {
            unpadded(body)
        } else {
            body
        };
        match (header[1], count) {
            (RECEIVER_REPORT, _) => blocks(body.get(4..), count, &mut say),
            (SENDER_REPORT, _) => {
                say(Said::Other);
                blocks(body.get(24..), count, &mut say);
            }
            (TRANSPORT_FEEDBACK, 1) => nack(body, &mut lost, &mut say),
            (TRANSPORT_FEEDBACK, 15) => {
                if let Some(fci) = body.get(8..) {
                    say(Said::Arrivals(fci));
                }
            }
            (PAYLOAD_FEEDBACK, 1) => {
                if let Some(ssrc) = read_u32(body, 4) {
                    say(Said::KeyFrame { ssrc, full: false });
                }
            }
            (PAYLOAD_FEEDBACK, 4) => {
                for entry in body.get(8..).unwrap_or_default().chunks_exact(8) {
                    if let Some(ssrc) = read_u32(entry, 0) {
                        say(Said::KeyFrame { ssrc, full: true });
                    }
                }
            }
            (PAYLOAD_FEEDBACK, 15) => {
                if let Some(bitrate) = remb(body) {
                    say(Said::Bitrate(bitrate));
                }
            }
            (DESCRIPTION, _) => {}
            _ => say(Said::Other),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn unpadded(body: &[u8]) -> &[u8] {
    let padding = body.last().copied().map_or(0, usize::from);
    body.get(..body.len().saturating_sub(padding))
        .unwrap_or_default()
}

fn blocks<'a>(body: Option<&'a [u8]>, count: u8, say: &mut impl FnMut(Said<'a>)) {
    let blocks = body.unwrap_or_default().chunks_exact(24);
    for block in blocks.take(usize::from(count)) {
        let word = |at| read_u32(block, at).unwrap_or_default();
        say(Said::Received(ReceptionReport {
            ssrc: word(0),
            fraction_lost: (word(4) >> 24) as u8,
            // 24 bits, signed.
            total_lost: (word(4) << 8) as i32 >> 8,
            highest_sequence: word(8),
            jitter: word(12),
            last_report: word(16),
            delay: word(20),
        }));
    }
}

fn nack<'a>(body: &'a [u8], lost: &mut usize, say: &mut impl FnMut(Said<'a>)) {
    let Some(ssrc) = read_u32(body, 4) else {
        return;
    };
    for entry in body.get(8..).unwrap_or_default().chunks_exact(4) {
        let first = u16::from_be_bytes([entry[0], entry[1]]);
        let following = u16::from_be_bytes([entry[2], entry[3]]);
        let named = (0..16u16).filter(|bit| following >> bit & 1 == 1);
        for offset in std::iter::once(0).chain(named.map(|bit| bit + 1)) {
            if *lost >= MAX_LOST {
                return;
            }
            *lost += 1;
            say(Said::Lost {
                ssrc,
                sequence: first.wrapping_add(offset),
            });
        }
    }
}

/// draft-alvestrand-rmcat-remb-03 section 2.2.
fn remb(body: &[u8]) -> Option<u64> {
    if body.get(8..12)? != b"REMB" {
        return None;
    }
    let word = read_u32(body, 12)? & 0x00ff_ffff;
    let (exponent, mantissa) = (word >> 18, u64::from(word & 0x3_ffff));
    Some(mantissa.checked_shl(exponent).unwrap_or(u64::MAX))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(packet: &[u8]) -> Vec<Said<'_>> {
        let mut said = Vec::new();
        read(packet, |one| said.push(one));
        said
    }

    #[test]
    fn a_compound_of_report_and_nack_is_read() {
        let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64];
        packet.extend_from_slice(&[0xff, 0xff, 0xff]);
        packet.extend_from_slice(&[0, 1, 0, 7, 0, 0, 0, 5, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 0]);
        packet.extend_from_slice(&[
            0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0, 0b101,
        ]);
        let lost = |sequence| Said::Lost { ssrc: 9, sequence };
        assert_eq!(
            all(&packet),
            [
                Said::Received(ReceptionReport {
                    ssrc: 9,
                    fraction_lost: 64,
                    total_lost: -1,
                    highest_sequence: 65_543,
                    jitter: 5,
                    last_report: 0x1234_5678,
                    delay: 65_536,
                }),
                lost(65_535),
                lost(0),
                lost(2),
            ]
        );
    }

    #[test]
    fn requests_for_key_frames_and_bounds_are_read() {
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(
            all(&pli),
            [Said::KeyFrame {
                ssrc: 9,
                full: false
            }]
        );
        let fir = [
            0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0,
        ];
        assert_eq!(
            all(&fir),
            [Said::KeyFrame {
                ssrc: 9,
                full: true
            }]
        );
        let remb = [
            0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x04, 0, 5, 0, 0,
            0, 9,
        ];
        assert_eq!(all(&remb), [Said::Bitrate(10)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_within_bounds(packet in prop::collection::vec(any::<u8>(), 0..1_500)) {
            prop_assert!(all(&packet).len() <= MAX_LOST + 31 * MAX_REPORTS + 256);
        }

        #[test]
        fn broken_reports_are_read_without_panic(
            kind in 200u8..=207, count in 0u8..32, words in 0u16..40, body in prop::collection::vec(any::<u8>(), 0..160),
        ) {
            let mut packet = vec![0x80 | count, kind];
            packet.extend_from_slice(&words.to_be_bytes());
            packet.extend_from_slice(&body);
            all(&packet);
        }
    }
}
