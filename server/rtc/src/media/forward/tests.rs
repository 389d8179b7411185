//! Stories of one subscription, in virtual time.

mod audio;
mod described;
mod simulcast;
mod vp9;

use std::time::Duration;

use super::*;
use crate::media::payload::inspect;

/// What the tests need to own of a packet.
#[derive(Clone, Debug)]
struct Packet {
    encoding: u8,
    sequence: u64,
    timestamp: u32,
    marker: bool,
    arrival: Instant,
    payload: Vec<u8>,
    descriptor: Option<FrameDescriptor>,
    timestamp_offset: Option<u32>,
}

impl Packet {
    fn push(&self, forwarder: &mut Forwarder) -> Option<Outgoing> {
        forwarder.push(&SourcePacket {
            encoding: self.encoding,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            arrival: self.arrival,
            payload: &self.payload,
            info: inspect(forwarder.codec, &self.payload),
            descriptor: self.descriptor.as_ref(),
            timestamp_offset: self.timestamp_offset,
        })
    }
}

/// The tests' zero of time.
#[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
fn start() -> Instant {
    Instant::now()
}

fn layer(spatial: u8, temporal: u8) -> Option<Layer> {
    Some(Layer { spatial, temporal })
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
