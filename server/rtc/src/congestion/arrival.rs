//! Groups packets that were sent together and compares how far apart groups were sent and arrived
//! (draft-ietf-rmcat-gcc-02 section 5.2).

use super::time::Micros;

/// Packets sent within this belong together: the delay between them says more of the sender than of the path.
const GROUP: Micros = Micros::from_millis(5);
/// Packets that arrive this close although sent further apart were held up together by the path.
const BURST_GAP: Micros = Micros::from_millis(5);
const MAX_BURST: Micros = Micros::from_millis(100);
/// The receiver's clock ran this much further than ours: it was set anew.
const CLOCK_JUMP: Micros = Micros::from_millis(3_000);
const MAX_REORDERED: u8 = 3;

/// How two successive groups differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variation {
    pub(super) sent: Micros,
    pub(super) arrived: Micros,
    /// When the later group was complete, by the receiver's clock.
    pub(super) at: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Micros,
    last_sent: Micros,
    first_arrival: Micros,
    complete: Micros,
    heard: Micros,
}

/// Finds groups in a stream of packets in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    current: Option<Group>,
    previous: Option<Group>,
    reordered: u8,
}

impl Arrivals {
    /// A packet sent at `sent` arrived at `arrival`, and we heard of it at `heard`. Gives the variation if it began a new group.
    pub(super) fn add(
        &mut self,
        sent: Micros,
        arrival: Micros,
        heard: Micros,
    ) -> Option<Variation> {
        let Some(group) = &mut self.current else {
            self.begin(sent, arrival, heard);
            return None;
        };
        if sent < group.first_sent {
            return None;
        }
        if group.takes(sent, arrival) {
            group.last_sent = group.last_sent.max(sent);
            group.complete = arrival;
            group.heard = heard;
            return None;
        }

        let group = *group;
        let variation = match self.previous {
            Some(previous) => {
                let arrived = group.complete - previous.complete;
                if arrived - (group.heard - previous.heard) >= CLOCK_JUMP {
                    *self = Self::default();
                    return None;
                }
                if arrived < Micros::ZERO {
                    self.reordered += 1;
                    if self.reordered >= MAX_REORDERED {
                        *self = Self::default();
                    }
                    return None;
                }
                self.reordered = 0;
                Some(Variation {
                    sent: group.last_sent - previous.last_sent,
                    arrived,
                    at: group.complete,
                })
            }
            None => None,
        };
        self.previous = Some(group);
        self.begin(sent, arrival, heard);
        variation
    }

    fn begin(&mut self, sent: Micros, arrival: Micros, heard: Micros) {
        self.current = Some(Group {
            first_sent: sent,
            last_sent: sent,
            first_arrival: arrival,
            complete: arrival,
            heard,
        });
    }
}

impl Group {
    fn takes(&self, sent: Micros, arrival: Micros) -> bool {
        if sent - self.first_sent <= GROUP {
            return true;
        }
        let arrived = arrival - self.complete;
        let held_up = arrived - (sent - self.last_sent) < Micros::ZERO;
        held_up && arrived <= BURST_GAP && arrival - self.first_arrival < MAX_BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_frame_is_one_group_and_the_next_one_tells_the_variation() {
        let mut arrivals = Arrivals::default();
        let packets = [(0, 50), (1, 51), (33, 85), (34, 86), (66, 130), (99, 150)];
        let variations: Vec<_> = packets
            .iter()
            .filter_map(|(sent, arrival)| arrivals.add(ms(*sent), ms(*arrival), ms(*arrival)))
            .map(|variation| (variation.sent, variation.arrived))
            .collect();
        // The last group is not complete.
        assert_eq!(variations, [(ms(33), ms(35)), (ms(32), ms(44))]);
    }

    #[test]
    fn a_receiver_whose_clock_is_set_anew_is_believed_again_at_once() {
        let mut arrivals = Arrivals::default();
        let mut found = 0;
        for at in (0..2_000).step_by(33) {
            let clock = if at < 1_000 { at } else { at - 1_000_000 };
            found += usize::from(arrivals.add(ms(at), ms(clock), ms(at)).is_some());
        }
        assert!(found > 50, "{found}");
    }
}
