//! The LiveKit signalling protocol, tokens and SDP text on one side, typed room commands and events on the other.
//!
//! Nothing here reads a clock, opens a socket or keeps state that is not passed in.

pub mod convert;
pub mod data;
pub mod join;
mod json;
mod limits;
#[cfg(test)]
mod samples;
pub mod sdp;
pub mod session;
pub mod token;
pub mod twirp;
pub mod webhook;

pub use limits::Limits;
