//! Which packet indices have been seen.

const WORDS: usize = 16;

/// The last 960 packet indices of one SSRC (RFC 3711 section 3.3.2): wide enough for a packet that its publisher had to
/// send twice.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    /// The highest index seen.
    highest: Option<u64>,
    /// Bit of index n: word n / 64 modulo their number, bit n modulo 64.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Indices back to which a packet is still told from a replay.
    pub const SIZE: u64 = 64 * (WORDS as u64 - 1);

    /// The highest index noted.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Whether the index is new.
    pub fn accepts(&self, index: u64) -> bool {
        match self.highest {
            None => true,
            Some(highest) if index > highest => true,
            Some(highest) => {
                let (word, bit) = place(index);
                highest - index < Self::SIZE && self.seen[word] & bit == 0
            }
        }
    }

    /// Notes the index; false if it was seen before or is too old to tell.
    pub fn note(&mut self, index: u64) -> bool {
        if !self.accepts(index) {
            return false;
        }
        match self.highest {
            Some(highest) if index <= highest => {}
            Some(highest) => {
                // Words that the window moves into still hold what is one round older.
                let first = highest / 64 + 1;
                let last = (index / 64).min(highest / 64 + WORDS as u64);
                for word in first..=last {
                    self.seen[(word % WORDS as u64) as usize] = 0;
                }
                self.highest = Some(index);
            }
            None => self.highest = Some(index),
        }
        let (word, bit) = place(index);
        self.seen[word] |= bit;
        true
    }
}

fn place(index: u64) -> (usize, u64) {
    ((index / 64) as usize % WORDS, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_index_is_noted_once_whatever_comes_before(steps in prop::collection::vec(-1_200i64..1_200, 1..400)) {
            let (mut window, mut seen, mut at) = (ReplayWindow::default(), BTreeSet::new(), 5_000i64);
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let expected = !seen.contains(&index)
                    && seen.last().is_none_or(|last| index > *last || last - index < ReplayWindow::SIZE);
                prop_assert_eq!(window.note(index), expected);
                seen.insert(index);
                // What was refused as too old has not been noted, and is refused for good.
                if !expected { prop_assert!(!window.accepts(index)); }
            }
        }
    }
}
