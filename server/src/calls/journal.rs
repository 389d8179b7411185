//! The last events of calls, so that a listener who lost its connection can go on where it was.

use std::collections::VecDeque;

use super::event::CallEvent;

/// Events kept: minutes of a busy node, well beyond the seconds a listener needs to come back.
const MAX_EVENTS: usize = 1_024;

/// Events with numbers that rise by one, from 1 on.
#[derive(Debug, Default)]
pub(super) struct Journal {
    last: u64,
    events: VecDeque<CallEvent>,
}

impl Journal {
    /// Adds an event and gives its number.
    pub(super) fn add(&mut self, event: CallEvent) -> u64 {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.last += 1;
        self.last
    }

    /// Number of the newest event; 0 = there was none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The event after number `after`, with its number; `None` = there is none yet.
    ///
    /// # Errors
    /// The event is no longer kept, or `after` lies ahead: the listener's picture is not ours.
    pub(super) fn next(&self, after: u64) -> Result<Option<(u64, &CallEvent)>, Lost> {
        let ahead = self.last.checked_sub(after).ok_or(Lost)?;
        let ahead = usize::try_from(ahead).map_err(|_| Lost)?;
        if ahead == 0 {
            return Ok(None);
        }
        let index = self.events.len().checked_sub(ahead).ok_or(Lost)?;
        Ok(self.events.get(index).map(|event| (after + 1, event)))
    }
}

/// Events between the listener's last one and the oldest kept are lost to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::event::{Kind, Origin};
    use super::super::samples::call;
    use super::*;

    fn journal(events: u64) -> Journal {
        let mut journal = Journal::default();
        for number in 1..=events {
            let event = CallEvent {
                kind: Kind::Created,
                at_ms: number,
                call: Arc::new(call("CL_a", number)),
                party: None,
                origin: Origin::Here,
            };
            assert_eq!(journal.add(event), number);
        }
        journal
    }

    fn read(journal: &Journal, after: u64) -> Result<Option<(u64, u64)>, Lost> {
        let next = journal.next(after)?;
        Ok(next.map(|(number, event)| (number, event.at_ms)))
    }

    #[test]
    fn a_listener_reads_on_where_it_was() {
        let journal = journal(3);
        assert_eq!(read(&journal, 0), Ok(Some((1, 1))));
        assert_eq!(read(&journal, 2), Ok(Some((3, 3))));
        assert_eq!(read(&journal, 3), Ok(None));
    }

    #[test]
    fn a_listener_who_was_away_too_long_or_comes_from_elsewhere_is_told() {
        let journal = journal(MAX_EVENTS as u64 + 10);
        assert_eq!(read(&journal, 9), Err(Lost));
        assert_eq!(read(&journal, 10), Ok(Some((11, 11))));
        assert_eq!(read(&journal, u64::MAX), Err(Lost));
    }
}
