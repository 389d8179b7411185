//! The queue in front of QUIC: the important first, nothing late, never more than the path carries.
//!
//! QUIC sends datagrams first come, first served, so it is given a packet only when the packet can leave. Tokens flow at the
//! rate that congestion control found; classes are served strictly in order. A packet past its deadline is dropped here, where
//! it costs nothing. A queue that has not been empty for [`STANDING_AFTER`] is no burst but too much traffic: it can only make
//! everything behind it late, so from then on its packets may wait [`STANDING_DEADLINE`] only (the insight of CoDel, RFC 8289).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::class::SendClass;
use crate::id::BitsPerSecond;

/// A queue that is older than this stands.
pub const STANDING_AFTER: Duration = Duration::from_millis(100);
/// How long a packet may wait in a standing queue.
pub const STANDING_DEADLINE: Duration = Duration::from_millis(15);
/// Tokens that may gather, as time at the present rate.
const BURST: Duration = Duration::from_millis(4);
/// Tokens that may gather at least, bytes: two full packets.
const MIN_BURST: f64 = 3_000.0;

/// Counts of one class since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ClassStats {
    /// Packets that left.
    pub sent: u64,
    /// Packets that waited too long.
    pub late: u64,
    /// Packets that found the queue full.
    pub overflow: u64,
}

/// Packets of type `T` on their way to QUIC.
#[derive(Debug)]
pub struct Scheduler<T> {
    queues: [Queue<T>; SendClass::ALL.len()],
    rate: BitsPerSecond,
    tokens: f64,
    filled: Instant,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    busy_since: Instant,
    stats: ClassStats,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    bytes: usize,
    item: T,
}

impl<T> Scheduler<T> {
    /// An empty scheduler with a full bucket.
    pub fn new(now: Instant, rate: BitsPerSecond) -> Self {
        let queue = || Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            busy_since: now,
            stats: ClassStats::default(),
        };
        let mut scheduler = Self {
            queues: std::array::from_fn(|_| queue()),
            rate,
            tokens: 0.0,
            filled: now,
        };
        scheduler.tokens = scheduler.burst();
        scheduler
    }

    /// Changes the rate from now on.
    pub fn set_rate(&mut self, now: Instant, rate: BitsPerSecond) {
        self.fill(now);
        self.rate = rate;
    }

    /// Queues a packet of `bytes` on the wire. When its class is full, the oldest of the class give way.
    pub fn push(&mut self, now: Instant, class: SendClass, bytes: usize, item: T) {
        let queue = &mut self.queues[class.rank()];
        if queue.waiting.is_empty() {
            queue.busy_since = now;
        }
        queue.waiting.push_back(Waiting {
            since: now,
            bytes,
            item,
        });
        queue.bytes += bytes;
        while queue.bytes > class.room() {
            queue.take_first();
            queue.stats.overflow += 1;
        }
    }

    /// Takes the next packet that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<(SendClass, T)> {
        self.fill(now);
        for class in SendClass::ALL {
            let floor = if class.may_borrow() {
                -self.burst()
            } else {
                0.0
            };
            let queue = &mut self.queues[class.rank()];
            queue.drop_late(now, class);
            if self.tokens < floor {
                continue;
            }
            if let Some(first) = queue.take_first() {
                queue.stats.sent += 1;
                self.tokens -= first.bytes as f64;
                return Some((class, first.item));
            }
        }
        None
    }

    /// Pays for bytes that left another way, such as on a stream.
    pub fn charge(&mut self, now: Instant, bytes: usize) {
        self.fill(now);
        self.tokens = (self.tokens - bytes as f64).max(-4.0 * self.burst());
    }

    /// When [`Self::pop`] can give the next packet; `None` when nothing waits.
    pub fn next_wakeup(&self, now: Instant) -> Option<Instant> {
        let first = SendClass::ALL
            .into_iter()
            .find(|class| !self.queues[class.rank()].waiting.is_empty())?;
        let floor = if first.may_borrow() {
            -self.burst()
        } else {
            0.0
        };
        let missing = (floor - self.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing * 8.0 / self.rate.0.max(1) as f64);
        Some((self.filled + wait).max(now))
    }

    /// Counts of a class.
    pub fn stats(&self, class: SendClass) -> ClassStats {
        self.queues[class.rank()].stats
    }

    fn fill(&mut self, now: Instant) {
        let gained =
            now.saturating_duration_since(self.filled).as_secs_f64() * self.rate.0 as f64 / 8.0;
        self.tokens = (self.tokens + gained).min(self.burst());
        self.filled = self.filled.max(now);
    }

    fn burst(&self) -> f64 {
        (self.rate.0 as f64 / 8.0 * BURST.as_secs_f64()).max(MIN_BURST)
    }
}

impl<T> Queue<T> {
    fn take_first(&mut self) -> Option<Waiting<T>> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.bytes;
        Some(first)
    }

    fn drop_late(&mut self, now: Instant, class: SendClass) {
        let standing = now.saturating_duration_since(self.busy_since) > STANDING_AFTER;
        let deadline = if standing && !class.may_borrow() {
            STANDING_DEADLINE
        } else {
            class.deadline()
        };
        while self
            .waiting
            .front()
            .is_some_and(|first| now.saturating_duration_since(first.since) > deadline)
        {
            self.take_first();
            self.stats.late += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::MediaClass;

    const AUDIO: SendClass = SendClass::Media(MediaClass::Audio);
    const BASE: SendClass = SendClass::Media(MediaClass::VideoBase);
    const ENHANCEMENT: SendClass = SendClass::Media(MediaClass::VideoEnhancement);
    const MS: Duration = Duration::from_millis(1);

    /// Offers packets of 1,000 bytes every millisecond (8 Mb/s) of each class given, for two seconds; gives the longest wait
    /// by class.
    fn overload(
        scheduler: &mut Scheduler<Instant>,
        start: Instant,
        classes: &[SendClass],
    ) -> [Duration; 6] {
        let mut longest = [Duration::ZERO; 6];
        for step in 0..2_000 {
            let now = start + MS * step;
            for &class in classes {
                scheduler.push(now, class, 1_000, now);
            }
            while let Some((class, since)) = scheduler.pop(now) {
                longest[class.rank()] = longest[class.rank()].max(now - since);
            }
        }
        longest
    }

    #[test]
    fn the_important_leave_first() {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(now, BitsPerSecond::mega(100));
        for class in SendClass::ALL.into_iter().rev() {
            scheduler.push(now, class, 100, class);
        }
        let order: Vec<_> = std::iter::from_fn(|| scheduler.pop(now))
            .map(|(_, class)| class)
            .collect();
        assert_eq!(order, SendClass::ALL);
    }

    #[test]
    fn a_link_that_carries_everything_holds_nothing_back() {
        let start = Instant::now();
        let mut scheduler = Scheduler::new(start, BitsPerSecond::mega(40));
        let longest = overload(&mut scheduler, start, &[AUDIO, BASE, ENHANCEMENT]);
        assert_eq!(longest, [Duration::ZERO; 6]);
    }

    #[test]
    fn too_much_traffic_costs_the_least_important_and_delays_nobody_for_long() {
        let start = Instant::now();
        let mut scheduler = Scheduler::new(start, BitsPerSecond::mega(12));
        let longest = overload(&mut scheduler, start, &[BASE, ENHANCEMENT]);
        assert_eq!(scheduler.stats(BASE).late, 0);
        assert!(longest[BASE.rank()] < 5 * MS, "{longest:?}");
        assert!(scheduler.stats(ENHANCEMENT).late > 500);
        // Until the queue counts as standing, packets wait; no longer than it takes to find out.
        assert!(longest[ENHANCEMENT.rank()] <= STANDING_AFTER, "{longest:?}");
    }

    #[test]
    fn a_standing_queue_is_kept_short() {
        let start = Instant::now();
        let mut scheduler = Scheduler::new(start, BitsPerSecond::mega(12));
        overload(&mut scheduler, start, &[BASE, ENHANCEMENT]);
        let longest = overload(&mut scheduler, start + 2_000 * MS, &[BASE, ENHANCEMENT]);
        assert!(
            longest[ENHANCEMENT.rank()] <= STANDING_DEADLINE,
            "{longest:?}"
        );
    }

    #[test]
    fn a_key_frame_passes_whole_although_it_takes_longer_than_a_standing_queue_may() {
        let start = Instant::now();
        let mut scheduler = Scheduler::new(start, BitsPerSecond::mega(8));
        for _ in 0..90 {
            scheduler.push(start, BASE, 1_000, ());
        }
        let left = (0..100)
            .map(|step| std::iter::from_fn(|| scheduler.pop(start + MS * step)).count())
            .sum::<usize>();
        assert_eq!(left, 90);
        assert_eq!(scheduler.next_wakeup(start + 100 * MS), None);
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest() {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(now, BitsPerSecond(0));
        let fits = ENHANCEMENT.room() / 1_000;
        for number in 0..fits + 10 {
            scheduler.push(now, ENHANCEMENT, 1_000, number);
        }
        assert_eq!(scheduler.stats(ENHANCEMENT).overflow, 10);
        assert_eq!(scheduler.pop(now), Some((ENHANCEMENT, 10)));
    }

    #[test]
    fn sound_leaves_when_the_rate_is_used_up() {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(now, BitsPerSecond::mega(1));
        for _ in 0..10 {
            scheduler.push(now, BASE, 1_200, ());
        }
        while scheduler.pop(now).is_some() {}
        scheduler.push(now, AUDIO, 100, ());
        assert_eq!(scheduler.pop(now), Some((AUDIO, ())));
    }

    #[test]
    fn the_next_wakeup_is_when_a_packet_can_leave() {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(now, BitsPerSecond::mega(8));
        assert_eq!(scheduler.next_wakeup(now), None);
        for _ in 0..10 {
            scheduler.push(now, BASE, 1_000, ());
        }
        while scheduler.pop(now).is_some() {}
        let wakeup = scheduler.next_wakeup(now).unwrap();
        assert!(wakeup > now && wakeup <= now + 2 * MS);
        assert!(scheduler.pop(wakeup + Duration::from_micros(1)).is_some());
    }
}
