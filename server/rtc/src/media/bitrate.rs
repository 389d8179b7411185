//! How much a stream carries.

use std::time::{Duration, Instant};

const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_millis(100);

/// Bits per second over the last second.
#[derive(Debug, Default)]
pub struct BitrateMeter {
    bytes: [u32; BUCKETS],
    /// Start of the newest bucket, and its position.
    newest: Option<(Instant, usize)>,
    started: Option<Instant>,
}

impl BitrateMeter {
    /// Counts a packet.
    pub fn add(&mut self, now: Instant, bytes: usize) {
        let (start, at) = match self.newest {
            None => {
                self.started = Some(now);
                (now, 0)
            }
            Some((start, at)) => {
                let steps = (now.saturating_duration_since(start).as_micros() / BUCKET.as_micros())
                    as usize;
                for step in 1..=steps.min(BUCKETS) {
                    self.bytes[(at + step) % BUCKETS] = 0;
                }
                (start + BUCKET * steps as u32, (at + steps) % BUCKETS)
            }
        };
        self.bytes[at] = self.bytes[at].saturating_add(bytes as u32);
        self.newest = Some((start, at));
    }

    /// The rate, once it has been measured for half a second; 0 if nothing came for a second.
    pub fn bitrate(&self, now: Instant) -> Option<u64> {
        let (newest, _) = self.newest?;
        let span = now
            .saturating_duration_since(self.started?)
            .min(BUCKET * BUCKETS as u32);
        if span < BUCKET * (BUCKETS as u32 / 2) {
            return None;
        }
        if now.saturating_duration_since(newest) >= BUCKET * BUCKETS as u32 {
            return Some(0);
        }
        let bytes: u64 = self.bytes.iter().map(|bytes| u64::from(*bytes)).sum();
        Some((bytes as f64 * 8.0 / span.as_secs_f64()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_its_end_is_noticed() {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock"
        )]
        let start = Instant::now();
        let mut meter = BitrateMeter::default();
        for packet in 0..300u32 {
            meter.add(start + Duration::from_millis(10) * packet, 1_250);
        }
        let end = start + Duration::from_secs(3);
        let rate = meter.bitrate(end).unwrap();
        assert!((950_000..=1_050_000).contains(&rate), "{rate}");
        assert_eq!(meter.bitrate(end + Duration::from_secs(2)), Some(0));
    }
}
