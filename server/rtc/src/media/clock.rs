//! Common time for what belongs together: the encodings of a track, the tracks of a publisher.
//!
//! Both are read from RTCP sender reports, which pair an RTP timestamp with the publisher's NTP time
//! (RFC 3550 section 6.4.1).

mod capture;
mod layers;

pub use capture::CaptureClock;
pub use layers::LayerClocks;

use std::time::{Duration, SystemTime};

/// A report this far off the ones before is not believed until a second one says the same.
const JUMP: Duration = Duration::from_secs(1);

/// Microseconds since 1970; `None` for times no clock shows.
fn unix_micros(time: SystemTime) -> Option<i64> {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()?
        .as_micros()
        .try_into()
        .ok()
}

/// A value that follows its samples, but a jump only if it is repeated.
#[derive(Clone, Copy, Debug, Default)]
struct Steady<T> {
    value: Option<T>,
    doubtful: Option<T>,
}

impl<T: Copy> Steady<T> {
    /// `near` tells whether two samples are of the same line. `true` if the value was replaced by one of another.
    fn take(&mut self, sample: T, near: impl Fn(T, T) -> bool) -> bool {
        let follows = self.value.is_none_or(|value| near(value, sample));
        let repeated = self.doubtful.is_some_and(|doubtful| near(doubtful, sample));
        if follows || repeated {
            *self = Self {
                value: Some(sample),
                doubtful: None,
            };
        } else {
            self.doubtful = Some(sample);
        }
        repeated && !follows
    }
}
