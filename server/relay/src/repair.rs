//! Repair of losses on the hop where they happen.
//!
//! The receiver sees a gap in the hop sequences of a class, waits a moment for reordering and asks again, as long as an answer
//! can come in time: video up to [`VIDEO_MAX_ROUND_TRIP`], sound up to [`AUDIO_MAX_ROUND_TRIP`]. The sender keeps
//! [`KEPT`] of packets to answer from. On a longer hop that loses more than [`DUPLICATE_ABOVE`] sound is sent twice, the
//! second copy [`DUPLICATE_AFTER`] later, so that a short burst of losses does not take both. The receiver passes on whatever
//! comes first, at once, and drops later copies; order is left to the listener's jitter buffer.

mod receiver;
mod sender;
mod window;

pub use receiver::{Arrival, LossReceiver};
pub use sender::{Kept, LossSender};

use std::time::Duration;

/// How long a sent packet can be asked for.
pub const KEPT: Duration = Duration::from_millis(500);
/// Longest hop on which lost video is asked for.
pub const VIDEO_MAX_ROUND_TRIP: Duration = Duration::from_millis(300);
/// Longest hop on which lost sound is asked for: beyond, the answer misses the listener's jitter buffer.
pub const AUDIO_MAX_ROUND_TRIP: Duration = Duration::from_millis(60);
/// Share of lost packets from which on sound is sent twice on a long hop.
pub const DUPLICATE_ABOVE: f64 = 0.005;
/// Share of lost packets below which it is sent once again.
pub const DUPLICATE_BELOW: f64 = 0.002;
/// How much later the second copy leaves.
pub const DUPLICATE_AFTER: Duration = Duration::from_millis(10);
