//! The controller against a modelled path, in virtual time.

use super::*;

const MS: Duration = Duration::from_millis(1);
const PACKET: u64 = 1_200;

/// A path with a round trip, random loss and a bottleneck with a deep queue; a sender that offers a rate and keeps to the target.
struct Model {
    now: Instant,
    round_trip: Duration,
    loss: f64,
    bottleneck: f64,
    queue_room: Duration,
    bottleneck_free: Instant,
    credit: f64,
    drawn: u64,
    events: VecDeque<(Instant, Option<Instant>)>,
    controller: RateController,
    queueing: Vec<Duration>,
    sent: u64,
}

impl Model {
    fn new(round_trip: Duration, loss: f64, bottleneck_mbps: f64) -> Self {
        let now = Instant::now();
        Self {
            now,
            round_trip,
            loss,
            bottleneck: bottleneck_mbps * 1e6,
            queue_room: 200 * MS,
            bottleneck_free: now,
            credit: 0.0,
            drawn: 0x1234_5678,
            events: VecDeque::new(),
            controller: RateController::new(now, RateLimits::default()),
            queueing: Vec::new(),
            sent: 0,
        }
    }

    /// Offers a rate for some seconds, keeping to the target; gives the rate that was sent, in Mb/s.
    fn run(&mut self, seconds: u32, offered_mbps: f64) -> f64 {
        self.queueing.clear();
        let before = self.sent;
        for _ in 0..seconds * 1_000 {
            self.now += MS;
            let rate = (offered_mbps * 1e6).min(self.controller.target().0 as f64);
            self.credit += rate / 8e3;
            while self.credit >= PACKET as f64 {
                self.credit -= PACKET as f64;
                self.send();
            }
            while let Some(&(at, sent)) = self.events.front().filter(|event| event.0 <= self.now) {
                self.events.pop_front();
                match sent {
                    Some(sent) => self.controller.on_ack(at, sent, PACKET),
                    None => self.controller.on_loss(at, PACKET),
                }
            }
        }
        (self.sent - before) as f64 * 8.0 / 1e6 / f64::from(seconds)
    }

    fn send(&mut self) {
        self.sent += PACKET;
        self.drawn = self
            .drawn
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let queueing = self.bottleneck_free.saturating_duration_since(self.now);
        let lost = ((self.drawn >> 33) as f64 / (1u64 << 31) as f64) < self.loss
            || queueing > self.queue_room;
        if !lost {
            self.bottleneck_free = self.now.max(self.bottleneck_free)
                + Duration::from_secs_f64(PACKET as f64 * 8.0 / self.bottleneck);
            self.queueing.push(queueing);
        }
        let back = self.bottleneck_free.max(self.now) + self.round_trip;
        self.events.push_back((back, (!lost).then_some(self.now)));
    }

    fn queue_p95(&mut self) -> Duration {
        self.queueing.sort();
        self.queueing[self.queueing.len() * 95 / 100]
    }
}

#[test]
fn random_loss_on_a_long_path_costs_no_rate() {
    let mut path = Model::new(214 * MS, 0.01, 1_000.0);
    assert!(path.run(30, 20.0) > 19.9);
    assert_eq!(path.controller.target(), RateLimits::default().max);
    // Twice what 20 Mb/s keep in flight, at least.
    assert!(path.controller.window() > 2 * 20_000_000 / 8 * 214 / 1_000);
}

#[test]
fn five_percent_of_random_loss_cost_no_rate_either() {
    let mut path = Model::new(80 * MS, 0.05, 1_000.0);
    assert!(path.run(30, 20.0) > 19.9);
}

#[test]
fn a_bottleneck_is_found_and_used_with_a_short_queue() {
    for round_trip in [20, 80, 214] {
        let mut path = Model::new(round_trip * MS, 0.0, 10.0);
        path.run(5, 12.0);
        let sent = path.run(30, 12.0);
        let queue = path.queue_p95();
        assert!((9.0..10.1).contains(&sent), "{round_trip} ms: {sent} Mb/s");
        assert!(queue < 45 * MS, "{round_trip} ms: {queue:?}");
    }
}

#[test]
fn a_bottleneck_that_loses_at_random_is_used_too() {
    let mut path = Model::new(214 * MS, 0.01, 10.0);
    path.run(5, 12.0);
    let sent = path.run(30, 12.0);
    assert!((9.0..10.3).contains(&sent), "{sent}");
    assert!(path.queue_p95() < 45 * MS);
}

#[test]
fn a_bottleneck_without_a_queue_is_seen_by_its_losses() {
    let mut path = Model::new(80 * MS, 0.0, 10.0);
    path.queue_room = 2 * MS;
    path.run(10, 14.0);
    let sent = path.run(20, 14.0);
    assert!((9.0..11.0).contains(&sent), "{sent}");
}

#[test]
fn a_link_that_widens_again_is_used_again() {
    let mut path = Model::new(80 * MS, 0.0, 10.0);
    path.run(10, 20.0);
    path.bottleneck = 100e6;
    path.run(15, 20.0);
    assert!(path.run(10, 20.0) > 19.5);
}

#[test]
fn a_longer_path_is_not_taken_for_a_queue_for_long() {
    let mut path = Model::new(80 * MS, 0.0, 1_000.0);
    path.run(10, 10.0);
    path.round_trip = 140 * MS;
    path.run(10, 10.0);
    assert!(path.run(10, 10.0) > 9.9);
}

#[test]
fn a_path_that_loses_a_tenth_whatever_is_sent_is_lived_with() {
    let mut path = Model::new(80 * MS, 0.12, 1_000.0);
    path.run(20, 10.0);
    assert!(path.run(10, 10.0) > 9.5);
}

#[test]
fn the_rate_never_falls_below_what_speech_needs() {
    let mut path = Model::new(80 * MS, 0.0, 0.3);
    path.run(30, 10.0);
    assert!(path.controller.target() >= RateLimits::default().min);
}
