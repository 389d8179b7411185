//! The clock that packets are stamped with.
//!
//! The kernel stamps arrivals with the machine's wall clock, so departures are read from it as well. A run in which that
//! clock was set is void: [`Drift`] tells.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos() as u64)
}

/// Compares the wall clock with the monotonic one.
pub(crate) struct Drift {
    started: Instant,
    started_ns: u64,
}

impl Drift {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            started_ns: unix_ns(),
        }
    }

    /// Nanoseconds by which the wall clock was moved since the start.
    pub(crate) fn so_far_ns(&self) -> u64 {
        let wall = unix_ns().wrapping_sub(self.started_ns) as i64;
        (wall - self.started.elapsed().as_nanos() as i64).unsigned_abs()
    }
}
