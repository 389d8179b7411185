//! Reads transport-wide feedback: which packets arrived, and when
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::time::Micros;

/// Base sequence number, status count, reference time and feedback count.
const HEADER: usize = 8;
const REFERENCE_UNIT: i64 = 64_000;
const DELTA_UNIT: i64 = 250;
/// More packets than this are never outstanding, so no honest message speaks of them.
const MAX_STATUSES: u16 = 16_384;

/// Why a feedback message was not used. Nothing of it was applied; the next one may be fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedbackError {
    /// The message ends within its header, its chunks or its deltas.
    #[error("transport feedback is cut short: {0} bytes")]
    Truncated(usize),
    /// A packet status of the reserved kind.
    #[error("transport feedback holds a reserved packet status")]
    ReservedStatus,
    /// It claims more packets than can be outstanding.
    #[error("transport feedback speaks of {0} packets, more than can be outstanding")]
    TooMany(u16),
}

/// A message whose every part was found to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feedback<'a> {
    pub(super) base: u16,
    count: u16,
    /// In units of 64 ms, 24 bits, signed; wraps.
    pub(super) reference: i32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) sequence: u16,
    /// When it arrived, since the message's reference time; `None` = not so far.
    pub(super) arrival: Option<Micros>,
}

impl<'a> Feedback<'a> {
    /// Reads the bytes that follow the media SSRC.
    pub(super) fn parse(fci: &'a [u8]) -> Result<Self, FeedbackError> {
        let truncated = FeedbackError::Truncated(fci.len());
        let (header, rest) = fci.split_first_chunk::<HEADER>().ok_or(truncated)?;
        let [b0, b1, c0, c1, r0, r1, r2, _] = *header;
        let count = u16::from_be_bytes([c0, c1]);
        if count > MAX_STATUSES {
            return Err(FeedbackError::TooMany(count));
        }

        let (mut seen, mut delta_bytes, mut at) = (0, 0, 0);
        while seen < count {
            let chunk = chunk_at(rest, at).ok_or(truncated)?;
            at += 2;
            let take = chunk.len().min(count - seen);
            seen += take;
            delta_bytes += chunk.delta_bytes(take)?;
        }
        let (chunks, deltas) = rest.split_at_checked(at).ok_or(truncated)?;
        Ok(Self {
            base: u16::from_be_bytes([b0, b1]),
            count,
            // The sign is the top bit of the 24.
            reference: i32::from_be_bytes([r0, r1, r2, 0]) >> 8,
            chunks,
            deltas: deltas.get(..delta_bytes).ok_or(truncated)?,
        })
    }

    /// The packets in the order of their sequence numbers.
    pub(super) fn statuses(&self) -> Statuses<'a> {
        Statuses {
            sequence: self.base,
            left: self.count,
            chunk: Chunk::Run { symbol: 0, len: 0 },
            at_in_chunk: 0,
            chunks: self.chunks,
            deltas: self.deltas,
            time: Micros::ZERO,
        }
    }
}

/// Reference time in units of 64 ms as a moment.
pub(super) fn reference_time(units: i64) -> Micros {
    Micros(units.saturating_mul(REFERENCE_UNIT))
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run { symbol: u8, len: u16 },
    OneBit(u16),
    TwoBits(u16),
}

impl Chunk {
    fn read(word: u16) -> Self {
        match word >> 14 {
            0b10 => Self::OneBit(word),
            0b11 => Self::TwoBits(word),
            _ => Self::Run {
                symbol: (word >> 13 & 0b11) as u8,
                len: word & 0x1fff,
            },
        }
    }

    fn len(self) -> u16 {
        match self {
            Self::Run { len, .. } => len,
            Self::OneBit(_) => 14,
            Self::TwoBits(_) => 7,
        }
    }

    /// 0 not received, 1 with a delta of one byte, 2 with a delta of two, 3 reserved.
    fn symbol(self, at: u16) -> u8 {
        match self {
            Self::Run { symbol, .. } => symbol,
            Self::OneBit(word) => (word >> (13 - at.min(13)) & 1) as u8,
            Self::TwoBits(word) => (word >> (12 - 2 * at.min(6)) & 0b11) as u8,
        }
    }

    /// Bytes of deltas that belong to the first `take` packets.
    fn delta_bytes(self, take: u16) -> Result<usize, FeedbackError> {
        if let Self::Run { symbol, .. } = self {
            return match symbol {
                3 => Err(FeedbackError::ReservedStatus),
                symbol => Ok(usize::from(symbol) * usize::from(take)),
            };
        }
        (0..take).try_fold(0, |sum, at| match self.symbol(at) {
            3 => Err(FeedbackError::ReservedStatus),
            symbol => Ok(sum + usize::from(symbol)),
        })
    }
}

fn chunk_at(bytes: &[u8], at: usize) -> Option<Chunk> {
    let word = bytes.get(at..)?.first_chunk::<2>()?;
    Some(Chunk::read(u16::from_be_bytes(*word)))
}

/// Walks the packets of a message.
#[derive(Clone, Debug)]
pub(super) struct Statuses<'a> {
    sequence: u16,
    left: u16,
    chunk: Chunk,
    at_in_chunk: u16,
    chunks: &'a [u8],
    deltas: &'a [u8],
    time: Micros,
}

impl Iterator for Statuses<'_> {
    type Item = Status;

    fn next(&mut self) -> Option<Status> {
        if self.left == 0 {
            return None;
        }
        while self.at_in_chunk >= self.chunk.len() {
            self.chunk = chunk_at(self.chunks, 0)?;
            self.chunks = self.chunks.get(2..)?;
            self.at_in_chunk = 0;
        }
        let delta = match self.chunk.symbol(self.at_in_chunk) {
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(*delta))
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
            _ => None,
        };
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.left -= 1;
        self.at_in_chunk += 1;
        let arrival = delta.map(|delta| {
            self.time += Micros(delta * DELTA_UNIT);
            self.time
        });
        Some(Status { sequence, arrival })
    }
}
