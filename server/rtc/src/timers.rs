//! When which transport or room wants to be woken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::room::{RoomKey, TransportRef};

/// Who asked to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    Transport(TransportRef),
    Room(RoomKey),
}

/// A lazy timer queue: an owner remembers for when it is queued, and is queued again only to be woken *earlier*.
/// So a deadline that moves later, as most do with every packet, costs nothing.
#[derive(Default)]
pub(crate) struct Timers {
    queue: BinaryHeap<Reverse<(Instant, TimerKey)>>,
}

impl Timers {
    /// Makes sure that `key` is woken at `deadline` or before. `queued` is the owner's memory.
    pub(crate) fn schedule(
        &mut self,
        key: TimerKey,
        deadline: Instant,
        queued: &mut Option<Instant>,
    ) {
        if queued.is_none_or(|at| deadline < at) {
            self.queue.push(Reverse((deadline, key)));
            *queued = Some(deadline);
        }
    }

    /// Next wake-up due at `now`. Its owner must forget `queued` if it equals the returned time, and schedule anew.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, TimerKey)> {
        let Reverse((at, _)) = self.queue.peek()?;
        if *at > now {
            return None;
        }
        self.queue.pop().map(|Reverse(due)| due)
    }

    pub(crate) fn next(&self) -> Option<(Instant, TimerKey)> {
        self.queue.peek().map(|Reverse(next)| *next)
    }
}
