//! Spreads what is sent over time: a bucket that leaks at the pacing bitrate, and lets a frame through at once.

use super::time::{Micros, transmission};

/// Faster than the estimate, so that frames larger than others do not pile up; not by much, or key frames would
/// fill the path's queue and be taken for congestion.
const FACTOR: f64 = 1.2;
const BURST: Micros = Micros::from_millis(40);
/// Sixteen full packets: as many as leave in one send.
const MIN_BURST: u64 = 16 * 1_250;
/// Once the bucket was full it must leak this long before it takes more, so that packets leave in small batches
/// and not each by a wake of its own.
const BATCH: Micros = Micros::from_millis(5);

/// Counts bytes sent that the path has not had the time to take.
#[derive(Debug)]
pub(super) struct Pacer {
    bitrate: u64,
    /// When the bucket will be empty.
    empty_at: Micros,
    full: bool,
}

impl Pacer {
    pub(super) fn new(now: Micros, estimate: u64) -> Self {
        let mut pacer = Self {
            bitrate: 0,
            empty_at: now,
            full: false,
        };
        pacer.set_estimate(now, estimate);
        pacer
    }

    pub(super) fn set_estimate(&mut self, now: Micros, estimate: u64) {
        let bitrate = ((estimate as f64 * FACTOR) as u64).max(1);
        if bitrate != self.bitrate {
            let left = (self.empty_at - now).as_seconds().max(0.0);
            let scaled = left * self.bitrate as f64 / bitrate as f64;
            self.empty_at = now + Micros((scaled * 1e6) as i64);
            self.bitrate = bitrate;
        }
    }

    pub(super) fn sent(&mut self, now: Micros, bytes: u16) {
        self.empty_at = self.empty_at.max(now) + transmission(bytes.into(), self.bitrate);
    }

    pub(super) fn admits(&mut self, now: Micros) -> bool {
        let left = self.empty_at - now;
        if left >= self.burst() {
            self.full = true;
        } else if self.full && now >= self.admits_at() {
            self.full = false;
        }
        !self.full
    }

    /// When a full bucket takes more.
    pub(super) fn admits_at(&self) -> Micros {
        self.empty_at - (self.burst() - BATCH)
    }

    fn burst(&self) -> Micros {
        BURST.max(transmission(MIN_BURST, self.bitrate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all it may over a second in steps of a millisecond; packets of each step.
    fn second(pacer: &mut Pacer) -> Vec<u32> {
        (0..1_000)
            .map(|ms| {
                let now = Micros::from_millis(ms);
                let mut sent = 0;
                while pacer.admits(now) {
                    pacer.sent(now, 1_250);
                    sent += 1;
                }
                sent
            })
            .collect()
    }

    #[test]
    fn a_frame_passes_at_once_and_the_rest_at_the_pacing_bitrate_in_batches() {
        // 1.2 times 5 Mbit/s are 600 packets a second.
        let sent = second(&mut Pacer::new(Micros::ZERO, 5_000_000));
        assert!(sent[0] >= 16, "{}", sent[0]);
        let rest: u32 = sent[1..].iter().sum();
        assert!((570..=600).contains(&rest), "{rest}");
        let wakes = sent[1..].iter().filter(|sent| **sent > 0).count();
        assert!(wakes <= 220, "{wakes} wakes");
    }

    #[test]
    fn the_time_it_gives_is_when_it_admits() {
        let mut pacer = Pacer::new(Micros::ZERO, 1_000_000);
        while pacer.admits(Micros::ZERO) {
            pacer.sent(Micros::ZERO, 1_250);
        }
        let at = pacer.admits_at();
        assert!(at > Micros::ZERO);
        assert!(!pacer.admits(at - Micros(1)));
        assert!(pacer.admits(at));
    }
}
