//! Transport-wide feedback as receivers send it (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use super::extend;

/// Ticks of the reference time, ns.
const REFERENCE_NS: u64 = 64_000_000;
/// Ticks of a delta, ns.
const DELTA_NS: u64 = 250_000;
/// Packets, received or not, of one message: keeps it within a datagram.
const MAX_PACKETS: u64 = 400;

/// Arrivals that no feedback tells of yet.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Extended number and time of arrival.
    list: Vec<(u64, u64)>,
    last: u64,
    /// First number of the next message, once there was one.
    next: Option<u64>,
    messages: u8,
}

impl Arrivals {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A packet with this transport-wide number came at `at_ns`.
    pub(crate) fn add(&mut self, number: u16, at_ns: u64) {
        // A start away from zero lets early packets be out of order.
        let extended = if self.last == 0 {
            65_536 + u64::from(number)
        } else {
            extend(self.last, number)
        };
        self.last = self.last.max(extended);
        self.list.push((extended, at_ns));
    }

    /// Takes what came into messages, each the content that follows the media SSRC, a multiple of four bytes.
    pub(crate) fn drain(&mut self, mut message: impl FnMut(&[u8])) {
        self.list.sort_unstable_by_key(|(number, _)| *number);
        self.list.dedup_by_key(|(number, _)| *number);
        let list = std::mem::take(&mut self.list);
        let mut rest = &list[..];
        // What was told as lost and came after all is not told again.
        if let Some(next) = self.next {
            rest = &rest[rest.partition_point(|(number, _)| *number < next)..];
        }
        while let Some((first, _)) = rest.first() {
            let base = self
                .next
                .filter(|next| first - next < MAX_PACKETS)
                .unwrap_or(*first);
            let (now, later) =
                rest.split_at(rest.partition_point(|(number, _)| *number < base + MAX_PACKETS));
            rest = later;
            self.next = now.last().map(|(number, _)| number + 1);
            message(&encode(base, now, self.messages));
            self.messages = self.messages.wrapping_add(1);
        }
        self.list = list;
        self.list.clear();
    }
}

fn encode(base: u64, arrivals: &[(u64, u64)], count: u8) -> Vec<u8> {
    let first_ns = arrivals.first().map_or(0, |(_, at)| *at);
    let last = arrivals.last().map_or(base, |(number, _)| *number);
    let reference = first_ns / REFERENCE_NS;
    let mut symbols = vec![0u8; (last - base + 1) as usize];
    let mut deltas = Vec::with_capacity(arrivals.len());
    let mut ticks = reference * (REFERENCE_NS / DELTA_NS);
    for (number, at) in arrivals {
        let now = at / DELTA_NS;
        let delta = (now as i64 - ticks as i64).clamp(i16::MIN.into(), i16::MAX.into());
        ticks = ticks.saturating_add_signed(delta);
        let symbol = &mut symbols[(number - base) as usize];
        match u8::try_from(delta) {
            Ok(small) => {
                *symbol = 1;
                deltas.push(small);
            }
            Err(_) => {
                *symbol = 2;
                deltas.extend_from_slice(&(delta as i16).to_be_bytes());
            }
        }
    }
    let mut content = Vec::with_capacity(16 + symbols.len() / 3 + deltas.len());
    content.extend_from_slice(&(base as u16).to_be_bytes());
    content.extend_from_slice(&(symbols.len() as u16).to_be_bytes());
    content.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
    content.push(count);
    // Long equal runs as run lengths, the rest as vectors of seven two-bit symbols.
    let mut rest = &symbols[..];
    while let Some(&symbol) = rest.first() {
        let run = rest.iter().take_while(|other| **other == symbol).count();
        let chunk = if run > 7 {
            let run = run.min(0x1FFF);
            rest = &rest[run..];
            u16::from(symbol) << 13 | run as u16
        } else {
            let (seven, later) = rest.split_at(rest.len().min(7));
            rest = later;
            let packed =
                |chunk, (at, symbol): (usize, &u8)| chunk | u16::from(*symbol) << (12 - 2 * at);
            seven.iter().enumerate().fold(0xC000, packed)
        };
        content.extend_from_slice(&chunk.to_be_bytes());
    }
    content.extend_from_slice(&deltas);
    content.resize(content.len().next_multiple_of(4), 0);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(arrivals: &mut Arrivals) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        arrivals.drain(|content| all.push(content.to_vec()));
        all
    }

    #[test]
    fn a_full_run_is_one_run_length_and_a_byte_for_each_packet() {
        let mut arrivals = Arrivals::default();
        for number in 0..20u16 {
            arrivals.add(number, 64_000_000 + u64::from(number) * 250_000);
        }
        let all = messages(&mut arrivals);
        assert_eq!(all[0][..10], [0, 0, 0, 20, 0, 0, 1, 0, 0x20, 20]);
        assert_eq!(all[0][10..13], [0, 1, 1]);
        assert_eq!(all[0].len(), 32);
        assert!(arrivals.is_empty());
    }

    #[test]
    fn holes_are_told_once_and_large_gaps_in_time_take_two_bytes() {
        let mut arrivals = Arrivals::default();
        arrivals.add(65_535, 0);
        arrivals.add(1, 100_000_000);
        let all = messages(&mut arrivals);
        // Received small, missing, received large.
        assert_eq!(all[0][..10], [0xFF, 0xFF, 0, 3, 0, 0, 0, 0, 0b1101_0010, 0]);
        assert_eq!(all[0][10..13], [0, 1, 0x90]);
        arrivals.add(0, 110_000_000);
        assert!(messages(&mut arrivals).is_empty());
        arrivals.add(3, 120_000_000);
        assert_eq!(messages(&mut arrivals)[0][..4], [0, 2, 0, 2]);
    }

    #[test]
    fn a_long_silence_does_not_make_a_long_message() {
        let mut arrivals = Arrivals::default();
        for number in [0u16, 20_000] {
            arrivals.add(number, 0);
        }
        let all = messages(&mut arrivals);
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|message| message.len() < 1_000));
    }
}
