//! The pictures since the last key frame of one encoding, for subscribers that come late.

use std::time::{Duration, Instant};

use crate::media::descriptor::FrameDescriptor;
use crate::media::packet::MediaPacket;

/// More than this takes a subscriber longer to receive than a key frame takes to come.
const MAX_BYTES: usize = 512 * 1024;
const MAX_AGE: Duration = Duration::from_secs(2);

/// A packet as the packet path saw it.
#[derive(Clone, Debug)]
pub(crate) struct CachedPacket {
    pub(crate) packet: MediaPacket,
    /// When the media was captured, on our clock.
    pub(crate) captured: Instant,
    /// Can be read only once, and in order.
    pub(crate) descriptor: Option<FrameDescriptor>,
}

/// A key frame and everything after it, by sequence number; empty once that is too much or too old.
#[derive(Debug, Default)]
pub(crate) struct PictureCache {
    packets: Vec<CachedPacket>,
    bytes: usize,
}

impl PictureCache {
    /// Takes a packet in any order; `starts` if a decoder can start with it.
    pub(crate) fn push(&mut self, cached: CachedPacket, starts: bool) {
        let sequence = cached.packet.sequence;
        let (first, known) = match self.packets.first() {
            Some(first) => (
                Some(first),
                first.packet.timestamp == cached.packet.timestamp,
            ),
            None => (None, false),
        };
        // Every packet of some key frames looks like a first one.
        let begins = starts
            && match first {
                Some(first) if known => sequence < first.packet.sequence,
                Some(first) => sequence > first.packet.sequence,
                None => true,
            };
        if begins {
            // What overtook the first packet stays.
            self.packets
                .retain(|known| known.packet.sequence > sequence);
            self.bytes = self.packets.iter().map(size).sum();
        }
        let Some(oldest) = self
            .packets
            .first()
            .map(|first| first.packet.arrival)
            .or(begins.then_some(cached.packet.arrival))
        else {
            return;
        };
        if !begins
            && self
                .packets
                .first()
                .is_some_and(|first| sequence < first.packet.sequence)
        {
            return;
        }
        let at = self
            .packets
            .partition_point(|known| known.packet.sequence < sequence);
        if self
            .packets
            .get(at)
            .is_some_and(|known| known.packet.sequence == sequence)
        {
            return;
        }
        let age = cached.packet.arrival.saturating_duration_since(oldest);
        self.bytes += size(&cached);
        self.packets.insert(at, cached);
        if self.bytes > MAX_BYTES || age > MAX_AGE {
            self.clear();
        }
    }

    /// The packets in order; none if they are no longer of use.
    pub(crate) fn packets(&self, now: Instant) -> &[CachedPacket] {
        match self.packets.first() {
            Some(first) if now.saturating_duration_since(first.packet.arrival) <= MAX_AGE => {
                &self.packets
            }
            _ => &[],
        }
    }

    /// Payload bytes of [`Self::packets`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.packets = Vec::new();
        self.bytes = 0;
    }
}

fn size(cached: &CachedPacket) -> usize {
    cached.packet.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64, timestamp: u32, arrival: Instant, bytes: usize) -> CachedPacket {
        CachedPacket {
            packet: MediaPacket {
                sequence,
                timestamp,
                marker: false,
                redundant: false,
                arrival,
                extensions: Default::default(),
                payload: vec![0; bytes].into(),
            },
            captured: arrival,
            descriptor: None,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made from the clock"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn numbers(cache: &PictureCache, now: Instant) -> Vec<u64> {
        cache
            .packets(now)
            .iter()
            .map(|cached| cached.packet.sequence)
            .collect()
    }

    #[test]
    fn it_begins_with_the_last_key_frame_even_if_that_was_overtaken() {
        let now = start();
        let mut cache = PictureCache::default();
        cache.push(packet(1, 0, now, 10), false);
        assert!(
            numbers(&cache, now).is_empty(),
            "nothing before a key frame"
        );
        cache.push(packet(2, 10, now, 10), true);
        cache.push(packet(4, 20, now, 10), false);
        cache.push(packet(3, 10, now, 10), false);
        assert_eq!(numbers(&cache, now), [2, 3, 4]);
        cache.push(packet(6, 30, now, 10), false);
        cache.push(packet(5, 30, now, 10), true);
        cache.push(packet(4, 20, now, 10), false);
        assert_eq!(
            numbers(&cache, now),
            [5, 6],
            "never older than the key frame"
        );
        assert_eq!(cache.bytes(), 20);
    }

    #[test]
    fn it_is_given_up_when_it_grows_too_large_or_too_old() {
        let now = start();
        let mut cache = PictureCache::default();
        cache.push(packet(1, 0, now, MAX_BYTES), true);
        assert_eq!(numbers(&cache, now), [1]);
        assert!(numbers(&cache, now + MAX_AGE * 2).is_empty(), "too old");
        cache.push(packet(2, 1, now, 1), false);
        assert!(numbers(&cache, now).is_empty(), "too large");
        cache.push(packet(3, 2, now, 1), false);
        assert!(numbers(&cache, now).is_empty(), "until the next key frame");
        cache.push(packet(4, 3, now, 1), true);
        assert_eq!(numbers(&cache, now), [4]);
    }
}
