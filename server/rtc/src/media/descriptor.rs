//! AV1 dependency descriptor RTP header extension ("RTP Payload Format For AV1", appendix A): which layers a frame
//! belongs to and what it depends on, readable without decrypting or parsing the payload. Codec-independent.

mod bits;
mod extension;
mod structure;

#[cfg(test)]
pub(crate) mod tests;

pub use extension::{RawDescriptor, URI, extension};

use bits::BitReader;
use structure::Structure;

/// Bound on decode targets by the format (5-bit count).
const MAX_TARGETS: usize = 32;

/// Why a descriptor could not be read. The packet can still be forwarded by what its payload tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    #[error("the dependency descriptor ends early")]
    TooShort,
    #[error("no template structure was received yet: wait for a key frame")]
    NoStructure,
    #[error("the dependency descriptor names template {0}, which the structure lacks")]
    UnknownTemplate(u8),
    #[error("the template structure holds more than 64 templates or 8 layers")]
    TooLarge,
}

/// How a frame matters to a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// Not part of the target.
    NotPresent,
    /// Part of it, but no other frame needs it.
    Discardable,
    /// If this frame can be decoded, so can all later ones of the target.
    Switch,
    /// Needed by others.
    Required,
}

/// The layers up to which a decode target reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetLayer {
    pub spatial: u8,
    pub temporal: u8,
}

/// What the descriptor of one packet says about the frame it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameDescriptor {
    /// Counts layer frames, wraps at 16 bits.
    pub frame_number: u16,
    pub spatial: u8,
    pub temporal: u8,
    /// First packet of the layer frame.
    pub start_of_frame: bool,
    /// Last packet of the layer frame.
    pub end_of_frame: bool,
    /// The packet brings a new template structure: a key frame begins.
    pub has_structure: bool,
    /// Bit n: decode target n is being produced.
    pub active_decode_targets: u32,
    /// Bit n: the frame depends on the frame whose number is lower by n + 1.
    pub dependencies: u64,
    /// The frame depends also on one more than 64 frames back.
    pub distant_dependency: bool,
    indications: u64,
    target_count: u8,
    targets: [TargetLayer; MAX_TARGETS],
}

impl FrameDescriptor {
    /// How the frame matters to decode target `target`.
    pub fn indication(&self, target: u8) -> Indication {
        if target >= self.target_count {
            return Indication::NotPresent;
        }
        match self.indications >> (2 * target) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    /// The layers of all decode targets, in the order of their numbers.
    pub fn targets(&self) -> &[TargetLayer] {
        &self.targets[..usize::from(self.target_count)]
    }

    /// The layers of decode target `target`.
    pub fn target(&self, target: u8) -> Option<TargetLayer> {
        self.targets().get(usize::from(target)).copied()
    }

    /// The best active decode target within these layers; if there is none, the lowest of the active ones.
    pub fn choose_target(&self, spatial: u8, temporal: u8) -> Option<u8> {
        let active = || {
            (0u8..)
                .zip(self.targets())
                .filter(|(index, _)| self.active_decode_targets >> index & 1 == 1)
        };
        active()
            .filter(|(_, layer)| layer.spatial <= spatial && layer.temporal <= temporal)
            .max_by_key(|(_, layer)| (layer.spatial, layer.temporal))
            .or_else(|| active().min_by_key(|(_, layer)| (layer.spatial, layer.temporal)))
            .map(|(index, _)| index)
    }

    /// The highest spatial layer being produced.
    pub fn max_spatial(&self) -> u8 {
        (0u8..)
            .zip(self.targets())
            .filter(|(index, _)| self.active_decode_targets >> index & 1 == 1)
            .map(|(_, layer)| layer.spatial)
            .max()
            .unwrap_or(0)
    }
}

/// Reads the descriptors of one source stream: later descriptors refer to the structure of the last key frame.
#[derive(Clone, Debug, Default)]
pub struct DescriptorReader {
    structure: Option<Box<Structure>>,
    active_decode_targets: u32,
}

impl DescriptorReader {
    /// Reads the extension's bytes. Allocates only when a structure comes, that is with key frames.
    pub fn read(&mut self, bytes: &[u8]) -> Result<FrameDescriptor, DescriptorError> {
        let mut bits = BitReader::new(bytes);
        let start_of_frame = bits.flag()?;
        let end_of_frame = bits.flag()?;
        let template_id = bits.read(6)? as u8;
        let frame_number = bits.read(16)? as u16;

        let mut custom = Custom::default();
        let mut has_structure = false;
        if bytes.len() > 3 {
            has_structure = bits.flag()?;
            let has_active_targets = bits.flag()?;
            custom = Custom {
                indications: bits.flag()?,
                dependencies: bits.flag()?,
            };
            // Chains stand last and are not needed: what was forwarded is known exactly from the dependencies.
            bits.flag()?;
            if has_structure {
                let structure = Structure::read(&mut bits)?;
                self.active_decode_targets = mask(structure.target_count);
                self.structure = Some(Box::new(structure));
            }
            if has_active_targets {
                let count = self
                    .structure
                    .as_ref()
                    .ok_or(DescriptorError::NoStructure)?
                    .target_count;
                self.active_decode_targets = bits.read(count.into())? as u32;
            }
        }

        let structure = self
            .structure
            .as_deref()
            .ok_or(DescriptorError::NoStructure)?;
        let template = structure
            .template(template_id)
            .ok_or(DescriptorError::UnknownTemplate(template_id))?;
        let mut indications = template.indications;
        if custom.indications {
            indications = structure::read_indications(&mut bits, structure.target_count)?;
        }
        let mut dependencies = template.dependencies;
        let mut distant_dependency = false;
        if custom.dependencies {
            (dependencies, distant_dependency) = read_dependencies(&mut bits)?;
        }
        Ok(FrameDescriptor {
            frame_number,
            spatial: template.layer.spatial,
            temporal: template.layer.temporal,
            start_of_frame,
            end_of_frame,
            has_structure,
            active_decode_targets: self.active_decode_targets,
            dependencies,
            distant_dependency,
            indications,
            target_count: structure.target_count,
            targets: structure.targets,
        })
    }
}

/// Which parts of its template a frame overrides.
#[derive(Default)]
struct Custom {
    indications: bool,
    dependencies: bool,
}

fn mask(targets: u8) -> u32 {
    u32::MAX.checked_shr(32 - u32::from(targets)).unwrap_or(0)
}

/// `frame_fdiffs` of the specification.
fn read_dependencies(bits: &mut BitReader<'_>) -> Result<(u64, bool), DescriptorError> {
    let mut dependencies = 0;
    let mut distant = false;
    loop {
        let nibbles = bits.read(2)?;
        if nibbles == 0 {
            return Ok((dependencies, distant));
        }
        let distance_minus_one = bits.read(4 * nibbles)?;
        match 1u64.checked_shl(distance_minus_one as u32) {
            Some(bit) => dependencies |= bit,
            None => distant = true,
        }
    }
}
