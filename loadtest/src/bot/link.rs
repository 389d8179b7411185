//! An emulated bad link in front of one bot: what it loses and delays is the link's doing, never the server's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A bad link in the direction to the bot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinkSpec {
    /// Share of datagrams lost, 0 to 1.
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
}

#[derive(Debug)]
pub(crate) struct Link {
    spec: LinkSpec,
    random: u64,
    under_way: VecDeque<(Instant, Arrived)>,
}

/// A datagram that came over a link.
#[derive(Debug, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) from: SocketAddr,
    /// Nanoseconds since the Unix epoch.
    pub(crate) at_ns: u64,
    pub(crate) datagram: Vec<u8>,
}

impl Link {
    pub(crate) fn new(spec: LinkSpec, seed: u64) -> Self {
        Self {
            spec,
            random: seed | 1,
            under_way: VecDeque::new(),
        }
    }

    /// Takes a datagram, with the kernel's time stamp, to be given back by [`Self::arrive`] if it is not lost.
    pub(crate) fn carry(&mut self, now: Instant, from: SocketAddr, at_ns: u64, datagram: &[u8]) {
        // xorshift64* (Vigna 2016).
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let drawn =
            (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64;
        if drawn >= self.spec.loss {
            let at_ns = at_ns + self.spec.delay.as_nanos() as u64;
            let arrived = Arrived {
                from,
                at_ns,
                datagram: datagram.to_vec(),
            };
            self.under_way.push_back((now + self.spec.delay, arrived));
        }
    }

    /// The next datagram that has arrived.
    pub(crate) fn arrive(&mut self, now: Instant) -> Option<Arrived> {
        let (at, _) = self.under_way.front()?;
        if *at > now {
            return None;
        }
        self.under_way.pop_front().map(|(_, arrived)| arrived)
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_wanted_share_is_lost_and_the_rest_comes_late_in_order() {
        let delay = Duration::from_millis(50);
        let mut link = Link::new(LinkSpec { loss: 0.1, delay }, 3);
        let now = Instant::now();
        let from = SocketAddr::from(([127, 0, 0, 1], 7));
        for number in 0..10_000u32 {
            link.carry(now, from, 5, &number.to_be_bytes());
        }
        assert_eq!(link.arrive(now), None);
        let arrived: Vec<_> = std::iter::from_fn(|| link.arrive(now + delay)).collect();
        assert!((8_800..9_200).contains(&arrived.len()), "{}", arrived.len());
        assert!(arrived.is_sorted_by_key(|arrived| arrived.datagram.clone()));
        assert_eq!(arrived[0].at_ns, 5 + delay.as_nanos() as u64);
    }
}
