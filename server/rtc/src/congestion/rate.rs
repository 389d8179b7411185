//! Additive increase, multiplicative decrease on what the delays tell (draft-ietf-rmcat-gcc-02 section 5.5).

use super::time::Micros;
use super::trendline::Usage;

/// Below this not even sound gets through.
pub(super) const MIN_BITRATE: u64 = 30_000;
/// Share of what arrives that is sent once a queue builds up, so that it drains.
const BACK_OFF: f64 = 0.85;
/// A sender that uses less than the estimate proves little about it: unless there is a queue this long, such an estimate
/// falls by steps and not at once to what happens to be sent.
const PROVEN_QUEUE: Micros = Micros::from_millis(50);
/// Long queues are drained faster: of what arrives, this much less is sent once they are this long.
const DRAIN: f64 = 0.3;
const LONG_QUEUE: Micros = Micros::from_millis(100);
const LONGEST_QUEUE: Micros = Micros::from_millis(500);
/// A queue this short is as good as drained.
const DRAINED: Micros = Micros::from_millis(30);
/// Growth per second far from the capacity.
const GROWTH: f64 = 1.08;
/// The estimate does not grow further above what is known to arrive.
const MAX_RATIO: f64 = 1.5;
const MAX_RATIO_OFFSET: f64 = 10_000.0;
const MIN_ADDITIVE: f64 = 4_000.0;
const FULL_PACKET_BITS: f64 = 1_200.0 * 8.0;

/// What a change of the estimate is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals {
    pub(super) usage: Usage,
    /// Bits per second that arrive.
    pub(super) acknowledged: Option<u64>,
    pub(super) round_trip: Micros,
    /// The sender has less to send than it might.
    pub(super) limited: bool,
    /// How long the standing queue is.
    pub(super) queueing: Micros,
}

/// The estimate by delays, in bits per second.
#[derive(Debug)]
pub(super) struct RateControl {
    estimate: f64,
    /// After a decrease or while a queue drains, nothing grows.
    holds: bool,
    changed: Micros,
    capacity: LinkCapacity,
    /// While a long queue drains: what to go on with after it.
    after_drain: Option<f64>,
}

impl RateControl {
    pub(super) fn new(now: Micros, initial: u64) -> Self {
        Self {
            estimate: initial.max(MIN_BITRATE) as f64,
            holds: false,
            changed: now,
            capacity: LinkCapacity::default(),
            after_drain: None,
        }
    }

    pub(super) fn estimate(&self) -> u64 {
        self.estimate as u64
    }

    pub(super) fn update(&mut self, now: Micros, signals: Signals) {
        if signals.queueing <= DRAINED
            && let Some(bitrate) = self.after_drain.take()
        {
            self.set(now, bitrate.max(self.estimate));
        }
        match signals.usage {
            Usage::Over => {
                if self.may_decrease(now, &signals) {
                    self.decrease(now, &signals);
                }
            }
            Usage::Under => {
                self.holds = true;
                self.changed = now;
            }
            Usage::Normal if self.holds => {
                self.holds = false;
                self.changed = now;
            }
            Usage::Normal => self.increase(now, &signals),
        }
    }

    /// A probe showed that the path carries this much; it never lowers the estimate.
    pub(super) fn proven(&mut self, now: Micros, bitrate: u64) {
        let bitrate = bitrate as f64;
        if bitrate > self.estimate {
            self.estimate = bitrate;
            self.changed = now;
            self.capacity.learn(bitrate, 0.5);
        }
    }

    /// Nothing is heard from the receiver.
    pub(super) fn halve(&mut self, now: Micros) {
        self.set(now, self.estimate / 2.0);
    }

    fn may_decrease(&self, now: Micros, signals: &Signals) -> bool {
        let pause = signals
            .round_trip
            .clamp(Micros::from_millis(10), Micros::from_millis(200));
        let collapsed = |arrives: u64| (arrives as f64) < self.estimate / 2.0;
        now - self.changed >= pause
            || !self.holds && !signals.limited && signals.acknowledged.is_some_and(collapsed)
    }

    fn decrease(&mut self, now: Micros, signals: &Signals) {
        self.holds = true;
        let Some(arrives) = signals.acknowledged.map(|arrives| arrives as f64) else {
            self.set(now, self.estimate / 2.0);
            return;
        };
        let mut lowered = BACK_OFF * arrives;
        if lowered > self.estimate
            && let Some(capacity) = self.capacity.estimate
        {
            lowered = BACK_OFF * capacity;
        }
        if signals.limited && signals.queueing < PROVEN_QUEUE {
            lowered = lowered.max(self.estimate * BACK_OFF);
        }
        if arrives < self.capacity.lower() {
            self.capacity = LinkCapacity::default();
        }
        self.capacity.learn(arrives, 0.05);
        let length = (signals.queueing - LONG_QUEUE).as_seconds();
        let length = (length / (LONGEST_QUEUE - LONG_QUEUE).as_seconds()).clamp(0.0, 1.0);
        if length > 0.0 && !signals.limited {
            // With a queue to send from, what arrives is what the path carries, however little is sent.
            self.after_drain = Some(lowered);
            lowered -= DRAIN * length * arrives;
        }
        self.set(now, lowered.min(self.estimate));
    }

    fn increase(&mut self, now: Micros, signals: &Signals) {
        let elapsed = (now - self.changed).as_seconds().clamp(0.0, 1.0);
        self.changed = now;
        let Some(arrives) = signals.acknowledged.map(|arrives| arrives as f64) else {
            return;
        };
        if arrives > self.capacity.upper() {
            self.capacity = LinkCapacity::default();
        }
        let limit = MAX_RATIO * arrives + MAX_RATIO_OFFSET;
        if self.estimate >= limit {
            return;
        }
        let grown = match self.capacity.estimate {
            Some(_) => self.estimate + self.additive(signals.round_trip) * elapsed,
            None => self.estimate * GROWTH.powf(elapsed),
        };
        self.estimate = grown.min(limit);
    }

    /// Bits per second and second: about a packet per response time.
    fn additive(&self, round_trip: Micros) -> f64 {
        let frame = self.estimate / 30.0;
        let packet = frame / (frame / FULL_PACKET_BITS).ceil().max(1.0);
        let response = 2.0 * (round_trip + Micros::from_millis(100)).as_seconds();
        (packet / response.max(0.1)).max(MIN_ADDITIVE)
    }

    fn set(&mut self, now: Micros, bitrate: f64) {
        self.estimate = bitrate.max(MIN_BITRATE as f64);
        self.changed = now;
    }
}

/// What arrived when queues built up: the capacity, as far as known, and how much it varies.
#[derive(Debug, Default)]
struct LinkCapacity {
    estimate: Option<f64>,
    /// Variance over the estimate, both in kbit/s.
    deviation: f64,
}

impl LinkCapacity {
    fn learn(&mut self, bitrate: f64, share: f64) {
        let estimate = self.estimate.unwrap_or(bitrate);
        let learnt = (1.0 - share) * estimate + share * bitrate;
        let error = (learnt - bitrate) / 1e3;
        let relative = error * error / (learnt / 1e3).max(1.0);
        self.deviation = ((1.0 - share) * self.deviation + share * relative).clamp(0.4, 2.5);
        self.estimate = Some(learnt);
    }

    fn upper(&self) -> f64 {
        self.estimate.map_or(f64::INFINITY, |estimate| {
            estimate + 3.0 * self.spread(estimate)
        })
    }

    fn lower(&self) -> f64 {
        self.estimate.map_or(0.0, |estimate| {
            (estimate - 3.0 * self.spread(estimate)).max(0.0)
        })
    }

    fn spread(&self, estimate: f64) -> f64 {
        (self.deviation * estimate / 1e3).sqrt() * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(usage: Usage, acknowledged: u64) -> Signals {
        Signals {
            usage,
            acknowledged: Some(acknowledged),
            round_trip: Micros::from_millis(50),
            limited: false,
            queueing: Micros::ZERO,
        }
    }

    fn at(step: i64) -> Micros {
        Micros::from_millis(step * 50)
    }

    #[test]
    fn unhindered_it_grows_by_eight_percent_a_second() {
        let mut rate = RateControl::new(Micros::ZERO, 1_000_000);
        for step in 1..=200 {
            rate.update(at(step), signals(Usage::Normal, rate.estimate()));
        }
        let grown = rate.estimate() as f64 / 1e6;
        assert!((grown - 1.08f64.powi(10)).abs() < 0.02, "{grown}");
    }

    #[test]
    fn it_grows_no_further_than_half_above_what_arrives() {
        let mut rate = RateControl::new(Micros::ZERO, 1_000_000);
        for step in 1..=2_000 {
            rate.update(at(step), signals(Usage::Normal, 800_000));
        }
        assert_eq!(rate.estimate(), 1_210_000);
    }

    #[test]
    fn a_queue_sends_it_below_what_arrives_and_then_it_creeps() {
        let mut rate = RateControl::new(Micros::ZERO, 2_000_000);
        rate.update(at(10), signals(Usage::Over, 1_000_000));
        assert_eq!(rate.estimate(), 850_000);
        rate.update(at(11), signals(Usage::Under, 1_000_000));
        for step in 12..=32 {
            rate.update(at(step), signals(Usage::Normal, 950_000));
        }
        assert!(
            (860_000..900_000).contains(&rate.estimate()),
            "{}",
            rate.estimate()
        );
    }

    #[test]
    fn a_long_queue_is_drained_and_then_the_estimate_is_back() {
        let mut rate = RateControl::new(Micros::ZERO, 2_000_000);
        let full = Signals {
            queueing: Micros::from_millis(700),
            ..signals(Usage::Over, 1_000_000)
        };
        rate.update(at(10), full);
        assert_eq!(rate.estimate(), 550_000);
        rate.update(at(20), signals(Usage::Under, 1_000_000));
        assert_eq!(rate.estimate(), 850_000);
    }

    #[test]
    fn a_sender_of_little_falls_by_a_step_unless_the_queue_is_proven() {
        let mut rate = RateControl::new(Micros::ZERO, 2_000_000);
        let limited = Signals {
            limited: true,
            ..signals(Usage::Over, 400_000)
        };
        rate.update(at(10), limited);
        assert_eq!(rate.estimate(), 1_700_000);
        rate.update(
            at(20),
            Signals {
                queueing: Micros::from_millis(60),
                ..limited
            },
        );
        assert_eq!(rate.estimate(), 340_000);
    }

    #[test]
    fn a_probe_raises_and_never_lowers() {
        let mut rate = RateControl::new(Micros::ZERO, 1_000_000);
        rate.proven(at(1), 200_000);
        assert_eq!(rate.estimate(), 1_000_000);
        rate.proven(at(2), 2_500_000);
        assert_eq!(rate.estimate(), 2_500_000);
    }
}
