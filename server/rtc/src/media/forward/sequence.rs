//! Sequence numbers without seams.

/// Packets back to which late ones are still placed. A multiple of 64.
const WINDOW: u64 = 512;
const WORDS: usize = (WINDOW / 64) as usize;

/// Numbers forwarded packets in a row. What was lost before us stays a gap, so that the subscriber asks for it; what
/// is dropped on purpose leaves none; what comes late gets the number that was left for it.
#[derive(Debug)]
pub(super) struct SequenceRewriter {
    /// Source number minus outgoing number, modulo 2^64.
    offset: u64,
    /// First source number after the last switch.
    first: u64,
    /// Highest source number seen since.
    highest: u64,
    /// Highest outgoing number given, plus one.
    next: u64,
    /// Timestamp of the packet at `highest` if that one was dropped.
    dropping: Option<u32>,
    /// Source numbers that were dropped, by their remainder modulo the window.
    dropped: [u64; WORDS],
}

impl SequenceRewriter {
    pub(super) fn new(first_sequence: u16) -> Self {
        Self {
            offset: 0,
            first: 0,
            highest: 0,
            next: first_sequence.into(),
            dropping: None,
            dropped: [0; WORDS],
        }
    }

    /// The packet with this source number is the next to be forwarded, whatever came before.
    pub(super) fn switch(&mut self, source: u64) {
        self.offset = source.wrapping_sub(self.next);
        self.first = source;
        self.highest = source.wrapping_sub(1);
        self.dropping = None;
        self.dropped = [0; WORDS];
    }

    /// The outgoing number of a packet newer than all others.
    pub(super) fn next(&mut self, source: u64) -> u64 {
        self.move_to(source);
        self.dropping = None;
        let out = source.wrapping_sub(self.offset);
        self.next = out.wrapping_add(1);
        out
    }

    /// A packet newer than all others is dropped on purpose.
    pub(super) fn drop_next(&mut self, source: u64, timestamp: u32) {
        let previous = self.highest;
        let same_frame = self.dropping == Some(timestamp);
        self.move_to(source);
        // What is missing between two dropped packets of a frame would have been dropped as well.
        let from = if same_frame && source.wrapping_sub(previous) < WINDOW {
            previous.wrapping_add(1)
        } else {
            source
        };
        let mut number = from;
        while number != source.wrapping_add(1) {
            self.mark(number);
            self.offset = self.offset.wrapping_add(1);
            number = number.wrapping_add(1);
        }
        self.dropping = Some(timestamp);
    }

    /// The outgoing number of a packet older than the newest; `None` if there is no slot left for it.
    pub(super) fn late(&mut self, source: u64) -> Option<u64> {
        let back = self.highest.checked_sub(source)?;
        if source < self.first || back >= WINDOW || self.is_dropped(source) {
            return None;
        }
        let dropped_since = (source + 1..=self.highest)
            .filter(|number| self.is_dropped(*number))
            .count() as u64;
        let out = source.wrapping_sub(self.offset.wrapping_sub(dropped_since));
        self.next = self.next.max(out.wrapping_add(1));
        Some(out)
    }

    fn move_to(&mut self, source: u64) {
        let step = source.wrapping_sub(self.highest);
        if step >= WINDOW {
            // Longer than any repair: one missing number tells of the loss as well as hundreds do.
            self.dropped = [0; WORDS];
            self.first = source;
            self.offset = source.wrapping_sub(self.next.wrapping_add(1));
        } else {
            for back in 0..step {
                let number = source.wrapping_sub(back);
                self.dropped[word(number)] &= !bit(number);
            }
        }
        self.highest = source;
    }

    fn mark(&mut self, source: u64) {
        self.dropped[word(source)] |= bit(source);
    }

    fn is_dropped(&self, source: u64) -> bool {
        self.dropped[word(source)] & bit(source) != 0
    }
}

fn word(source: u64) -> usize {
    (source / 64) as usize % WORDS
}

fn bit(source: u64) -> u64 {
    1 << (source % 64)
}
