//! How much of what is sent arrives.

use super::time::{Micros, bitrate};

const FIRST_WINDOW: Micros = Micros::from_millis(500);
const WINDOW: Micros = Micros::from_millis(150);
/// How much less a sample is believed the further it is from what was thought.
const DOUBT: f64 = 10.0;
/// How much the true rate may change from sample to sample (variance in kbit/s).
const DRIFT: f64 = 5.0;

/// Bits per second that arrive at the receiver, smoothed over some samples of 150 ms by Bayes' rule.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    last: Option<Micros>,
    window: Micros,
    bytes: u64,
    /// In kbit/s.
    estimate: Option<f64>,
    variance: f64,
}

impl Acknowledged {
    /// A packet of `bytes` arrived at `at` by the receiver's clock; packets come in the order of arrival.
    pub(super) fn add(&mut self, at: Micros, bytes: u16) {
        let length = match self.estimate {
            Some(_) => WINDOW,
            None => FIRST_WINDOW,
        };
        if let Some(last) = self.last {
            let gap = at - last;
            if gap < Micros::ZERO {
                // The receiver's clock was set back, or a message was overtaken: begin anew.
                (self.window, self.bytes) = (Micros::ZERO, 0);
            } else if gap > length {
                (self.window, self.bytes) = (Micros(gap.0 % length.0), 0);
            } else {
                self.window += gap;
            }
            if self.window >= length && gap >= Micros::ZERO {
                let sample = bitrate(self.bytes, self.window) as f64 / 1e3;
                (self.window, self.bytes) = (Micros::ZERO, 0);
                self.sample(sample);
            }
        }
        self.last = Some(at);
        self.bytes += u64::from(bytes);
    }

    /// Bits per second; `None` until half a second was seen.
    pub(super) fn bitrate(&self) -> Option<u64> {
        self.estimate.map(|kbit| (kbit * 1e3) as u64)
    }

    fn sample(&mut self, sample: f64) {
        let Some(estimate) = self.estimate else {
            self.estimate = Some(sample);
            self.variance = 50.0;
            return;
        };
        let uncertainty = DOUBT * (estimate - sample).abs() / estimate.max(1.0);
        let sample_variance = uncertainty * uncertainty;
        let variance = self.variance + DRIFT;
        self.estimate =
            Some((sample_variance * estimate + variance * sample) / (sample_variance + variance));
        self.variance = sample_variance * variance / (sample_variance + variance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of five packets every 33 ms.
    fn frames(acknowledged: &mut Acknowledged, from: i64, to: i64, bytes: u16) {
        for frame in from / 33..to / 33 {
            for packet in 0..5 {
                acknowledged.add(Micros(frame * 33_000 + packet * 500), bytes);
            }
        }
    }

    #[test]
    fn frames_make_an_even_bitrate_and_a_change_is_followed_within_seconds() {
        let mut acknowledged = Acknowledged::default();
        frames(&mut acknowledged, 0, 400, 1_000);
        assert_eq!(acknowledged.bitrate(), None, "too early to say");
        frames(&mut acknowledged, 400, 5_000, 1_000);
        let full = acknowledged.bitrate().unwrap();
        assert!((1_100_000..1_330_000).contains(&full), "{full}");
        frames(&mut acknowledged, 5_000, 7_000, 300);
        let less = acknowledged.bitrate().unwrap();
        assert!((300_000..480_000).contains(&less), "{less}");
    }

    #[test]
    fn a_pause_is_not_averaged_in() {
        let mut acknowledged = Acknowledged::default();
        frames(&mut acknowledged, 0, 5_000, 1_000);
        let before = acknowledged.bitrate().unwrap();
        frames(&mut acknowledged, 65_000, 70_000, 1_000);
        let after = acknowledged.bitrate().unwrap();
        assert!(after.abs_diff(before) < before / 5, "{before} {after}");
    }
}
