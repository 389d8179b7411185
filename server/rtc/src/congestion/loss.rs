//! A bound on the bitrate by loss.
//!
//! Loss alone does not say whether the path is full or merely bad. So when it stays high the bitrate is lowered: if less is lost
//! then, the path was full and the bound stays; if as much is lost as before, sending less does not help, and the loss is held
//! for the path's own from then on.

use super::time::{Micros, bitrate};

/// Loss beyond the path's own: up to the first nothing happens, up to the second nothing grows, above it the bitrate falls.
const TOLERATED: f64 = 0.02;
const ALARMING: f64 = 0.10;
const OBSERVATION: Micros = Micros::from_millis(500);
const MAX_OBSERVATION: Micros = Micros::from_millis(3_000);
const FEW_PACKETS: u32 = 100;
/// Weight of the newest observation: loss comes in bursts, and one burst tells little.
const NEWEST: f64 = 0.35;
/// Observations with more than tolerable loss before the bitrate is lowered.
const PATIENCE: u8 = 3;
/// A queue that even the luckiest packets wait in.
const STANDING_QUEUE: Micros = Micros::from_millis(30);
/// Share of what arrives below which the bitrate is not lowered.
const LEAST_OF_ARRIVING: f64 = 0.85;
/// How far it is lowered at least.
const DEPTH: f64 = 0.1;
/// Unless the sender sends less than this share of before, nothing can be compared.
const MOVED: f64 = 0.96;
/// Of the way from what a full path would lose to what was lost before: more than this, and the path is not full.
const VERDICT: f64 = 0.3;
const GROWTH: f64 = 0.08;
/// How fast loss of the path's own is unlearnt.
const UNLEARNING: f64 = 0.1;
/// The path's own loss that is put up with: a share at any bitrate, and more the less there is to give up.
const MAX_OWN_LOSS: f64 = 0.10;
const OWN_LOSS_BITRATE: f64 = 75_000.0;

#[derive(Clone, Copy, Debug)]
struct Observation {
    loss: f64,
    /// Bits per second sent.
    bitrate: f64,
}

/// What else is known when loss is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Bits per second without this bound.
    pub(super) estimate: u64,
    /// Bits per second that arrive.
    pub(super) acknowledged: u64,
    pub(super) round_trip: Micros,
    pub(super) queueing: Micros,
}

/// Watches loss in steps of half a second or more.
#[derive(Debug, Default)]
pub(super) struct LossBound {
    arrived: u32,
    lost: u32,
    bytes: u64,
    since: Option<Micros>,
    /// Over the last observations.
    loss: Option<f64>,
    bad_in_a_row: u8,
    own_loss: f64,
    bound: Option<f64>,
    /// What was seen when the bitrate was lowered.
    before: Option<Observation>,
    /// When what is reported was sent after that.
    settled_at: Micros,
}

impl LossBound {
    /// Bits per second; `None` = loss bounds nothing.
    pub(super) fn bound(&self) -> Option<u64> {
        self.bound.map(|bound| bound as u64)
    }

    /// Loss made the bitrate fall, and does not merely keep it from growing.
    pub(super) fn is_lowered(&self) -> bool {
        self.before.is_some()
    }

    /// A probe got through: what merely kept the bitrate from growing is lifted.
    pub(super) fn proven(&mut self) {
        if !self.is_lowered() {
            self.bound = None;
            self.bad_in_a_row = 0;
        }
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

    /// Judges what was counted.
    pub(super) fn update(&mut self, now: Micros, evidence: Evidence) {
        if now < self.settled_at {
            self.restart();
            return;
        }
        let span = now - *self.since.get_or_insert(now);
        let Some(mut seen) = self.observation(span) else {
            return;
        };
        self.restart();
        self.since = Some(now);
        let loss = self
            .loss
            .map_or(seen.loss, |loss| loss + NEWEST * (seen.loss - loss));
        self.loss = Some(loss);
        seen.loss = loss;

        // As long as there is a queue it may be what overflows.
        if evidence.queueing < STANDING_QUEUE {
            self.compare(seen);
        }
        let excess = seen.loss - self.own_loss;
        if excess <= TOLERATED {
            self.own_loss += UNLEARNING * (seen.loss - self.own_loss).min(0.0);
            self.bad_in_a_row = 0;
            self.grow(span, evidence.estimate as f64);
        } else {
            self.restrain(now, seen, evidence);
        }
    }

    fn observation(&self, span: Micros) -> Option<Observation> {
        let packets = self.arrived + self.lost;
        let whole = span >= OBSERVATION && packets >= FEW_PACKETS || span >= MAX_OBSERVATION;
        (whole && packets > 0).then(|| Observation {
            loss: f64::from(self.lost) / f64::from(packets),
            bitrate: bitrate(self.bytes, span) as f64,
        })
    }

    /// Lifts the bound if as much is lost below it as was above.
    fn compare(&mut self, seen: Observation) {
        let Some(before) = self
            .before
            .filter(|before| seen.bitrate <= MOVED * before.bitrate)
        else {
            return;
        };
        // What would be lost now if the path carried just what arrived before.
        let carried = before.bitrate * (1.0 - before.loss);
        let if_full = (1.0 - carried / seen.bitrate.max(1.0)).max(0.0);
        if seen.loss <= if_full + VERDICT * (before.loss - if_full) {
            return;
        }
        let most = MAX_OWN_LOSS + OWN_LOSS_BITRATE / before.bitrate.max(1.0);
        let own = before.loss.max(seen.loss).min(most);
        self.own_loss = self.own_loss.max(own);
        self.before = None;
        if seen.loss - self.own_loss <= ALARMING {
            self.bound = None;
        }
    }

    fn grow(&mut self, span: Micros, estimate: f64) {
        self.bound = self
            .bound
            .map(|bound| bound * (1.0 + GROWTH * span.as_seconds()))
            .filter(|bound| *bound < estimate);
        if self.bound.is_none() {
            self.before = None;
        }
    }

    fn restrain(&mut self, now: Micros, seen: Observation, evidence: Evidence) {
        let estimate = evidence.estimate as f64;
        let current = self.bound.map_or(estimate, |bound| bound.min(estimate));
        self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
        let alarming = seen.loss - self.own_loss > ALARMING;
        // Lowering a bound that the sender does not touch would show nothing.
        let full = seen.bitrate >= 0.8 * current;
        if !(alarming || full && self.bad_in_a_row >= PATIENCE) {
            self.bound = Some(current);
            return;
        }
        let lowered = seen.bitrate.min(current) * (1.0 - seen.loss.max(DEPTH));
        let lowered = if alarming { 0.95 * lowered } else { lowered };
        // What arrives is carried, whatever else is lost.
        let carried = LEAST_OF_ARRIVING * evidence.acknowledged as f64;
        self.bound = Some(lowered.max(carried));
        self.before = Some(seen);
        self.bad_in_a_row = 0;
        self.loss = None;
        self.settled_at = now + evidence.round_trip + Micros::from_millis(150);
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
            let evidence = Evidence {
                estimate,
                acknowledged: (bitrate * (1.0 - lost(bitrate))) as u64,
                round_trip: Micros::from_millis(50),
                queueing: Micros::ZERO,
            };
            loss.update(now, evidence);
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
