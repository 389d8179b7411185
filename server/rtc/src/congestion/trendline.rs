//! Tells from delay variations whether a queue builds up or drains (draft-ietf-rmcat-gcc-02 sections 5.3 to 5.5, with the
//! slope of a line in place of the Kalman filter).

use super::arrival::Variation;
use super::time::Micros;

const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const MAX_WEIGHT: u32 = 60;
/// All thresholds in milliseconds.
const FIRST_THRESHOLD: f64 = 12.5;
const MIN_THRESHOLD: f64 = 6.0;
const MAX_THRESHOLD: f64 = 600.0;
/// Excesses above this are sudden drops of capacity, to which the threshold must not get used.
const MAX_ADAPTED_EXCESS: f64 = 15.0;
const RAISE: f64 = 0.0087;
const LOWER: f64 = 0.039;
/// How long the trend must stand above the threshold.
const SUSTAINED: Micros = Micros::from_millis(10);

/// What the path does with what we send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// A queue builds up.
    Over,
    #[default]
    Normal,
    /// A queue drains.
    Under,
}

/// Fits a line to the accumulated delay of the last groups; a rising line is a growing queue.
#[derive(Debug)]
pub(super) struct Trendline {
    /// Arrival and smoothed delay of the last groups in milliseconds; the oldest is at `at` once it is full.
    points: [(f64, f64); WINDOW],
    at: usize,
    count: u32,
    origin: Option<Micros>,
    accumulated: f64,
    smoothed: f64,
    trend: f64,
    threshold: f64,
    adapted: Option<Micros>,
    over: Option<(Micros, u32)>,
    usage: Usage,
}

impl Default for Trendline {
    fn default() -> Self {
        Self {
            points: [(0.0, 0.0); WINDOW],
            at: 0,
            count: 0,
            origin: None,
            accumulated: 0.0,
            smoothed: 0.0,
            trend: 0.0,
            threshold: FIRST_THRESHOLD,
            adapted: None,
            over: None,
            usage: Usage::Normal,
        }
    }
}

impl Trendline {
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes a variation heard of at `now`.
    pub(super) fn add(&mut self, now: Micros, variation: Variation) {
        let origin = *self.origin.get_or_insert(variation.at);
        self.accumulated += (variation.arrived - variation.sent).as_millis();
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if let Some(point) = self.points.get_mut(self.at) {
            *point = ((variation.at - origin).as_millis(), self.smoothed);
        }
        self.at = (self.at + 1) % WINDOW;
        self.count = self.count.saturating_add(1);
        if self.count as usize >= WINDOW {
            let trend = slope(&self.points).unwrap_or(self.trend);
            self.detect(now, trend, variation.sent);
        }
    }

    fn detect(&mut self, now: Micros, trend: f64, sent: Micros) {
        let weighed = f64::from(self.count.min(MAX_WEIGHT)) * trend * GAIN;
        if weighed > self.threshold {
            let (lasted, count) = match self.over {
                // It may have begun anywhere since the last group.
                None => (Micros(sent.0 / 2), 1),
                Some((lasted, count)) => (lasted + sent, count + 1),
            };
            self.over = Some((lasted, count));
            if lasted > SUSTAINED && count > 1 && trend >= self.trend {
                self.over = None;
                self.usage = Usage::Over;
            }
        } else {
            self.over = None;
            self.usage = if weighed < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.trend = trend;
        self.adapt(now, weighed.abs());
    }

    /// Follows the path's usual jitter, so that a jittery path is not taken for a full one.
    fn adapt(&mut self, now: Micros, weighed: f64) {
        let since = now - self.adapted.replace(now).unwrap_or(now);
        if weighed > self.threshold + MAX_ADAPTED_EXCESS {
            return;
        }
        let rate = if weighed < self.threshold {
            LOWER
        } else {
            RAISE
        };
        let step = rate * (weighed - self.threshold) * since.as_millis().clamp(0.0, 100.0);
        self.threshold = (self.threshold + step).clamp(MIN_THRESHOLD, MAX_THRESHOLD);
    }
}

/// Least squares.
fn slope(points: &[(f64, f64); WINDOW]) -> Option<f64> {
    let count = WINDOW as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (covariance, variance) = points.iter().fold((0.0, 0.0), |(c, v), (x, y)| {
        let from_mean = x - mean_x;
        (c + from_mean * (y - mean_y), v + from_mean * from_mean)
    });
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups every 20 ms, each `growth` microseconds later than its forerunner.
    fn run(trendline: &mut Trendline, groups: std::ops::Range<i64>, growth: i64) {
        for group in groups {
            let now = Micros::from_millis(group * 20);
            let variation = Variation {
                sent: Micros::from_millis(20),
                arrived: Micros(20_000 + growth),
                at: now,
            };
            trendline.add(now, variation);
        }
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_underuse() {
        let mut trendline = Trendline::default();
        run(&mut trendline, 0..100, 0);
        assert_eq!(trendline.usage(), Usage::Normal);
        run(&mut trendline, 100..120, 4_000);
        assert_eq!(trendline.usage(), Usage::Over);
        run(&mut trendline, 120..160, -4_000);
        assert_eq!(trendline.usage(), Usage::Under);
        run(&mut trendline, 160..260, 0);
        assert_eq!(trendline.usage(), Usage::Normal);
    }
}
