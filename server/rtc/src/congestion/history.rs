//! What was sent and not yet heard of.

use super::time::Micros;

const FIRST_CAPACITY: usize = 128;
/// A quarter of the numbers, so that old and new never mix; 1.6 s at 100 Mbit/s of full packets.
const MAX_CAPACITY: usize = 16_384;
/// Younger packets are not dropped while the ring may still grow.
const KEPT: Micros = Micros::from_millis(2_000);

/// What is known of a packet's fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Unknown,
    /// Not there when the receiver last spoke of it; may still come.
    Missing,
    Arrived,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    at: Micros,
    bytes: u16,
    cluster: u8,
    fate: Fate,
}

/// A packet as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Micros,
    /// With IP and UDP headers.
    pub(super) bytes: u16,
    /// The probe it belonged to; 0 = none.
    pub(super) cluster: u8,
}

/// News of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Arrived {
        sent: Sent,
        /// It had been given up before.
        late: bool,
    },
    Missing(Sent),
}

/// A ring of packets by transport-wide sequence number. It grows with the packets in flight and is bounded.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    /// The next number, unwrapped; numbers start at 1.
    next: u64,
    /// The oldest number held.
    first: u64,
}

impl History {
    /// Notes a packet and gives its number.
    pub(super) fn push(&mut self, sent: Sent) -> u16 {
        self.next = self.next.max(1);
        self.first = self.first.max(1);
        if (self.next - self.first) as usize >= self.entries.len() {
            self.make_room(sent.at);
        }
        let sequence = self.next;
        self.next += 1;
        if let Some(entry) = self.entry(sequence) {
            *entry = Entry {
                at: sent.at,
                bytes: sent.bytes,
                cluster: sent.cluster,
                fate: Fate::Unknown,
            };
        }
        sequence as u16
    }

    /// Notes what the receiver says of a packet; `None` if it is not news.
    pub(super) fn report(&mut self, sequence: u16, arrived: bool) -> Option<News> {
        let back = u64::from((self.next as u16).wrapping_sub(sequence));
        let sequence = self
            .next
            .checked_sub(back)
            .filter(|at| back > 0 && *at >= self.first)?;
        let entry = self.entry(sequence)?;
        let sent = Sent {
            at: entry.at,
            bytes: entry.bytes,
            cluster: entry.cluster,
        };
        match (entry.fate, arrived) {
            (Fate::Arrived, _) | (Fate::Missing, false) => None,
            (fate, true) => {
                entry.fate = Fate::Arrived;
                Some(News::Arrived {
                    sent,
                    late: fate == Fate::Missing,
                })
            }
            (Fate::Unknown, false) => {
                entry.fate = Fate::Missing;
                Some(News::Missing(sent))
            }
        }
    }

    /// Drops the oldest packet, or doubles the ring if that one is needed still.
    fn make_room(&mut self, now: Micros) {
        let first = self.first;
        let oldest = self.entry(first).map(|entry| (entry.fate, entry.at));
        let needed = oldest.is_some_and(|(fate, at)| fate == Fate::Unknown && now - at < KEPT);
        let capacity = self.entries.len();
        if capacity == 0 {
            self.entries = vec![Entry::default(); FIRST_CAPACITY];
        } else if needed && capacity < MAX_CAPACITY {
            let mut grown = vec![Entry::default(); capacity * 2];
            for sequence in self.first..self.next {
                if let (Some(to), Some(from)) = (
                    grown.get_mut(sequence as usize & (capacity * 2 - 1)),
                    self.entries.get(sequence as usize & (capacity - 1)),
                ) {
                    *to = *from;
                }
            }
            self.entries = grown;
        } else {
            self.first += 1;
        }
    }

    fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        let mask = self.entries.len().checked_sub(1)?;
        self.entries.get_mut(sequence as usize & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at: i64) -> Sent {
        Sent {
            at: Micros::from_millis(at),
            bytes: 1_000,
            cluster: 0,
        }
    }

    #[test]
    fn a_packet_is_news_once_and_again_if_it_comes_after_all() {
        let mut history = History::default();
        let first = history.push(sent(0));
        let second = history.push(sent(5));
        let arrived = |late| {
            Some(News::Arrived {
                sent: sent(0),
                late,
            })
        };
        assert_eq!(history.report(first, true), arrived(false));
        assert_eq!(history.report(first, true), None);
        assert_eq!(history.report(second, false), Some(News::Missing(sent(5))));
        assert_eq!(history.report(second, false), None);
        assert!(matches!(
            history.report(second, true),
            Some(News::Arrived { late: true, .. })
        ));
    }

    #[test]
    fn numbers_wrap_and_strangers_are_ignored() {
        let mut history = History::default();
        for at in 0..200_000i64 {
            let sequence = history.push(sent(at));
            assert_eq!(
                history.report(sequence.wrapping_add(1), true),
                None,
                "not sent yet"
            );
            assert!(history.report(sequence, true).is_some());
        }
        assert_eq!(
            history.entries.len(),
            FIRST_CAPACITY,
            "acknowledged at once"
        );
    }

    #[test]
    fn the_ring_grows_with_what_is_in_flight_and_no_further_than_its_bound() {
        let mut history = History::default();
        let sequences: Vec<u16> = (0..1_000).map(|at| history.push(sent(at))).collect();
        assert!(
            sequences
                .iter()
                .all(|at| history.report(*at, true).is_some())
        );
        for _ in 0..100_000 {
            history.push(sent(1_000));
        }
        assert_eq!(history.entries.len(), MAX_CAPACITY);
    }
}
