//! RTP and RTCP as bytes, as little of it as bots need.

pub(crate) mod rtcp;
pub(crate) mod rtp;
pub(crate) mod transport_cc;

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Whether a datagram that is neither STUN nor DTLS is RTCP rather than RTP (RFC 5761 section 4).
pub(crate) fn is_rtcp(datagram: &[u8]) -> bool {
    datagram
        .get(1)
        .is_some_and(|kind| (192..=223).contains(kind))
}

/// The 64-bit number nearest to `last` whose low 16 bits are `low`.
pub(crate) fn extend(last: u64, low: u16) -> u64 {
    let distance = low.wrapping_sub(last as u16) as i16;
    last.saturating_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::extend;

    #[test]
    fn numbers_are_extended_over_the_wrap_both_ways() {
        assert_eq!(extend(65_535, 0), 65_536);
        assert_eq!(extend(65_536, 65_535), 65_535);
        assert_eq!(extend(200_000, 200_010_u64 as u16), 200_010);
    }
}
