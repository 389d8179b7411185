//! AV1 aggregation header, "RTP Payload Format For AV1" section 4.4. Layers stand in the dependency descriptor.

use super::PayloadInfo;

pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let header = *payload.first()?;
    let continues = header & 0x80 != 0;
    let new_sequence = header & 0x08 != 0;
    Some(PayloadInfo {
        keyframe: new_sequence && !continues,
        frame_start: !continues,
        ..PayloadInfo::default()
    })
}
