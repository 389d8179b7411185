//! How much is sent.

use super::time::{Micros, bitrate};

const WINDOW: Micros = Micros::from_millis(500);

/// Bits per second sent, by windows of half a second.
#[derive(Debug, Default)]
pub(super) struct SentRate {
    since: Micros,
    bytes: u64,
    last: u64,
}

impl SentRate {
    pub(super) fn add(&mut self, now: Micros, bytes: u16) {
        if now - self.since >= WINDOW {
            self.last = bitrate(self.bytes, now - self.since);
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += u64::from(bytes);
    }

    /// Of the last whole window, or the present one if that is longer already.
    pub(super) fn bitrate(&self, now: Micros) -> u64 {
        let span = now - self.since;
        if span >= WINDOW {
            bitrate(self.bytes, span)
        } else {
            self.last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_within_half_a_second_and_forgets_what_stopped() {
        let mut sent = SentRate::default();
        for step in 0..200 {
            sent.add(Micros::from_millis(step * 10), 1_250);
        }
        let now = Micros::from_millis(2_000);
        let bitrate = sent.bitrate(now);
        assert!((950_000..=1_050_000).contains(&bitrate), "{bitrate}");
        assert!(sent.bitrate(now + Micros::from_millis(10_000)) < 70_000);
    }
}
