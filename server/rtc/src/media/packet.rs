//! A media packet inside a room, wherever it came from.

use std::sync::Arc;
use std::time::Instant;

use str0m::rtp::{ExtensionValues, RtpPacket};

/// A packet as the packet path takes it: from a client of this shard, or relayed by another replica.
#[derive(Clone, Debug)]
pub(crate) struct MediaPacket {
    /// Extended sequence number.
    pub(crate) sequence: u64,
    /// RTP timestamp.
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// The payload is redundant audio (RFC 2198).
    pub(crate) redundant: bool,
    pub(crate) arrival: Instant,
    pub(crate) extensions: ExtensionValues,
    pub(crate) payload: Arc<[u8]>,
}

impl MediaPacket {
    pub(crate) fn from_rtp(packet: RtpPacket, redundant: bool) -> Self {
        Self {
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            redundant,
            arrival: packet.timestamp,
            extensions: packet.header.ext_vals,
            payload: packet.payload,
        }
    }
}
