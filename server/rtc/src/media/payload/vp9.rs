//! VP9 payload descriptor, RFC 9628 section 4.2.

use super::PayloadInfo;

/// The descriptor fields that tell how frames depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Ids {
    /// The picture id and whether it has 15 bits (else 7).
    pub picture_id: Option<(u16, bool)>,
    /// The P bit: the layer frame depends on earlier pictures.
    pub inter_picture: bool,
    /// The D bit: the layer frame depends on the spatial layer below in the same picture.
    pub inter_layer: bool,
    /// The U bit: later pictures of higher temporal layers depend on nothing older in those layers.
    pub switching_up: bool,
    /// The B bit: first packet of a layer frame.
    pub begin: bool,
    /// The E bit: last packet of a layer frame.
    pub end: bool,
    pub spatial: u8,
    pub temporal: u8,
    /// Number of spatial layers, where the packet carries the scalability structure.
    pub spatial_layers: Option<u8>,
}

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let mut rest = payload.iter().copied();
    let first = rest.next()?;
    let [
        has_picture_id,
        inter_picture,
        has_layers,
        flexible,
        begin,
        end,
        has_structure,
    ] = [0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02].map(|bit| first & bit != 0);

    let mut picture_id = None;
    if has_picture_id {
        let high = rest.next()?;
        picture_id = Some(match high & 0x80 {
            0 => (u16::from(high), false),
            _ => (u16::from(high & 0x7f) << 8 | u16::from(rest.next()?), true),
        });
    }
    let mut layers = 0;
    if has_layers {
        layers = rest.next()?;
        if !flexible {
            // TL0PICIDX
            rest.next()?;
        }
    }
    if flexible && inter_picture {
        // At most three reference distances; the lowest bit says whether another follows.
        for _ in 0..3 {
            if rest.next()? & 1 == 0 {
                break;
            }
        }
    }
    let spatial_layers = if has_structure {
        Some((rest.next()? >> 5) + 1)
    } else {
        None
    };

    let ids = Vp9Ids {
        picture_id,
        inter_picture,
        inter_layer: layers & 0x01 != 0,
        switching_up: layers & 0x10 != 0,
        begin,
        end,
        spatial: layers >> 1 & 0x07,
        temporal: layers >> 5,
        spatial_layers,
    };
    Some(PayloadInfo {
        keyframe: begin && !inter_picture && ids.spatial == 0,
        frame_start: begin,
        spatial: has_layers.then_some(ids.spatial),
        temporal: has_layers.then_some(ids.temporal),
        vp9: Some(ids),
        ..PayloadInfo::default()
    })
}
