//! Video that waits because the path has no room for it now.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::media::OutgoingPacket;

/// Packets that may wait: half a second at 12 Mbit/s.
const MAX_PACKETS: usize = 512;
/// A picture that waited longer is of no use to a call.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Retransmissions that may wait.
const MAX_RESENDS: usize = 256;

pub(super) struct Waiting {
    pub(super) ssrc: u32,
    pub(super) since: Instant,
    pub(super) packet: OutgoingPacket,
}

/// First in, first out. When it is full the newest packet is dropped, since the older ones are what a decoder needs
/// first; what waited too long is dropped from the front. Both can still be asked for again.
#[derive(Default)]
pub(super) struct Queue {
    media: VecDeque<Waiting>,
    /// SSRC and sequence number on the wire of packets to be sent again, before all others.
    resends: VecDeque<(u32, u16)>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.media.is_empty() && self.resends.is_empty()
    }

    /// False if there is no room.
    pub(super) fn push(&mut self, now: Instant, ssrc: u32, packet: OutgoingPacket) -> bool {
        if self.media.len() >= MAX_PACKETS {
            return false;
        }
        self.media.push_back(Waiting {
            ssrc,
            since: now,
            packet,
        });
        true
    }

    pub(super) fn push_resend(&mut self, ssrc: u32, sequence: u16) {
        if self.resends.len() < MAX_RESENDS {
            self.resends.push_back((ssrc, sequence));
        }
    }

    pub(super) fn pop_resend(&mut self) -> Option<(u32, u16)> {
        self.resends.pop_front()
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.media.pop_front()
    }

    /// Drops what waited too long; gives back how many packets that were.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.media.len();
        while self
            .media
            .front()
            .is_some_and(|waiting| now.saturating_duration_since(waiting.since) > MAX_WAIT)
        {
            self.media.pop_front();
        }
        before - self.media.len()
    }
}
