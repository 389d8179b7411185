//! H.265 NAL units in RTP, RFC 7798 section 4.4. Streams with DON fields (`sprop-max-don-diff` > 0) are not used in WebRTC.

use super::PayloadInfo;

const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let unit_type = unit_type(*payload.first()?);
    let (keyframe, frame_start) = match unit_type {
        AGGREGATION => (aggregate_starts(payload.get(2..)?), true),
        FRAGMENTATION => {
            let header = *payload.get(2)?;
            let start = header & 0x80 != 0;
            (start && unit_starts(header & 0x3f, payload.get(3)), start)
        }
        _ => (unit_starts(unit_type, payload.get(2)), true),
    };
    Some(PayloadInfo {
        keyframe,
        frame_start,
        ..PayloadInfo::default()
    })
}

fn unit_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// Whether a decoder can start at this unit. Of a random access picture only the first slice segment counts
/// (`first_slice_segment_in_pic_flag` is the first bit), else one would start amid a picture.
fn unit_starts(unit_type: u8, content: Option<&u8>) -> bool {
    match unit_type {
        VPS | SPS => true,
        unit if IRAP.contains(&unit) => content.is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

fn aggregate_starts(mut units: &[u8]) -> bool {
    while let Some((size, rest)) = units.split_first_chunk::<2>() {
        let size = usize::from(u16::from_be_bytes(*size));
        let Some((unit, after)) = rest.split_at_checked(size) else {
            return false;
        };
        if unit
            .first()
            .is_some_and(|header| unit_starts(unit_type(*header), unit.get(2)))
        {
            return true;
        }
        units = after;
    }
    false
}
