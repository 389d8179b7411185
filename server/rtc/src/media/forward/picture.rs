//! Picture ids (VP8) and frame numbers (dependency descriptor) without seams.

use super::SourcePacket;
use crate::media::payload::Vp8Patch;

/// Pictures back to which late packets are still placed.
const WINDOW: u64 = 64;

/// Counts pictures for the subscriber as if only what it gets had ever been encoded.
#[derive(Debug, Default)]
pub(super) struct PictureRewriter {
    ids: Option<PictureIds>,
    /// The outgoing picture id after the highest one given.
    next_id: Option<u16>,
    /// Outgoing minus source TL0PICIDX, and the highest outgoing one.
    tl0_offset: u8,
    last_tl0: Option<u8>,
    /// Outgoing minus source KEYIDX, and the highest outgoing one.
    key_offset: u8,
    last_key: Option<u8>,
    /// Outgoing minus source frame number, and the highest outgoing one.
    frame_offset: u16,
    last_frame: Option<u16>,
}

/// Picture ids of the encoding being forwarded.
#[derive(Debug)]
struct PictureIds {
    /// Extended number of the newest picture.
    highest: u64,
    /// Extended number of the first picture after the switch.
    first: u64,
    /// Extended source number minus outgoing id, for the newest picture.
    offset: u64,
    /// Bit n: the picture n before the newest was dropped.
    dropped: u64,
}

impl PictureRewriter {
    /// Another encoding begins with this packet.
    pub(super) fn switch(&mut self, packet: &SourcePacket<'_>) {
        if let Some(descriptor) = packet.descriptor
            && let Some(last) = self.last_frame
        {
            self.frame_offset = last.wrapping_add(1).wrapping_sub(descriptor.frame_number);
        }
        let Some(ids) = &packet.info.vp8 else { return };
        self.ids = ids.picture_id.map(|(id, _)| {
            // Far from zero, so that reordering never counts below it.
            let highest = u64::from(id) + (1 << 32);
            let next = u64::from(self.next_id.unwrap_or(id));
            PictureIds {
                highest,
                first: highest,
                offset: highest - next,
                dropped: 0,
            }
        });
        if let (Some(last), Some(source)) = (self.last_tl0, ids.tl0_pic_idx) {
            self.tl0_offset = last.wrapping_add(1).wrapping_sub(source);
        }
        if let (Some(last), Some(source)) = (self.last_key, ids.key_idx) {
            self.key_offset = last.wrapping_add(1).wrapping_sub(source);
        }
    }

    /// A packet is forwarded.
    pub(super) fn advance(&mut self, packet: &SourcePacket<'_>) {
        if let Some(descriptor) = packet.descriptor {
            let out = descriptor.frame_number.wrapping_add(self.frame_offset);
            if self
                .last_frame
                .is_none_or(|last| (out.wrapping_sub(last) as i16) > 0)
            {
                self.last_frame = Some(out);
            }
        }
        let Some(ids) = &packet.info.vp8 else { return };
        if let (Some(pictures), Some(source)) = (&mut self.ids, ids.picture_id) {
            pictures.move_to(pictures.extend(source));
            self.next_id = Some(pictures.out(pictures.highest).wrapping_add(1) & 0x7fff);
        }
        if let Some(source) = ids.tl0_pic_idx {
            let out = source.wrapping_add(self.tl0_offset);
            if self
                .last_tl0
                .is_none_or(|last| (out.wrapping_sub(last) as i8) > 0)
            {
                self.last_tl0 = Some(out);
            }
        }
        if let Some(source) = ids.key_idx {
            let out = source.wrapping_add(self.key_offset) & 0x1f;
            if self
                .last_key
                .is_none_or(|last| out.wrapping_sub(last) & 0x1f < 16)
            {
                self.last_key = Some(out);
            }
        }
    }

    /// A packet newer than all others is dropped on purpose, and so is its whole picture.
    pub(super) fn drop_next(&mut self, packet: &SourcePacket<'_>) {
        let source = packet.info.vp8.as_ref().and_then(|ids| ids.picture_id);
        if let (Some(pictures), Some(source)) = (&mut self.ids, source) {
            let number = pictures.extend(source);
            pictures.move_to(number);
            if number == pictures.highest && pictures.dropped & 1 == 0 {
                pictures.dropped |= 1;
                pictures.offset += 1;
            }
        }
    }

    /// Whether the late packet's picture was dropped, or is too old to tell.
    pub(super) fn is_dropped(&self, packet: &SourcePacket<'_>) -> bool {
        let source = packet.info.vp8.as_ref().and_then(|ids| ids.picture_id);
        let (Some(pictures), Some(source)) = (&self.ids, source) else {
            return false;
        };
        let number = pictures.extend(source);
        let back = pictures.highest.saturating_sub(number);
        number < pictures.first || back >= WINDOW || pictures.dropped >> back & 1 == 1
    }

    /// New values for the packet's descriptor; `None` if they are as they should be.
    pub(super) fn vp8_patch(&self, packet: &SourcePacket<'_>) -> Option<Vp8Patch> {
        let ids = packet.info.vp8.as_ref()?;
        let picture_id = ids
            .picture_id
            .zip(self.ids.as_ref())
            .map(|((source, long), pictures)| {
                let mask = if long { 0x7fff } else { 0x7f };
                (source, pictures.out(pictures.extend((source, long))) & mask)
            });
        let same_id = picture_id.is_none_or(|(source, out)| source == out);
        if same_id && self.tl0_offset == 0 && self.key_offset & 0x1f == 0 {
            return None;
        }
        let mut patch = ids.patch();
        patch.picture_id = picture_id
            .zip(ids.picture_id)
            .map(|((_, out), (_, long))| (out, long));
        patch.tl0_pic_idx = ids
            .tl0_pic_idx
            .map(|source| source.wrapping_add(self.tl0_offset));
        patch.key_idx = ids
            .key_idx
            .map(|source| source.wrapping_add(self.key_offset) & 0x1f);
        Some(patch)
    }

    /// A new value for the dependency descriptor's frame number, where it changes.
    pub(super) fn frame_number(&self, packet: &SourcePacket<'_>) -> Option<u16> {
        let descriptor = packet.descriptor?;
        (self.frame_offset != 0).then(|| descriptor.frame_number.wrapping_add(self.frame_offset))
    }
}

impl PictureIds {
    /// The extended number of the picture with this id that is nearest to the newest.
    fn extend(&self, (id, long): (u16, bool)) -> u64 {
        let width = if long { 15 } else { 7 };
        let modulus = 1u64 << width;
        let ahead = u64::from(id).wrapping_sub(self.highest) & (modulus - 1);
        if ahead < modulus / 2 {
            self.highest + ahead
        } else {
            self.highest + ahead - modulus
        }
    }

    fn move_to(&mut self, number: u64) {
        if let Some(step @ 1..) = number.checked_sub(self.highest) {
            self.dropped = self
                .dropped
                .checked_shl(step.try_into().unwrap_or(u32::MAX))
                .unwrap_or(0);
            self.highest = number;
        }
    }

    fn out(&self, number: u64) -> u16 {
        let back = self.highest.saturating_sub(number).min(WINDOW);
        // Of the pictures dropped so far, those after this one do not count for it.
        let newer = (1u64.checked_shl(back as u32)).map_or(u64::MAX, |bit| bit - 1);
        let dropped_since = u64::from((self.dropped & newer).count_ones());
        number.wrapping_sub(self.offset.wrapping_sub(dropped_since)) as u16 & 0x7fff
    }
}
