//! Who gets which layer of what, within one subscriber's bandwidth.
//!
//! Audio comes first, unconditionally. Then every video gets its lowest layer, the important ones first; what does
//! not fit is paused. What is left raises all of them in turn. Layers fall at once when bandwidth does, but climb
//! only with room to spare that lasts, so that a wobbling estimate does not make them flicker.

mod ladder;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::forward::Layer;
use ladder::Ladder;
pub use ladder::LayerRates;

/// Part of the budget that climbing may fill, in percent: the rest is the headroom that keeps what was reached.
const CLIMB_FILL: u64 = 85;

/// How long there must be room before layers climb.
const CLIMB_DELAY: Duration = Duration::from_secs(2);

/// The same after layers had to fall: congestion that just ended tends to come back.
const CLIMB_DELAY_AFTER_FALL: Duration = Duration::from_secs(5);

/// What a subscriber would like of one video track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackDemand {
    /// Any number unique among the subscriber's tracks and lasting as long as the subscription.
    pub key: u64,
    /// The best layer of use.
    pub wanted: Layer,
    /// Higher is more important.
    pub priority: u32,
    /// Comes before any camera.
    pub screen_share: bool,
    /// What each layer costs.
    pub rates: LayerRates,
}

/// What a track gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub key: u64,
    /// For [`Forwarder::set_target`](super::forward::Forwarder::set_target); `None`: paused, tell the subscriber.
    pub target: Option<Layer>,
    /// Bits per second.
    pub bitrate: u64,
}

/// The outcome of an allocation. All rates in bits per second, audio included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the demands.
    pub allocations: Vec<Allocation>,
    /// What the allocations cost.
    pub allocated: u64,
    /// Estimate at which the next layer could be had: `minimum` of str0m's `Bwe::set_bitrate`.
    pub next_step: u64,
    /// Estimate at which all wishes are met: `desired` of str0m's `Bwe::set_bitrate`.
    pub desired: u64,
}

/// Allocates one subscriber's bandwidth and remembers what is needed to keep it calm.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    granted: Vec<Granted>,
    /// Since when there has been room to climb.
    room_since: Option<Instant>,
    fell_at: Option<Instant>,
}

/// What a track had at the last allocation.
#[derive(Clone, Copy, Debug)]
struct Granted {
    key: u64,
    wanted: Layer,
    target: Option<Layer>,
}

/// A track during an allocation. Levels count rungs: 0 is paused, 1 the lowest layer.
#[derive(Debug)]
struct Candidate {
    position: usize,
    rank: (bool, u32),
    ladder: Ladder,
    /// The level it had.
    kept: usize,
    /// Newly subscribed, or wanted better or worse than before: need not wait.
    fresh: bool,
    level: usize,
}

impl Allocator {
    /// Divides `budget` after `audio` was taken off. Call with each new estimate and each change of demands, and once
    /// a second otherwise. Rates in bits per second. Only audio can make the plan exceed the budget.
    pub fn allocate(
        &mut self,
        now: Instant,
        budget: u64,
        audio: u64,
        demands: &[TrackDemand],
    ) -> Plan {
        let budget = budget.saturating_sub(audio);
        let mut candidates = self.candidates(demands);
        let changed = candidates.iter().any(|candidate| candidate.fresh)
            || candidates.len() != self.granted.len();

        self.keep(&mut candidates, budget, changed);
        let fell = candidates
            .iter()
            .any(|candidate| candidate.level < candidate.kept);
        if fell && !changed {
            self.fell_at = Some(now);
            self.room_since = None;
        } else {
            self.climb(now, &mut candidates, budget, changed);
        }

        candidates.sort_by_key(|candidate| candidate.position);
        self.granted = (candidates.iter().zip(demands))
            .map(|(candidate, demand)| Granted {
                key: demand.key,
                wanted: demand.wanted,
                target: candidate.target(),
            })
            .collect();
        plan(&candidates, demands, audio)
    }

    /// When [`Self::allocate`] may be able to raise layers.
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.room_since? + self.climb_delay())
    }

    /// The tracks, most important first.
    fn candidates(&self, demands: &[TrackDemand]) -> Vec<Candidate> {
        let mut candidates: Vec<_> = demands
            .iter()
            .enumerate()
            .map(|(position, demand)| {
                let ladder = Ladder::new(&demand.rates, demand.wanted);
                let before = self
                    .granted
                    .iter()
                    .find(|granted| granted.key == demand.key);
                let kept = before
                    .and_then(|granted| granted.target)
                    .map_or(0, |target| ladder.level_of(target));
                let fresh = before.is_none_or(|granted| granted.wanted != demand.wanted);
                Candidate {
                    position,
                    rank: (demand.screen_share, demand.priority),
                    ladder,
                    kept,
                    fresh,
                    level: 0,
                }
            })
            .collect();
        candidates.sort_by_key(|candidate| (std::cmp::Reverse(candidate.rank), candidate.position));
        candidates
    }

    /// Gives every track what it had, as far as that fits. A changed set of demands is divided anew, so that those
    /// who came first have no advantage.
    fn keep(&self, candidates: &mut [Candidate], budget: u64, changed: bool) {
        raise_in_turn(candidates, |candidate, level| match level {
            _ if level <= candidate.kept || changed && level == 1 => budget,
            _ if changed => climb_budget(budget),
            _ => 0,
        });
    }

    /// Gives more where there is room to spare for long enough. After a change of demands nobody waits.
    fn climb(&mut self, now: Instant, candidates: &mut [Candidate], budget: u64, changed: bool) {
        let before: Vec<_> = candidates.iter().map(|candidate| candidate.level).collect();
        raise_in_turn(candidates, |_, _| climb_budget(budget));
        if before
            .iter()
            .zip(&*candidates)
            .all(|(level, candidate)| *level == candidate.level)
        {
            self.room_since = None;
            return;
        }
        let since = *self.room_since.get_or_insert(now);
        if changed || now.saturating_duration_since(since) >= self.climb_delay() {
            self.room_since = None;
            self.fell_at = None;
            return;
        }
        for (level, candidate) in before.into_iter().zip(candidates) {
            candidate.level = level;
        }
    }

    fn climb_delay(&self) -> Duration {
        if self.fell_at.is_some() {
            CLIMB_DELAY_AFTER_FALL
        } else {
            CLIMB_DELAY
        }
    }
}

impl Candidate {
    fn rate(&self) -> u64 {
        self.ladder.rate(self.level)
    }

    fn target(&self) -> Option<Layer> {
        self.ladder.rung(self.level).map(|rung| rung.layer)
    }
}

fn climb_budget(budget: u64) -> u64 {
    (u128::from(budget) * u128::from(CLIMB_FILL) / 100) as u64
}

/// Raises the tracks by a level each in turn, as long as the total is within the budget stated for that step.
fn raise_in_turn(candidates: &mut [Candidate], budget: impl Fn(&Candidate, usize) -> u64) {
    let mut total: u64 = candidates.iter().map(Candidate::rate).sum();
    loop {
        let mut raised = false;
        for candidate in &mut *candidates {
            let next = candidate.level + 1;
            if next > candidate.ladder.top() {
                continue;
            }
            let with_next = total - candidate.rate() + candidate.ladder.rate(next);
            if with_next <= budget(candidate, next) {
                candidate.level = next;
                total = with_next;
                raised = true;
            }
        }
        if !raised {
            return;
        }
    }
}

fn plan(candidates: &[Candidate], demands: &[TrackDemand], audio: u64) -> Plan {
    let video: u64 = candidates.iter().map(Candidate::rate).sum();
    let cheapest_step = (candidates.iter())
        .filter(|candidate| candidate.level < candidate.ladder.top())
        .map(|candidate| candidate.ladder.rate(candidate.level + 1) - candidate.rate())
        .min();
    let wishes: u64 = candidates
        .iter()
        .map(|candidate| candidate.ladder.rate(candidate.ladder.top()))
        .sum();
    let with_headroom = |rate: u64| audio + (rate * 100).div_ceil(CLIMB_FILL);
    Plan {
        allocations: (candidates.iter().zip(demands))
            .map(|(candidate, demand)| Allocation {
                key: demand.key,
                target: candidate.target(),
                bitrate: candidate.rate(),
            })
            .collect(),
        allocated: audio + video,
        next_step: cheapest_step.map_or(audio + video, |step| with_headroom(video + step)),
        desired: with_headroom(wishes),
    }
}
