//! Leaving without dropping a call: when to go on waiting, and when to go.

use std::time::Duration;

/// The server's count of participants must be zero for so long: one heartbeat may be older than the last join.
const EMPTY_FOR: Duration = Duration::from_secs(3);

/// Why the agent may exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Empty,
    /// The server has left the fleet by itself.
    ServerLeft,
    Deadline,
}

/// A drain under way.
#[derive(Debug)]
pub(crate) struct Drain {
    deadline: Duration,
    empty_since: Option<Duration>,
}

impl Drain {
    pub(crate) fn new(now: Duration, within: Duration) -> Self {
        Self {
            deadline: now.saturating_add(within),
            empty_since: None,
        }
    }

    /// Whether to exit. `participants` is `None` once the server has left the fleet; `known` says whether the fleet
    /// can be heard at all.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        participants: Option<u32>,
        known: bool,
    ) -> Option<Done> {
        if now >= self.deadline {
            return Some(Done::Deadline);
        }
        if !known {
            self.empty_since = None;
            return None;
        }
        if participants.is_some_and(|count| count > 0) {
            self.empty_since = None;
            return None;
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.saturating_sub(since) < EMPTY_FOR {
            return None;
        }
        Some(if participants.is_some() {
            Done::Empty
        } else {
            Done::ServerLeft
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_ends_when_the_last_participant_has_been_gone_for_a_while() {
        let second = Duration::from_secs;
        let mut drain = Drain::new(second(0), second(3600));
        assert_eq!(drain.poll(second(1), Some(2), true), None);
        assert_eq!(drain.poll(second(2), Some(0), true), None);
        assert_eq!(drain.poll(second(3), Some(1), true), None);
        assert_eq!(drain.poll(second(4), Some(0), true), None);
        assert_eq!(drain.poll(second(7), Some(0), true), Some(Done::Empty));
    }

    #[test]
    fn a_drain_that_hears_nothing_waits_for_its_deadline() {
        let second = Duration::from_secs;
        let mut drain = Drain::new(second(0), second(60));
        assert_eq!(drain.poll(second(30), None, false), None);
        assert_eq!(drain.poll(second(60), None, false), Some(Done::Deadline));
    }

    #[test]
    fn a_server_that_has_left_needs_no_more_waiting() {
        let second = Duration::from_secs;
        let mut drain = Drain::new(second(0), second(60));
        assert_eq!(drain.poll(second(1), None, true), None);
        assert_eq!(drain.poll(second(4), None, true), Some(Done::ServerLeft));
    }
}
