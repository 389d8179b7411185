//! H.264 NAL units in RTP, RFC 6184 section 5.

use super::PayloadInfo;

const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let unit_type = payload.first()? & 0x1f;
    let (keyframe, frame_start) = match unit_type {
        STAP_A => (aggregate_starts(payload.get(1..)?), true),
        FU_A => {
            let header = *payload.get(1)?;
            let start = header & 0x80 != 0;
            (start && unit_starts(header & 0x1f, payload.get(2)), start)
        }
        _ => (unit_starts(unit_type, payload.get(1)), true),
    };
    Some(PayloadInfo {
        keyframe,
        frame_start,
        ..PayloadInfo::default()
    })
}

/// Whether a decoder can start at this unit. Of an IDR picture only the first slice counts
/// (`first_mb_in_slice` is 0, which Exp-Golomb writes as a leading 1), else one would start amid a picture.
fn unit_starts(unit_type: u8, content: Option<&u8>) -> bool {
    match unit_type {
        SPS => true,
        IDR_SLICE => content.is_some_and(|byte| byte & 0x80 != 0),
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
            .is_some_and(|header| unit_starts(header & 0x1f, unit.get(1)))
        {
            return true;
        }
        units = after;
    }
    false
}
