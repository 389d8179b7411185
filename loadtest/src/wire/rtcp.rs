//! RTCP: what bots read of it, and what they send.

use super::{be16, be32};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Something a server tells a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Sender report: SSRC and the middle 32 bits of its NTP time (RFC 3550 section 6.4.1).
    SenderReport { ssrc: u32, ntp_middle: u32 },
    /// PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1) for this SSRC.
    KeyFrameWanted { ssrc: u32 },
    /// Generic NACK (RFC 4585 section 6.2.1).
    Lost { ssrc: u32, sequences: Vec<u16> },
}

/// Reads a compound packet; what bots have no use for is left out.
pub(crate) fn read(mut compound: &[u8], mut told: impl FnMut(Told)) {
    while let Some((packet, rest)) = split(compound) {
        compound = rest;
        let format = packet[0] & 0x1F;
        match (packet[1], format) {
            (SENDER_REPORT, _) => {
                if let (Some(ssrc), Some(high), Some(low)) =
                    (be32(packet, 4), be16(packet, 10), be16(packet, 12))
                {
                    let ntp_middle = u32::from(high) << 16 | u32::from(low);
                    told(Told::SenderReport { ssrc, ntp_middle });
                }
            }
            (PAYLOAD_FEEDBACK, 1) => {
                if let Some(ssrc) = be32(packet, 8) {
                    told(Told::KeyFrameWanted { ssrc });
                }
            }
            (PAYLOAD_FEEDBACK, 4) => {
                for entry in packet[12.min(packet.len())..].chunks_exact(8) {
                    if let Some(ssrc) = be32(entry, 0) {
                        told(Told::KeyFrameWanted { ssrc });
                    }
                }
            }
            (TRANSPORT_FEEDBACK, 1) => {
                if let Some(ssrc) = be32(packet, 8) {
                    let sequences = packet[12..].chunks_exact(4).flat_map(lost).collect();
                    told(Told::Lost { ssrc, sequences });
                }
            }
            _ => {}
        }
    }
}

fn split(compound: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = 4 * (usize::from(be16(compound, 2)?) + 1);
    compound.split_at_checked(length)
}

fn lost(entry: &[u8]) -> impl Iterator<Item = u16> {
    let first = be16(entry, 0).unwrap_or_default();
    let mask = be16(entry, 2).unwrap_or_default();
    let following = (0..16)
        .filter(move |bit| mask >> bit & 1 == 1)
        .map(move |bit| first.wrapping_add(bit + 1));
    std::iter::once(first).chain(following)
}

/// One block of a receiver report (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Block {
    pub(crate) ssrc: u32,
    /// Share lost since the last report, of 256.
    pub(crate) fraction_lost: u8,
    pub(crate) lost: u32,
    /// Highest sequence number with its cycles.
    pub(crate) highest: u32,
    /// In timestamp units.
    pub(crate) jitter: u32,
    pub(crate) last_report: u32,
    /// Since the last sender report, in 1/65536 s.
    pub(crate) delay: u32,
}

/// Appends receiver reports of at most 31 blocks each.
pub(crate) fn append_receiver_reports(packet: &mut Vec<u8>, sender: u32, blocks: &[Block]) {
    for blocks in blocks.chunks(31) {
        append_head(
            packet,
            blocks.len() as u8,
            RECEIVER_REPORT,
            1 + 6 * blocks.len(),
            sender,
        );
        for block in blocks {
            packet.extend_from_slice(&block.ssrc.to_be_bytes());
            let lost = block.lost.min(0x7F_FFFF) | u32::from(block.fraction_lost) << 24;
            for word in [
                lost,
                block.highest,
                block.jitter,
                block.last_report,
                block.delay,
            ] {
                packet.extend_from_slice(&word.to_be_bytes());
            }
        }
    }
}

/// Appends a sender report without blocks. `unix_ns` is the wall clock at `timestamp`.
pub(crate) fn append_sender_report(
    packet: &mut Vec<u8>,
    ssrc: u32,
    unix_ns: u64,
    timestamp: u32,
    packets: u32,
    octets: u32,
) {
    /// Seconds from 1900 to 1970.
    const NTP_OFFSET: u64 = 2_208_988_800;
    append_head(packet, 0, SENDER_REPORT, 6, ssrc);
    let seconds = (unix_ns / 1_000_000_000 + NTP_OFFSET) as u32;
    let fraction = ((u128::from(unix_ns % 1_000_000_000) << 32) / 1_000_000_000) as u32;
    for word in [seconds, fraction, timestamp, packets, octets] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends a PLI.
pub(crate) fn append_key_frame_request(packet: &mut Vec<u8>, sender: u32, media: u32) {
    append_head(packet, 1, PAYLOAD_FEEDBACK, 2, sender);
    packet.extend_from_slice(&media.to_be_bytes());
}

/// Appends a generic NACK of ascending sequence numbers.
pub(crate) fn append_nack(packet: &mut Vec<u8>, sender: u32, media: u32, sequences: &[u16]) {
    let mut entries: Vec<(u16, u16)> = Vec::new();
    for &sequence in sequences {
        match entries.last_mut() {
            Some((first, mask)) if (1..=16).contains(&sequence.wrapping_sub(*first)) => {
                *mask |= 1 << (sequence.wrapping_sub(*first) - 1);
            }
            _ => entries.push((sequence, 0)),
        }
    }
    append_head(packet, 1, TRANSPORT_FEEDBACK, 2 + entries.len(), sender);
    packet.extend_from_slice(&media.to_be_bytes());
    for (first, mask) in entries {
        packet.extend_from_slice(&first.to_be_bytes());
        packet.extend_from_slice(&mask.to_be_bytes());
    }
}

/// Appends a transport-wide feedback message around its content (see [`super::transport_cc`]).
pub(crate) fn append_transport_cc(packet: &mut Vec<u8>, sender: u32, media: u32, content: &[u8]) {
    append_head(
        packet,
        15,
        TRANSPORT_FEEDBACK,
        2 + content.len() / 4,
        sender,
    );
    packet.extend_from_slice(&media.to_be_bytes());
    packet.extend_from_slice(content);
}

/// `words` follow the first one.
fn append_head(packet: &mut Vec<u8>, count: u8, kind: u8, words: usize, sender: u32) {
    packet.extend_from_slice(&[0x80 | count, kind]);
    packet.extend_from_slice(&(words as u16).to_be_bytes());
    packet.extend_from_slice(&sender.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_from_one_compound() {
        let mut packet = Vec::new();
        append_receiver_reports(&mut packet, 1, &[Block::default(); 40]);
        append_sender_report(&mut packet, 5, 1_700_000_000_500_000_000, 9, 1, 2);
        append_nack(&mut packet, 1, 6, &[10, 11, 26, 27, 65_535]);
        append_key_frame_request(&mut packet, 1, 7);
        let mut told = Vec::new();
        read(&packet, |one| told.push(one));
        assert!(
            matches!(told[0], Told::SenderReport { ssrc: 5, ntp_middle } if ntp_middle as u16 == 0x8000)
        );
        assert_eq!(
            told[1],
            Told::Lost {
                ssrc: 6,
                sequences: vec![10, 11, 26, 27, 65_535]
            }
        );
        assert_eq!(told[2], Told::KeyFrameWanted { ssrc: 7 });
    }

    #[test]
    fn cut_packets_tell_nothing_wrong() {
        let mut packet = Vec::new();
        append_nack(&mut packet, 1, 6, &[10]);
        for cut in 0..packet.len() {
            read(&packet[..cut], |told| panic!("{told:?}"));
        }
        read(&[0x81, 205, 0, 0], |told| panic!("{told:?}"));
    }
}
