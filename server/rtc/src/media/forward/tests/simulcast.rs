use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A VP8 publisher with three encodings of three temporal layers, two packets per frame, 25 frames per second.
#[derive(Clone)]
struct Publisher {
    start: Instant,
    frame: [u64; 3],
    sequence: [u64; 3],
    tl0: [u8; 3],
    /// Frames are numbered by time; the encodings' ids and timestamps start anywhere.
    id_origin: [u16; 3],
    clock_origin: [u32; 3],
    with_reports: bool,
}

const FRAME_TICKS: u32 = 3_600;

impl Publisher {
    fn new(with_reports: bool) -> Self {
        Self {
            start: start(),
            frame: [0; 3],
            sequence: [100, 65_500, 7_000_000],
            tl0: [250, 3, 90],
            id_origin: [32_760, 100, 9_000],
            clock_origin: [0xffff_f000, 1_234, 77_000_000],
            with_reports,
        }
    }

    /// The next frame of an encoding. The temporal layers go 0 2 1 2, each of the upper ones with Y set.
    fn frame(&mut self, encoding: usize, key: bool) -> [Packet; 2] {
        let index = self.frame[encoding];
        self.frame[encoding] += 1;
        let temporal = if key {
            0
        } else {
            [0, 2, 1, 2][index as usize % 4]
        };
        if temporal == 0 {
            self.tl0[encoding] = self.tl0[encoding].wrapping_add(1);
        }
        let id = (self.id_origin[encoding] + index as u16) & 0x7fff;
        [true, false].map(|first| {
            self.sequence[encoding] += 1;
            let layers = temporal << 6 | u8::from(temporal > 0) << 5;
            let payload = vec![
                0x80 | u8::from(first) << 4,
                0xe0,
                0x80 | (id >> 8) as u8,
                id as u8,
                self.tl0[encoding],
                layers,
                u8::from(!key),
                0xaa,
            ];
            Packet {
                encoding: encoding as u8,
                sequence: self.sequence[encoding],
                timestamp: self.clock_origin[encoding].wrapping_add(index as u32 * FRAME_TICKS),
                marker: !first,
                // Higher encodings take longer.
                arrival: self.start + millis(40 * index + 5 * encoding as u64),
                payload,
                descriptor: None,
                timestamp_offset: self
                    .with_reports
                    .then(|| self.clock_origin[0].wrapping_sub(self.clock_origin[encoding])),
            }
        })
    }
}

/// What a subscriber's decoder would see.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    sequence: u64,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
    temporal: u8,
    key: bool,
    encoding: u8,
}

fn seen(packet: &Packet, out: Outgoing) -> Seen {
    let ids = inspect(Codec::Vp8, &packet.payload).vp8.unwrap();
    let mut payload = packet.payload.clone();
    if let Some(patch) = out.vp8 {
        patch.apply(&mut payload);
    }
    let new = inspect(Codec::Vp8, &payload).vp8.unwrap();
    assert_eq!(
        new.picture_id.unwrap().1,
        ids.picture_id.unwrap().1,
        "the width is kept"
    );
    Seen {
        sequence: out.sequence,
        timestamp: out.timestamp,
        picture_id: new.picture_id.unwrap().0,
        tl0: new.tl0_pic_idx.unwrap(),
        temporal: ids.temporal.unwrap(),
        key: inspect(Codec::Vp8, &packet.payload).keyframe,
        encoding: packet.encoding,
    }
}

fn push_frame(forwarder: &mut Forwarder, frame: &[Packet], log: &mut Vec<Seen>) {
    for packet in frame {
        if let Some(out) = packet.push(forwarder) {
            log.push(seen(packet, out));
        }
    }
}

fn assert_seamless(log: &[Seen]) {
    for pair in log.windows(2) {
        let [before, after] = pair else {
            unreachable!()
        };
        assert_eq!(after.sequence, before.sequence + 1, "{pair:?}");
        let step = after.timestamp.wrapping_sub(before.timestamp) as i32;
        let id_step = after.picture_id.wrapping_sub(before.picture_id) & 0x7fff;
        let same_picture = before.timestamp == after.timestamp;
        assert_eq!(id_step, u16::from(!same_picture), "{pair:?}");
        assert!(step >= 0, "{pair:?}");
        let tl0_step = after.tl0.wrapping_sub(before.tl0);
        assert_eq!(
            tl0_step,
            u8::from(!same_picture && after.temporal == 0),
            "{pair:?}"
        );
    }
}

#[test]
fn a_subscriber_climbs_from_low_to_high_without_a_seam() {
    for with_reports in [false, true] {
        let mut publisher = Publisher::new(with_reports);
        let mut forwarder = Forwarder::new(Codec::Vp8, 500);
        forwarder.set_target(layer(0, 2));
        assert_eq!(forwarder.wants_key_frame(), Some(0));
        let mut log = Vec::new();
        for index in 0..60 {
            match index {
                20 => forwarder.set_target(layer(2, 2)),
                40 => forwarder.set_target(layer(1, 2)),
                _ => {}
            }
            for encoding in 0..3 {
                let key =
                    index == 0 || index == 24 && encoding == 2 || index == 44 && encoding == 1;
                push_frame(&mut forwarder, &publisher.frame(encoding, key), &mut log);
            }
            if (20..24).contains(&index) {
                assert_eq!(
                    (forwarder.current(), forwarder.wants_key_frame()),
                    (layer(0, 2), Some(2))
                );
            }
        }
        assert_eq!(forwarder.current(), layer(1, 2));
        assert_eq!(forwarder.wants_key_frame(), None);
        assert_eq!(log[0].sequence, 500);
        assert_seamless(&log);
        let encodings: Vec<_> = log.iter().map(|seen| seen.encoding).collect();
        assert!(encodings.contains(&2) && encodings.ends_with(&[1]) && encodings.starts_with(&[0]));
        if with_reports {
            // One picture each 40 ms, but at the two switches, where the picture of that moment came twice.
            let span = log.last().unwrap().timestamp.wrapping_sub(log[0].timestamp);
            assert!(span.abs_diff(59 * FRAME_TICKS) <= 1, "{span}");
        }
    }
}

#[test]
fn a_lower_encoding_bridges_the_wait_for_the_wanted_one() {
    let mut publisher = Publisher::new(true);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(2, 2));
    let mut log = Vec::new();
    push_frame(&mut forwarder, &publisher.frame(2, false), &mut log);
    assert!(log.is_empty(), "nothing can be decoded before a key frame");
    push_frame(&mut forwarder, &publisher.frame(1, true), &mut log);
    assert_eq!(
        (
            forwarder.current().unwrap().spatial,
            forwarder.wants_key_frame()
        ),
        (1, Some(2))
    );
    push_frame(&mut forwarder, &publisher.frame(0, true), &mut log);
    assert_eq!(forwarder.current().unwrap().spatial, 1, "no step back");
    push_frame(&mut forwarder, &publisher.frame(2, true), &mut log);
    assert_eq!(
        (
            forwarder.current().unwrap().spatial,
            forwarder.wants_key_frame()
        ),
        (2, None)
    );
    assert_seamless(&log);
}

#[test]
fn a_wanted_encoding_that_dries_up_is_replaced_by_one_that_lives() {
    let mut publisher = Publisher::new(true);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(2, 2));
    let mut log = Vec::new();
    push_frame(&mut forwarder, &publisher.frame(2, true), &mut log);
    for index in 0..120 {
        push_frame(
            &mut forwarder,
            &publisher.frame(0, index % 25 == 0),
            &mut log,
        );
    }
    assert_eq!(forwarder.current().unwrap().spatial, 0);
    assert_eq!(forwarder.wants_key_frame(), Some(2));
    assert_seamless(&log);
}

#[test]
fn dropped_temporal_layers_leave_no_trace_and_come_back_at_switching_points() {
    let mut publisher = Publisher::new(false);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 0));
    let mut log = Vec::new();
    for index in 0..40 {
        if index == 20 {
            assert!(log.iter().all(|seen: &Seen| seen.temporal == 0));
            forwarder.set_target(layer(0, 2));
        }
        push_frame(&mut forwarder, &publisher.frame(0, index == 0), &mut log);
    }
    assert_seamless(&log);
    // Layer 1 comes back first: layer 2 may depend on it.
    let first_upper = log.iter().find(|seen| seen.temporal > 0).unwrap();
    assert_eq!(first_upper.temporal, 1);
    assert_eq!(log.iter().filter(|seen| seen.temporal == 2).count(), 2 * 9);
}

#[test]
fn a_late_packet_finds_its_slot_between_dropped_ones() {
    let mut publisher = Publisher::new(false);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 0));
    let mut packets: Vec<_> = (0..12)
        .flat_map(|index| publisher.frame(0, index == 0))
        .collect();
    let in_order: Vec<_> = packets
        .iter()
        .filter_map(|packet| {
            packet
                .push(&mut forwarder)
                .map(|out| (packet.sequence, seen(packet, out)))
        })
        .collect();
    // The second packet of the base layer frame at 4 comes after the base layer frame at 8.
    let late = packets.remove(9);
    packets.insert(17, late);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 0));
    let mut reordered: Vec<_> = packets
        .iter()
        .filter_map(|packet| {
            packet
                .push(&mut forwarder)
                .map(|out| (packet.sequence, seen(packet, out)))
        })
        .collect();
    assert_ne!(reordered, in_order);
    reordered.sort_by_key(|(sequence, _)| *sequence);
    assert_eq!(reordered, in_order);
}

#[test]
fn packets_from_before_the_switch_and_key_frames_without_their_beginning_are_not_used() {
    let mut publisher = Publisher::new(false);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 2));
    let old = publisher.frame(0, false);
    let [first, second] = publisher.frame(0, true);
    assert!(second.push(&mut forwarder).is_none());
    assert!(
        first.push(&mut forwarder).is_none(),
        "the rest of it is gone"
    );
    assert_eq!(forwarder.wants_key_frame(), Some(0));
    let [first, _] = publisher.frame(0, true);
    assert!(first.push(&mut forwarder).is_some());
    assert!(old[0].push(&mut forwarder).is_none());
}

#[test]
fn what_is_lost_amid_a_dropped_frame_leaves_no_gap() {
    let mut publisher = Publisher::new(false);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 0));
    let mut packets: Vec<_> = (0..8)
        .flat_map(|index| publisher.frame(0, index == 0))
        .collect();
    // A frame of layer 2 in four packets, one of which is lost.
    for packet in &mut packets[4..] {
        packet.sequence += 2;
    }
    packets[3].sequence += 2;
    let log: Vec<_> = packets
        .iter()
        .filter_map(|packet| packet.push(&mut forwarder))
        .collect();
    let numbers: Vec<_> = log.iter().map(|out| out.sequence).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn a_restarted_publisher_goes_on_in_the_same_stream() {
    let mut publisher = Publisher::new(true);
    let mut forwarder = Forwarder::new(Codec::Vp8, 0);
    forwarder.set_target(layer(0, 2));
    let mut log = Vec::new();
    for index in 0..10 {
        push_frame(&mut forwarder, &publisher.frame(0, index == 0), &mut log);
    }
    forwarder.source_changed();
    assert_eq!(forwarder.wants_key_frame(), Some(0));
    let mut other = Publisher::new(true);
    other.start = publisher.start + millis(400);
    (other.sequence[0], other.id_origin[0], other.clock_origin[0]) = (3, 17, 4_000_000_000);
    for index in 0..10 {
        push_frame(&mut forwarder, &other.frame(0, index == 0), &mut log);
    }
    assert_eq!(log.len(), 40);
    assert_seamless(&log);
    assert_eq!(
        log[39].timestamp.wrapping_sub(log[0].timestamp),
        19 * FRAME_TICKS
    );
}

proptest! {
    /// Whatever is lost, reordered and switched: no number is given twice, and those given are in source order.
    #[test]
    fn numbers_are_unique_and_in_order(
        events in proptest::collection::vec((0u8..3, 0u8..3, 0u8..3, any::<bool>(), 0u8..8, 0usize..4), 1..120)
    ) {
        let mut publisher = Publisher::new(true);
        let mut forwarder = Forwarder::new(Codec::Vp8, 1);
        forwarder.set_target(layer(2, 2));
        let mut waiting: Vec<Packet> = Vec::new();
        let mut given: BTreeMap<u64, (u8, u64, u32)> = BTreeMap::new();
        for (encoding, spatial, temporal, key, fate, position) in events {
            if fate == 0 {
                forwarder.set_target(layer(spatial, temporal));
            }
            for packet in publisher.frame(encoding.into(), key) {
                if fate != 1 {
                    let at = waiting.len().saturating_sub(position);
                    waiting.insert(at, packet);
                }
            }
            while waiting.len() > 4 {
                let packet = waiting.remove(0);
                if let Some(out) = packet.push(&mut forwarder) {
                    let now = (packet.encoding, packet.sequence, out.timestamp);
                    prop_assert!(given.insert(out.sequence, now).is_none(), "number {} given twice", out.sequence);
                }
            }
        }
        let all: Vec<_> = given.into_values().collect();
        for pair in all.windows(2) {
            if pair[0].0 == pair[1].0 {
                prop_assert!(pair[0].1 < pair[1].1, "{pair:?}");
            }
            prop_assert!(pair[1].2.wrapping_sub(pair[0].2) as i32 >= 0, "{pair:?}");
        }
    }

    #[test]
    fn forwarding_never_panics_on_any_packets(
        packets in proptest::collection::vec(
            (0u8..5, 0u64..2_000, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..12)), 1..60),
        codec in 0usize..3,
    ) {
        let mut forwarder = Forwarder::new([Codec::Vp8, Codec::Vp9, Codec::H264][codec], 1);
        forwarder.set_target(layer(2, 2));
        let arrival = start();
        for (encoding, sequence, timestamp, payload) in packets {
            let packet = Packet {
                encoding, sequence, timestamp, marker: false, arrival, payload, descriptor: None,
                timestamp_offset: Some(timestamp / 3),
            };
            packet.push(&mut forwarder);
        }
    }
}
