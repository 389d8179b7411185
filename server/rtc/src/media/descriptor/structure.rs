//! The template structure that comes with a key frame.

use super::bits::BitReader;
use super::{DescriptorError, MAX_TARGETS, TargetLayer};

/// Bound by the format (6-bit template ids).
const MAX_TEMPLATES: usize = 64;
const MAX_LAYER: u8 = 7;

/// What frames of one kind have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Template {
    pub(super) layer: TargetLayer,
    /// Two bits per decode target, the first one lowest.
    pub(super) indications: u64,
    /// Bit n: depends on the frame whose number is lower by n + 1.
    pub(super) dependencies: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Structure {
    id_offset: u8,
    templates: Vec<Template>,
    pub(super) target_count: u8,
    pub(super) targets: [TargetLayer; MAX_TARGETS],
}

impl Structure {
    /// `template_dependency_structure` of the specification.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, DescriptorError> {
        let id_offset = bits.read(6)? as u8;
        let target_count = bits.read(5)? as u8 + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.indications = read_indications(bits, target_count)?;
        }
        for template in &mut templates {
            while bits.flag()? {
                template.dependencies |= 1 << bits.read(4)?;
            }
        }
        skip_chains(bits, target_count, templates.len())?;
        if bits.flag()? {
            let spatial_layers = templates
                .iter()
                .map(|template| template.layer.spatial + 1)
                .max()
                .unwrap_or(0);
            for _ in 0..spatial_layers {
                bits.read(32)?;
            }
        }
        let targets = target_layers(&templates, target_count);
        Ok(Self {
            id_offset,
            templates,
            target_count,
            targets,
        })
    }

    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.templates
            .get(usize::from((id + 64 - self.id_offset) % 64))
    }
}

/// `template_layers` of the specification.
fn read_layers(bits: &mut BitReader<'_>) -> Result<Vec<Template>, DescriptorError> {
    let mut templates = Vec::new();
    let mut layer = TargetLayer::default();
    loop {
        if templates.len() == MAX_TEMPLATES
            || layer.spatial > MAX_LAYER
            || layer.temporal > MAX_LAYER
        {
            return Err(DescriptorError::TooLarge);
        }
        templates.push(Template {
            layer,
            ..Template::default()
        });
        match bits.read(2)? {
            0 => {}
            1 => layer.temporal += 1,
            2 => {
                layer = TargetLayer {
                    spatial: layer.spatial + 1,
                    temporal: 0,
                }
            }
            _ => return Ok(templates),
        }
    }
}

/// `template_dtis` and `frame_dtis` of the specification, for one frame.
pub(super) fn read_indications(
    bits: &mut BitReader<'_>,
    target_count: u8,
) -> Result<u64, DescriptorError> {
    let mut indications = 0;
    for target in 0..target_count {
        indications |= bits.read(2)? << (2 * target);
    }
    Ok(indications)
}

fn skip_chains(
    bits: &mut BitReader<'_>,
    target_count: u8,
    templates: usize,
) -> Result<(), DescriptorError> {
    let chains = bits.read_below(u64::from(target_count) + 1)?;
    if chains == 0 {
        return Ok(());
    }
    for _ in 0..target_count {
        bits.read_below(chains)?;
    }
    for _ in 0..templates {
        for _ in 0..chains {
            bits.read(4)?;
        }
    }
    Ok(())
}

/// `decode_target_layers` of the specification: a target reaches as high as the templates that are part of it.
fn target_layers(templates: &[Template], target_count: u8) -> [TargetLayer; MAX_TARGETS] {
    let mut targets = [TargetLayer::default(); MAX_TARGETS];
    for (index, target) in targets.iter_mut().take(target_count.into()).enumerate() {
        for template in templates
            .iter()
            .filter(|template| template.indications >> (2 * index) & 3 != 0)
        {
            target.spatial = target.spatial.max(template.layer.spatial);
            target.temporal = target.temporal.max(template.layer.temporal);
        }
    }
    targets
}
