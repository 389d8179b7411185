//! What travels on a link, byte for byte.
//!
//! **Media datagram** (RFC 9221 DATAGRAM): flow id as a QUIC variable-length integer (RFC 9000 section 16), then the hop
//! header of four bytes, then the RTP packet as it is.
//!
//! ```text
//!  0 1 2 3 4 5 6 7 | 8 ...       15 | 16 ...                      31
//! +-----+---+-----+----------------+--------------------------------+
//! |class|cpy| 0   | epoch          | hop sequence (big endian)      |
//! +-----+---+-----+----------------+--------------------------------+
//! ```
//!
//! `class` is a [`MediaClass`](crate::MediaClass); `cpy` says whether this is the first copy (0), a second copy sent unasked
//! (1) or a copy that was asked for (2). Hop sequences count per class as packets leave the scheduler, so a packet that the
//! sender itself dropped leaves no gap, and the next packet of any flow of the class reveals a loss.
//!
//! **Hop message** in a datagram: flow id 0, then one control frame without its length. NACKs and feedback go this way: a
//! later one replaces a lost one, and none waits behind a lost one.
//!
//! **Control frame** on a stream: length of the rest, type, body; length and type are variable-length integers. Unknown types
//! are skipped and bytes behind the known fields of a body are ignored, so nodes one minor version apart understand each other.

mod control;
mod media;
mod varint;

#[cfg(test)]
mod frozen_v1;

pub use control::{
    Frame, FrameReader, LaneCount, MAX_FRAME, MAX_NACK_ENTRIES, MAX_NAME, NackEntry, Version,
};
pub use media::{Copy, Datagram, HopHeader, MAX_OVERHEAD, MediaHeader};

use thiserror::Error;

/// What a peer sent cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes end before the value does.
    #[error("a frame ends too early: the peer runs another protocol or is broken")]
    Truncated,
    /// A length, count or number is beyond what the protocol allows.
    #[error(
        "a frame is larger than the protocol allows: the peer runs another protocol or is broken"
    )]
    TooLarge,
    /// A value has no meaning.
    #[error("a frame holds a value without meaning: the peer runs another protocol or is broken")]
    Invalid,
}
