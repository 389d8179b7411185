//! The receiving side: what is missing, what to ask for, what came twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::window::ArrivalWindow;
use super::{AUDIO_MAX_ROUND_TRIP, KEPT, VIDEO_MAX_ROUND_TRIP};
use crate::class::MediaClass;
use crate::frame::{Copy, HopHeader, LaneCount, MAX_NACK_ENTRIES, NackEntry};

/// Gaps longer than this are an interruption: asking for all of it would make things worse.
const MAX_GAP: u64 = 512;
/// Packets of one class that may be missing at once.
const MAX_MISSING: usize = 1_024;
/// How often a packet is asked for.
const MAX_ASKED: u8 = 3;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first copy came first: pass it on.
    First,
    /// Another copy came first: the loss is repaired, pass it on.
    Repaired,
    /// Seen before, or too old: drop it.
    Again,
}

/// Finds losses and repeats in what arrives.
#[derive(Debug)]
pub struct LossReceiver {
    lanes: [Lane; MediaClass::ALL.len()],
    dirty: bool,
}

#[derive(Debug)]
struct Lane {
    window: ArrivalWindow,
    first: Option<u64>,
    newest_first_copy: u64,
    arrived: u64,
    missing: BTreeMap<u64, Missing>,
}

#[derive(Debug)]
struct Missing {
    since: Instant,
    ask_at: Instant,
    asked: u8,
}

impl LossReceiver {
    /// Nothing received yet.
    pub fn new() -> Self {
        let lane = || Lane {
            window: ArrivalWindow::new(),
            first: None,
            newest_first_copy: 0,
            arrived: 0,
            missing: BTreeMap::new(),
        };
        Self {
            lanes: std::array::from_fn(|_| lane()),
            dirty: false,
        }
    }

    /// A media packet arrived on a hop with this round trip.
    pub fn on_packet(&mut self, now: Instant, round_trip: Duration, header: &HopHeader) -> Arrival {
        let class = header.class;
        let lane = &mut self.lanes[usize::from(class.code())];
        let number = lane.window.extend(header.sequence);
        let newest = lane.window.newest();
        if header.copy == Copy::First {
            self.dirty = true;
            if lane.first.is_none_or(|first| number < first) {
                lane.first = Some(number);
            }
            lane.newest_first_copy = lane.newest_first_copy.max(number);
        }
        if !lane.window.mark(number) {
            // The first copy can arrive after the second: it was late, not lost.
            return Arrival::Again;
        }
        if let Some(newest) = newest
            && number > newest + 1
            && can_ask(class, round_trip)
        {
            let ask_at = now + reordering_time(round_trip);
            for missing in (newest + 1..number).rev().take(MAX_GAP as usize) {
                lane.missing.insert(
                    missing,
                    Missing {
                        since: now,
                        ask_at,
                        asked: 0,
                    },
                );
            }
            while lane.missing.len() > MAX_MISSING {
                lane.missing.pop_first();
            }
        }
        lane.missing.remove(&number);
        match header.copy {
            Copy::First => {
                lane.arrived += 1;
                Arrival::First
            }
            _ => Arrival::Repaired,
        }
    }

    /// The packets of a class to ask for now, if any.
    pub fn poll_nack(
        &mut self,
        now: Instant,
        round_trip: Duration,
    ) -> Option<(MediaClass, Vec<NackEntry>)> {
        MediaClass::ALL.into_iter().find_map(|class| {
            let lane = &mut self.lanes[usize::from(class.code())];
            lane.missing.retain(|_, missing| {
                now.saturating_duration_since(missing.since) < KEPT && missing.asked <= MAX_ASKED
            });
            let due = lane
                .missing
                .iter_mut()
                .filter(|(_, missing)| missing.ask_at <= now && missing.asked < MAX_ASKED);
            let mut entries: Vec<(u64, NackEntry)> = Vec::new();
            for (&number, missing) in due {
                if let Some((first, entry)) = entries.last_mut()
                    && number - *first <= 16
                {
                    entry.following |= 1 << (number - *first - 1);
                } else if entries.len() == MAX_NACK_ENTRIES {
                    break;
                } else {
                    entries.push((
                        number,
                        NackEntry {
                            first: number as u16,
                            following: 0,
                        },
                    ));
                }
                missing.asked += 1;
                missing.ask_at = now + round_trip.mul_f64(1.25) + Duration::from_millis(10);
            }
            (!entries.is_empty())
                .then(|| (class, entries.into_iter().map(|(_, entry)| entry).collect()))
        })
    }

    /// When [`Self::poll_nack`] has something to ask.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let missing = self.lanes.iter().flat_map(|lane| lane.missing.values());
        missing
            .filter(|missing| missing.asked < MAX_ASKED)
            .map(|missing| missing.ask_at)
            .min()
    }

    /// What has arrived so far, by class; `None` when nothing came since the last call.
    pub fn take_counts(&mut self) -> Option<Vec<LaneCount>> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let counts = MediaClass::ALL.into_iter().filter_map(|class| {
            let lane = &self.lanes[usize::from(class.code())];
            let expected = lane.newest_first_copy + 1 - lane.first?;
            Some(LaneCount {
                class,
                expected,
                arrived: lane.arrived.min(expected),
            })
        });
        Some(counts.collect())
    }
}

impl Default for LossReceiver {
    fn default() -> Self {
        Self::new()
    }
}

fn can_ask(class: MediaClass, round_trip: Duration) -> bool {
    match class {
        MediaClass::Audio => round_trip <= AUDIO_MAX_ROUND_TRIP,
        _ => class.is_video() && round_trip <= VIDEO_MAX_ROUND_TRIP,
    }
}

/// How long a packet may be overtaken before it counts as lost (the eighth of RFC 9002's time threshold).
fn reordering_time(round_trip: Duration) -> Duration {
    (round_trip / 8).clamp(Duration::from_millis(2), Duration::from_millis(10))
}
