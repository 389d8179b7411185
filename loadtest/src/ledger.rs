//! Exact accounts of what one receiver got of one source.

use std::collections::BTreeSet;

use crate::stamp::{KEY_FRAME_START, Stamp};

/// Gaps remembered for each source: more are an outage, and only counted.
const MAX_GAPS: usize = 20_000;

/// What a payload was to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one, or one that filled a gap.
    New,
    /// Came before.
    Duplicate,
    /// A switch of layers that does not begin with a key frame.
    BadSwitch,
}

/// What one receiver got of one source.
#[derive(Debug, Default)]
pub(crate) struct Account {
    layer: u8,
    /// Number expected next on `layer`.
    next: u32,
    gaps: BTreeSet<(u8, u32)>,
    forgotten_gaps: u64,
    /// Layer switches seen.
    pub(crate) switches: u64,
    pub(crate) received: u64,
}

impl Account {
    /// Enters a payload.
    pub(crate) fn enter(&mut self, stamp: &Stamp) -> Verdict {
        if self.received == 0 {
            self.layer = stamp.layer;
            self.next = stamp.sequence;
        }
        if stamp.layer != self.layer {
            if self.fill(stamp) {
                return Verdict::New;
            }
            // Layers that were left may still deliver what came late; it is no switch back.
            if stamp.flags & KEY_FRAME_START == 0 {
                return Verdict::BadSwitch;
            }
            self.switches += 1;
            self.layer = stamp.layer;
            self.next = stamp.sequence;
        }
        if stamp.sequence < self.next {
            return if self.fill(stamp) {
                Verdict::New
            } else {
                Verdict::Duplicate
            };
        }
        for missing in self.next..stamp.sequence {
            if self.gaps.len() < MAX_GAPS {
                self.gaps.insert((stamp.layer, missing));
            } else {
                self.forgotten_gaps += u64::from(stamp.sequence - missing);
                break;
            }
        }
        self.next = stamp.sequence + 1;
        self.received += 1;
        Verdict::New
    }

    /// Payloads that should have come by now: gaps, and for the layer in use what follows up to `sent`, the number of
    /// packets its source has sent on each layer.
    pub(crate) fn missing(&self, sent: impl Fn(u8) -> u32) -> u64 {
        let tail = sent(self.layer).saturating_sub(self.next);
        self.gaps.len() as u64 + self.forgotten_gaps + u64::from(tail)
    }

    fn fill(&mut self, stamp: &Stamp) -> bool {
        let filled = self.gaps.remove(&(stamp.layer, stamp.sequence));
        self.received += u64::from(filled);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(layer: u8, sequence: u32, flags: u8) -> Stamp {
        Stamp {
            run: 0,
            source: 0,
            layer,
            flags,
            sequence,
            sent_ns: 0,
        }
    }

    #[test]
    fn what_comes_in_order_is_whole_from_the_first_one_seen() {
        let mut account = Account::default();
        for sequence in 10..20 {
            assert_eq!(account.enter(&stamp(0, sequence, 0)), Verdict::New);
        }
        assert_eq!((account.received, account.missing(|_| 20)), (10, 0));
        assert_eq!(account.missing(|_| 23), 3, "the end never came");
    }

    #[test]
    fn a_gap_is_missing_until_filled_and_then_a_duplicate() {
        let mut account = Account::default();
        for sequence in [0, 1, 4] {
            account.enter(&stamp(0, sequence, 0));
        }
        assert_eq!(account.missing(|_| 5), 2);
        assert_eq!(account.enter(&stamp(0, 2, 0)), Verdict::New);
        assert_eq!(account.enter(&stamp(0, 2, 0)), Verdict::Duplicate);
        assert_eq!((account.received, account.missing(|_| 5)), (4, 1));
    }

    #[test]
    fn a_layer_switch_must_begin_with_a_key_frame() {
        let mut account = Account::default();
        account.enter(&stamp(0, 0, KEY_FRAME_START));
        assert_eq!(account.enter(&stamp(1, 70, 0)), Verdict::BadSwitch);
        assert_eq!(account.enter(&stamp(1, 71, KEY_FRAME_START)), Verdict::New);
        assert_eq!(account.enter(&stamp(1, 72, 0)), Verdict::New);
        assert_eq!(
            (
                account.switches,
                account.missing(|layer| [500, 73][usize::from(layer)])
            ),
            (1, 0)
        );
    }

    #[test]
    fn an_outage_is_counted_without_being_remembered_packet_by_packet() {
        let mut account = Account::default();
        account.enter(&stamp(0, 0, 0));
        account.enter(&stamp(0, 1_000_000, 0));
        assert_eq!(account.missing(|_| 1_000_001), 999_999);
        assert!(account.gaps.len() <= MAX_GAPS);
    }
}
