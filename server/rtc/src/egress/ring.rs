//! Packets kept so that they can be sent again.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::media::{Media, OutgoingPacket};
use crate::media::payload::Vp8Patch;

/// Packets kept of one video stream: a second at 6 Mbit/s.
pub(super) const MAX_VIDEO: usize = 512;
/// Packets kept of one audio stream: over a second.
pub(super) const MAX_AUDIO: usize = 64;
const INITIAL: usize = 32;
/// A packet older than this comes too late to be of use.
pub(super) const MAX_AGE: Duration = Duration::from_millis(1_500);

/// A packet as it was written. Every packet of every subscriber passes through a ring, and rings are too many for the
/// processor's cache: what is kept is packed.
struct Kept {
    media: Arc<Media>,
    vp8: Option<Vp8Patch>,
    frame_number: Option<u16>,
    timestamp: u32,
    /// The low bits: no ring holds two packets that agree in them.
    sequence: u32,
    written: Age,
    resent: Option<Age>,
    payload_type: u8,
    marker: bool,
}

impl Kept {
    fn packet(&self, sequence: u64) -> OutgoingPacket {
        OutgoingPacket {
            payload_type: self.payload_type,
            sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            keep: true,
            frame_number: self.frame_number,
            vp8: self.vp8,
            media: self.media.clone(),
        }
    }
}

/// Milliseconds of the ring's own clock, counted from 1.
#[derive(Clone, Copy)]
struct Age(NonZeroU32);

impl Age {
    /// Time from then to `now`. Wraps after seven weeks, long after the packet was dropped.
    fn until(self, now: Age) -> Duration {
        Duration::from_millis(now.0.get().wrapping_sub(self.0.get()).into())
    }
}

/// The newest packets of a stream by sequence number. Payloads are shared with all other subscribers.
pub(super) struct Ring {
    slots: Vec<Option<Kept>>,
    max: usize,
    newest: Option<u64>,
    epoch: Option<Instant>,
}

impl Ring {
    /// `max`: packets kept, a power of two.
    pub(super) fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            max,
            newest: None,
            epoch: None,
        }
    }

    pub(super) fn keep(&mut self, now: Instant, packet: OutgoingPacket) {
        let now = self.age(now);
        if self.slots.is_empty() {
            self.slots.resize_with(INITIAL.min(self.max), || None);
        }
        let sequence = packet.sequence;
        // A young packet in the way means that the ring is too small for the rate.
        while self.slots.len() < self.max && self.is_young_in_the_way(now, sequence) {
            self.grow();
        }
        self.newest = Some(self.newest.map_or(sequence, |newest| newest.max(sequence)));
        let at = self.place(sequence as u32);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(Kept {
                media: packet.media,
                vp8: packet.vp8,
                frame_number: packet.frame_number,
                timestamp: packet.timestamp,
                sequence: sequence as u32,
                written: now,
                resent: None,
                payload_type: packet.payload_type,
                marker: packet.marker,
            });
        }
    }

    /// The packet with this sequence number on the wire, unless it was resent less than `spacing` ago.
    pub(super) fn take_for_resend(
        &mut self,
        now: Instant,
        sequence: u16,
        spacing: Duration,
    ) -> Option<OutgoingPacket> {
        let now = self.age(now);
        let newest = self.newest?;
        let behind = u64::from((newest as u16).wrapping_sub(sequence));
        let sequence = newest.checked_sub(behind)?;
        let at = self.place(sequence as u32);
        let kept = self
            .slots
            .get_mut(at)?
            .as_mut()
            .filter(|kept| kept.sequence == sequence as u32)?;
        let too_old = kept.written.until(now) > MAX_AGE;
        let just_sent = kept.resent.is_some_and(|at| at.until(now) < spacing);
        if too_old || just_sent {
            return None;
        }
        kept.resent = Some(now);
        Some(kept.packet(sequence))
    }

    /// The packet with this number, if its payload has a size within `bytes`.
    pub(super) fn get(
        &self,
        sequence: u64,
        bytes: RangeInclusive<usize>,
    ) -> Option<OutgoingPacket> {
        let kept = self.slots.get(self.place(sequence as u32))?.as_ref()?;
        let fits = kept.sequence == sequence as u32 && bytes.contains(&kept.media.payload.len());
        fits.then(|| kept.packet(sequence))
    }

    /// Lets go of payloads too old to be sent again.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let now = self.age(now);
        for slot in &mut self.slots {
            slot.take_if(|kept| kept.written.until(now) > MAX_AGE);
        }
    }

    fn age(&mut self, now: Instant) -> Age {
        let epoch = *self.epoch.get_or_insert(now);
        let ms = now.saturating_duration_since(epoch).as_millis() as u32;
        Age(NonZeroU32::MIN.saturating_add(ms))
    }

    fn is_young_in_the_way(&self, now: Age, sequence: u64) -> bool {
        self.slots
            .get(self.place(sequence as u32))
            .and_then(Option::as_ref)
            .is_some_and(|kept| kept.written.until(now) < MAX_AGE)
    }

    fn grow(&mut self) {
        let mut bigger = Vec::new();
        bigger.resize_with((self.slots.len() * 2).min(self.max), || None);
        let old = std::mem::replace(&mut self.slots, bigger);
        for kept in old.into_iter().flatten() {
            let at = self.place(kept.sequence);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = Some(kept);
            }
        }
    }

    fn place(&self, sequence: u32) -> usize {
        (sequence as usize) & self.slots.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made from the clock"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn packet(now: Instant, sequence: u64) -> OutgoingPacket {
        OutgoingPacket {
            sequence,
            ..header::padding(0, now)
        }
    }

    #[test]
    fn a_packet_is_resent_once_per_round_trip_while_it_is_young() {
        let (now, ms) = (start(), Duration::from_millis);
        let mut ring = Ring::new(MAX_VIDEO);
        ring.keep(now, packet(now, 65_535));
        ring.keep(now, packet(now, 65_536));
        assert!(ring.take_for_resend(now, 65_535, ms(50)).is_some());
        assert!(ring.take_for_resend(now + ms(49), 65_535, ms(50)).is_none());
        assert!(ring.take_for_resend(now + ms(50), 65_535, ms(50)).is_some());
        assert!(ring.take_for_resend(now + ms(50), 0, ms(50)).is_some());
        assert!(ring.take_for_resend(now + ms(50), 1, ms(50)).is_none());
        assert!(
            ring.take_for_resend(now + MAX_AGE + ms(1), 0, ms(50))
                .is_none()
        );
    }

    #[test]
    fn what_is_kept_of_a_packet_is_small() {
        assert!(size_of::<Option<Kept>>() <= 48);
    }

    #[test]
    fn the_ring_grows_with_the_rate_up_to_its_bound() {
        let (now, ms) = (start(), Duration::from_millis);
        let mut slow = Ring::new(MAX_VIDEO);
        for at in 0..1_000u64 {
            let now = now + ms(at * 60);
            slow.keep(now, packet(now, at));
        }
        assert_eq!(slow.slots.len(), INITIAL);
        let mut fast = Ring::new(MAX_VIDEO);
        for at in 0..2_000u64 {
            fast.keep(now + ms(at), packet(now, at));
        }
        assert_eq!(fast.slots.len(), MAX_VIDEO);
        let late = now + ms(2_000);
        assert!(fast.take_for_resend(late, 1_500, ms(1)).is_some());
        assert!(fast.take_for_resend(late, 1_400, ms(1)).is_none());
        fast.forget_old(late + MAX_AGE);
        assert!(fast.slots.iter().all(Option::is_none));
    }
}
