//! What every payload carries, so that its delivery can be checked exactly: where it comes from, its number, when it left.

/// Bytes of a stamp.
pub(crate) const STAMP_BYTES: usize = 28;
/// Bytes at the end of a payload that prove it came whole.
pub(crate) const TAIL_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"TWLT";

/// The packet begins a key frame.
pub(crate) const KEY_FRAME_START: u8 = 1;

/// Identity of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Differs from run to run, so that stray packets of another run are seen.
    pub(crate) run: u32,
    /// The published track.
    pub(crate) source: u32,
    /// Simulcast layer, 0 = lowest.
    pub(crate) layer: u8,
    pub(crate) flags: u8,
    /// Counts the packets of one layer of one source.
    pub(crate) sequence: u32,
    /// Nanoseconds since the Unix epoch.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// Writes the stamp at the start of `payload` and the proof of wholeness at its end.
    ///
    /// `payload` has at least [`STAMP_BYTES`] + [`TAIL_BYTES`] bytes.
    pub(crate) fn write(&self, payload: &mut [u8]) {
        let length = payload.len() as u16;
        payload[0..4].copy_from_slice(&MAGIC);
        payload[4..8].copy_from_slice(&self.run.to_be_bytes());
        payload[8..12].copy_from_slice(&self.source.to_be_bytes());
        payload[12] = self.layer;
        payload[13] = self.flags;
        payload[14..16].copy_from_slice(&length.to_be_bytes());
        payload[16..20].copy_from_slice(&self.sequence.to_be_bytes());
        payload[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
        let end = payload.len() - TAIL_BYTES;
        payload[end..].copy_from_slice(&self.tail().to_be_bytes());
    }

    /// The stamp of a payload that came whole; `None` for anything else.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<STAMP_BYTES>()?;
        let (_, tail) = rest.split_last_chunk::<TAIL_BYTES>()?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        let stamp = Self {
            run: word(4),
            source: word(8),
            layer: head[12],
            flags: head[13],
            sequence: word(16),
            sent_ns: u64::from(word(20)) << 32 | u64::from(word(24)),
        };
        let whole = head[..4] == MAGIC
            && length == payload.len()
            && u64::from_be_bytes(*tail) == stamp.tail();
        whole.then_some(stamp)
    }

    fn tail(&self) -> u64 {
        (u64::from(self.source) << 32 | u64::from(self.sequence))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ self.sent_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            run: 7,
            source: 0x0102_0304,
            layer: 2,
            flags: KEY_FRAME_START,
            sequence: 99,
            sent_ns: u64::MAX / 3,
        }
    }

    #[test]
    fn a_whole_payload_gives_its_stamp_back() {
        let mut payload = [0xAB; 200];
        stamp().write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp()));
    }

    #[test]
    fn a_payload_cut_or_changed_gives_none() {
        let mut payload = [0xAB; 200];
        stamp().write(&mut payload);
        assert_eq!(Stamp::read(&payload[..199]), None);
        assert_eq!(Stamp::read(&payload[..10]), None);
        for at in [0, 9, 15, 19, 25, 199] {
            let mut changed = payload;
            changed[at] ^= 1;
            assert_eq!(Stamp::read(&changed), None, "byte {at}");
        }
    }
}
