//! The echo for clients: whoever sends `TWC1` and some bytes gets `TWR1` and the same bytes.
//!
//! It needs no key, so it must be of no use to attackers: an answer is exactly as long as what asked for it, and one
//! address gets so many and no more.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const ASK: &[u8; 4] = b"TWC1";
const ANSWER: &[u8; 4] = b"TWR1";
/// Longer ones are no measurement.
const MAX_LENGTH: usize = 128;
/// Answers one address may save up, and gets per second over time: enough to measure, too few to annoy.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 10.0;
/// Addresses remembered at a time.
const MAX_SOURCES: usize = 16_384;

/// Answers clients, with a bound per address.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    sources: BTreeMap<IpAddr, Allowance>,
    /// When quiet addresses were last forgotten.
    swept: Duration,
}

#[derive(Debug)]
struct Allowance {
    tokens: f64,
    since: Duration,
}

impl Echo {
    /// The answer to a datagram, if it asks for one and its sender may have it.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        from: IpAddr,
        datagram: &[u8],
    ) -> Option<Vec<u8>> {
        let rest = datagram.strip_prefix(ASK)?;
        if datagram.len() > MAX_LENGTH || !self.allows(now, from) {
            return None;
        }
        Some([ANSWER.as_slice(), rest].concat())
    }

    fn allows(&mut self, now: Duration, from: IpAddr) -> bool {
        if !self.sources.contains_key(&from) && self.sources.len() >= MAX_SOURCES {
            // Looking through all of them for each forged address would be the flood's work.
            if now.saturating_sub(self.swept) < Duration::from_secs(1) {
                return false;
            }
            self.swept = now;
            // Whoever has been quiet for long enough has nothing to be remembered for.
            let full_after = Duration::from_secs_f64(BURST / PER_SECOND);
            self.sources
                .retain(|_, source| now.saturating_sub(source.since) < full_after);
            if self.sources.len() >= MAX_SOURCES {
                return false;
            }
        }
        let source = self.sources.entry(from).or_insert(Allowance {
            tokens: BURST,
            since: now,
        });
        let grown = now.saturating_sub(source.since).as_secs_f64() * PER_SECOND;
        source.tokens = (source.tokens + grown).min(BURST);
        source.since = now;
        if source.tokens < 1.0 {
            return false;
        }
        source.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn an_answer_is_as_long_as_its_question() {
        let mut echo = Echo::default();
        let answer = echo.answer(Duration::ZERO, CLIENT, b"TWC1 12345678");
        assert_eq!(answer.as_deref(), Some(&b"TWR1 12345678"[..]));
        assert_eq!(echo.answer(Duration::ZERO, CLIENT, b"TWR1 12345678"), None);
        let long = [ASK.as_slice(), &[0; 200]].concat();
        assert_eq!(echo.answer(Duration::ZERO, CLIENT, &long), None);
    }

    #[test]
    fn one_address_gets_its_share_and_no_more() {
        let mut echo = Echo::default();
        let answered = (0..10_000)
            .filter(|tick| {
                let now = Duration::from_millis(*tick);
                echo.answer(now, CLIENT, ASK).is_some()
            })
            .count();
        assert!((110..=121).contains(&answered), "{answered} in ten seconds");
    }

    #[test]
    fn forged_addresses_cannot_fill_the_memory() {
        let mut echo = Echo::default();
        for number in 0..200_000u32 {
            let from = IpAddr::V4(number.into());
            echo.answer(Duration::from_micros(u64::from(number)), from, ASK);
        }
        assert!(echo.sources.len() <= MAX_SOURCES);
        let later = Duration::from_secs(5);
        assert!(echo.answer(later, CLIENT, ASK).is_some());
    }
}
