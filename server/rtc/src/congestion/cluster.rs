//! One probe: some packets at a bitrate of choice, and what the path made of them.

use super::history::Sent;
use super::time::{Micros, bitrate, transmission};

const LENGTH: Micros = Micros::from_millis(15);
const MIN_PACKETS: u32 = 5;
const MAX_CHUNK: u64 = 1_200;
/// A probe that could not be sent in this time is not sent on.
const MAX_SENDING: Micros = Micros::from_millis(100);
/// How much of it must arrive to tell something.
const MIN_ARRIVED: f64 = 0.75;
/// A path seldom is this much faster than what was sent: the packets were held up and let go together.
const MAX_RATIO: f64 = 2.0;
/// Arriving at less than this share of the sent bitrate means that the path was filled.
const FILLED: f64 = 0.9;
/// Share of a filled path's bitrate that is used.
const USED: f64 = 0.95;

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Bits per second that the path carries at least.
    Carried(u64),
    Failed,
}

/// A probe being sent or on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    pub(super) id: u8,
    /// Bits per second.
    pub(super) target: u64,
    started: Micros,
    total: u64,
    /// Bytes asked for, and bytes and packets sent.
    asked: u64,
    sent: u64,
    packets: u32,
    missing: u32,
    arrived: Option<Arrived>,
}

#[derive(Clone, Copy, Debug)]
struct Arrived {
    packets: u32,
    bytes: u64,
    first_sent: Micros,
    last_sent: Micros,
    last_sent_bytes: u16,
    first_arrival: Micros,
    first_arrival_bytes: u16,
    last_arrival: Micros,
}

impl Cluster {
    pub(super) fn new(id: u8, target: u64, now: Micros) -> Self {
        Self {
            id,
            target,
            started: now,
            total: target.saturating_mul(LENGTH.0 as u64) / 8_000_000,
            asked: 0,
            sent: 0,
            packets: 0,
            missing: 0,
            arrived: None,
        }
    }

    /// When the next packet should leave.
    pub(super) fn next_at(&self) -> Micros {
        self.started + transmission(self.asked.max(self.sent), self.target)
    }

    /// Bytes of padding to send now. They count as sent even if nobody sends them, so that it never asks without end.
    pub(super) fn ask(&mut self, now: Micros) -> Option<usize> {
        if self.is_sent(now) || now < self.next_at() {
            return None;
        }
        let chunk = (self.total / u64::from(MIN_PACKETS + 1)).clamp(100, MAX_CHUNK);
        self.asked = self.asked.max(self.sent) + chunk;
        Some(chunk as usize)
    }

    /// A packet leaves as part of it.
    pub(super) fn add(&mut self, bytes: u16) {
        self.sent += u64::from(bytes);
        self.packets += 1;
    }

    pub(super) fn is_sent(&self, now: Micros) -> bool {
        self.sent >= self.total && self.packets >= MIN_PACKETS
            || self.asked >= 2 * self.total.max(MAX_CHUNK)
            || now - self.started > MAX_SENDING
    }

    pub(super) fn arrived(&mut self, sent: Sent, arrival: Micros, late: bool) {
        if late {
            self.missing = self.missing.saturating_sub(1);
        }
        let arrived = self.arrived.get_or_insert(Arrived {
            packets: 0,
            bytes: 0,
            first_sent: sent.at,
            last_sent: sent.at,
            last_sent_bytes: sent.bytes,
            first_arrival: arrival,
            first_arrival_bytes: sent.bytes,
            last_arrival: arrival,
        });
        arrived.packets += 1;
        arrived.bytes += u64::from(sent.bytes);
        arrived.first_sent = arrived.first_sent.min(sent.at);
        if sent.at >= arrived.last_sent {
            (arrived.last_sent, arrived.last_sent_bytes) = (sent.at, sent.bytes);
        }
        if arrival < arrived.first_arrival {
            (arrived.first_arrival, arrived.first_arrival_bytes) = (arrival, sent.bytes);
        }
        arrived.last_arrival = arrived.last_arrival.max(arrival);
    }

    pub(super) fn missing(&mut self) {
        self.missing += 1;
    }

    /// Whether every packet was heard of.
    pub(super) fn is_heard(&self) -> bool {
        self.arrived.map_or(0, |arrived| arrived.packets) + self.missing >= self.packets
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.carried().map_or(Outcome::Failed, Outcome::Carried)
    }

    /// The lower of the bitrates it was sent and arrived at.
    fn carried(&self) -> Option<u64> {
        let arrived = self.arrived?;
        let enough = f64::from(self.packets.max(MIN_PACKETS)) * MIN_ARRIVED;
        if f64::from(arrived.packets) < enough
            || (arrived.bytes as f64) < self.total as f64 * MIN_ARRIVED
        {
            return None;
        }
        let left = bitrate(
            arrived.bytes - u64::from(arrived.last_sent_bytes),
            arrived.last_sent - arrived.first_sent,
        );
        let came = bitrate(
            arrived.bytes - u64::from(arrived.first_arrival_bytes),
            arrived.last_arrival - arrived.first_arrival,
        );
        if left == 0 || came == 0 || came as f64 > MAX_RATIO * left as f64 {
            return None;
        }
        let carried = if (came as f64) < FILLED * left as f64 {
            (USED * came as f64) as u64
        } else {
            left.min(came)
        };
        // Media that left faster than the probe was meant to proves no more than was asked.
        Some(carried.min(self.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a probe in steps of a millisecond; `transit` gives the way of the packet sent at a moment.
    fn probe(target: u64, transit: impl Fn(usize, Micros) -> Option<Micros>) -> Outcome {
        let mut cluster = Cluster::new(1, target, Micros::ZERO);
        let mut count = 0;
        for at in 0..200 {
            let now = Micros::from_millis(at);
            while let Some(bytes) = cluster.ask(now) {
                let sent = Sent {
                    at: now,
                    bytes: bytes as u16,
                    cluster: 1,
                };
                cluster.add(sent.bytes);
                match transit(count, now) {
                    Some(arrival) => cluster.arrived(sent, arrival, false),
                    None => cluster.missing(),
                }
                count += 1;
            }
        }
        assert!(cluster.is_heard());
        cluster.outcome()
    }

    #[test]
    fn a_path_wide_enough_carries_what_was_asked() {
        let Outcome::Carried(bitrate) = probe(2_000_000, |_, at| Some(at + Micros(20_000))) else {
            panic!("failed");
        };
        assert!((1_700_000..=2_000_000).contains(&bitrate), "{bitrate}");
    }

    #[test]
    fn a_narrow_path_shows_its_width() {
        // Packets of 625 bytes leave a link of 1 Mbit/s every 5 ms.
        let narrow = |count: usize, _| Some(Micros::from_millis(20 + 5 * count as i64));
        let Outcome::Carried(bitrate) = probe(2_000_000, narrow) else {
            panic!("failed");
        };
        assert!((900_000..=1_000_000).contains(&bitrate), "{bitrate}");
    }

    #[test]
    fn half_a_probe_tells_nothing() {
        let half = |count: usize, at| count.is_multiple_of(2).then_some(at);
        assert_eq!(probe(2_000_000, half), Outcome::Failed);
    }

    #[test]
    fn it_stops_asking_when_nobody_sends() {
        let mut cluster = Cluster::new(1, 10_000_000, Micros::ZERO);
        let asked = (0..10_000)
            .filter(|at| cluster.ask(Micros(at * 100)).is_some())
            .count();
        assert!(asked < 100, "{asked}");
    }
}
