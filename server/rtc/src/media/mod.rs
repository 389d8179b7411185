//! Payload knowledge and media decisions: key frames, layers, rewriting, allocation, speakers, quality.
pub mod allocator;
pub mod bitrate;
pub mod clock;
pub mod codec;
pub mod data_track;
pub mod descriptor;
pub mod forward;
pub mod keyframes;
pub(crate) mod packet;
pub mod payload;
pub mod quality;
pub mod red;
pub mod speakers;
