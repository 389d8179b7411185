//! RTP timestamps that go on across switches.

use std::time::{Duration, Instant};

/// Further than this from the arrival times, timestamps mapped by sender reports are not believed.
const PLAUSIBLE: Duration = Duration::from_secs(1);

/// After this long without a packet an encoding counts as dried up. Slow screen shares send a frame each second or so.
const STALE: Duration = Duration::from_secs(2);

/// Maps the timestamps of whatever is being forwarded to one line that always moves on.
#[derive(Debug)]
pub(super) struct Timeline {
    clock_rate: u32,
    /// Outgoing minus source timestamp of the encoding being forwarded, modulo 2^32.
    offset: u32,
    /// Outgoing timestamp minus that of encoding 0, once known.
    base: Option<u32>,
    /// The newest frame's outgoing timestamp and when it arrived.
    last: Option<(u32, Instant)>,
    /// When the last packet was forwarded.
    last_arrival: Option<Instant>,
}

impl Timeline {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            offset: 0,
            base: None,
            last: None,
            last_arrival: None,
        }
    }

    /// Timestamps of what comes next have nothing to do with those before.
    pub(super) fn source_changed(&mut self) {
        self.base = None;
    }

    /// Another encoding, or the same one after a pause, begins with this packet.
    pub(super) fn switch(&mut self, timestamp: u32, common_offset: Option<u32>, arrival: Instant) {
        let Some((last, last_arrival)) = self.last else {
            return;
        };
        let elapsed = ticks(
            arrival.saturating_duration_since(last_arrival),
            self.clock_rate,
        );
        let by_arrival = last.wrapping_add((elapsed as u32).max(1));
        let by_reports = self
            .base
            .zip(common_offset)
            .map(|(base, common)| timestamp.wrapping_add(common).wrapping_add(base));
        let plausible = ticks(PLAUSIBLE, self.clock_rate) as i32;
        let mapped = by_reports
            .filter(|mapped| {
                (mapped.wrapping_sub(by_arrival) as i32).unsigned_abs() <= plausible.unsigned_abs()
            })
            .unwrap_or(by_arrival);
        let forward = if (mapped.wrapping_sub(last) as i32) > 0 {
            mapped
        } else {
            last.wrapping_add(1)
        };
        self.offset = forward.wrapping_sub(timestamp);
    }

    /// A packet is forwarded.
    pub(super) fn advance(&mut self, timestamp: u32, common_offset: Option<u32>, arrival: Instant) {
        if let (None, Some(common)) = (self.base, common_offset) {
            self.base = Some(self.offset.wrapping_sub(common));
        }
        self.last_arrival = Some(arrival);
        let mapped = self.map(timestamp);
        if self
            .last
            .is_none_or(|(last, _)| (mapped.wrapping_sub(last) as i32) > 0)
        {
            self.last = Some((mapped, arrival));
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.last.is_some()
    }

    pub(super) fn map(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.offset)
    }

    /// Whether nothing was forwarded for so long that the encoding seems to have stopped.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.last_arrival
            .is_some_and(|last| now.saturating_duration_since(last) >= STALE)
    }
}

fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    (duration.as_micros() as u64).wrapping_mul(clock_rate.into()) / 1_000_000
}
