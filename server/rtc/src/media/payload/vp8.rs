//! VP8 payload descriptor, RFC 7741 section 4.2.

use str0m::rtp::Vp8Descriptor;

use super::PayloadInfo;

/// The descriptor fields that count pictures.
#[derive(Clone, Copy, Debug)]
pub struct Vp8Ids {
    /// The picture id and whether it has 15 bits (else 7).
    pub picture_id: Option<(u16, bool)>,
    /// Running index of temporal base layer frames.
    pub tl0_pic_idx: Option<u8>,
    pub temporal: Option<u8>,
    /// Running index of key frames, 5 bits.
    pub key_idx: Option<u8>,
    /// The Y bit: the frame depends on the temporal base layer only.
    pub sync: bool,
    /// The N bit: no other frame depends on this one.
    pub non_reference: bool,
    /// Where the fields stand, for building a patch.
    pub descriptor: Vp8Descriptor,
}

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let first = *payload.first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let mut picture_id = None;
    let mut temporal = None;
    let mut sync = false;
    if first & 0x80 != 0 {
        let present = *payload.get(1)?;
        let mut at = 2;
        if present & 0x80 != 0 {
            let long = *payload.get(at)? & 0x80 != 0;
            picture_id = descriptor.picture_id().map(|id| (id, long));
            at += if long { 2 } else { 1 };
        }
        if present & 0x40 != 0 {
            at += 1;
        }
        if present & 0x20 != 0 {
            let octet = *payload.get(at)?;
            temporal = Some(octet >> 6);
            sync = octet & 0x20 != 0;
        }
    }
    Some(PayloadInfo {
        keyframe: descriptor.starts_keyframe(payload),
        frame_start: begins,
        temporal,
        vp8: Some(Vp8Ids {
            picture_id,
            tl0_pic_idx: descriptor.tl0_pic_idx(),
            temporal,
            key_idx: descriptor.key_idx(),
            sync,
            non_reference: first & 0x20 != 0,
            descriptor,
        }),
        ..PayloadInfo::default()
    })
}
