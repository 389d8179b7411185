//! An emulated network: delay, loss and reordering per direction of a client's link.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One client's access link, both directions.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub delay: Duration,
    /// Share of datagrams lost, 0 to 1, each way.
    pub loss: f64,
    /// Towards the client, bits per second; 0 = no limit.
    pub down_bitrate: u64,
    /// Nothing passes.
    pub cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0.0,
            down_bitrate: 0,
            cut: false,
        }
    }
}

/// Longest time a datagram waits in a full link before it is dropped.
const MAX_QUEUE: Duration = Duration::from_millis(300);

type InFlight = Reverse<(Instant, u64, SocketAddr, SocketAddr, Vec<u8>)>;

pub struct Network {
    links: BTreeMap<SocketAddr, Link>,
    busy_until: BTreeMap<SocketAddr, Instant>,
    in_flight: BinaryHeap<InFlight>,
    random: u64,
    order: u64,
    pub delivered_bytes: BTreeMap<SocketAddr, u64>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            in_flight: BinaryHeap::new(),
            random: seed | 1,
            order: 0,
            delivered_bytes: BTreeMap::new(),
        }
    }

    pub fn set_link(&mut self, client: SocketAddr, link: Link) {
        self.links.insert(client, link);
    }

    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, contents: Vec<u8>) {
        let to_client = from == SocketAddr::from(super::SERVER);
        let client = if to_client { to } else { from };
        let link = self.links.get(&client).copied().unwrap_or_default();
        if link.cut || self.chance() < link.loss {
            return;
        }
        let mut arrival = now + link.delay;
        if to_client && link.down_bitrate > 0 {
            let time =
                Duration::from_secs_f64(contents.len() as f64 * 8.0 / link.down_bitrate as f64);
            let start = self
                .busy_until
                .get(&client)
                .copied()
                .unwrap_or(now)
                .max(now);
            if start - now > MAX_QUEUE {
                return;
            }
            self.busy_until.insert(client, start + time);
            arrival = start + time + link.delay;
        }
        self.order += 1;
        self.in_flight
            .push(Reverse((arrival, self.order, from, to, contents)));
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn arrive(&mut self, now: Instant) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse((_, _, from, to, contents)) = self.in_flight.pop()?;
        *self.delivered_bytes.entry(to).or_default() += contents.len() as u64;
        Some((from, to, contents))
    }

    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}
