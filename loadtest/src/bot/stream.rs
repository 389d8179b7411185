//! One SSRC that a bot receives: reports (RFC 3550 section 6.4) and lost packets to ask for again.

use std::collections::BTreeMap;

use crate::wire::rtcp::Block;

/// Lost packets remembered.
const MAX_MISSING: usize = 1_000;
/// A request is repeated after this time, ns, and this many times.
const RETRY_NS: u64 = 60_000_000;
const MAX_TRIES: u8 = 10;
/// Reordering is given this time before a packet counts as lost, ns.
const PATIENCE_NS: u64 = 5_000_000;
/// Between two key frame requests, ns.
const KEY_FRAME_PATIENCE_NS: u64 = 500_000_000;

#[derive(Clone, Copy, Debug)]
struct Missing {
    noticed_ns: u64,
    asked_ns: u64,
    tries: u8,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) video: bool,
    base: u64,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    jitter: f64,
    last_transit: f64,
    last_report: u32,
    last_report_ns: u64,
    missing: BTreeMap<u64, Missing>,
    /// Nothing can be shown before a key frame, or after a loss that was not repaired.
    key_frame_needed_since_ns: Option<u64>,
    key_frame_asked_ns: u64,
}

impl Stream {
    pub(crate) fn new(video: bool, index: u64, now_ns: u64) -> Self {
        Self {
            video,
            base: index,
            highest: index.saturating_sub(1),
            key_frame_needed_since_ns: video.then_some(now_ns),
            ..Self::default()
        }
    }

    /// A packet with this extended number came.
    pub(crate) fn enter(&mut self, index: u64, timestamp: u32, at_ns: u64) {
        self.received += 1;
        let ticks = if self.video { 90_000.0 } else { 48_000.0 };
        let transit = at_ns as f64 * ticks / 1e9 - f64::from(timestamp);
        if self.received > 1 {
            let difference = (transit - self.last_transit).abs();
            // Timestamps that wrapped tell nothing.
            if difference < ticks * 60.0 {
                self.jitter += (difference - self.jitter) / 16.0;
            }
        }
        self.last_transit = transit;
        if index > self.highest {
            for lost in self.highest + 1..index {
                if self.missing.len() >= MAX_MISSING {
                    break;
                }
                self.missing.insert(
                    lost,
                    Missing {
                        noticed_ns: at_ns,
                        asked_ns: 0,
                        tries: 0,
                    },
                );
            }
            self.highest = index;
        } else {
            self.missing.remove(&index);
        }
    }

    /// A retransmission of the packet with this number came; false if it was not missing.
    pub(crate) fn repaired(&mut self, sequence: u16) -> bool {
        let index = self
            .missing
            .keys()
            .find(|index| **index as u16 == sequence)
            .copied();
        index.is_some_and(|index| self.missing.remove(&index).is_some())
    }

    pub(crate) fn key_frame_came(&mut self) {
        self.key_frame_needed_since_ns = None;
    }

    /// Numbers to ask for now, ascending.
    pub(crate) fn take_missing(&mut self, now_ns: u64) -> Vec<u16> {
        let mut due = Vec::new();
        let mut given_up = false;
        self.missing.retain(|index, missing| {
            let waited = now_ns.saturating_sub(missing.noticed_ns) >= PATIENCE_NS;
            if waited && now_ns.saturating_sub(missing.asked_ns) >= RETRY_NS {
                if missing.tries == MAX_TRIES {
                    given_up = true;
                    return false;
                }
                missing.asked_ns = now_ns;
                missing.tries += 1;
                due.push(*index as u16);
            }
            true
        });
        if given_up && self.video {
            self.key_frame_needed_since_ns.get_or_insert(now_ns);
        }
        due
    }

    /// Whether to ask for a key frame now.
    pub(crate) fn asks_key_frame(&mut self, now_ns: u64) -> bool {
        let needed = self.key_frame_needed_since_ns.is_some();
        let due = needed && now_ns.saturating_sub(self.key_frame_asked_ns) >= KEY_FRAME_PATIENCE_NS;
        if due {
            self.key_frame_asked_ns = now_ns;
        }
        due
    }

    pub(crate) fn sender_report(&mut self, ntp_middle: u32, now_ns: u64) {
        self.last_report = ntp_middle;
        self.last_report_ns = now_ns;
    }

    /// The next block for this stream.
    pub(crate) fn block(&mut self, ssrc: u32, now_ns: u64) -> Block {
        let expected = (self.highest + 1).saturating_sub(self.base);
        let expected_now = expected.saturating_sub(self.expected_before);
        let received_now = self.received.saturating_sub(self.received_before);
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256)
            .checked_div(expected_now)
            .unwrap_or_default()
            .min(255) as u8;
        let delay = match self.last_report {
            0 => 0,
            _ => {
                (u128::from(now_ns.saturating_sub(self.last_report_ns)) * 65_536 / 1_000_000_000)
                    as u32
            }
        };
        Block {
            ssrc,
            fraction_lost,
            lost: expected.saturating_sub(self.received) as u32,
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report: self.last_report,
            delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_lost_packet_is_asked_for_until_it_comes() {
        let mut stream = Stream::new(true, 100, 0);
        stream.enter(100, 0, 0);
        stream.enter(102, 0, 0);
        assert!(
            stream.take_missing(MS).is_empty(),
            "it may only be out of order"
        );
        assert_eq!(stream.take_missing(100 * MS), [101]);
        assert!(stream.take_missing(110 * MS).is_empty());
        assert_eq!(stream.take_missing(200 * MS), [101]);
        assert!(stream.repaired(101) && !stream.repaired(101));
        assert!(stream.take_missing(900 * MS).is_empty());
    }

    #[test]
    fn a_packet_that_never_comes_ends_in_a_key_frame_request() {
        let mut stream = Stream::new(true, 1, 0);
        stream.enter(1, 0, 0);
        stream.key_frame_came();
        assert!(!stream.asks_key_frame(1_000 * MS));
        stream.enter(3, 0, 0);
        for round in 1..20 {
            stream.take_missing(round * 100 * MS);
        }
        assert!(stream.asks_key_frame(3_000 * MS) && !stream.asks_key_frame(3_100 * MS));
    }

    #[test]
    fn a_report_tells_the_share_lost_since_the_last_one() {
        let mut stream = Stream::new(false, 0, 0);
        for index in (0..100).filter(|index| index % 4 != 1) {
            stream.enter(index, 0, 0);
        }
        let block = stream.block(7, 0);
        assert_eq!(
            (block.ssrc, block.fraction_lost, block.lost, block.highest),
            (7, 64, 25, 99)
        );
        assert_eq!(stream.block(7, 0).fraction_lost, 0);
    }
}
