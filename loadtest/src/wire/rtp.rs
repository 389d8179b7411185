//! RTP headers (RFC 3550 section 5.1) with one-byte extensions (RFC 8285 section 4.2).

use super::{be16, be32};

/// Header of a packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) padding: bool,
    /// Where the one-byte extensions lie, if there are any.
    extensions: Option<(usize, usize)>,
    /// Bytes of the header with its extensions.
    pub(crate) length: usize,
}

impl Header {
    /// Reads the header of `packet`; `None` if it is no RTP packet.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        if first >> 6 != 2 {
            return None;
        }
        let second = *packet.get(1)?;
        let mut length = 12 + 4 * usize::from(first & 0x0F);
        let mut extensions = None;
        if first & 0x10 != 0 {
            let words = usize::from(be16(packet, length + 2)?);
            let start = length + 4;
            length = start + 4 * words;
            if be16(packet, start - 4)? == 0xBEDE {
                extensions = Some((start, length));
            }
        }
        (packet.len() >= length).then_some(())?;
        Some(Self {
            payload_type: second & 0x7F,
            marker: second & 0x80 != 0,
            sequence: be16(packet, 2)?,
            timestamp: be32(packet, 4)?,
            ssrc: be32(packet, 8)?,
            padding: first & 0x20 != 0,
            extensions,
            length,
        })
    }

    /// Two bytes of the extension with this id.
    pub(crate) fn extension16(&self, packet: &[u8], wanted: u8) -> Option<u16> {
        let (mut at, end) = self.extensions?;
        while at < end {
            let head = *packet.get(at)?;
            let (id, size) = (head >> 4, usize::from(head & 0x0F) + 1);
            match id {
                0 => at += 1,
                15 => return None,
                id if id == wanted => return be16(packet, at + 1),
                _ => at += 1 + size,
            }
        }
        None
    }

    /// The payload without padding.
    pub(crate) fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let payload = packet.get(self.length..).unwrap_or_default();
        match payload.last() {
            Some(&padding) if self.padding => {
                &payload[..payload.len().saturating_sub(usize::from(padding))]
            }
            _ => payload,
        }
    }
}

/// A header to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHeader<'a> {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Extension ids, 1 to 14, and values of 1 to 16 bytes.
    pub(crate) extensions: &'a [(u8, &'a [u8])],
}

impl NewHeader<'_> {
    /// Appends the header to `packet`.
    pub(crate) fn append(&self, packet: &mut Vec<u8>) {
        let some = !self.extensions.is_empty();
        packet.push(if some { 0x90 } else { 0x80 });
        packet.push(self.payload_type | u8::from(self.marker) << 7);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        if !some {
            return;
        }
        let bytes: usize = self
            .extensions
            .iter()
            .map(|(_, value)| 1 + value.len())
            .sum();
        let words = bytes.div_ceil(4);
        packet.extend_from_slice(&[0xBE, 0xDE]);
        packet.extend_from_slice(&(words as u16).to_be_bytes());
        for (id, value) in self.extensions {
            packet.push(id << 4 | (value.len() as u8 - 1));
            packet.extend_from_slice(value);
        }
        packet.resize(packet.len() + 4 * words - bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_header_reads_back() {
        let mut packet = Vec::new();
        let header = NewHeader {
            payload_type: 96,
            marker: true,
            sequence: 65_535,
            timestamp: 7,
            ssrc: 9,
            extensions: &[(4, b"12"), (3, &[0xAA, 0xBB])],
        };
        header.append(&mut packet);
        packet.extend_from_slice(b"payload");
        let read = Header::read(&packet).expect("a header");
        assert_eq!(
            (
                read.payload_type,
                read.marker,
                read.sequence,
                read.timestamp,
                read.ssrc
            ),
            (96, true, 65_535, 7, 9)
        );
        assert_eq!(read.extension16(&packet, 3), Some(0xAABB));
        assert_eq!(read.extension16(&packet, 5), None);
        assert_eq!(read.payload(&packet), b"payload");
    }

    #[test]
    fn padding_is_no_payload_and_cut_packets_are_no_packets() {
        let mut packet = vec![0xA0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 2];
        assert_eq!(
            Header::read(&packet).expect("a header").payload(&packet),
            [1, 2]
        );
        *packet.last_mut().expect("one") = 200;
        assert!(
            Header::read(&packet)
                .expect("a header")
                .payload(&packet)
                .is_empty()
        );
        for cut in 0..12 {
            assert_eq!(Header::read(&packet[..cut]), None);
        }
    }
}
