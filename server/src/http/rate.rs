//! How often one address may do something: a token bucket per address, bounded in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses remembered; 48 bytes each. Beyond it, those that have been quiet longest are forgotten first.
const MAX_ADDRESSES: usize = 65_536;

/// A limit of `burst` at once and `burst` per `period` over time, for each address on its own.
#[derive(Debug)]
pub(crate) struct RateByAddress {
    burst: u32,
    period: Duration,
    /// When the bucket of an address is full again; absent = full.
    full_at: HashMap<IpAddr, Instant>,
}

impl RateByAddress {
    /// `burst` of 0 is no limit.
    pub(crate) fn new(burst: u32, period: Duration) -> Self {
        Self {
            burst,
            period,
            full_at: HashMap::new(),
        }
    }

    /// Takes one token of `address`.
    ///
    /// # Errors
    /// There is none: the time until there is.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.burst == 0 {
            return Ok(());
        }
        let per_token = self.period / self.burst;
        let full_at = self.full_at.get(&address).copied().unwrap_or(now).max(now) + per_token;
        let debt = full_at.saturating_duration_since(now);
        if debt > self.period {
            return Err(debt - self.period);
        }
        if self.full_at.len() >= MAX_ADDRESSES {
            self.forget(now);
        }
        self.full_at.insert(address, full_at);
        Ok(())
    }

    /// How long `address` must wait for a token, without taking one.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let burst = std::num::NonZeroU32::new(self.burst)?;
        let full_at = *self.full_at.get(&address)?;
        let debt = full_at.saturating_duration_since(now) + self.period / burst.get();
        debt.checked_sub(self.period).filter(|wait| !wait.is_zero())
    }

    /// Forgets full buckets, and if that frees nothing, the half that will be full soonest.
    fn forget(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() < MAX_ADDRESSES {
            return;
        }
        let mut times: Vec<Instant> = self.full_at.values().copied().collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or(now);
        self.full_at.retain(|_, full_at| *full_at > median);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_burst_passes_then_one_per_share_of_the_period() {
        let mut rate = RateByAddress::new(3, Duration::from_secs(30));
        let start = Instant::now();
        assert!((0..3).all(|_| rate.take(ANN, start).is_ok()));
        assert_eq!(rate.take(ANN, start), Err(Duration::from_secs(10)));
        assert_eq!(rate.take(BOB, start), Ok(()));
        assert_eq!(rate.take(ANN, start + Duration::from_secs(10)), Ok(()));
        assert!(rate.take(ANN, start + Duration::from_secs(11)).is_err());
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let mut rate = RateByAddress::new(1, Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(rate.take(ANN, start), Ok(()));
        assert!((0..100).all(|_| rate.take(ANN, start).is_err()));
        assert_eq!(rate.take(ANN, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn looking_at_the_wait_takes_nothing() {
        let mut rate = RateByAddress::new(2, Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(rate.take(ANN, start), Ok(()));
        assert_eq!((rate.wait(ANN, start), rate.wait(BOB, start)), (None, None));
        assert_eq!(rate.take(ANN, start), Ok(()));
        assert_eq!(rate.wait(ANN, start), Some(Duration::from_secs(5)));
        assert_eq!(rate.wait(ANN, start + Duration::from_secs(5)), None);
    }

    #[test]
    fn zero_is_no_limit() {
        let mut rate = RateByAddress::new(0, Duration::from_secs(1));
        let now = Instant::now();
        assert!((0..1000).all(|_| rate.take(ANN, now).is_ok()));
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_the_memory() {
        let mut rate = RateByAddress::new(1, Duration::from_secs(3600));
        let now = Instant::now();
        for number in 0..(MAX_ADDRESSES as u32 * 2) {
            let _ = rate.take(IpAddr::V4(Ipv4Addr::from(number)), now);
        }
        assert!(rate.full_at.len() <= MAX_ADDRESSES);
    }
}
