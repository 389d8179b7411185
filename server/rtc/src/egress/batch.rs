//! Sealed packets of one destination, one after the other, in as few buffers as segmentation offload can send.

use crate::context::BufferPool;

/// Bytes of one buffer: the largest UDP datagram, less headers of IPv6 and UDP, which bounds what the kernel segments.
const MAX_BYTES: usize = 65_000;
/// Datagrams of one buffer: what the kernel segments at once.
const MAX_SEGMENTS: usize = 64;
/// Room asked for ahead of a packet.
const PACKET_ROOM: usize = 1_500;

/// Packets of equal size; the last may be shorter.
pub(super) struct Run {
    pub(super) contents: Vec<u8>,
    pub(super) segment: usize,
}

impl Run {
    pub(super) fn datagrams(&self) -> usize {
        self.contents.len().div_ceil(self.segment.max(1))
    }
}

#[derive(Default)]
pub(super) struct Batch {
    runs: Vec<Run>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The buffer to append a packet to. [`Self::end`] must follow with the buffer's present length.
    pub(super) fn begin(&mut self, pool: &mut BufferPool) -> &mut Vec<u8> {
        let full = self.runs.last().is_none_or(|run| {
            run.contents.len() + PACKET_ROOM > MAX_BYTES
                || run.datagrams() >= MAX_SEGMENTS
                // Nothing can follow a shorter packet.
                || !run.contents.len().is_multiple_of(run.segment)
        });
        if full {
            self.runs.push(Run {
                contents: pool.take(),
                segment: 0,
            });
        }
        let last = self.runs.len() - 1;
        let buffer = &mut self.runs[last].contents;
        buffer.reserve(PACKET_ROOM);
        buffer
    }

    /// Ends the packet that began at `start`; gives back its size. Nothing may have been written after all.
    pub(super) fn end(&mut self, pool: &mut BufferPool, start: usize) -> usize {
        let Some(run) = self.runs.last_mut() else {
            return 0;
        };
        let size = run.contents.len() - start;
        if size == 0 {
            if start == 0 {
                self.runs.pop();
            }
        } else if start == 0 {
            run.segment = size;
        } else if size > run.segment {
            let mut contents = pool.take();
            contents.extend_from_slice(run.contents.get(start..).unwrap_or_default());
            run.contents.truncate(start);
            self.runs.push(Run {
                contents,
                segment: size,
            });
        }
        size
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Run> {
        self.runs.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_hold_the_same_packets_in_the_same_order(sizes in prop::collection::vec(0usize..5, 0..300)) {
            let (mut batch, mut pool) = (Batch::default(), BufferPool::default());
            let mut expected = Vec::new();
            for (index, size) in sizes.into_iter().enumerate() {
                let packet = vec![index as u8; [0, 40, 300, 1_200, 1_200][size]];
                let buffer = batch.begin(&mut pool);
                let start = buffer.len();
                buffer.extend_from_slice(&packet);
                prop_assert_eq!(batch.end(&mut pool, start), packet.len());
                if !packet.is_empty() { expected.push(packet); }
            }
            let mut seen = Vec::new();
            for run in batch.drain() {
                prop_assert!(run.datagrams() <= MAX_SEGMENTS && run.contents.len() <= MAX_BYTES);
                seen.extend(run.contents.chunks(run.segment).map(<[u8]>::to_vec));
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
