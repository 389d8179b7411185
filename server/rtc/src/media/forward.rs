//! Forwarding one track to one subscriber: picks the packets of the wanted layer and rewrites them so that the
//! subscriber sees a single stream without seams, whatever is switched, dropped or lost on the way.

mod filter;
mod picture;
mod sequence;
mod timeline;

#[cfg(test)]
mod tests;

use std::time::Instant;

use super::codec::Codec;
use super::descriptor::FrameDescriptor;
use super::payload::{PayloadInfo, Vp8Patch};
use filter::LayerFilter;
use picture::PictureRewriter;
use sequence::SequenceRewriter;
use timeline::Timeline;

/// Simulcast encodings a track may have.
pub const MAX_ENCODINGS: usize = 4;

/// A point in the grid of layers. Higher is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layer {
    /// Index of the simulcast encoding, low to high; in a stream with spatial layers the spatial layer.
    pub spatial: u8,
    /// Highest temporal layer.
    pub temporal: u8,
}

/// A packet as it came from the publisher.
#[derive(Clone, Copy, Debug)]
pub struct SourcePacket<'a> {
    /// Index of the simulcast encoding, low to high; 0 if there is only one.
    pub encoding: u8,
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    pub marker: bool,
    pub arrival: Instant,
    pub payload: &'a [u8],
    /// From [`inspect`](super::payload::inspect), once per packet.
    pub info: PayloadInfo,
    /// From [`DescriptorReader::read`](super::descriptor::DescriptorReader::read), once per packet.
    pub descriptor: Option<&'a FrameDescriptor>,
    /// What to add to `timestamp` to get that of encoding 0, if known.
    pub timestamp_offset: Option<u32>,
}

/// What to write in place of the source's fields. Payload and other header fields stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number, counted from the forwarder's first one.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    pub marker: bool,
    /// New picture ids for the VP8 payload descriptor, where they change.
    pub vp8: Option<Vp8Patch>,
    /// New frame number for the dependency descriptor, where it changes.
    pub frame_number: Option<u16>,
    /// No other frame depends on this packet's: need not be kept for retransmission.
    pub discardable: bool,
}

/// One subscription's view of a track.
///
/// VP9 picture ids are not rewritten: decoders accept a jump there at a key frame.
#[derive(Debug)]
pub struct Forwarder {
    codec: Codec,
    target: Option<Layer>,
    /// The encoding being forwarded.
    encoding: Option<u8>,
    /// Highest sequence number seen of each encoding, forwarded or not.
    newest: [Option<u64>; MAX_ENCODINGS],
    filter: LayerFilter,
    sequence: SequenceRewriter,
    timeline: Timeline,
    pictures: PictureRewriter,
}

impl Forwarder {
    /// `first_sequence` is the number of the first forwarded packet. It is 16 bits wide since SRTP receivers assume
    /// a rollover counter of 0 (RFC 3711 section 3.3.1).
    pub fn new(codec: Codec, first_sequence: u16) -> Self {
        Self {
            codec,
            target: None,
            encoding: None,
            newest: [None; MAX_ENCODINGS],
            filter: LayerFilter::default(),
            sequence: SequenceRewriter::new(first_sequence),
            timeline: Timeline::new(codec.clock_rate()),
            pictures: PictureRewriter::default(),
        }
    }

    /// The layer to reach; `None` pauses. Name only encodings that are being sent: others are waited for in vain.
    pub fn set_target(&mut self, target: Option<Layer>) {
        self.target = target;
        if target.is_none() {
            self.encoding = None;
        }
    }

    /// The layer to reach.
    pub fn target(&self) -> Option<Layer> {
        self.target
    }

    /// The layer being forwarded; `None` while paused or waiting for the first key frame.
    pub fn current(&self) -> Option<Layer> {
        let encoding = self.encoding?;
        let spatial = if self.filter.is_scalable() {
            self.filter.spatial()
        } else {
            encoding
        };
        Some(Layer {
            spatial,
            temporal: self.filter.temporal(),
        })
    }

    /// The encoding whose next key frame would bring the target nearer, if only a key frame can.
    pub fn wants_key_frame(&self) -> Option<u8> {
        let target = self.target?;
        if !self.codec.is_video() {
            return None;
        }
        let wanted = self.wanted_encoding(target);
        match self.encoding {
            Some(encoding) if encoding == wanted => {
                self.filter.wants_key_frame(target).then_some(wanted)
            }
            _ => Some(wanted),
        }
    }

    /// Whether anything was ever forwarded.
    pub fn has_started(&self) -> bool {
        self.timeline.has_started()
    }

    /// Packets of an encoding that is not being forwarded come again, from an earlier one on.
    pub fn rewind(&mut self, encoding: u8) {
        if self.encoding != Some(encoding)
            && let Some(newest) = self.newest.get_mut(usize::from(encoding))
        {
            *newest = None;
        }
    }

    /// The publisher restarted, or another track takes this one's place. The next packets continue this stream.
    pub fn source_changed(&mut self) {
        self.encoding = None;
        self.newest = [None; MAX_ENCODINGS];
        self.filter = LayerFilter::default();
        self.timeline.source_changed();
    }

    /// The publisher turned out to send another codec, of the same clock rate.
    pub fn change_codec(&mut self, codec: Codec) {
        self.codec = codec;
        self.source_changed();
    }

    /// Takes a packet of any encoding of the track; gives what to send, or `None` if it is not for this subscriber.
    pub fn push(&mut self, packet: &SourcePacket<'_>) -> Option<Outgoing> {
        let newest = self.newest.get_mut(usize::from(packet.encoding))?;
        let in_order = newest.is_none_or(|newest| packet.sequence > newest);
        if in_order {
            *newest = Some(packet.sequence);
        }
        let target = self.target?;
        if self.encoding != Some(packet.encoding) {
            // Of a key frame whose beginning comes late the rest was dropped already, so it is of no use.
            let startable = in_order && starts(packet) && !packet.payload.is_empty();
            self.filter.learn(packet);
            if !startable || !self.should_switch(target, packet) {
                return None;
            }
            self.switch(packet);
        }
        if in_order {
            self.push_next(packet, target)
        } else {
            self.push_late(packet)
        }
    }

    fn wanted_encoding(&self, target: Layer) -> u8 {
        if self.filter.is_scalable() {
            0
        } else {
            target.spatial
        }
    }

    /// Whether the key frame that begins with `packet` is the one to go on with.
    fn should_switch(&self, target: Layer, packet: &SourcePacket<'_>) -> bool {
        if !self.codec.is_video() {
            return true;
        }
        let wanted = self.wanted_encoding(target);
        let candidate = packet.encoding;
        match self.encoding {
            // Something lower is better than nothing until the wanted one comes.
            None => candidate <= wanted,
            Some(current) if candidate == wanted => current != wanted,
            // On the way up a step between, on the way down anything that is not too much.
            Some(current) if current < wanted => candidate > current && candidate < wanted,
            Some(current) if current > wanted => candidate < wanted,
            // The wanted encoding dried up: a lower one that lives is better than a frozen picture.
            Some(_) => candidate < wanted && self.timeline.is_stale(packet.arrival),
        }
    }

    fn switch(&mut self, packet: &SourcePacket<'_>) {
        self.encoding = Some(packet.encoding);
        self.filter.restart();
        self.sequence.switch(packet.sequence);
        self.timeline
            .switch(packet.timestamp, packet.timestamp_offset, packet.arrival);
        self.pictures.switch(packet);
    }

    fn push_next(&mut self, packet: &SourcePacket<'_>, target: Layer) -> Option<Outgoing> {
        // A packet of padding only carries nothing worth a slot.
        let verdict = if packet.payload.is_empty() {
            None
        } else {
            self.filter.next(packet, target)
        };
        let Some(verdict) = verdict else {
            self.sequence.drop_next(packet.sequence, packet.timestamp);
            if !packet.payload.is_empty() {
                self.pictures.drop_next(packet);
            }
            return None;
        };
        let sequence = self.sequence.next(packet.sequence);
        self.timeline
            .advance(packet.timestamp, packet.timestamp_offset, packet.arrival);
        self.pictures.advance(packet);
        Some(self.outgoing(packet, sequence, verdict))
    }

    fn push_late(&mut self, packet: &SourcePacket<'_>) -> Option<Outgoing> {
        if packet.payload.is_empty() || self.pictures.is_dropped(packet) {
            return None;
        }
        let verdict = self.filter.late(packet)?;
        let sequence = self.sequence.late(packet.sequence)?;
        // Those after it may all have been dropped, so that it is the newest the subscriber gets.
        self.timeline
            .advance(packet.timestamp, packet.timestamp_offset, packet.arrival);
        self.pictures.advance(packet);
        Some(self.outgoing(packet, sequence, verdict))
    }

    fn outgoing(
        &self,
        packet: &SourcePacket<'_>,
        sequence: u64,
        verdict: filter::Verdict,
    ) -> Outgoing {
        Outgoing {
            sequence,
            timestamp: self.timeline.map(packet.timestamp),
            marker: packet.marker || verdict.ends_picture,
            vp8: self.pictures.vp8_patch(packet),
            frame_number: self.pictures.frame_number(packet),
            discardable: verdict.discardable,
        }
    }
}

/// Whether a decoder can start with this packet.
fn starts(packet: &SourcePacket<'_>) -> bool {
    match packet.descriptor {
        Some(descriptor) => descriptor.has_structure && descriptor.start_of_frame,
        None => packet.info.keyframe,
    }
}
