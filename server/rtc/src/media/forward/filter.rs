//! Which packets of an encoding belong to the wanted layers.

use super::{Layer, SourcePacket};
use crate::media::descriptor::{FrameDescriptor, Indication};
use crate::media::payload::{Vp8Ids, Vp9Ids};

/// A packet is to be forwarded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Last packet of the picture as the subscriber gets it.
    pub(super) ends_picture: bool,
    /// No other frame depends on this one.
    pub(super) discardable: bool,
}

/// Follows the target layer as the stream's own structure allows: down at the next picture, up only where the
/// headers say that what follows can be decoded.
#[derive(Debug, Default)]
pub(super) struct LayerFilter {
    current: Layer,
    /// Timestamp of the picture being decided on.
    picture: Option<u32>,
    /// The temporal limit of the picture being decided on.
    picture_temporal: u8,
    /// From the next picture on all temporal layers can be had.
    temporal_open: bool,
    /// The stream has, or had, several spatial layers.
    scalable: bool,
    /// Highest spatial layer being produced.
    top_spatial: u8,
    /// The decode target being forwarded, where there is a dependency descriptor.
    decode_target: Option<u8>,
    frames: FrameHistory,
    /// The wanted decode target depends on frames that were not forwarded.
    blocked: bool,
}

impl LayerFilter {
    /// Forwarding starts with a key frame.
    pub(super) fn restart(&mut self) {
        *self = Self {
            scalable: self.scalable,
            top_spatial: self.top_spatial,
            ..Self::default()
        };
        self.temporal_open = true;
    }

    /// Several spatial layers in one stream.
    pub(super) fn is_scalable(&self) -> bool {
        self.scalable
    }

    pub(super) fn spatial(&self) -> u8 {
        self.current.spatial
    }

    pub(super) fn temporal(&self) -> u8 {
        self.current.temporal
    }

    /// Whether the target can only be reached by a key frame.
    pub(super) fn wants_key_frame(&self, target: Layer) -> bool {
        self.blocked || self.scalable && self.current.spatial < target.spatial.min(self.top_spatial)
    }

    /// Takes note of the stream's spatial layers.
    pub(super) fn learn(&mut self, packet: &SourcePacket<'_>) {
        if let Some(descriptor) = packet
            .descriptor
            .filter(|descriptor| descriptor.start_of_frame)
        {
            self.top_spatial = descriptor.max_spatial();
        } else if let Some(ids) = packet.info.vp9.as_ref() {
            self.top_spatial = match ids.spatial_layers {
                Some(layers) => layers - 1,
                None => self.top_spatial.max(ids.spatial),
            };
        }
        self.scalable |= self.top_spatial > 0;
    }

    /// Decides on a packet newer than all others; `None` if it is to be dropped.
    pub(super) fn next(&mut self, packet: &SourcePacket<'_>, target: Layer) -> Option<Verdict> {
        self.learn(packet);
        let new_picture = self.picture != Some(packet.timestamp);
        self.picture = Some(packet.timestamp);
        match (packet.descriptor, &packet.info.vp8, &packet.info.vp9) {
            (_, Some(ids), _) => self.next_vp8(packet, ids, target, new_picture),
            (_, _, Some(ids)) => self.next_vp9(packet, ids, target, new_picture),
            (Some(descriptor), _, _) => self.next_described(descriptor, target),
            _ => {
                self.current.temporal = target.temporal;
                Some(Verdict::default())
            }
        }
    }

    /// Decides on a packet that came late, by the limits of now.
    pub(super) fn late(&self, packet: &SourcePacket<'_>) -> Option<Verdict> {
        match (packet.descriptor, &packet.info.vp8, &packet.info.vp9) {
            (_, Some(ids), _) => {
                (ids.temporal.unwrap_or(0) <= self.picture_temporal).then(|| Self::vp8_verdict(ids))
            }
            (_, _, Some(ids)) => (ids.temporal <= self.picture_temporal
                && ids.spatial <= self.current.spatial)
                .then(|| self.vp9_verdict(ids)),
            (Some(descriptor), _, _) => self.described_verdict(descriptor),
            _ => Some(Verdict::default()),
        }
    }

    fn next_vp8(
        &mut self,
        packet: &SourcePacket<'_>,
        ids: &Vp8Ids,
        target: Layer,
        new_picture: bool,
    ) -> Option<Verdict> {
        let temporal = ids.temporal.unwrap_or(0);
        if new_picture {
            self.current.temporal = self.current.temporal.min(target.temporal);
            // Y: the frame needs the base layer only, so its own layer can begin here if the one below is complete.
            let joins =
                ids.sync && temporal == self.current.temporal + 1 && temporal <= target.temporal;
            if joins {
                self.current.temporal = temporal;
            }
            self.picture_temporal = self.current.temporal;
        }
        if packet.info.keyframe || ids.temporal.is_none() {
            self.current.temporal = target.temporal;
        }
        (temporal <= self.picture_temporal).then(|| Self::vp8_verdict(ids))
    }

    fn vp8_verdict(ids: &Vp8Ids) -> Verdict {
        Verdict {
            ends_picture: false,
            discardable: ids.non_reference,
        }
    }

    fn next_vp9(
        &mut self,
        packet: &SourcePacket<'_>,
        ids: &Vp9Ids,
        target: Layer,
        new_picture: bool,
    ) -> Option<Verdict> {
        if new_picture {
            self.current.temporal = match self.temporal_open {
                true => target.temporal,
                false => self.current.temporal.min(target.temporal),
            };
            self.temporal_open = false;
            self.picture_temporal = self.current.temporal;
            self.current.spatial = self.current.spatial.min(target.spatial);
        }
        if ids.temporal > self.picture_temporal {
            return None;
        }
        if ids.switching_up || packet.info.spatial.is_none() {
            self.temporal_open = true;
        }
        // A key picture brings every layer; what was promised to be its last one is where the marker goes.
        if packet.info.keyframe {
            self.current.spatial = target.spatial.min(self.top_spatial);
        }
        (ids.spatial <= self.current.spatial).then(|| self.vp9_verdict(ids))
    }

    fn vp9_verdict(&self, ids: &Vp9Ids) -> Verdict {
        Verdict {
            ends_picture: ids.end && ids.spatial == self.current.spatial,
            discardable: false,
        }
    }

    fn next_described(&mut self, descriptor: &FrameDescriptor, target: Layer) -> Option<Verdict> {
        if descriptor.start_of_frame {
            self.follow(descriptor, target);
        }
        let verdict = self.described_verdict(descriptor);
        self.frames.note(descriptor.frame_number, verdict.is_some());
        verdict
    }

    /// Changes the decode target at the beginning of a frame, if this frame permits.
    fn follow(&mut self, descriptor: &FrameDescriptor, target: Layer) {
        let Some(wanted) = descriptor.choose_target(target.spatial, target.temporal) else {
            return;
        };
        if descriptor.has_structure || self.decode_target.is_none() {
            self.frames = FrameHistory::default();
        } else if self.decode_target != Some(wanted) {
            let layers = descriptor.target(wanted).unwrap_or_default();
            // Fewer frames of the same spatial layer: always possible.
            let thinner =
                layers.spatial == self.current.spatial && layers.temporal <= self.current.temporal;
            let indication = descriptor.indication(wanted);
            let decodable = self.frames.contains_all(descriptor);
            let joins = indication == Indication::Switch && decodable;
            if !thinner && !joins {
                self.blocked |= indication != Indication::NotPresent
                    && !decodable
                    && layers.spatial != self.current.spatial
                    && descriptor.spatial == layers.spatial;
                return;
            }
        }
        let layers = descriptor.target(wanted).unwrap_or_default();
        self.current = Layer {
            spatial: layers.spatial,
            temporal: layers.temporal,
        };
        self.decode_target = Some(wanted);
        self.blocked = false;
    }

    fn described_verdict(&self, descriptor: &FrameDescriptor) -> Option<Verdict> {
        let indication = descriptor.indication(self.decode_target?);
        (indication != Indication::NotPresent).then_some(Verdict {
            ends_picture: descriptor.end_of_frame && descriptor.spatial == self.current.spatial,
            discardable: indication == Indication::Discardable,
        })
    }
}

/// Which of the last 64 frames were forwarded.
#[derive(Debug, Default)]
struct FrameHistory {
    highest: Option<u16>,
    /// Bit n: the frame n before the highest.
    forwarded: u64,
}

impl FrameHistory {
    fn note(&mut self, number: u16, forwarded: bool) {
        let step = self
            .highest
            .map_or(0, |highest| number.wrapping_sub(highest) as i16);
        if step < 0 {
            return;
        }
        self.highest = Some(number);
        self.forwarded = self
            .forwarded
            .checked_shl(step.unsigned_abs().into())
            .unwrap_or(0)
            | u64::from(forwarded);
    }

    /// Whether all that the frame, newer than all noted, depends on was forwarded.
    fn contains_all(&self, frame: &FrameDescriptor) -> bool {
        let Some(highest) = self.highest else {
            return frame.dependencies == 0 && !frame.distant_dependency;
        };
        let step = frame.frame_number.wrapping_sub(highest) as i16;
        if step <= 0 {
            return false;
        }
        // Bit n: the frame n + 1 before this one.
        let known = self
            .forwarded
            .checked_shl(u32::from(step.unsigned_abs()) - 1)
            .unwrap_or(0);
        !frame.distant_dependency && frame.dependencies & !known == 0
    }
}
