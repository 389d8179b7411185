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
    pub places: Vp8Places,
}

/// Offsets of descriptor fields in the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Places {
    picture_id: u8,
    tl0_pic_idx: u8,
    key_idx: u8,
}

/// New values for descriptor fields. They never change the payload's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Patch {
    places: Vp8Places,
    /// The picture id and whether it has 15 bits (else 7).
    pub picture_id: Option<(u16, bool)>,
    pub tl0_pic_idx: Option<u8>,
    /// 5 bits.
    pub key_idx: Option<u8>,
}

impl Vp8Patch {
    /// Writes the values into a copy of the payload they were made for.
    pub fn apply(&self, payload: &mut [u8]) {
        let mut set = |at: u8, octet: u8, keep: u8| {
            if let Some(field) = payload.get_mut(usize::from(at)) {
                *field = *field & keep | octet;
            }
        };
        match self.picture_id {
            Some((id, true)) => {
                set(self.places.picture_id, 0x80 | (id >> 8) as u8, 0);
                set(self.places.picture_id + 1, id as u8, 0);
            }
            Some((id, false)) => set(self.places.picture_id, id as u8 & 0x7f, 0),
            None => {}
        }
        if let Some(index) = self.tl0_pic_idx {
            set(self.places.tl0_pic_idx, index, 0);
        }
        if let Some(index) = self.key_idx {
            set(self.places.key_idx, index & 0x1f, 0xe0);
        }
    }
}

impl Vp8Ids {
    /// A patch that changes nothing yet.
    pub fn patch(&self) -> Vp8Patch {
        Vp8Patch {
            places: self.places,
            picture_id: None,
            tl0_pic_idx: None,
            key_idx: None,
        }
    }
}

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let first = *payload.first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let mut picture_id = None;
    let mut temporal = None;
    let mut sync = false;
    let mut places = Vp8Places::default();
    if first & 0x80 != 0 {
        let present = *payload.get(1)?;
        let mut at = 2;
        if present & 0x80 != 0 {
            let long = *payload.get(at)? & 0x80 != 0;
            picture_id = descriptor.picture_id().map(|id| (id, long));
            places.picture_id = at as u8;
            at += if long { 2 } else { 1 };
        }
        if present & 0x40 != 0 {
            places.tl0_pic_idx = at as u8;
            at += 1;
        }
        places.key_idx = at as u8;
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
            places,
        }),
        ..PayloadInfo::default()
    })
}
