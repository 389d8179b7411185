//! What one direction of a link does to each packet. No clock, no socket: time is an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Bytes that IPv4 and UDP add to each payload and that a bottleneck has to carry too.
const IP_UDP_HEADER: usize = 28;

/// The qualities of one direction of a link. Anything left out of its JSON form is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// One-way delay, milliseconds.
    pub delay_ms: f64,
    /// Extra delay, uniform in `[0, jitter_ms)`; order is kept.
    pub jitter_ms: f64,
    /// Share of packets lost independently of each other.
    pub loss: f64,
    /// Chance per packet that a burst begins, in which every packet is lost (Gilbert model).
    pub burst_enter: f64,
    /// Chance per packet that a burst ends; 1 / mean burst length.
    pub burst_exit: f64,
    /// Share of packets held back by `reorder_ms` while later ones pass.
    pub reorder: f64,
    /// How long a reordered packet is held back, milliseconds.
    pub reorder_ms: f64,
    /// Bandwidth, 10^6 bits per second of IP packets; `null` is unlimited.
    pub rate_mbps: Option<f64>,
    /// Room of the queue in front of the bottleneck, milliseconds at its rate.
    pub queue_ms: f64,
    /// Room of that queue in bytes; the stricter of both counts.
    pub queue_bytes: Option<u64>,
    /// Nothing passes.
    pub cut: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay_ms: 0.0,
            jitter_ms: 0.0,
            loss: 0.0,
            burst_enter: 0.0,
            burst_exit: 1.0,
            reorder: 0.0,
            reorder_ms: 5.0,
            rate_mbps: None,
            queue_ms: 200.0,
            queue_bytes: None,
            cut: false,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Arrives at this time.
    Arrives(Duration),
    /// Lost at random or in a burst.
    Lost,
    /// The queue of the bottleneck had no room.
    QueueFull,
    /// The link is cut.
    Cut,
}

/// Counts of one direction since its start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStats {
    /// Packets that came to the link.
    pub offered: u64,
    /// UDP payload bytes that came to the link.
    pub offered_bytes: u64,
    /// Packets that passed.
    pub passed: u64,
    /// Packets lost at random or in bursts.
    pub lost: u64,
    /// Packets that found the queue full.
    pub queue_full: u64,
    /// Packets that met a cut.
    pub cut: u64,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Path {
    shape: Shape,
    random: Random,
    in_burst: bool,
    bottleneck_free: Duration,
    last_arrival: Duration,
    stats: PathStats,
}

impl Path {
    /// A direction whose losses, bursts and jitter follow from `seed` and the packet's number alone.
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self {
            shape,
            random: Random::new(seed),
            in_burst: false,
            bottleneck_free: Duration::ZERO,
            last_arrival: Duration::ZERO,
            stats: PathStats::default(),
        }
    }

    /// Decides about a datagram of `payload` bytes that is sent at `now` (since the emulator's start).
    pub fn datagram(&mut self, now: Duration, payload: usize) -> Fate {
        self.stats.offered += 1;
        self.stats.offered_bytes += payload as u64;
        // Every packet draws the same four numbers, so its fate does not depend on when others came.
        let [burst, loss, jitter, reorder] = std::array::from_fn(|_| self.random.share());
        self.in_burst = match self.in_burst {
            true => burst >= self.shape.burst_exit,
            false => burst < self.shape.burst_enter,
        };
        if self.shape.cut {
            self.stats.cut += 1;
            return Fate::Cut;
        }
        if self.in_burst || loss < self.shape.loss {
            self.stats.lost += 1;
            return Fate::Lost;
        }
        let Some(left) = self.through_bottleneck(now, payload + IP_UDP_HEADER) else {
            self.stats.queue_full += 1;
            return Fate::QueueFull;
        };
        self.stats.passed += 1;
        let arrival = left + milliseconds(self.shape.delay_ms + jitter * self.shape.jitter_ms);
        if reorder < self.shape.reorder {
            return Fate::Arrives(arrival + milliseconds(self.shape.reorder_ms));
        }
        self.last_arrival = self.last_arrival.max(arrival);
        Fate::Arrives(self.last_arrival)
    }

    /// When `bytes` of a TCP stream read at `now` arrive; `None` while the link is cut. Streams know no loss here:
    /// the kernel's own TCP runs on either side of the emulator.
    pub fn stream(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if self.shape.cut {
            return None;
        }
        let left = now.max(self.bottleneck_free) + self.serialisation(bytes);
        if self.shape.rate_mbps.is_some() {
            self.bottleneck_free = left;
        }
        Some(left + milliseconds(self.shape.delay_ms))
    }

    /// How long a packet sent at `now` would wait in front of the bottleneck.
    pub fn backlog(&self, now: Duration) -> Duration {
        self.bottleneck_free.saturating_sub(now)
    }

    /// The room of the queue, as time.
    pub fn queue_room(&self) -> Duration {
        let by_time = milliseconds(self.shape.queue_ms);
        match self.shape.queue_bytes {
            Some(bytes) => by_time.min(self.serialisation(bytes as usize)),
            None => by_time,
        }
    }

    /// The present qualities.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Changes the qualities for packets from now on.
    pub fn set_shape(&mut self, shape: Shape) {
        if shape.rate_mbps != self.shape.rate_mbps {
            self.bottleneck_free = Duration::ZERO;
        }
        self.shape = shape;
    }

    /// Cuts or heals this direction.
    pub fn set_cut(&mut self, cut: bool) {
        self.shape.cut = cut;
    }

    /// Counts since the start.
    pub fn stats(&self) -> PathStats {
        self.stats
    }

    fn through_bottleneck(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if self.shape.rate_mbps.is_none() {
            return Some(now);
        }
        if self.backlog(now) > self.queue_room() {
            return None;
        }
        self.bottleneck_free = now.max(self.bottleneck_free) + self.serialisation(bytes);
        Some(self.bottleneck_free)
    }

    fn serialisation(&self, bytes: usize) -> Duration {
        match self.shape.rate_mbps {
            Some(mbps) if mbps > 0.0 => Duration::from_secs_f64(bytes as f64 * 8e-6 / mbps),
            _ => Duration::ZERO,
        }
    }
}

fn milliseconds(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrivals(path: &mut Path, packets: u32, gap: Duration) -> Vec<Option<Duration>> {
        (0..packets)
            .map(|n| match path.datagram(gap * n, 1_000) {
                Fate::Arrives(at) => Some(at),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_whatever_the_pace() {
        let shape = Shape {
            loss: 0.05,
            burst_enter: 0.001,
            burst_exit: 0.2,
            ..Shape::default()
        };
        let slow = arrivals(&mut Path::new(7, shape), 5_000, MS);
        let fast = arrivals(&mut Path::new(7, shape), 5_000, MS / 10);
        let lost = |run: &[Option<Duration>]| run.iter().map(Option::is_none).collect::<Vec<_>>();
        assert_eq!(lost(&slow), lost(&fast));
        let share = lost(&slow).iter().filter(|&&gone| gone).count() as f64 / 5_000.0;
        assert!((0.04..0.07).contains(&share), "{share}");
    }

    #[test]
    fn bursts_lose_neighbours() {
        let shape = Shape {
            burst_enter: 0.01,
            burst_exit: 0.25,
            ..Shape::default()
        };
        let run = arrivals(&mut Path::new(3, shape), 20_000, MS);
        let lost = run.iter().filter(|at| at.is_none()).count();
        let pairs = run
            .windows(2)
            .filter(|two| two.iter().all(Option::is_none))
            .count();
        let after_a_loss = pairs as f64 / lost as f64;
        assert!((0.65..0.85).contains(&after_a_loss), "{after_a_loss}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Shape {
            delay_ms: 20.0,
            jitter_ms: 10.0,
            ..Shape::default()
        };
        assert!(arrivals(&mut Path::new(1, jitter), 500, MS).is_sorted());
        let reorder = Shape {
            reorder: 0.05,
            ..jitter
        };
        assert!(!arrivals(&mut Path::new(1, reorder), 500, MS).is_sorted());
    }

    #[test]
    fn a_bottleneck_queues_up_to_its_room_and_then_drops() {
        let shape = Shape {
            rate_mbps: Some(8.224),
            queue_ms: 50.0,
            ..Shape::default()
        };
        let mut path = Path::new(1, shape);
        // 1,000 bytes and 28 of headers take one millisecond.
        let first = path.datagram(Duration::ZERO, 1_000);
        assert_eq!(first, Fate::Arrives(MS));
        let fates: Vec<_> = (0..100)
            .map(|_| path.datagram(Duration::ZERO, 1_000))
            .collect();
        assert_eq!(
            fates
                .iter()
                .filter(|fate| **fate == Fate::QueueFull)
                .count(),
            50
        );
        assert_eq!(path.stats().queue_full, 50);
    }

    #[test]
    fn a_cut_link_carries_nothing_until_it_heals() {
        let mut path = Path::new(1, Shape::default());
        path.set_cut(true);
        assert_eq!(path.datagram(MS, 10), Fate::Cut);
        assert_eq!(path.stream(MS, 10), None);
        path.set_cut(false);
        assert_eq!(path.datagram(MS, 10), Fate::Arrives(MS));
    }
}
