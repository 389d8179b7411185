use super::*;

fn packet(start: Instant, index: u64) -> Packet {
    Packet {
        encoding: 0,
        sequence: 70_000 + index,
        timestamp: 960 * index as u32,
        marker: false,
        arrival: start + millis(20 * index),
        payload: vec![0x78, 1, 2, 3],
        descriptor: None,
        timestamp_offset: None,
    }
}

#[test]
fn sound_starts_at_any_packet_and_counts_from_the_first_sequence_number() {
    let mut forwarder = Forwarder::new(Codec::Opus, 65_535);
    forwarder.set_target(layer(0, 0));
    let start = start();
    assert_eq!(
        packet(start, 0).push(&mut forwarder).unwrap().sequence,
        65_535
    );
    assert_eq!(
        packet(start, 1).push(&mut forwarder).unwrap().sequence,
        65_536
    );
    assert_eq!(forwarder.wants_key_frame(), None);
}

#[test]
fn a_packet_lost_upstream_stays_a_gap_and_finds_its_slot_when_it_comes_late() {
    let mut forwarder = Forwarder::new(Codec::Opus, 10);
    forwarder.set_target(layer(0, 0));
    let start = start();
    let numbers: Vec<_> = [0, 1, 4, 2, 5, 3]
        .map(|index| packet(start, index).push(&mut forwarder).unwrap().sequence)
        .into();
    assert_eq!(numbers, [10, 11, 14, 12, 15, 13]);
}

#[test]
fn a_pause_leaves_no_gap_in_sequence_numbers_and_its_own_length_in_timestamps() {
    let mut forwarder = Forwarder::new(Codec::Opus, 0);
    forwarder.set_target(layer(0, 0));
    let start = start();
    let before = packet(start, 0).push(&mut forwarder).unwrap();
    forwarder.set_target(None);
    assert!(packet(start, 1).push(&mut forwarder).is_none());
    assert_eq!(forwarder.current(), None);
    forwarder.set_target(layer(0, 0));
    let after = packet(start, 50).push(&mut forwarder).unwrap();
    assert_eq!(after.sequence, before.sequence + 1);
    assert_eq!(after.timestamp - before.timestamp, 48_000);
    assert!(
        packet(start, 1).push(&mut forwarder).is_none(),
        "older than the pause"
    );
}

#[test]
fn another_source_behind_the_same_stream_goes_on_where_the_first_ended() {
    let mut forwarder = Forwarder::new(Codec::Opus, 0);
    forwarder.set_target(layer(0, 0));
    let start = start();
    let before = packet(start, 0).push(&mut forwarder).unwrap();
    forwarder.source_changed();
    let mut other = packet(start, 1);
    (other.sequence, other.timestamp) = (5, 0xffff_0000);
    let after = other.push(&mut forwarder).unwrap();
    assert_eq!(
        (after.sequence, after.timestamp),
        (before.sequence + 1, before.timestamp + 960)
    );
}

#[test]
fn padding_takes_no_slot() {
    let mut forwarder = Forwarder::new(Codec::Opus, 0);
    forwarder.set_target(layer(0, 0));
    let start = start();
    packet(start, 0).push(&mut forwarder).unwrap();
    let padding = Packet {
        payload: Vec::new(),
        ..packet(start, 1)
    };
    assert!(padding.push(&mut forwarder).is_none());
    assert_eq!(packet(start, 2).push(&mut forwarder).unwrap().sequence, 1);
}

#[test]
fn an_outage_longer_than_any_repair_shows_as_one_missing_packet() {
    let mut forwarder = Forwarder::new(Codec::Opus, 0);
    forwarder.set_target(layer(0, 0));
    let start = start();
    packet(start, 0).push(&mut forwarder).unwrap();
    assert_eq!(
        packet(start, 5_000).push(&mut forwarder).unwrap().sequence,
        2
    );
}
