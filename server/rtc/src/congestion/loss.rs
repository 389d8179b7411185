//! A bound on the bitrate by loss.
//!
//! Loss alone does not say whether the path is full or merely bad. So when it stays high the bitrate is lowered for a moment: if
//! less is lost then, the path was full and the bound stays; if as much is lost as before, sending less does not help, and
//! the loss is held for the path's own from then on.

use super::time::{Micros, bitrate};

/// Loss beyond the path's own: up to the first nothing happens, up to the second nothing grows, above it the bitrate falls.
const TOLERATED: f64 = 0.02;
const ALARMING: f64 = 0.10;
const OBSERVATION: Micros = Micros::from_millis(500);
const MAX_OBSERVATION: Micros = Micros::from_millis(3_000);
const FEW_PACKETS: u32 = 50;
const TRIAL_PACKETS: u32 = 100;
/// Observations with more than tolerable loss before a trial.
const PATIENCE: u8 = 3;
/// How far a trial lowers the bitrate at least.
const TRIAL_DEPTH: f64 = 0.1;
/// A trial in which the sender did not send at most this share of before tells nothing.
const TRIAL_MOVED: f64 = 0.96;
const GROWTH: f64 = 0.08;
/// The path's own loss that is put up with: a share at any bitrate, and more the less there is to give up.
const MAX_OWN_LOSS: f64 = 0.10;
const OWN_LOSS_BITRATE: f64 = 75_000.0;

#[derive(Clone, Copy, Debug)]
struct Observation {
    loss: f64,
    /// Bits per second sent.
    bitrate: f64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// How many observations in a row were bad.
    Watching(u8),
    /// The bitrate is lowered; what is sent after `from` is compared with `before`.
    Trial { before: Observation, from: Micros },
}

/// Watches loss in steps of half a second or more.
#[derive(Debug)]
pub(super) struct LossBound {
    arrived: u32,
    lost: u32,
    bytes: u64,
    since: Option<Micros>,
    own_loss: f64,
    bound: Option<f64>,
    phase: Phase,
}

impl Default for LossBound {
    fn default() -> Self {
        Self {
            arrived: 0,
            lost: 0,
            bytes: 0,
            since: None,
            own_loss: 0.0,
            bound: None,
            phase: Phase::Watching(0),
        }
    }
}

impl LossBound {
    /// Bits per second; `None` = loss bounds nothing.
    pub(super) fn bound(&self) -> Option<u64> {
        self.bound.map(|bound| bound as u64)
    }

    /// A packet arrived; `late` if it had been missing.
    pub(super) fn arrived(&mut self, bytes: u16, late: bool) {
        self.arrived += 1;
        if late {
            self.lost = self.lost.saturating_sub(1);
        } else {
            self.bytes += u64::from(bytes);
        }
    }

    pub(super) fn missing(&mut self, bytes: u16) {
        self.lost += 1;
        self.bytes += u64::from(bytes);
    }

    /// Forgets what was counted: nothing was heard for so long that it says nothing.
    pub(super) fn restart(&mut self) {
        (self.arrived, self.lost, self.bytes, self.since) = (0, 0, 0, None);
    }

    /// Judges what was counted. `estimate`: bits per second without this bound.
    pub(super) fn update(&mut self, now: Micros, estimate: u64, round_trip: Micros) {
        let estimate = estimate as f64;
        if let Phase::Trial { from, .. } = self.phase
            && now < from
        {
            self.restart();
            return;
        }
        let since = *self.since.get_or_insert(now);
        let Some(seen) = self.observation(now - since) else {
            return;
        };
        self.restart();
        self.since = Some(now);
        match self.phase {
            Phase::Watching(bad) => {
                self.watch(now, seen, bad, estimate, round_trip, now - since);
            }
            Phase::Trial { before, .. } => self.conclude(before, seen),
        }
    }

    fn observation(&self, span: Micros) -> Option<Observation> {
        let packets = self.arrived + self.lost;
        let enough = match self.phase {
            Phase::Watching(_) => FEW_PACKETS,
            Phase::Trial { .. } => TRIAL_PACKETS,
        };
        let whole = span >= OBSERVATION && packets >= enough || span >= MAX_OBSERVATION;
        (whole && packets > 0).then(|| Observation {
            loss: f64::from(self.lost) / f64::from(packets),
            bitrate: bitrate(self.bytes, span) as f64,
        })
    }

    fn watch(
        &mut self,
        now: Micros,
        seen: Observation,
        bad: u8,
        estimate: f64,
        round_trip: Micros,
        span: Micros,
    ) {
        let current = self.bound.map_or(estimate, |bound| bound.min(estimate));
        let excess = seen.loss - self.own_loss;
        if excess <= TOLERATED {
            self.own_loss += 0.2 * (seen.loss - self.own_loss).min(0.0);
            self.phase = Phase::Watching(0);
            self.bound = self
                .bound
                .map(|bound| bound * (1.0 + GROWTH * span.as_seconds()))
                .filter(|bound| *bound < estimate);
            return;
        }

        let bad = bad.saturating_add(1);
        let alarming = excess > ALARMING;
        // A trial needs a sender whom a lower bound makes send less.
        let full = seen.bitrate >= 0.8 * current;
        if alarming || bad >= PATIENCE && full {
            let depth = seen.loss.max(TRIAL_DEPTH);
            let lowered = seen.bitrate.min(current) * (1.0 - depth);
            self.bound = Some(if alarming { 0.95 * lowered } else { lowered });
            self.phase = Phase::Trial {
                before: seen,
                from: now + round_trip + Micros::from_millis(150),
            };
        } else {
            self.bound = Some(current);
            self.phase = Phase::Watching(bad);
        }
    }

    fn conclude(&mut self, before: Observation, after: Observation) {
        self.phase = Phase::Watching(0);
        if after.bitrate > TRIAL_MOVED * before.bitrate {
            return;
        }
        // What would be lost now if the path carried just what arrived before.
        let carried = before.bitrate * (1.0 - before.loss);
        let if_full = (1.0 - carried / after.bitrate.max(1.0)).max(0.0);
        if after.loss <= (if_full + before.loss) / 2.0 {
            return;
        }
        let most = MAX_OWN_LOSS + OWN_LOSS_BITRATE / before.bitrate.max(1.0);
        self.own_loss = ((before.loss + after.loss) / 2.0).clamp(0.0, most);
        if after.loss - self.own_loss <= ALARMING {
            self.bound = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds of packets of 1,200 bytes; `lost` gives the share lost at a bitrate. Gives the bitrate at the end.
    fn run(loss: &mut LossBound, estimate: u64, lost: impl Fn(f64) -> f64) -> f64 {
        let mut credit = 0.5;
        let mut bitrate = 0.0;
        for step in 0..200 {
            let now = Micros::from_millis(step * 50);
            bitrate = loss.bound().unwrap_or(estimate).min(estimate) as f64;
            for _ in 0..(bitrate / 9_600.0 / 20.0) as u32 {
                credit += lost(bitrate);
                if credit >= 1.0 {
                    credit -= 1.0;
                    loss.missing(1_200);
                } else {
                    loss.arrived(1_200, false);
                }
            }
            loss.update(now, estimate, Micros::from_millis(50));
        }
        bitrate
    }

    #[test]
    fn loss_that_sending_less_does_not_help_is_put_up_with() {
        for share in [0.01, 0.05, 0.1] {
            let bitrate = run(&mut LossBound::default(), 3_000_000, |_| share);
            assert!(bitrate >= 2_900_000.0, "{share}: {bitrate}");
        }
    }

    #[test]
    fn a_policer_is_found_and_kept_to() {
        let policed = |bitrate: f64| (1.0 - 1_000_000.0 / bitrate).max(0.0);
        let bitrate = run(&mut LossBound::default(), 3_000_000, policed);
        assert!((800_000.0..1_200_000.0).contains(&bitrate), "{bitrate}");
    }
}
