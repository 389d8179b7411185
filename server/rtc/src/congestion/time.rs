//! Moments and spans in whole microseconds: half the size of `Instant`, and signed, as spans on a peer's clock must be.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A span of time, or a moment as the span since some origin, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Micros(pub(super) i64);

impl Micros {
    pub(super) const ZERO: Self = Self(0);

    pub(super) const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000)
    }

    pub(super) fn as_millis(self) -> f64 {
        self.0 as f64 / 1e3
    }

    pub(super) fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_micros(self.0.max(0) as u64)
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4))
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// How long `bytes` take at `bitrate` bits per second.
pub(super) fn transmission(bytes: u64, bitrate: u64) -> Micros {
    Micros((bytes.saturating_mul(8_000_000) / bitrate.max(1)) as i64)
}

/// Bits per second of `bytes` within `span`; 0 for an empty span.
pub(super) fn bitrate(bytes: u64, span: Micros) -> u64 {
    if span <= Micros::ZERO {
        return 0;
    }
    bytes.saturating_mul(8_000_000) / span.0 as u64
}
