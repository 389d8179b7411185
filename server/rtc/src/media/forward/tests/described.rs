use super::*;
use crate::media::descriptor::DescriptorReader;
use crate::media::descriptor::tests::{l1t3_key_frame, l2t1_key_frame, mandatory};

struct Publisher {
    start: Instant,
    reader: DescriptorReader,
    sequence: u64,
}

impl Publisher {
    fn new() -> Self {
        Self {
            start: start(),
            reader: DescriptorReader::default(),
            sequence: 0,
        }
    }

    fn packet(&mut self, unit: u32, descriptor: &[u8], marker: bool) -> Packet {
        self.sequence += 1;
        Packet {
            encoding: 0,
            sequence: self.sequence,
            timestamp: 3_000 * unit,
            marker,
            arrival: self.start + millis(33 * u64::from(unit)),
            payload: vec![0x10, 0],
            descriptor: Some(self.reader.read(descriptor).unwrap()),
            timestamp_offset: None,
        }
    }
}

#[test]
fn temporal_layers_are_dropped_by_the_descriptor_alone() {
    let mut publisher = Publisher::new();
    let mut forwarder = Forwarder::new(Codec::Av1, 0);
    forwarder.set_target(layer(0, 0));
    // T0 T2 T1 T2: templates 0 (key) or 1, 3, 2, 3.
    let mut sent = Vec::new();
    for unit in 0..24u32 {
        if unit == 12 {
            forwarder.set_target(layer(0, 2));
        }
        let descriptor = match unit {
            0 => l1t3_key_frame(0),
            _ => mandatory([1, 3, 2, 3][unit as usize % 4], unit as u16).bytes(),
        };
        if let Some(out) = publisher
            .packet(unit, &descriptor, true)
            .push(&mut forwarder)
        {
            sent.push((unit, out.sequence, out.discardable));
        }
    }
    let units: Vec<_> = sent.iter().map(|(unit, ..)| *unit).collect();
    assert_eq!(units[..4], [0, 4, 8, 12]);
    assert_eq!(units[4..], (13..24).collect::<Vec<_>>());
    assert!(
        sent.iter()
            .zip(0..)
            .all(|((_, sequence, _), expected)| *sequence == expected)
    );
    assert!(
        sent.iter()
            .all(|(unit, _, discardable)| *discardable == (unit % 2 == 1))
    );
}

#[test]
fn spatial_layers_are_dropped_the_marker_moves_and_climbing_takes_a_key_frame() {
    let mut publisher = Publisher::new();
    let mut forwarder = Forwarder::new(Codec::Av1, 0);
    forwarder.set_target(layer(0, 0));
    let mut frame = 0;
    let mut unit = |forwarder: &mut Forwarder, time: u32, key: bool| {
        let lower = if key {
            l2t1_key_frame(frame)
        } else {
            mandatory(1, frame).bytes()
        };
        let upper = mandatory(if key { 2 } else { 3 }, frame + 1).bytes();
        frame += 2;
        [
            publisher.packet(time, &lower, false),
            publisher.packet(time, &upper, true),
        ]
        .map(|packet| packet.push(forwarder).map(|out| out.marker))
    };
    assert_eq!(unit(&mut forwarder, 0, true), [Some(true), None]);
    assert_eq!(forwarder.wants_key_frame(), None);
    forwarder.set_target(layer(1, 0));
    assert_eq!(unit(&mut forwarder, 1, false), [Some(true), None]);
    assert_eq!(forwarder.wants_key_frame(), Some(0));
    assert_eq!(unit(&mut forwarder, 2, true), [Some(false), Some(true)]);
    assert_eq!(
        (forwarder.current(), forwarder.wants_key_frame()),
        (layer(1, 0), None)
    );
    // The lower layer depends on itself only, so it can be had again at once.
    forwarder.set_target(layer(0, 0));
    assert_eq!(unit(&mut forwarder, 3, false), [Some(true), None]);
    assert_eq!(
        (forwarder.current(), forwarder.wants_key_frame()),
        (layer(0, 0), None)
    );
}

#[test]
fn frame_numbers_go_on_after_another_source_took_over() {
    let mut publisher = Publisher::new();
    let mut forwarder = Forwarder::new(Codec::Av1, 0);
    forwarder.set_target(layer(0, 2));
    let first = publisher
        .packet(0, &l1t3_key_frame(9), true)
        .push(&mut forwarder)
        .unwrap();
    assert_eq!(first.frame_number, None);
    forwarder.source_changed();
    let second = publisher
        .packet(1, &l1t3_key_frame(4_000), true)
        .push(&mut forwarder)
        .unwrap();
    assert_eq!(second.frame_number, Some(10));
}
