//! What the media thread does when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Next frame of an encoding of a bot.
    Frame(u32, u16),
    Message(u32),
    /// str0m wants to be woken.
    Rtc(u32),
    Feedback(u32),
    Reports(u32),
    /// Something arrives over an emulated link.
    Link(u32),
}

#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop().map(|Reverse(due)| due)
    }
}

/// Wakes a poll at a time finer than the milliseconds that polls know: bots whose frames all left at the same
/// millisecond would queue for each other at the server.
pub(super) struct Alarm {
    timer: OwnedFd,
    set: Option<Instant>,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, set: None })
    }

    /// Goes off at `at`, which lies ahead of `now`.
    pub(super) fn set(&mut self, now: Instant, at: Instant) -> io::Result<()> {
        if self.set == Some(at) {
            return Ok(());
        }
        let ahead = at.saturating_duration_since(now);
        let value = Timespec {
            tv_sec: ahead.as_secs() as _,
            // Zero would mean never.
            tv_nsec: ahead.subsec_nanos().max(1).into(),
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.set = Some(at);
        Ok(())
    }
}
