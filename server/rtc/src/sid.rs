//! Makes identifiers from a seed, so that a run can be replayed.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters after the prefix: 62^12 possibilities, as many as SDKs are used to.
const LENGTH: usize = 12;

/// A SplitMix64 sequence. Identifiers are names, not secrets: nothing is granted to those who know one.
pub(crate) struct IdGenerator {
    state: u64,
}

impl IdGenerator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// `prefix` and twelve characters.
    pub(crate) fn next_id(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + LENGTH);
        id.push_str(prefix);
        let mut pool = 0u128;
        for at in 0..LENGTH {
            if at % 6 == 0 {
                pool = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
            }
            id.push(ALPHABET[(pool % 62) as usize] as char);
            pool /= 62;
        }
        id
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_ids_and_ids_differ() {
        let (mut a, mut b) = (IdGenerator::new(7), IdGenerator::new(7));
        let first = a.next_id("PA_");
        assert_eq!(first, b.next_id("PA_"));
        assert_eq!(first.len(), 15);
        assert_ne!(first, a.next_id("PA_"));
    }
}
