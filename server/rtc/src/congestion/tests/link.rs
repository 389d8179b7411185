//! A path: a queue of bytes before a bottleneck, then delay, jitter, loss and reordering. All times in microseconds.

use std::collections::VecDeque;

/// Step of the emulation.
pub(super) const STEP: u64 = 1_000;

/// Splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// In 0..1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    None,
    Random(f64),
    /// Gilbert: chances to enter and to leave a state in which everything is lost.
    Bursts {
        enter: f64,
        leave: f64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Bits per second.
    pub(super) capacity: u64,
    /// Bytes; what does not fit is dropped.
    pub(super) queue: usize,
    pub(super) delay: u64,
    /// Up to this much is added, without changing the order.
    pub(super) jitter: u64,
    pub(super) loss: Loss,
    /// Share of packets that come 30 ms late.
    pub(super) reordered: f64,
}

impl Path {
    /// 25 ms each way and a queue of 300 ms.
    pub(super) fn of(capacity: u64) -> Self {
        Self {
            capacity,
            queue: (capacity / 8 * 3 / 10) as usize,
            delay: 25_000,
            jitter: 0,
            loss: Loss::None,
            reordered: 0.0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) sequence: u16,
    pub(super) bytes: usize,
    pub(super) sent: u64,
    pub(super) padding: bool,
    /// Which of the senders that share the link it is from.
    pub(super) flow: u8,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: Path,
    random: Random,
    queue: VecDeque<Packet>,
    queued: usize,
    /// When the bottleneck is done with what it let go last.
    busy_until: u64,
    in_burst: bool,
    last_arrival: u64,
    /// By arrival.
    flying: Vec<(u64, Packet)>,
    /// Time in the queue of what left it: when, and how long.
    pub(super) waits: Vec<(u64, u64)>,
}

impl Link {
    pub(super) fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            random: Random(seed),
            queue: VecDeque::new(),
            queued: 0,
            busy_until: 0,
            in_burst: false,
            last_arrival: 0,
            flying: Vec::new(),
            waits: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, packet: Packet) {
        if self.queued + packet.bytes <= self.path.queue {
            self.queued += packet.bytes;
            self.queue.push_back(packet);
        }
    }

    /// Moves on to `now`; gives what arrived since the last step, in order.
    pub(super) fn step(&mut self, now: u64) -> Vec<(u64, Packet)> {
        while let Some(packet) = self.queue.front().copied() {
            let begin = self.busy_until.max(packet.sent);
            let end = begin + packet.bytes as u64 * 8_000_000 / self.path.capacity;
            if end > now {
                break;
            }
            self.queue.pop_front();
            self.queued -= packet.bytes;
            self.busy_until = end;
            self.waits.push((end, end - packet.sent));
            self.depart(end, packet);
        }
        self.flying.sort_by_key(|(arrival, _)| *arrival);
        let arrived = self.flying.partition_point(|(arrival, _)| *arrival <= now);
        self.flying.drain(..arrived).collect()
    }

    fn depart(&mut self, at: u64, packet: Packet) {
        if self.is_lost() {
            return;
        }
        let jitter = (self.random.unit() * self.path.jitter as f64) as u64;
        let mut arrival = (at + self.path.delay + jitter).max(self.last_arrival);
        self.last_arrival = arrival;
        if self.random.unit() < self.path.reordered {
            arrival += 30_000;
        }
        self.flying.push((arrival, packet));
    }

    fn is_lost(&mut self) -> bool {
        match self.path.loss {
            Loss::None => false,
            Loss::Random(share) => self.random.unit() < share,
            Loss::Bursts { enter, leave } => {
                let chance = if self.in_burst { leave } else { enter };
                self.in_burst ^= self.random.unit() < chance;
                self.in_burst
            }
        }
    }
}
