//! Joins datagrams for one destination into one send (GSO).

use std::net::SocketAddr;

use tradewind_rtc::Transmit;

/// Largest batch in bytes: a UDP datagram's limit, less headers of IPv6 and UDP.
const MAX_BATCH_BYTES: usize = 65_000;

/// Consecutive datagrams of one size from one address to one other; the last may be shorter.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// Bytes of each datagram but the last.
    pub(crate) segment: usize,
    pub(crate) contents: Vec<u8>,
}

impl Batch {
    /// A batch of what the transmit holds, in its memory.
    pub(crate) fn of(transmit: Transmit) -> Self {
        Self {
            source: transmit.source,
            destination: transmit.destination,
            segment: transmit.segment_size.unwrap_or(transmit.contents.len()),
            contents: transmit.contents,
        }
    }

    /// Appends a single datagram if it can leave together with those before, of which there may be `max_segments`.
    pub(crate) fn append(&mut self, transmit: &Transmit, max_segments: usize) -> bool {
        let size = transmit.contents.len();
        let fits = transmit.segment_size.is_none()
            && transmit.destination == self.destination
            && transmit.source == self.source
            && size > 0
            && size <= self.segment
            // A shorter datagram ends a batch.
            && self.contents.len().is_multiple_of(self.segment)
            && self.datagrams() < max_segments
            && self.contents.len() + size <= MAX_BATCH_BYTES;
        if fits {
            self.contents.extend_from_slice(&transmit.contents);
        }
        fits
    }

    /// Number of datagrams.
    pub(crate) fn datagrams(&self) -> usize {
        self.contents.len().div_ceil(self.segment.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tradewind_rtc::Protocol;

    use super::*;

    fn transmit(port: u16, contents: Vec<u8>) -> Transmit {
        Transmit {
            protocol: Protocol::Udp,
            source: "127.0.0.1:7882".parse().unwrap(),
            destination: SocketAddr::from(([127, 0, 0, 1], port)),
            contents,
            segment_size: None,
        }
    }

    fn batches(transmits: &[Transmit], max_segments: usize) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        for transmit in transmits {
            let appended = batches
                .last_mut()
                .is_some_and(|batch| batch.append(transmit, max_segments));
            if !appended {
                batches.push(Batch::of(transmit.clone()));
            }
        }
        batches
    }

    #[test]
    fn a_frame_of_equal_packets_with_a_short_last_one_is_one_send() {
        let mut frame: Vec<_> = (0..9).map(|_| transmit(5000, vec![1; 1200])).collect();
        frame.push(transmit(5000, vec![1; 300]));
        assert_eq!(batches(&frame, 64).len(), 1);
    }

    #[test]
    fn nothing_follows_a_shorter_datagram_in_its_batch() {
        let packets = [
            transmit(5000, vec![1; 1200]),
            transmit(5000, vec![2; 300]),
            transmit(5000, vec![3; 300]),
        ];
        assert_eq!(batches(&packets, 64).len(), 2);
    }

    proptest! {
        #[test]
        fn batches_hold_the_same_datagrams_in_the_same_order(
            datagrams in prop::collection::vec((0u16..3, 0usize..5, any::<u8>()), 0..200),
            max_segments in 1usize..64,
        ) {
            let sizes = [0, 1, 300, 1200, 1200];
            let sent: Vec<_> =
                datagrams.iter().map(|&(port, size, byte)| transmit(port, vec![byte; sizes[size]])).collect();
            let mut segments = Vec::new();
            for batch in batches(&sent, max_segments) {
                prop_assert!(batch.datagrams() <= max_segments);
                if batch.contents.is_empty() {
                    segments.push((batch.destination, Vec::new()));
                }
                for segment in batch.contents.chunks(batch.segment.max(1)) {
                    segments.push((batch.destination, segment.to_vec()));
                }
            }
            let expected: Vec<_> = sent.into_iter().map(|sent| (sent.destination, sent.contents)).collect();
            prop_assert_eq!(segments, expected);
        }
    }
}
