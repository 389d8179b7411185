//! Whether the world can reach this edge's UDP port.
//!
//! An answer to a ping proves nothing: firewalls let answers in. So peers are asked to knock at the advertised address
//! from a socket that this edge has never sent to.

use std::time::Duration;

use tradewind_fleet::NodeId;

/// Time between two requests for a knock while nobody has come through, and once somebody has.
const RETRY: Duration = Duration::from_secs(1);
const CONFIRM: Duration = Duration::from_secs(30);
/// Without a new knock after this, the port counts as closed again.
const VALID: Duration = Duration::from_secs(120);

/// The state of the public address.
#[derive(Debug)]
pub(crate) struct Reach {
    secret: u64,
    due: Duration,
    asked: u64,
    knocked: Option<(Duration, NodeId)>,
}

impl Reach {
    /// `secret` is what knocks must carry; nobody but the peers that were asked knows it.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            secret,
            due: Duration::ZERO,
            asked: 0,
            knocked: None,
        }
    }

    /// Which of `peers` peers to ask for a knock now, and with what secret.
    pub(crate) fn poll(&mut self, now: Duration, peers: usize) -> Option<(usize, u64)> {
        if now < self.due || peers == 0 {
            return None;
        }
        self.due = now + if self.is_open(now) { CONFIRM } else { RETRY };
        self.asked += 1;
        let turn = usize::try_from(self.asked).unwrap_or(0) % peers;
        Some((turn, self.secret))
    }

    /// A knock has come in.
    pub(crate) fn knocked(&mut self, now: Duration, from: NodeId, secret: u64) {
        if secret == self.secret {
            self.knocked = Some((now, from));
        }
    }

    /// Who has come through lately.
    pub(crate) fn by(&self, now: Duration) -> Option<&NodeId> {
        let (at, by) = self.knocked.as_ref()?;
        (now.saturating_sub(*at) < VALID).then_some(by)
    }

    fn is_open(&self, now: Duration) -> bool {
        self.by(now).is_some()
    }

    /// Whether anybody was asked yet.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_asked_can_vouch_and_not_for_ever() {
        let mut reach = Reach::new(42);
        let second = Duration::from_secs;
        assert_eq!(reach.poll(second(0), 0), None);
        let (_, secret) = reach.poll(second(0), 3).unwrap();
        assert_eq!(reach.poll(second(0), 3), None);

        reach.knocked(second(1), "forger".parse().unwrap(), secret + 1);
        assert_eq!(reach.by(second(1)), None);
        reach.knocked(second(1), "paris".parse().unwrap(), secret);
        assert_eq!(reach.by(second(100)).map(NodeId::as_str), Some("paris"));
        assert_eq!(reach.by(second(121)), None);
    }

    #[test]
    fn every_peer_is_asked_in_turn() {
        let mut reach = Reach::new(42);
        let mut asked: Vec<usize> = (0..3)
            .filter_map(|second| reach.poll(Duration::from_secs(second), 3))
            .map(|(peer, _)| peer)
            .collect();
        asked.sort_unstable();
        assert_eq!(asked, [0, 1, 2]);
    }
}
