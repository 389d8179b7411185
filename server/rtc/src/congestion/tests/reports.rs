//! Writes feedback messages, and checks that what is written is read.

use proptest::prelude::*;

use crate::congestion::feedback::{Feedback, FeedbackError, reference_time};

/// The number nearest to `near` that ends in `sequence`.
pub(super) fn unwrap_near(near: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(near as u16) as i16;
    near.saturating_add_signed(i64::from(ahead))
}

/// A message on packets from `base` on; arrivals in microseconds. What is more than 8 s from its forerunner is left out.
pub(super) fn build(base: u16, arrivals: &[Option<u64>]) -> Vec<u8> {
    let first = arrivals.iter().flatten().next().copied().unwrap_or(0);
    let reference = first / 64_000;
    let mut time = reference * 64_000;
    let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
    for arrival in arrivals {
        let delta = arrival.map(|at| (at as i64 - time as i64).div_euclid(250));
        let symbol = match delta {
            Some(delta) if (0..256).contains(&delta) => {
                deltas.push(delta as u8);
                1
            }
            Some(delta) if i16::try_from(delta).is_ok() => {
                deltas.extend((delta as i16).to_be_bytes());
                2
            }
            _ => 0u16,
        };
        if symbol > 0 {
            time = time.saturating_add_signed(delta.unwrap() * 250);
        }
        symbols.push(symbol);
    }

    let mut message = base.to_be_bytes().to_vec();
    message.extend((arrivals.len() as u16).to_be_bytes());
    message.extend(&(reference as u32).to_be_bytes()[1..]);
    message.push(0);
    let mut left = &symbols[..];
    while let Some(symbol) = left.first() {
        let run = left
            .iter()
            .take_while(|at| *at == symbol)
            .count()
            .min(8_191);
        let small = left.iter().take(14).all(|symbol| *symbol < 2);
        let (word, take) = if run >= 14 {
            (symbol << 13 | run as u16, run)
        } else if small {
            let bits = (0..14).map(|at| left.get(at).copied().unwrap_or(0) << (13 - at));
            (0x8000 | bits.sum::<u16>(), 14)
        } else {
            let bits = (0..7).map(|at| left.get(at).copied().unwrap_or(0) << (12 - 2 * at));
            (0xc000 | bits.sum::<u16>(), 7)
        };
        message.extend(word.to_be_bytes());
        left = &left[take.min(left.len())..];
    }
    message.extend(deltas);
    message
}

/// As read: numbers, and arrivals in microseconds.
fn read(message: &[u8]) -> Vec<(u16, Option<i64>)> {
    let feedback = Feedback::parse(message).unwrap();
    let reference = reference_time(i64::from(feedback.reference)).0;
    feedback
        .statuses()
        .map(|status| {
            let arrival = status.arrival.map(|arrival| reference + arrival.0);
            (status.sequence, arrival)
        })
        .collect()
}

#[test]
fn a_message_of_the_draft_is_read() {
    // Base 5, seven packets, reference 3 x 64 ms, one run of "small delta", one vector, deltas.
    let message = [
        0, 5, 0, 7, 0, 0, 3, 9, 0x20, 3, 0xc8, 0x40, 4, 8, 0, 0xff, 0xfe, 40, 0,
    ];
    let at = |quarters: i64| Some(192_000 + quarters * 250);
    assert_eq!(
        read(&message),
        [
            (5, at(4)),
            (6, at(12)),
            (7, at(12)),
            (8, None),
            (9, at(10)),
            (10, None),
            (11, at(50)),
        ]
    );
}

#[test]
fn what_is_malformed_is_named() {
    assert_eq!(
        Feedback::parse(&[0; 7]).err(),
        Some(FeedbackError::Truncated(7))
    );
    let reserved = [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 1, 0];
    assert_eq!(
        Feedback::parse(&reserved).err(),
        Some(FeedbackError::ReservedStatus)
    );
    let without_delta = [0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1];
    assert_eq!(
        Feedback::parse(&without_delta).err(),
        Some(FeedbackError::Truncated(10))
    );
    let many = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff];
    assert_eq!(
        Feedback::parse(&many).err(),
        Some(FeedbackError::TooMany(0xffff))
    );
}

#[test]
fn a_run_of_no_packets_neither_ends_nor_holds_up_the_message() {
    let message = [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 8];
    assert_eq!(read(&message), [(1, Some(2_000))]);
    let endless = [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(Feedback::parse(&endless).is_err());
}

proptest! {
    #[test]
    fn reading_never_panics_and_gives_as_many_as_announced(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(feedback) = Feedback::parse(&message) {
            let announced = usize::from(u16::from_be_bytes([message[2], message[3]]));
            prop_assert_eq!(feedback.statuses().count(), announced);
        }
    }

    #[test]
    fn what_is_written_is_read(
        base in any::<u16>(),
        begin in 0u64..1_000_000_000,
        gaps in proptest::collection::vec(proptest::option::of(-60_000i64..200_000), 1..300),
    ) {
        let mut at = begin + 50_000_000;
        let arrivals: Vec<Option<u64>> = gaps
            .iter()
            .map(|gap| gap.map(|gap| { at = at.saturating_add_signed(gap) / 250 * 250; at }))
            .collect();
        let expected: Vec<(u16, Option<i64>)> = arrivals
            .iter()
            .enumerate()
            .map(|(index, at)| (base.wrapping_add(index as u16), at.map(|at| at as i64)))
            .collect();
        prop_assert_eq!(read(&build(base, &arrivals)), expected);
    }
}
