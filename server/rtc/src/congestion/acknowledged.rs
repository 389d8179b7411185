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
