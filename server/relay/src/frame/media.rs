//! Datagrams: media packets and hop messages.

use bytes::{BufMut, Bytes, BytesMut};

use super::varint::{Reader, put_varint};
use super::{Frame, FrameError};
use crate::class::MediaClass;
use crate::id::{Epoch, FlowId};

/// Most bytes that a media datagram has above its RTP packet: four of flow id, four of hop header.
pub const MAX_OVERHEAD: usize = 8;

/// Which copy of a packet this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The first.
    First,
    /// A second one, sent unasked because the hop is long and loses packets.
    Duplicate,
    /// One that the receiver asked for.
    Retransmission,
}

/// The four bytes between flow id and RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopHeader {
    /// What the packet is; hop sequences count per class.
    pub class: MediaClass,
    /// Which copy this is.
    pub copy: Copy,
    /// Of the owner of the room.
    pub epoch: Epoch,
    /// Counts first copies of this class on this hop.
    pub sequence: u16,
}

/// Everything in front of the RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaHeader {
    /// The RTP stream.
    pub flow: FlowId,
    /// This hop's header.
    pub hop: HopHeader,
}

impl MediaHeader {
    /// The datagram for an RTP packet.
    pub fn encode(&self, rtp: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(MAX_OVERHEAD + rtp.len());
        put_varint(&mut out, u64::from(self.flow.number()));
        let copy = match self.hop.copy {
            Copy::First => 0,
            Copy::Duplicate => 1,
            Copy::Retransmission => 2,
        };
        out.put_u8(self.hop.class.code() << 5 | copy << 3);
        out.put_u8(self.hop.epoch.0);
        out.put_u16(self.hop.sequence);
        out.put_slice(rtp);
        out.freeze()
    }
}

/// A datagram as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram {
    /// A media packet: its headers and the RTP packet.
    Media(MediaHeader, Bytes),
    /// A hop message.
    Message(Frame),
    /// Something of a later version.
    Unknown,
}

impl Datagram {
    /// Reads a datagram.
    ///
    /// # Errors
    /// When it is cut short or a known hop message in it is malformed.
    pub fn decode(datagram: Bytes) -> Result<Self, FrameError> {
        let mut reader = Reader::new(datagram);
        let flow = reader.varint()?;
        if flow == 0 {
            let frame = Frame::decode(reader.rest())?;
            return Ok(frame.map_or(Self::Unknown, Self::Message));
        }
        let flow = u32::try_from(flow)
            .ok()
            .and_then(FlowId::new)
            .ok_or(FrameError::TooLarge)?;
        let bits = reader.byte()?;
        let epoch = Epoch(reader.byte()?);
        let sequence = reader.u16()?;
        let copy = match bits >> 3 & 3 {
            0 => Copy::First,
            1 => Copy::Duplicate,
            2 => Copy::Retransmission,
            _ => return Ok(Self::Unknown),
        };
        let Some(class) = MediaClass::from_code(bits >> 5) else {
            return Ok(Self::Unknown);
        };
        let hop = HopHeader {
            class,
            copy,
            epoch,
            sequence,
        };
        Ok(Self::Media(MediaHeader { flow, hop }, reader.rest()))
    }

    /// The datagram for a hop message.
    pub fn encode_message(frame: &Frame) -> Bytes {
        let mut out = BytesMut::new();
        put_varint(&mut out, 0);
        frame.encode_body(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            drop(Datagram::decode(bytes.into()));
        }

        #[test]
        fn media_comes_back_as_it_was(
            flow in 1..=FlowId::MAX,
            class in 0u8..5,
            epoch: u8,
            sequence: u16,
            rtp in proptest::collection::vec(any::<u8>(), 0..1300),
        ) {
            let header = MediaHeader {
                flow: FlowId::new(flow).unwrap(),
                hop: HopHeader {
                    class: MediaClass::from_code(class).unwrap(),
                    copy: Copy::Retransmission,
                    epoch: Epoch(epoch),
                    sequence,
                },
            };
            let datagram = header.encode(&rtp);
            prop_assert!(datagram.len() <= rtp.len() + MAX_OVERHEAD);
            prop_assert_eq!(Datagram::decode(datagram), Ok(Datagram::Media(header, rtp.into())));
        }
    }
}
