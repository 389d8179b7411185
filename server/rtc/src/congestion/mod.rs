//! A fixed estimate, which the receiver's own bound may lower.

use std::time::{Duration, Instant};

pub(crate) struct Congestion {
    estimate: u64,
    next: u16,
    round_trip: Option<Duration>,
    now: Instant,
}

#[derive(Debug, thiserror::Error)]
#[error("feedback is malformed")]
pub(crate) struct FeedbackError;

impl Congestion {
    pub(crate) fn new(now: Instant, initial: u64) -> Self {
        Self {
            estimate: initial,
            next: 0,
            round_trip: None,
            now,
        }
    }
    pub(crate) fn packet_sent(&mut self, _now: Instant, _bytes: usize) -> u16 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
    pub(crate) fn handle_feedback(&mut self, _: Instant, _: &[u8]) -> Result<(), FeedbackError> {
        Ok(())
    }
    pub(crate) fn handle_remb(&mut self, _: Instant, bitrate: u64) {
        self.estimate = bitrate;
    }
    pub(crate) fn handle_round_trip(&mut self, _: Instant, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }
    pub(crate) fn set_demand(&mut self, _: Instant, _: u64) {}
    pub(crate) fn estimate(&self) -> u64 {
        self.estimate
    }
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        self.now = now;
        true
    }
    pub(crate) fn admits_at(&self) -> Instant {
        self.now
    }
    pub(crate) fn poll_probe(&mut self, _: Instant) -> Option<usize> {
        None
    }
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub(crate) fn handle_timeout(&mut self, _: Instant) {}
}
