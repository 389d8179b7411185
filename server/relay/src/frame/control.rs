//! Control frames: what nodes say to each other beside media.

use bytes::{BufMut, Bytes, BytesMut};

use super::FrameError;
use super::varint::{Reader, put_bytes, put_varint};
use crate::class::MediaClass;
use crate::id::{NodeId, RoomKey};

/// Longest control frame on a stream, bytes without its length.
pub const MAX_FRAME: usize = 256 << 10;
/// Longest node or room name, bytes.
pub const MAX_NAME: usize = 256;
/// Most entries of one NACK; with 17 packets each, more than half a second of a fast link.
pub const MAX_NACK_ENTRIES: usize = 128;

/// A version of the protocol. Links need equal majors; each side uses what both minors know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when old nodes could not understand; part of the ALPN name too.
    pub major: u16,
    /// Changes when something is added.
    pub minor: u16,
}

impl Version {
    /// What this code speaks.
    pub const OURS: Self = Self { major: 1, minor: 0 };
}

/// A missing packet and those of the sixteen after it that are missing too (the form of RFC 4585 section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NackEntry {
    /// Hop sequence of the first missing packet.
    pub first: u16,
    /// Bit `n` stands for `first + 1 + n`.
    pub following: u16,
}

/// What arrived of one class since the link came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneCount {
    /// The class.
    pub class: MediaClass,
    /// First copies that were sent, as far as is known.
    pub expected: u64,
    /// First copies that arrived.
    pub arrived: u64,
}

/// A control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame on a link, in both directions.
    Hello {
        /// The sender's name, which its certificate must carry too.
        node: NodeId,
        /// What it speaks.
        version: Version,
        /// Differs from one start of the sender to the next.
        instance: u64,
        /// Bits of optional abilities, none so far.
        features: u64,
    },
    /// Packets of the receiver that did not arrive.
    Nack {
        /// Their class.
        class: MediaClass,
        /// Their hop sequences.
        entries: Vec<NackEntry>,
    },
    /// How many packets of the receiver arrived.
    Feedback {
        /// By class.
        lanes: Vec<LaneCount>,
    },
    /// Bytes for a room, in order.
    Room {
        /// The room.
        room: RoomKey,
        /// In the rooms' own language.
        payload: Bytes,
    },
    /// The sender takes no new rooms and will end the link when it is empty.
    Drain,
}

const HELLO: u64 = 1;
const NACK: u64 = 2;
const FEEDBACK: u64 = 3;
const ROOM: u64 = 4;
const DRAIN: u64 = 5;

impl Frame {
    /// The frame with its length, as it stands on a stream.
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        self.encode_body(&mut body);
        let mut out = BytesMut::with_capacity(body.len() + 4);
        put_bytes(&mut out, &body);
        out.freeze()
    }

    /// Type and body without the length.
    pub(super) fn encode_body(&self, out: &mut BytesMut) {
        match self {
            Self::Hello {
                node,
                version,
                instance,
                features,
            } => {
                put_varint(out, HELLO);
                put_bytes(out, node.as_str().as_bytes());
                out.put_u16(version.major);
                out.put_u16(version.minor);
                out.put_u64(*instance);
                out.put_u64(*features);
            }
            Self::Nack { class, entries } => {
                put_varint(out, NACK);
                out.put_u8(class.code());
                put_varint(out, entries.len() as u64);
                for entry in entries {
                    out.put_u16(entry.first);
                    out.put_u16(entry.following);
                }
            }
            Self::Feedback { lanes } => {
                put_varint(out, FEEDBACK);
                put_varint(out, lanes.len() as u64);
                for lane in lanes {
                    out.put_u8(lane.class.code());
                    put_varint(out, lane.expected);
                    put_varint(out, lane.arrived);
                }
            }
            Self::Room { room, payload } => {
                put_varint(out, ROOM);
                put_bytes(out, room.as_str().as_bytes());
                put_bytes(out, payload);
            }
            Self::Drain => put_varint(out, DRAIN),
        }
    }

    /// Reads type and body; `None` for a type of a later version.
    ///
    /// # Errors
    /// When the body of a known type is cut short, too large or without meaning.
    pub fn decode(bytes: Bytes) -> Result<Option<Self>, FrameError> {
        let mut reader = Reader::new(bytes);
        let frame = match reader.varint()? {
            HELLO => Self::Hello {
                node: NodeId::from(reader.text(MAX_NAME)?.as_str()),
                version: Version {
                    major: reader.u16()?,
                    minor: reader.u16()?,
                },
                instance: reader.u64()?,
                features: reader.u64()?,
            },
            NACK => {
                let Some(class) = MediaClass::from_code(reader.byte()?) else {
                    return Ok(None);
                };
                let entries = read_list(&mut reader, MAX_NACK_ENTRIES, |reader| {
                    Ok(NackEntry {
                        first: reader.u16()?,
                        following: reader.u16()?,
                    })
                })?;
                Self::Nack { class, entries }
            }
            FEEDBACK => {
                let lanes = read_list(&mut reader, 8, |reader| {
                    let (class, expected, arrived) =
                        (reader.byte()?, reader.varint()?, reader.varint()?);
                    Ok(MediaClass::from_code(class).map(|class| LaneCount {
                        class,
                        expected,
                        arrived,
                    }))
                })?;
                Self::Feedback {
                    lanes: lanes.into_iter().flatten().collect(),
                }
            }
            ROOM => Self::Room {
                room: RoomKey::from(reader.text(MAX_NAME)?.as_str()),
                payload: reader.bytes(MAX_FRAME)?,
            },
            DRAIN => Self::Drain,
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

fn read_list<T>(
    reader: &mut Reader,
    max: usize,
    mut read: impl FnMut(&mut Reader) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    let count = reader.varint()?;
    if count > max as u64 {
        return Err(FrameError::TooLarge);
    }
    (0..count).map(|_| read(reader)).collect()
}

/// Cuts the bytes of a stream into frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    pending: BytesMut,
}

impl FrameReader {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame; frames of later versions are skipped. `None` when more bytes are needed. Never holds more than
    /// one frame and what was pushed last.
    ///
    /// # Errors
    /// When the stream is no stream of frames; it must be given up then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let Some((header, length)) = self.length()? else {
                return Ok(None);
            };
            if self.pending.len() < header + length {
                return Ok(None);
            }
            drop(self.pending.split_to(header));
            if let Some(frame) = Frame::decode(self.pending.split_to(length).freeze())? {
                return Ok(Some(frame));
            }
        }
    }

    fn length(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let Some(first) = self.pending.first() else {
            return Ok(None);
        };
        let header = 1 << (first >> 6);
        let Some(bytes) = self.pending.get(..header) else {
            return Ok(None);
        };
        let length = Reader::new(Bytes::copy_from_slice(bytes)).varint()?;
        if length > MAX_FRAME as u64 {
            return Err(FrameError::TooLarge);
        }
        Ok(Some((header, length as usize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next_frame() {}
            drop(Frame::decode(bytes.into()));
        }

        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            room in "[a-z]{1,20}",
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            entries in proptest::collection::vec(any::<(u16, u16)>(), 0..MAX_NACK_ENTRIES),
            cut in 1usize..40,
        ) {
            let entries = entries.into_iter().map(|(first, following)| NackEntry { first, following }).collect();
            let frames = [
                Frame::Room { room: RoomKey::from(room.as_str()), payload: payload.into() },
                Frame::Nack { class: MediaClass::VideoBase, entries },
                Frame::Drain,
            ];
            let stream: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let mut reader = FrameReader::default();
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                reader.push(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
        }
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused_before_it_is_stored() {
        let mut reader = FrameReader::default();
        reader.push(&[0x80, 0x10, 0, 0]);
        assert_eq!(reader.next_frame(), Err(FrameError::TooLarge));
    }
}
