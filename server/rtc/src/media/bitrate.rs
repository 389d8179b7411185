//! How many bits per second pass.

use std::time::{Duration, Instant};

const BUCKET: Duration = Duration::from_millis(100);
const BUCKETS: usize = 10;

/// Bits per second over the last second, in steps of 100 ms. Allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct BitrateMeter {
    /// When the first bucket began.
    origin: Option<Instant>,
    /// Bytes per bucket, a ring by bucket number.
    bytes: [u64; BUCKETS],
    /// Number of the newest bucket, counted from `origin`.
    newest: u64,
}

impl BitrateMeter {
    /// Counts a packet.
    pub fn add(&mut self, now: Instant, bytes: usize) {
        let origin = *self.origin.get_or_insert(now);
        let bucket = bucket(origin, now);
        let step = bucket.saturating_sub(self.newest).min(BUCKETS as u64);
        for back in 0..step {
            self.bytes[slot(bucket - back)] = 0;
        }
        self.newest = self.newest.max(bucket);
        self.bytes[slot(self.newest)] += bytes as u64;
    }

    /// Bits per second. In the first second what has passed is taken for the rule, once there is 100 ms of it.
    pub fn bitrate(&self, now: Instant) -> u64 {
        let Some(origin) = self.origin else { return 0 };
        let current = bucket(origin, now).max(self.newest);
        let oldest = (current + 1).saturating_sub(BUCKETS as u64);
        let bytes: u64 = (oldest..=self.newest)
            .map(|bucket| self.bytes[slot(bucket)])
            .sum();
        let begun = origin + BUCKET * u32::try_from(oldest).unwrap_or(u32::MAX);
        let span = now.saturating_duration_since(begun).max(BUCKET);
        (u128::from(bytes) * 8_000_000 / span.as_micros()) as u64
    }
}

fn bucket(origin: Instant, now: Instant) -> u64 {
    (now.saturating_duration_since(origin).as_micros() / BUCKET.as_micros()) as u64
}

fn slot(bucket: u64) -> usize {
    (bucket % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_steady_stream_is_measured_from_early_on() {
        let start = start();
        let mut meter = BitrateMeter::default();
        for index in 0..300u64 {
            let now = start + Duration::from_millis(10 * index);
            meter.add(now, 1_250);
            if index > 30 {
                let bitrate = meter.bitrate(now);
                assert!(bitrate.abs_diff(1_000_000) < 50_000, "{bitrate} at {index}");
            }
        }
    }

    #[test]
    fn a_stream_that_stops_fades_within_a_second() {
        let start = start();
        let mut meter = BitrateMeter::default();
        for index in 0..100u64 {
            meter.add(start + Duration::from_millis(10 * index), 1_250);
        }
        let half = meter.bitrate(start + Duration::from_millis(1_500));
        assert!((400_000..=600_000).contains(&half), "{half}");
        assert_eq!(meter.bitrate(start + Duration::from_millis(2_000)), 0);
        meter.add(start + Duration::from_secs(60), 125);
        assert!(meter.bitrate(start + Duration::from_secs(60)) < 1_500);
    }

    #[test]
    fn nothing_counted_is_no_bitrate() {
        assert_eq!(BitrateMeter::default().bitrate(start()), 0);
    }
}
