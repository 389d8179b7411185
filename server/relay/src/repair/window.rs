//! Which of the last packets of a class have arrived, by 16-bit sequences that wrap.

/// Packets that are remembered behind the newest.
pub(crate) const WIDTH: u64 = 4_096;
const WORDS: usize = WIDTH as usize / 64;

/// Extends sequences to 64 bits and remembers arrivals.
#[derive(Debug)]
pub(crate) struct ArrivalWindow {
    bits: [u64; WORDS],
    newest: Option<u64>,
}

impl ArrivalWindow {
    pub(crate) fn new() -> Self {
        Self {
            bits: [0; WORDS],
            newest: None,
        }
    }

    /// The newest packet known to have been sent.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The number nearest to the newest with these lower 16 bits. The first packet is given room for older ones behind it.
    pub(crate) fn extend(&self, sequence: u16) -> u64 {
        let Some(newest) = self.newest else {
            return 0x1_0000 + u64::from(sequence);
        };
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        newest.saturating_add_signed(i64::from(ahead))
    }

    /// Marks a packet as arrived; `false` when it had arrived before or is too old to tell.
    pub(crate) fn mark(&mut self, number: u64) -> bool {
        match self.newest {
            Some(newest) if number > newest => {
                for skipped in (newest + 1..=number).take(WIDTH as usize) {
                    self.set(skipped, false);
                }
                self.newest = Some(number);
            }
            Some(newest) if newest - number >= WIDTH => return false,
            Some(_) => {}
            None => self.newest = Some(number),
        }
        let fresh = !self.has(number);
        self.set(number, true);
        fresh
    }

    fn has(&self, number: u64) -> bool {
        self.bits[(number % WIDTH / 64) as usize] >> (number % 64) & 1 == 1
    }

    fn set(&mut self, number: u64, arrived: bool) {
        let word = &mut self.bits[(number % WIDTH / 64) as usize];
        let bit = 1 << (number % 64);
        if arrived { *word |= bit } else { *word &= !bit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_packet_is_new_exactly_once(
            steps in proptest::collection::vec(-600i64..1_500, 1..400),
        ) {
            let mut window = ArrivalWindow::new();
            let mut seen = BTreeSet::new();
            let mut at = 70_000i64;
            window.mark(at as u64);
            seen.insert(at as u64);
            for step in steps {
                let newest = window.newest().unwrap();
                at = (newest as i64 + step).max(0);
                let number = window.extend(at as u16);
                prop_assert_eq!(number, at as u64);
                prop_assert_eq!(window.mark(number), seen.insert(number));
            }
        }
    }

    #[test]
    fn what_is_too_old_is_dropped() {
        let mut window = ArrivalWindow::new();
        window.mark(100_000);
        assert!(!window.mark(100_000 - WIDTH));
        assert!(window.mark(100_001 - WIDTH));
    }

    #[test]
    fn a_leap_forgets_everything() {
        let mut window = ArrivalWindow::new();
        window.mark(10);
        window.mark(10 + 3 * WIDTH);
        assert!(window.mark(11 + 2 * WIDTH));
    }
}
