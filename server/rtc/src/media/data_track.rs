//! The header of a data track packet: 12 bytes, then extensions, then a piece of a frame that is opaque to the server.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+---+-+---+---------------+-------------------------------+
//! |  V  | F |X| 0 |   reserved    |            handle             |
//! +-----+---+-+---+---------------+-------------------------------+
//! |           sequence            |         frame number          |
//! +-------------------------------+-------------------------------+
//! |                           timestamp                           |
//! +-------------------------------+-------------------------------+
//! |  extension words (if X)       |  extensions ...
//! +-------------------------------+
//! ```
//! The words are 32 bits each, count their own 16 bits, and are one more than the number says.

use crate::id::DataTrackHandle;

const HEADER_BYTES: usize = 12;
/// The only version there is.
const VERSION: u8 = 0;
const EXTENDED: u8 = 0b100;

/// The handle of a well-formed packet; `None` if subscribers could not read it.
pub fn handle(packet: &[u8]) -> Option<DataTrackHandle> {
    let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>()?;
    let [flags, _, high, low, ..] = *header;
    if flags >> 5 != VERSION {
        return None;
    }
    if flags & EXTENDED != 0 {
        let words = u16::from_be_bytes(*rest.first_chunk()?);
        if rest.len() < (usize::from(words) + 1) * 4 {
            return None;
        }
    }
    DataTrackHandle::new(u32::from(u16::from_be_bytes([high, low])))
}

/// Writes another handle into a packet that [`handle`] could read.
pub fn set_handle(packet: &mut [u8], handle: DataTrackHandle) {
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&handle.get().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Version 0, the only packet of its frame, handle 0x8811, payload `7`.
    const PACKET: [u8; 13] = [
        0x18, 0, 0x88, 0x11, 0x44, 0x22, 0x44, 0x11, 0x44, 0x22, 0x11, 0x88, 7,
    ];

    fn number(packet: &[u8]) -> Option<u16> {
        handle(packet).map(DataTrackHandle::get)
    }

    #[test]
    fn the_handle_is_read_from_a_packet() {
        assert_eq!(number(&PACKET), Some(0x8811));
        assert_eq!(number(&PACKET[..12]), Some(0x8811), "a frame may be empty");
    }

    #[test]
    fn what_subscribers_could_not_read_is_refused() {
        assert_eq!(number(&PACKET[..11]), None, "too short");
        let mut newer = PACKET;
        newer[0] = 0x38;
        assert_eq!(number(&newer), None, "version 1");
        let mut nobody = PACKET;
        nobody[2..4].fill(0);
        assert_eq!(number(&nobody), None, "handle 0");
    }

    #[test]
    fn extensions_must_fit() {
        let mut packet = PACKET[..12].to_vec();
        packet[0] |= EXTENDED;
        assert_eq!(number(&packet), None, "no length");
        // One word: the length itself and two bytes.
        packet.extend([0, 0, 0]);
        assert_eq!(number(&packet), None, "a byte is missing");
        packet.push(0);
        assert_eq!(number(&packet), Some(0x8811));
        packet[12..14].fill(0xFF);
        assert_eq!(number(&packet), None, "far too long");
    }

    proptest! {
        #[test]
        fn rewriting_never_panics_and_changes_nothing_but_the_handle(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            new in 1..=65_535_u32,
        ) {
            let new = DataTrackHandle::new(new).expect("within bounds");
            let readable = handle(&bytes).is_some();
            let mut rewritten = bytes.clone();
            set_handle(&mut rewritten, new);
            prop_assert_eq!(rewritten.len(), bytes.len());
            if readable {
                prop_assert_eq!(handle(&rewritten), Some(new));
                prop_assert_eq!(&rewritten[..2], &bytes[..2]);
                prop_assert_eq!(&rewritten[4..], &bytes[4..]);
            }
        }
    }
}
