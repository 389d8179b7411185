//! Variable-length integers (RFC 9000 section 16) and the reader and writer that every frame uses.

use bytes::{BufMut, Bytes};

use super::FrameError;

/// Appends `value`, of which the upper two bits are lost: no count here comes near 2^62.
pub(crate) fn put_varint(out: &mut impl BufMut, value: u64) {
    match value {
        0..=0x3f => out.put_u8(value as u8),
        0x40..=0x3fff => out.put_u16(value as u16 | 0x4000),
        0x4000..=0x3fff_ffff => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// Appends the length of `bytes` and `bytes`.
pub(crate) fn put_bytes(out: &mut impl BufMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Reads values from the front of bytes that a peer sent.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FrameError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        let two = self.take(2)?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(self
            .take(8)?
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, FrameError> {
        let first = *self.bytes.first().ok_or(FrameError::Truncated)?;
        let bytes = self.take(1 << (first >> 6))?;
        // The upper two bits of the first byte are the length.
        let start = u64::from(first & 0x3f);
        Ok(bytes
            .iter()
            .skip(1)
            .fold(start, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, FrameError> {
        if self.bytes.len() < count {
            return Err(FrameError::Truncated);
        }
        Ok(self.bytes.split_to(count))
    }

    /// A length and as many bytes, at most `max`.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<Bytes, FrameError> {
        let length = self.varint()?;
        if length > max as u64 {
            return Err(FrameError::TooLarge);
        }
        self.take(length as usize)
    }

    /// A length and as much UTF-8, at most `max` bytes.
    pub(crate) fn text(&mut self, max: usize) -> Result<String, FrameError> {
        String::from_utf8(self.bytes(max)?.into()).map_err(|_| FrameError::Invalid)
    }

    pub(crate) fn rest(self) -> Bytes {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_integer_comes_back(value in 0u64..1 << 62, tail in proptest::collection::vec(any::<u8>(), 0..4)) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let length = out.len();
            out.extend(&tail);
            let mut reader = Reader::new(out.into());
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.rest(), tail);
            prop_assert!(matches!(length, 1 | 2 | 4 | 8));
        }
    }

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_1_are_read() {
        let cases: [(&[u8], u64); 4] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ];
        for (bytes, value) in cases {
            assert_eq!(Reader::new(Bytes::from_static(bytes)).varint(), Ok(value));
            assert_eq!(
                Reader::new(Bytes::from_static(&bytes[..bytes.len() - 1])).varint(),
                Err(FrameError::Truncated)
            );
        }
    }
}
