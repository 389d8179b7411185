use super::*;

/// A picture of three spatial layers, a packet each. K-SVC: only key pictures depend on lower layers.
fn picture(start: Instant, index: u64, key: bool, temporal: u8) -> [Packet; 3] {
    [0u8, 1, 2].map(|spatial| {
        let inter_layer = u8::from(key && spatial > 0);
        // I P L B E, and V on the key picture's first packet.
        let first = 0xac | u8::from(!key) << 6 | u8::from(key && spatial == 0) << 1;
        let layers = temporal << 5 | 0x10 | spatial << 1 | inter_layer;
        Packet {
            encoding: 0,
            sequence: 1_000 + 3 * index + u64::from(spatial),
            timestamp: 3_000 * index as u32,
            marker: spatial == 2,
            arrival: start + millis(33 * index),
            payload: vec![first, 0x05, layers, 0x01, 0x40, 0],
            descriptor: None,
            timestamp_offset: None,
        }
    })
}

fn play(forwarder: &mut Forwarder, picture: [Packet; 3]) -> Vec<Outgoing> {
    picture
        .iter()
        .filter_map(|packet| packet.push(forwarder))
        .collect()
}

#[test]
fn higher_spatial_layers_are_dropped_and_the_marker_moves_to_the_last_packet_left() {
    let mut forwarder = Forwarder::new(Codec::Vp9, 0);
    forwarder.set_target(layer(1, 2));
    let start = start();
    let key = play(&mut forwarder, picture(start, 0, true, 0));
    let delta = play(&mut forwarder, picture(start, 1, false, 0));
    let numbers: Vec<_> = key
        .iter()
        .chain(&delta)
        .map(|out| (out.sequence, out.marker))
        .collect();
    assert_eq!(numbers, [(0, false), (1, true), (2, false), (3, true)]);
    assert_eq!(
        (forwarder.current(), forwarder.wants_key_frame()),
        (layer(1, 2), None)
    );
}

#[test]
fn going_down_is_immediate_and_going_up_waits_for_a_key_picture() {
    let mut forwarder = Forwarder::new(Codec::Vp9, 0);
    forwarder.set_target(layer(2, 2));
    let start = start();
    assert_eq!(play(&mut forwarder, picture(start, 0, true, 0)).len(), 3);
    forwarder.set_target(layer(0, 2));
    assert_eq!(play(&mut forwarder, picture(start, 1, false, 0)).len(), 1);
    assert_eq!(forwarder.wants_key_frame(), None);
    forwarder.set_target(layer(2, 2));
    assert_eq!(play(&mut forwarder, picture(start, 2, false, 0)).len(), 1);
    assert_eq!(forwarder.wants_key_frame(), Some(0));
    assert_eq!(play(&mut forwarder, picture(start, 3, true, 0)).len(), 3);
    assert_eq!(
        (forwarder.current(), forwarder.wants_key_frame()),
        (layer(2, 2), None)
    );
}

#[test]
fn a_target_beyond_the_streams_layers_asks_for_nothing() {
    let mut forwarder = Forwarder::new(Codec::Vp9, 0);
    forwarder.set_target(layer(3, 2));
    play(&mut forwarder, picture(start(), 0, true, 0));
    assert_eq!(
        (forwarder.current(), forwarder.wants_key_frame()),
        (layer(2, 2), None)
    );
}

#[test]
fn temporal_layers_come_back_after_a_switching_point() {
    let mut forwarder = Forwarder::new(Codec::Vp9, 0);
    forwarder.set_target(layer(2, 0));
    let start = start();
    let counts: Vec<_> = [(0, true, 0), (1, false, 1), (2, false, 0)]
        .map(|(index, key, temporal)| {
            play(&mut forwarder, picture(start, index, key, temporal)).len()
        })
        .into();
    assert_eq!(counts, [3, 0, 3]);
    forwarder.set_target(layer(2, 1));
    // The base picture just forwarded had U set, so the next of layer 1 can be decoded.
    assert_eq!(play(&mut forwarder, picture(start, 3, false, 1)).len(), 3);
}
