use proptest::prelude::*;

use super::*;

/// Writes descriptors, so that tests say what they mean instead of listing bytes.
#[derive(Default)]
pub(crate) struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    pub(crate) fn put(&mut self, value: u64, width: u32) -> &mut Self {
        self.bits
            .extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bits
            .chunks(8)
            .map(|chunk| {
                (0..)
                    .zip(chunk)
                    .fold(0, |byte, (index, bit)| byte | u8::from(*bit) << (7 - index))
            })
            .collect()
    }
}

/// Start, end, template, frame number.
pub(crate) fn mandatory(template: u64, frame: u16) -> BitWriter {
    let mut bits = BitWriter::default();
    bits.put(0b11, 2).put(template, 6).put(frame.into(), 16);
    bits
}

/// A key frame of a stream with two spatial layers of one temporal layer each (mode L2T1): template 0 is the key
/// frame, 1 the delta frame of layer 0, 2 the key and 3 the delta frame of layer 1. Targets: layer 0, both layers.
pub(crate) fn l2t1_key_frame(frame: u16) -> Vec<u8> {
    let mut bits = mandatory(0, frame);
    bits.put(0b10000, 5); // structure present, nothing custom
    bits.put(0, 6).put(1, 5); // template offset 0, two targets
    bits.put(0, 2).put(2, 2).put(0, 2).put(3, 2); // S0, S0, S1, S1
    for indications in [0b1010, 0b1011, 0b0010, 0b0011] {
        bits.put(indications, 4);
    }
    bits.put(0, 1); // S0 key: no dependency
    bits.put(1, 1).put(1, 4).put(0, 1); // S0 delta: 2 back
    bits.put(1, 1).put(0, 4).put(0, 1); // S1 key: 1 back
    bits.put(1, 1).put(0, 4).put(1, 1).put(1, 4).put(0, 1); // S1 delta: 1 and 2 back
    bits.put(0b11, 2).put(0b01, 2); // two chains, ns(3) = 2; the targets are protected by chains 0 and 1, ns(2)
    bits.put(0x0011_2213, 32); // distances of the templates in the chains
    bits.put(1, 1)
        .put(319 << 16 | 179, 32)
        .put(639 << 16 | 359, 32); // resolutions
    bits.bytes()
}

/// One temporal unit of three temporal layers in one spatial layer (mode L1T3).
pub(crate) fn l1t3_key_frame(frame: u16) -> Vec<u8> {
    let mut bits = mandatory(0, frame);
    bits.put(0b10000, 5);
    bits.put(0, 6).put(2, 5);
    bits.put(0, 2).put(1, 2).put(1, 2).put(3, 2); // T0, T0, T1, T2
    for indications in [0b101010, 0b101010, 0b000110, 0b000001] {
        bits.put(indications, 6);
    }
    bits.put(0, 1);
    bits.put(1, 1).put(3, 4).put(0, 1);
    bits.put(1, 1).put(1, 4).put(0, 1);
    bits.put(1, 1).put(0, 4).put(0, 1);
    bits.put(0, 2); // no chains: ns(4) = 0 is `00`
    bits.put(0, 1); // no resolutions
    bits.bytes()
}

#[test]
fn a_key_frame_brings_the_structure_that_later_frames_refer_to() {
    let mut reader = DescriptorReader::default();
    assert_eq!(
        reader.read(&mandatory(1, 4).bytes()),
        Err(DescriptorError::NoStructure)
    );
    let key = reader.read(&l1t3_key_frame(5)).unwrap();
    assert!(key.has_structure && key.start_of_frame && key.end_of_frame);
    assert_eq!(
        (
            key.frame_number,
            key.spatial,
            key.temporal,
            key.dependencies
        ),
        (5, 0, 0, 0)
    );
    assert_eq!(key.active_decode_targets, 0b111);

    let top = reader.read(&mandatory(3, 6).bytes()).unwrap();
    assert!(!top.has_structure);
    assert_eq!(
        (top.frame_number, top.temporal, top.dependencies),
        (6, 2, 1)
    );
    assert_eq!(
        [0, 1, 2].map(|target| top.indication(target)),
        [
            Indication::NotPresent,
            Indication::NotPresent,
            Indication::Discardable
        ]
    );
}

#[test]
fn targets_are_chosen_by_layer_and_only_among_those_being_produced() {
    let mut reader = DescriptorReader::default();
    let key = reader.read(&l1t3_key_frame(5)).unwrap();
    assert_eq!(key.choose_target(0, 1), Some(1));
    assert_eq!(key.choose_target(2, 7), Some(2));

    let mut bits = mandatory(1, 6);
    bits.put(0b01000, 5).put(0b001, 3); // the first bit written is the highest target
    let limited = reader.read(&bits.bytes()).unwrap();
    assert_eq!(limited.active_decode_targets, 0b001);
    assert_eq!(limited.choose_target(2, 7), Some(0));
}

#[test]
fn chains_and_resolutions_are_passed_over() {
    let mut reader = DescriptorReader::default();
    let key = reader.read(&l2t1_key_frame(7)).unwrap();
    assert_eq!(
        key.targets(),
        [
            TargetLayer {
                spatial: 0,
                temporal: 0
            },
            TargetLayer {
                spatial: 1,
                temporal: 0
            }
        ]
    );
    assert_eq!(
        (key.max_spatial(), key.indication(1)),
        (1, Indication::Switch)
    );
    assert_eq!(
        reader.read(&mandatory(3, 10).bytes()).unwrap().dependencies,
        0b11
    );
}

#[test]
fn a_frame_may_override_its_template() {
    let mut reader = DescriptorReader::default();
    reader.read(&l1t3_key_frame(5)).unwrap();
    let mut bits = mandatory(1, 70);
    bits.put(0b00110, 5).put(0b10_10_01, 6); // custom indications and dependencies
    bits.put(1, 2).put(2, 4).put(2, 2).put(99, 8).put(0, 2); // 3 and 100 back
    let frame = reader.read(&bits.bytes()).unwrap();
    assert_eq!(
        (frame.dependencies, frame.distant_dependency),
        (0b100, true)
    );
    assert_eq!(frame.indication(2), Indication::Discardable);
}

#[test]
fn an_unknown_template_is_an_error() {
    let mut reader = DescriptorReader::default();
    reader.read(&l1t3_key_frame(5)).unwrap();
    assert_eq!(
        reader.read(&mandatory(9, 6).bytes()),
        Err(DescriptorError::UnknownTemplate(9))
    );
}

proptest! {
    #[test]
    fn reading_never_panics_on_any_bytes(
        descriptors in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..6),
        spatial: u8, temporal: u8, target: u8,
    ) {
        let mut reader = DescriptorReader::default();
        let _ = reader.read(&l1t3_key_frame(1));
        for bytes in descriptors {
            if let Ok(frame) = reader.read(&bytes) {
                frame.choose_target(spatial, temporal);
                frame.indication(target);
                frame.max_spatial();
            }
        }
    }
}
