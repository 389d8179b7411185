//! Two hops with a lossy wire between them, in virtual time from a seed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

struct Wire {
    start: Instant,
    now: Instant,
    one_way: Duration,
    loss: f64,
    drawn: u64,
    ends: [Hop; 2],
    under_way: BTreeMap<(Instant, u64), (usize, Bytes)>,
    arrived: Vec<(Instant, MediaPacket)>,
}

impl Wire {
    fn new(one_way: Duration, loss: f64, seed: u64) -> Self {
        let now = Instant::now();
        let hop = || Hop::new(now, 2 * one_way, BitsPerSecond::mega(50));
        Self {
            start: now,
            now,
            one_way,
            loss,
            drawn: seed,
            ends: [hop(), hop()],
            under_way: BTreeMap::new(),
            arrived: Vec::new(),
        }
    }

    /// Sends a packet of `class` from the first end every `gap` for `packets` packets, then waits for repairs.
    fn carry(&mut self, class: MediaClass, gap: Duration, packets: u32) {
        let mut sent = 0;
        let mut next = self.now;
        let end = self.now + gap * packets + 20 * self.one_way + 500 * MS;
        while self.now < end {
            self.now += MS;
            while sent < packets && next <= self.now {
                let rtp = Bytes::copy_from_slice(&sent.to_be_bytes());
                self.ends[0].send(self.now, class, FlowId::new(7).unwrap(), Epoch(1), rtp);
                sent += 1;
                next += gap;
            }
            self.step();
        }
    }

    fn step(&mut self) {
        for end in 0..2 {
            while let Some(datagram) = self.ends[end].poll_datagram(self.now) {
                self.drawn = self
                    .drawn
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                if (self.drawn >> 33) as f64 / (1u64 << 31) as f64 >= self.loss {
                    self.under_way
                        .insert((self.now + self.one_way, self.drawn), (1 - end, datagram));
                }
            }
        }
        while let Some(entry) = self
            .under_way
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            let (end, datagram) = entry.remove();
            if let Incoming::Media(packet) = self.ends[end].on_datagram(self.now, datagram).unwrap()
            {
                self.arrived.push((self.now, packet));
            }
        }
    }

    fn share_arrived(&self, packets: u32) -> f64 {
        self.arrived.len() as f64 / f64::from(packets)
    }
}

#[test]
fn a_clean_wire_carries_everything_once_and_in_order() {
    let mut wire = Wire::new(5 * MS, 0.0, 1);
    wire.carry(MediaClass::VideoBase, MS, 2_000);
    let numbers: Vec<u32> = wire
        .arrived
        .iter()
        .map(|(_, p)| u32::from_be_bytes(p.rtp[..].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
    assert_eq!(wire.ends[0].stats().retransmitted, 0);
    assert!(wire.arrived.iter().all(|(_, packet)| !packet.repaired));
}

#[test]
fn lost_video_is_asked_for_again_on_the_hop() {
    let mut wire = Wire::new(20 * MS, 0.05, 2);
    wire.carry(MediaClass::VideoBase, MS, 5_000);
    assert!(
        wire.share_arrived(5_000) > 0.999,
        "{}",
        wire.share_arrived(5_000)
    );
    assert!(wire.ends[1].stats().repaired > 150);
}

#[test]
fn lost_sound_is_asked_for_on_a_short_hop_and_not_doubled() {
    let mut wire = Wire::new(10 * MS, 0.02, 3);
    wire.carry(MediaClass::Audio, 5 * MS, 5_000);
    assert!(wire.share_arrived(5_000) > 0.999);
    assert_eq!(wire.ends[0].stats().duplicated, 0);
}

#[test]
fn sound_goes_twice_over_a_long_hop_that_loses() {
    let mut wire = Wire::new(107 * MS, 0.01, 4);
    wire.carry(MediaClass::Audio, 5 * MS, 2_000);
    let (before, sent) = (wire.arrived.len(), 10_000);
    wire.carry(MediaClass::Audio, 5 * MS, sent);
    let share = (wire.arrived.len() - before) as f64 / f64::from(sent);
    assert!(share >= 0.9995, "{share}");
    assert!(wire.ends[0].stats().duplicated > 9_000);
    assert_eq!(wire.ends[0].stats().retransmitted, 0);
}

#[test]
fn sound_goes_once_over_a_long_hop_that_loses_nothing() {
    let mut wire = Wire::new(107 * MS, 0.0, 5);
    wire.carry(MediaClass::Audio, 5 * MS, 2_000);
    assert_eq!(wire.ends[0].stats().duplicated, 0);
}

#[test]
fn nothing_is_passed_on_twice_whatever_is_lost() {
    for seed in 0..20 {
        let mut wire = Wire::new(40 * MS, 0.2, seed);
        wire.carry(MediaClass::VideoEnhancement, MS, 1_000);
        let mut numbers: Vec<_> = wire
            .arrived
            .iter()
            .map(|(_, packet)| packet.rtp.clone())
            .collect();
        numbers.sort();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(all, numbers.len(), "seed {seed}");
    }
}

#[test]
fn sequences_wrap_without_a_gap() {
    let mut wire = Wire::new(5 * MS, 0.0, 6);
    let per_step = 40;
    for _ in 0..70_000 / per_step {
        wire.now += 10 * MS;
        for _ in 0..per_step {
            let now = wire.now;
            wire.ends[0].send(
                now,
                MediaClass::VideoBase,
                FlowId::new(1).unwrap(),
                Epoch(0),
                Bytes::from_static(b"x"),
            );
        }
        wire.step();
    }
    wire.now += 10 * MS;
    wire.step();
    assert_eq!(wire.arrived.len(), 70_000);
    assert_eq!(wire.ends[0].stats().retransmitted, 0);
    assert!(wire.now > wire.start);
}

proptest! {
    #[test]
    fn any_datagrams_are_survived(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..60)) {
        let mut hop = Hop::new(Instant::now(), 30 * MS, BitsPerSecond::mega(5));
        let mut now = Instant::now();
        for datagram in datagrams {
            now += MS;
            drop(hop.on_datagram(now, datagram.into()));
            while hop.poll_datagram(now).is_some() {}
        }
    }
}
