//! What the first bytes of a payload say: key frames, frame boundaries and layers.
//!
//! Only RTP payload descriptors and unit headers are read, never a frame's content, so that payloads encrypted
//! end to end pass as well: what cannot be read is simply not reported.

mod av1;
mod h264;
mod h265;
mod vp8;
mod vp9;

#[cfg(test)]
mod tests;

pub use vp8::{Vp8Ids, Vp8Patch};
pub use vp9::Vp9Ids;

use super::codec::Codec;

/// What a packet's payload tells about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct PayloadInfo {
    /// The packet is the first of what a decoder can start on. Always set for audio.
    pub keyframe: bool,
    /// The packet begins a frame (with spatial layers: a layer frame), as far as the header tells.
    pub frame_start: bool,
    /// Spatial layer inside this stream, where the payload header tells.
    pub spatial: Option<u8>,
    /// Temporal layer, where the payload header tells.
    pub temporal: Option<u8>,
    /// Fields that have to be rewritten when layers are switched or dropped.
    pub vp8: Option<Vp8Ids>,
    /// Fields by which spatial and temporal layers are chosen.
    pub vp9: Option<Vp9Ids>,
}

/// Reads a payload's headers. Takes any bytes; what makes no sense is reported as an ordinary packet.
pub fn inspect(codec: Codec, payload: &[u8]) -> PayloadInfo {
    let info = match codec {
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload),
        Codec::H265 => h265::inspect(payload),
        Codec::Av1 => av1::inspect(payload),
        Codec::Opus | Codec::Red | Codec::Other => Some(PayloadInfo {
            keyframe: true,
            frame_start: true,
            ..PayloadInfo::default()
        }),
    };
    info.unwrap_or_default()
}
