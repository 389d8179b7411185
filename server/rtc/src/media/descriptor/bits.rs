//! Bits of a byte string, most significant first.

use super::DescriptorError;

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// `f(n)` of the specification.
    pub(super) fn read(&mut self, count: u64) -> Result<u64, DescriptorError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self
                .bytes
                .get(self.position / 8)
                .ok_or(DescriptorError::TooShort)?;
            value = value << 1 | u64::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Ok(value)
    }

    pub(super) fn flag(&mut self) -> Result<bool, DescriptorError> {
        Ok(self.read(1)? == 1)
    }

    /// `ns(n)` of the specification: a number below `bound` in as few bits as possible.
    pub(super) fn read_below(&mut self, bound: u64) -> Result<u64, DescriptorError> {
        let width = u64::from(64 - bound.leading_zeros());
        let short = (1 << width) - bound;
        let value = self.read(width.saturating_sub(1))?;
        if value < short {
            Ok(value)
        } else {
            Ok((value << 1) - short + self.read(1)?)
        }
    }
}
