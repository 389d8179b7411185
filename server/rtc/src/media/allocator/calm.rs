//! When layers may climb.

use std::time::{Duration, Instant};

/// How long there must be room for a climb.
const LASTING: Duration = Duration::from_millis(500);
/// No climb this soon after a fall; doubled each time a climb was taken back.
const HOLD: Duration = Duration::from_secs(3);
const MAX_HOLD: Duration = Duration::from_secs(60);
/// A fall within this time after a climb takes it back.
const TRIAL: Duration = Duration::from_secs(15);
/// After so long without a fall, what was before does not count.
const QUIET: Duration = Duration::from_secs(120);

/// Remembers falls and climbs.
#[derive(Debug, Default)]
pub(super) struct Calm {
    room_since: Option<Instant>,
    climbed_at: Option<Instant>,
    fell_at: Option<Instant>,
    failed_climbs: u32,
}

impl Calm {
    /// Layers had to fall.
    pub(super) fn fell(&mut self, now: Instant) {
        let since = |at: Instant| now.saturating_duration_since(at);
        if self.fell_at.is_none_or(|at| since(at) > QUIET) {
            self.failed_climbs = 0;
        }
        if self.climbed_at.take().is_some_and(|at| since(at) < TRIAL) {
            self.failed_climbs = (self.failed_climbs + 1).min(5);
        }
        self.fell_at = Some(now);
        self.room_since = None;
    }

    /// There is no room to climb.
    pub(super) fn no_room(&mut self) {
        self.room_since = None;
    }

    /// There is room. `None`: climb now, and it is noted; else when to ask again. `at_once`: room need not last.
    pub(super) fn may_climb(&mut self, now: Instant, at_once: bool) -> Option<Instant> {
        let since = *self.room_since.get_or_insert(now);
        let lasting = if at_once { now } else { since + LASTING };
        let hold = HOLD.saturating_mul(1 << self.failed_climbs).min(MAX_HOLD);
        let at = self
            .fell_at
            .map_or(lasting, |fell| lasting.max(fell + hold));
        if now < at {
            return Some(at);
        }
        self.room_since = None;
        self.climbed_at = Some(now);
        None
    }
}
