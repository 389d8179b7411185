//! How much is sent.

use super::time::{Micros, bitrate};

const WINDOW: Micros = Micros::from_millis(500);

/// Bits per second sent, by windows of half a second.
#[derive(Debug, Default)]
pub(super) struct SentRate {
    since: Micros,
    bytes: u64,
    last: u64,
}

impl SentRate {
    pub(super) fn add(&mut self, now: Micros, bytes: u16) {
        if now - self.since >= WINDOW {
            self.last = bitrate(self.bytes, now - self.since);
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += u64::from(bytes);
    }

    /// Of the last whole window, or the present one if that is longer already.
    pub(super) fn bitrate(&self, now: Micros) -> u64 {
        let span = now - self.since;
        if span >= WINDOW {
            bitrate(self.bytes, span)
        } else {
            self.last
        }
    }
}
