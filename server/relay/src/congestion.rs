//! How fast a link may send.
//!
//! QUIC's own controllers take every lost packet for congestion: at 214 ms and 1 % random loss they carry a few hundred
//! kilobits. Media between data centres loses packets at random all day and offers a rate that is known and bounded. So this
//! controller believes in the configured rate until the path objects, and the path objects in two ways only: the round trip
//! stays above its minimum by [`QUEUE_LIMIT`] (a queue is building, the idea of Copa and of Google congestion control), or
//! more than [`LOSS_LIMIT`] is lost for a second (a queue too short to be seen, or a policer). Then the target falls below what
//! was delivered, so that the queue drains, and returns slowly to where it was too much, quickly anywhere else.
//!
//! A round trip or a loss that three cuts in a row did not change is not ours: the path is longer or worse than it was, and
//! becomes the new normal.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::BitsPerSecond;

/// Queueing delay beyond which a queue is held to be ours.
pub const QUEUE_LIMIT: Duration = Duration::from_millis(12);
/// Share of lost bytes, above what the path loses anyway, that is held to be congestion.
pub const LOSS_LIMIT: f64 = 0.07;
/// Measurements are closed this often; the shortest round trip of each counts, which hides jitter and delayed ACKs.
const INTERVAL: Duration = Duration::from_millis(50);
/// Window over which the delivered rate is measured.
const DELIVERY_WINDOW: Duration = Duration::from_millis(400);
/// Window over which loss is measured.
const LOSS_WINDOW: Duration = Duration::from_secs(1);
/// Fewer bytes than this say nothing about loss.
const LOSS_MIN_BYTES: u64 = 30_000;
/// The minimum round trip is that of the last this many parts of [`BASE_PART`] each.
const BASE_PARTS: usize = 6;
const BASE_PART: Duration = Duration::from_secs(5);
/// Cuts in a row without effect after which the path is believed to have changed.
const CUTS_WITHOUT_EFFECT: u32 = 3;
/// Growth per second up to the rate that was too much, near it, beyond it, and when the target is not used.
const GROWTH_BACK: f64 = 0.5;
const GROWTH_NEAR: f64 = 0.03;
const GROWTH_BEYOND: f64 = 0.25;
const GROWTH_UNUSED: f64 = 0.1;
/// The time in which a queue is meant to drain after a cut.
const DRAIN_TIME: Duration = Duration::from_millis(300);

/// Bounds of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// What the link may send when the path does not object; also the rate it starts with.
    pub max: BitsPerSecond,
    /// What it sends whatever the path says: enough for the sound of some calls.
    pub min: BitsPerSecond,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            max: BitsPerSecond::mega(200),
            min: BitsPerSecond::mega(1),
        }
    }
}

/// Finds the rate from acknowledgements and losses.
#[derive(Debug, Clone)]
pub struct RateController {
    limits: RateLimits,
    target: f64,
    open: Interval,
    closed: VecDeque<Interval>,
    base: BaseRoundTrip,
    over_limit: u32,
    hold_until: Option<Instant>,
    too_much: Option<f64>,
    last_cut: Option<Cut>,
    cuts_without_effect: u32,
    normal_loss: f64,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    start: Instant,
    end: Instant,
    delivered: u64,
    lost: u64,
    round_trip: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Queue(Duration),
    Loss(f64),
}

impl RateController {
    /// A controller that starts at the highest rate.
    pub fn new(now: Instant, limits: RateLimits) -> Self {
        Self {
            limits,
            target: limits.max.0 as f64,
            open: Interval::new(now),
            closed: VecDeque::new(),
            base: BaseRoundTrip::new(now),
            over_limit: 0,
            hold_until: None,
            too_much: None,
            last_cut: None,
            cuts_without_effect: 0,
            normal_loss: 0.0,
        }
    }

    /// A packet of `bytes` that left at `sent` was acknowledged.
    pub fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let round_trip = now.saturating_duration_since(sent);
        self.open.delivered += bytes;
        self.open.round_trip = Some(
            self.open
                .round_trip
                .map_or(round_trip, |least| least.min(round_trip)),
        );
        self.close_interval(now);
    }

    /// Packets of `bytes` together were given up as lost.
    pub fn on_loss(&mut self, now: Instant, bytes: u64) {
        self.open.lost += bytes;
        self.close_interval(now);
    }

    /// What the scheduler may send.
    pub fn target(&self) -> BitsPerSecond {
        BitsPerSecond(self.target as u64)
    }

    /// Bytes that may be in flight: twice what the target keeps in flight on an empty path, so that the target and not the
    /// window decides, and ACKs may be late.
    pub fn window(&self) -> u64 {
        /// ACKs may be held back by this much, and the queue may have its limit.
        const SLACK: Duration = Duration::from_millis(30);
        /// Before the first ACK.
        const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(250);
        const LEAST: u64 = 32_768;
        let round_trip = self.base.get().unwrap_or(UNKNOWN_ROUND_TRIP) + SLACK;
        ((2.0 * self.target / 8.0 * round_trip.as_secs_f64()) as u64).max(LEAST)
    }

    fn close_interval(&mut self, now: Instant) {
        if now.saturating_duration_since(self.open.start) < INTERVAL {
            return;
        }
        let mut interval = std::mem::replace(&mut self.open, Interval::new(now));
        interval.end = now;
        if let Some(round_trip) = interval.round_trip {
            self.base.sample(now, round_trip);
        }
        self.closed.push_back(interval);
        while self
            .closed
            .front()
            .is_some_and(|first| now.saturating_duration_since(first.start) > LOSS_WINDOW)
        {
            self.closed.pop_front();
        }
        self.judge(now, &interval);
    }

    fn judge(&mut self, now: Instant, interval: &Interval) {
        let queue = match (interval.round_trip, self.base.get()) {
            (Some(round_trip), Some(base)) => round_trip.saturating_sub(base),
            _ => Duration::ZERO,
        };
        let loss = self.loss();
        self.normal_loss = self.normal_loss.min(loss);
        self.over_limit = if queue > QUEUE_LIMIT {
            self.over_limit + 1
        } else {
            0
        };
        if self.hold_until.is_some_and(|until| now < until) {
            return;
        }
        // One or two intervals may be a pause of the machine; three are a queue.
        if self.over_limit >= 3 {
            self.cut(now, Cut::Queue(queue), interval.round_trip.unwrap_or(queue));
        } else if loss > self.normal_loss + LOSS_LIMIT {
            let settle = self.base.get().unwrap_or(Duration::ZERO) + LOSS_WINDOW;
            self.cut(now, Cut::Loss(loss), settle);
        } else {
            if self.over_limit == 0 {
                self.last_cut = None;
                self.cuts_without_effect = 0;
            }
            self.grow(interval.end.saturating_duration_since(interval.start));
        }
    }

    fn cut(&mut self, now: Instant, cut: Cut, settle: Duration) {
        let in_vain = match (self.last_cut, cut) {
            (Some(Cut::Queue(before)), Cut::Queue(queue)) => queue >= before.mul_f64(0.85),
            (Some(Cut::Loss(before)), Cut::Loss(loss)) => loss >= before * 0.85,
            _ => false,
        };
        self.cuts_without_effect = if in_vain {
            self.cuts_without_effect + 1
        } else {
            0
        };
        if self.cuts_without_effect >= CUTS_WITHOUT_EFFECT {
            self.accept_path(now, cut);
            return;
        }
        let delivered = self.delivered().min(self.target);
        let (share, drain) = match cut {
            Cut::Queue(queue) => {
                let excess = queue.as_secs_f64() / DRAIN_TIME.as_secs_f64();
                ((0.97 - excess).clamp(0.6, 0.92), DRAIN_TIME)
            }
            Cut::Loss(_) => (0.95, Duration::ZERO),
        };
        // A second cut in a row measures what the first one left, not what the path carries.
        self.too_much = Some(match self.last_cut {
            Some(_) => self.too_much.unwrap_or(0.0).max(delivered),
            None => delivered,
        });
        self.target = (delivered * share)
            .max(self.limits.min.0 as f64)
            .min(self.target);
        self.last_cut = Some(cut);
        self.hold_until = Some(now + settle + drain + 2 * INTERVAL);
        self.over_limit = 0;
    }

    /// Slowing down changed nothing: the path itself has changed.
    fn accept_path(&mut self, now: Instant, cut: Cut) {
        match cut {
            Cut::Queue(_) => self.base = BaseRoundTrip::new(now),
            Cut::Loss(loss) => self.normal_loss = loss,
        }
        self.last_cut = None;
        self.cuts_without_effect = 0;
        self.too_much = None;
    }

    fn grow(&mut self, time: Duration) {
        let per_second = match self.too_much {
            Some(limit) if self.target < 0.95 * limit => GROWTH_BACK,
            Some(limit) if self.target < 1.08 * limit => GROWTH_NEAR,
            _ if self.delivered() > 0.7 * self.target => GROWTH_BEYOND,
            _ => GROWTH_UNUSED,
        };
        if self
            .too_much
            .is_some_and(|limit| self.target >= 1.08 * limit)
        {
            self.too_much = None;
        }
        self.target =
            (self.target * (1.0 + per_second * time.as_secs_f64())).min(self.limits.max.0 as f64);
    }

    /// Bits per second that arrived lately: the better of a short and a long window, since ACKs that a pause of the machine
    /// held up come too late for the one and a rate that has just grown too early for the other.
    fn delivered(&self) -> f64 {
        self.delivered_within(DELIVERY_WINDOW)
            .max(self.delivered_within(LOSS_WINDOW))
    }

    fn delivered_within(&self, window: Duration) -> f64 {
        let Some(last) = self.closed.back() else {
            return 0.0;
        };
        let recent = self
            .closed
            .iter()
            .rev()
            .take_while(|i| last.end.saturating_duration_since(i.start) <= window);
        let (bytes, start) = recent.fold((0, last.start), |(bytes, _), i| {
            (bytes + i.delivered, i.start)
        });
        let time = last.end.saturating_duration_since(start).max(INTERVAL);
        bytes as f64 * 8.0 / time.as_secs_f64()
    }

    fn loss(&self) -> f64 {
        let lost: u64 = self.closed.iter().map(|i| i.lost).sum();
        let all: u64 = lost + self.closed.iter().map(|i| i.delivered).sum::<u64>();
        if all < LOSS_MIN_BYTES {
            self.normal_loss
        } else {
            lost as f64 / all as f64
        }
    }
}

impl Interval {
    fn new(start: Instant) -> Self {
        Self {
            start,
            end: start,
            delivered: 0,
            lost: 0,
            round_trip: None,
        }
    }
}

/// The least round trip over the last half minute, in parts that are forgotten one by one.
#[derive(Debug, Clone)]
struct BaseRoundTrip {
    parts: VecDeque<Duration>,
    part_start: Instant,
}

impl BaseRoundTrip {
    fn new(now: Instant) -> Self {
        Self {
            parts: VecDeque::new(),
            part_start: now,
        }
    }

    fn sample(&mut self, now: Instant, round_trip: Duration) {
        if now.saturating_duration_since(self.part_start) > BASE_PART || self.parts.is_empty() {
            self.part_start = now;
            self.parts.push_back(round_trip);
            if self.parts.len() > BASE_PARTS {
                self.parts.pop_front();
            }
        } else if let Some(least) = self.parts.back_mut() {
            *least = (*least).min(round_trip);
        }
    }

    fn get(&self) -> Option<Duration> {
        self.parts.iter().min().copied()
    }
}

#[cfg(test)]
mod tests;
