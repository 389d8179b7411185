//! The sending side: what was sent, and whether sound goes twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{AUDIO_MAX_ROUND_TRIP, DUPLICATE_ABOVE, DUPLICATE_AFTER, DUPLICATE_BELOW, KEPT};
use crate::class::MediaClass;
use crate::frame::{LaneCount, MediaHeader, NackEntry};

/// Bytes that are kept of one class at most, whatever the rate.
const KEPT_BYTES: usize = 8 << 20;
/// Losses count for about this long.
const LOSS_MEMORY: Duration = Duration::from_secs(10);
/// Fewer packets than this say nothing about loss.
const LOSS_MIN_PACKETS: f64 = 100.0;

/// A packet that was sent and can be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its headers as they were.
    pub header: MediaHeader,
    /// The RTP packet.
    pub rtp: Bytes,
}

/// Remembers sent packets and measures the loss that the far side reports.
#[derive(Debug)]
pub struct LossSender {
    lanes: [Lane; MediaClass::ALL.len()],
    second_copies: VecDeque<(Instant, Kept)>,
    duplicating: bool,
    expected: f64,
    lost: f64,
    reported: Option<Instant>,
}

#[derive(Debug, Default)]
struct Lane {
    kept: VecDeque<(Instant, Kept)>,
    bytes: usize,
    counted: (u64, u64),
}

impl LossSender {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::default()),
            second_copies: VecDeque::new(),
            duplicating: false,
            expected: 0.0,
            lost: 0.0,
            reported: None,
        }
    }

    /// The first copy of a packet leaves now.
    pub fn sent(&mut self, now: Instant, packet: Kept) {
        let class = packet.header.hop.class;
        if class == MediaClass::Audio && self.duplicating {
            self.second_copies
                .push_back((now + DUPLICATE_AFTER, packet.clone()));
        }
        if !class.is_video() && class != MediaClass::Audio {
            return;
        }
        let lane = &mut self.lanes[usize::from(class.code())];
        lane.bytes += packet.rtp.len();
        lane.kept.push_back((now, packet));
        while let Some((at, first)) = lane.kept.front()
            && (now.saturating_duration_since(*at) > KEPT || lane.bytes > KEPT_BYTES)
        {
            lane.bytes -= first.rtp.len();
            lane.kept.pop_front();
        }
    }

    /// The packets of a NACK that are still kept.
    pub fn asked_again(
        &mut self,
        now: Instant,
        class: MediaClass,
        entries: &[NackEntry],
    ) -> Vec<Kept> {
        let lane = &self.lanes[usize::from(class.code())];
        let Some((_, oldest)) = lane.kept.front() else {
            return Vec::new();
        };
        let start = oldest.header.hop.sequence;
        let mut found = Vec::new();
        for entry in entries {
            let following = (0..16)
                .filter(|bit| entry.following >> bit & 1 == 1)
                .map(|bit| bit + 1);
            for offset in std::iter::once(0).chain(following) {
                // Sequences of a class have no holes, so the place follows from the number.
                let place = entry.first.wrapping_add(offset).wrapping_sub(start);
                if let Some((at, packet)) = lane.kept.get(usize::from(place))
                    && now.saturating_duration_since(*at) <= KEPT
                {
                    found.push(packet.clone());
                }
            }
        }
        found
    }

    /// The far side told what arrived; `round_trip` of the hop decides how sound is repaired.
    pub fn on_feedback(&mut self, now: Instant, round_trip: Duration, lanes: &[LaneCount]) {
        let since = self
            .reported
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.reported = Some(now);
        let remembered = (-since.as_secs_f64() / LOSS_MEMORY.as_secs_f64()).exp();
        self.expected *= remembered;
        self.lost *= remembered;
        for count in lanes {
            let lane = &mut self.lanes[usize::from(count.class.code())];
            let (expected, arrived) = lane.counted;
            // Datagrams overtake each other: an older report tells nothing new.
            if count.expected < expected || count.arrived < arrived {
                continue;
            }
            lane.counted = (count.expected, count.arrived);
            let sent = (count.expected - expected) as f64;
            self.expected += sent;
            self.lost += (sent - (count.arrived - arrived) as f64).max(0.0);
        }
        let loss = self.loss();
        let limit = if self.duplicating {
            DUPLICATE_BELOW
        } else {
            DUPLICATE_ABOVE
        };
        self.duplicating =
            round_trip > AUDIO_MAX_ROUND_TRIP && self.expected >= LOSS_MIN_PACKETS && loss > limit;
    }

    /// The share of first copies that were lost lately.
    pub fn loss(&self) -> f64 {
        if self.expected < 1.0 {
            0.0
        } else {
            self.lost / self.expected
        }
    }

    /// A second copy that is due.
    pub fn due_copy(&mut self, now: Instant) -> Option<Kept> {
        let (due, _) = self.second_copies.front()?;
        if *due > now {
            return None;
        }
        self.second_copies.pop_front().map(|(_, packet)| packet)
    }

    /// When the next second copy is due.
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.second_copies.front().map(|(due, _)| *due)
    }
}

impl Default for LossSender {
    fn default() -> Self {
        Self::new()
    }
}
