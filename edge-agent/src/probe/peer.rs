//! Delay, jitter and loss to one other edge.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tradewind_fleet::PathQuality;

/// Time between two pings to one peer.
pub(crate) const EVERY: Duration = Duration::from_millis(200);
/// A ping without an answer after this is lost: three times the longest way round the world.
const LOST_AFTER: Duration = Duration::from_millis(1200);
/// Outcomes that the loss is counted over: ten seconds.
const WINDOW: usize = 50;
/// Weights of a new sample, as in RFC 6298 for round trips and their deviation.
const RTT_WEIGHT: f64 = 1.0 / 8.0;
const JITTER_WEIGHT: f64 = 1.0 / 4.0;

/// The measurement of one peer.
#[derive(Debug)]
pub(crate) struct Peer {
    next: u64,
    due: Duration,
    waiting: BTreeMap<u64, Duration>,
    outcomes: VecDeque<bool>,
    rtt: Option<f64>,
    jitter: f64,
}

impl Peer {
    /// `first` numbers the first ping: answers to an earlier run's pings then match none of this one's.
    pub(crate) fn new(now: Duration, first: u64) -> Self {
        Self {
            next: first,
            due: now,
            waiting: BTreeMap::new(),
            outcomes: VecDeque::new(),
            rtt: None,
            jitter: 0.0,
        }
    }

    /// The number of the ping to send now, if one is due.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<u64> {
        while let Some((&number, &sent)) = self.waiting.first_key_value()
            && now.saturating_sub(sent) >= LOST_AFTER
        {
            self.waiting.remove(&number);
            self.count(false);
        }
        if now < self.due {
            return None;
        }
        // After a pause of the process there is nothing to catch up on.
        self.due = (self.due + EVERY).max(now);
        self.next = self.next.wrapping_add(1);
        self.waiting.insert(self.next, now);
        Some(self.next)
    }

    /// An answer has come in. Late, doubled and foreign ones count for nothing.
    pub(crate) fn answered(&mut self, now: Duration, number: u64) {
        let Some(sent) = self.waiting.remove(&number) else {
            return;
        };
        let sample = now.saturating_sub(sent).as_secs_f64() * 1000.0;
        match self.rtt {
            None => self.rtt = Some(sample),
            Some(rtt) => {
                self.jitter += JITTER_WEIGHT * ((sample - rtt).abs() - self.jitter);
                self.rtt = Some(rtt + RTT_WEIGHT * (sample - rtt));
            }
        }
        self.count(true);
    }

    /// The figures; none before the first answer.
    pub(crate) fn quality(&self) -> Option<PathQuality> {
        let lost = self.outcomes.iter().filter(|arrived| !**arrived).count();
        Some(PathQuality {
            rtt_ms: self.rtt?,
            jitter_ms: self.jitter,
            loss: lost as f64 / self.outcomes.len().max(1) as f64,
            samples: u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX),
        })
    }

    fn count(&mut self, arrived: bool) {
        if self.outcomes.len() == WINDOW {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(arrived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a peer for a minute of virtual time; `way` tells what happens to each ping.
    fn measure(way: impl Fn(u64) -> Option<Duration>) -> PathQuality {
        let mut peer = Peer::new(Duration::ZERO, 1000);
        let mut under_way = BTreeMap::new();
        for millisecond in 0..60_000 {
            let now = Duration::from_millis(millisecond);
            if let Some(number) = peer.poll(now)
                && let Some(rtt) = way(number)
            {
                under_way.insert((now + rtt, number), ());
            }
            while let Some((&(at, number), ())) = under_way.first_key_value()
                && at <= now
            {
                under_way.pop_first();
                peer.answered(now, number);
                peer.answered(now, number);
            }
        }
        peer.quality().unwrap()
    }

    #[test]
    fn a_steady_way_round_the_world_is_measured_exactly() {
        let quality = measure(|_| Some(Duration::from_millis(214)));
        assert_eq!(
            (quality.rtt_ms, quality.jitter_ms, quality.loss),
            (214.0, 0.0, 0.0)
        );
        assert_eq!(quality.samples, 50);
    }

    #[test]
    fn one_ping_in_ten_lost_is_a_loss_of_a_tenth() {
        let quality = measure(|number| (number % 10 != 0).then(|| Duration::from_millis(80)));
        assert!((quality.loss - 0.1).abs() < 1e-9, "{quality:?}");
        assert_eq!(quality.rtt_ms, 80.0);
    }

    #[test]
    fn jitter_is_the_mean_deviation() {
        let quality = measure(|number| Some(Duration::from_millis(100 + 10 * (number % 2))));
        assert!((4.0..=6.0).contains(&quality.jitter_ms), "{quality:?}");
        assert!((104.0..=106.0).contains(&quality.rtt_ms), "{quality:?}");
    }

    #[test]
    fn answers_that_nobody_asked_for_count_for_nothing() {
        let mut peer = Peer::new(Duration::ZERO, 7);
        peer.poll(Duration::ZERO);
        peer.answered(Duration::from_millis(1), 99);
        assert_eq!(peer.quality(), None);
    }

    #[test]
    fn a_peer_that_falls_silent_shows_as_loss_within_seconds() {
        let quality = measure(|number| (number < 1290).then(|| Duration::from_millis(20)));
        assert!(quality.loss > 0.05, "{quality:?}");
    }
}
