//! Media between nodes of one room, in virtual time: what crosses, how often, and what its receivers see.

mod common;

use std::time::Duration;

use common::{Fleet, any};
use tradewind_rtc::replica::ReplicaBody;
use tradewind_rtc::{
    ConnectionId, DropReason, Event, PeerId, SignalRequest, TrackSettings, TrackSid, VideoQuality,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn settings(track: &TrackSid, quality: VideoQuality) -> SignalRequest {
    SignalRequest::TrackSettings(TrackSettings {
        tracks: vec![track.clone()],
        disabled: false,
        quality,
        width: 0,
        height: 0,
        fps: 0,
        priority: 0,
    })
}

/// Encodings that crossed in the next second, with the packets of each.
fn crossing(fleet: &mut Fleet) -> Vec<u8> {
    fleet.relayed.clear();
    fleet.run(MS(1_000));
    let mut encodings: Vec<u8> = fleet
        .relayed
        .iter()
        .map(|(.., packet)| packet.encoding)
        .collect();
    encodings.sort_unstable();
    encodings.dedup();
    encodings
}

#[test]
fn one_copy_goes_to_a_node_whatever_the_number_of_subscribers() {
    let mut fleet = Fleet::new(3, 2);
    fleet.publisher(0, "shopper");
    let watchers: Vec<ConnectionId> = (0..10).map(|at| fleet.join(1, &format!("w{at}"))).collect();
    fleet.run(MS(3_000));
    fleet.relayed.clear();
    fleet.run(MS(1_000));
    let mut copies: Vec<(u32, u64)> = fleet
        .relayed
        .iter()
        .map(|(_, _, _, packet)| (packet.flow.0, packet.sequence))
        .collect();
    let sent = copies.len();
    copies.sort_unstable();
    copies.dedup();
    assert_eq!(copies.len(), sent, "every packet crosses once");
    assert!((75..=85).contains(&sent), "a second of both tracks: {sent}");
    for connection in watchers {
        let client = fleet.client(1, connection);
        assert!(client.received("shopper", "camera") > 60);
    }
}

#[test]
fn nothing_crosses_while_nobody_wants_it() {
    let mut fleet = Fleet::new(4, 2);
    let shopper = fleet.publisher(0, "shopper");
    let agent = fleet.join_as(1, "agent", |client| client.auto_subscribe = false);
    fleet.run(MS(3_000));
    assert_eq!(fleet.sees(1, agent), ["shopper"]);
    assert!(fleet.relayed.is_empty());
    let subscribed = |event: &Event| matches!(event, Event::TrackSubscribed { .. });
    assert!(!any(&fleet.client(0, shopper).events, subscribed));

    let track = fleet
        .client(1, agent)
        .track_of("shopper", "camera")
        .expect("known");
    let (tracks, subscribe) = (vec![track], true);
    fleet.nodes[1].signal(agent, SignalRequest::Subscription { tracks, subscribe });
    fleet.run(MS(2_000));
    assert!(fleet.client(1, agent).received("shopper", "camera") > 30);
    assert!(
        any(&fleet.client(0, shopper).events, subscribed),
        "the publisher is told"
    );
}

#[test]
fn only_the_layer_in_demand_crosses_and_the_publisher_learns_of_it() {
    let mut fleet = Fleet::new(5, 2);
    let shopper = fleet.simulcaster(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(6_000));
    assert_eq!(crossing(&mut fleet), [2], "the best, and no other");
    let track = fleet
        .client(1, agent)
        .track_of("shopper", "camera")
        .expect("known");
    fleet.nodes[1].signal(agent, settings(&track, VideoQuality::Low));
    fleet.run(MS(6_000));
    assert_eq!(crossing(&mut fleet), [0]);
    fleet.run(MS(6_000));
    let lowered = |event: &Event| match event {
        Event::SubscribedQuality { codecs, .. } => codecs.iter().all(|codec| {
            codec.qualities
                == [
                    (VideoQuality::Low, true),
                    (VideoQuality::Medium, false),
                    (VideoQuality::High, false),
                ]
        }),
        _ => false,
    };
    assert!(any(&fleet.client(0, shopper).events, lowered));
    fleet.nodes[1].signal(agent, settings(&track, VideoQuality::High));
    fleet.run(MS(6_000));
    assert_eq!(crossing(&mut fleet), [2], "and back");
    let mut packets = fleet.client(1, agent).packets_of(&track);
    packets.sort_by_key(|packet| *packet.seq_no);
    let gaps = packets
        .windows(2)
        .filter(|pair| *pair[1].seq_no != *pair[0].seq_no + 1)
        .count();
    assert_eq!(gaps, 0, "without a seam");
}

#[test]
fn who_comes_late_sees_a_picture_without_a_way_around_the_world() {
    let mut fleet = Fleet::new(6, 2);
    fleet.link.delay = MS(150);
    let shopper = fleet.publisher(0, "shopper");
    fleet.join(1, "first");
    fleet.run(MS(3_000));
    // Someone else's need makes a fresh key frame come, which is then less than two seconds old.
    fleet.client(0, shopper).media[1].key_frame_wanted = true;
    fleet.run(MS(500));
    let late = fleet.join(1, "late");
    fleet.run_until("connected", |fleet| fleet.client(1, late).connected);
    let connected = fleet.now();
    fleet.run_until("a picture", |fleet| {
        fleet.client(1, late).received("shopper", "camera") > 0
    });
    let waited = fleet.now() - connected;
    assert!(waited < MS(100), "{waited:?}");
    fleet.run(MS(500));
    let client = fleet.client(1, late);
    let track = client.track_of("shopper", "camera").expect("known");
    let mut packets = client.packets_of(&track);
    packets.sort_by_key(|packet| *packet.seq_no);
    assert_eq!(packets[0].payload[4] & 1, 0, "a key frame comes first");
    for pair in packets.windows(2) {
        assert_eq!(
            *pair[1].seq_no,
            *pair[0].seq_no + 1,
            "then everything, once"
        );
        let id = |payload: &[u8]| u16::from_be_bytes([payload[2], payload[3]]) & 0x7FFF;
        assert!(
            id(&pair[1].payload) - id(&pair[0].payload) <= 1,
            "without a gap"
        );
    }
}

#[test]
fn speakers_of_all_nodes_are_told() {
    let mut fleet = Fleet::new(18, 2);
    let shopper = fleet.publisher(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(3_000));
    let joined = fleet.client(0, shopper).joined.clone();
    let speaker = joined.expect("joined").participant.sid.clone();
    let told = |fleet: &mut Fleet, wanted: bool| {
        any(&fleet.client(1, agent).events, |event| {
            matches!(event,
            Event::Speakers(speakers) if speakers.iter().any(|s| s.participant == speaker && s.active == wanted))
        })
    };
    assert!(told(&mut fleet, true));
    fleet.client(0, shopper).media[0].paused = true;
    fleet.run(MS(3_000));
    assert!(told(&mut fleet, false), "and when they fall silent");
}

#[test]
fn a_layer_that_dries_up_is_replaced_by_the_best_that_lives() {
    let mut fleet = Fleet::new(30, 2);
    let shopper = fleet.simulcaster(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(8_000));
    assert_eq!(crossing(&mut fleet), [2]);
    // As browsers do whose uplink or processor is short.
    fleet.client(0, shopper).media[2].paused = true;
    fleet.run(MS(5_000));
    assert_eq!(crossing(&mut fleet), [1]);
    let before = fleet.client(1, agent).received("shopper", "camera");
    fleet.run(MS(1_000));
    let after = fleet.client(1, agent).received("shopper", "camera");
    assert!(after > before + 25, "the picture goes on: {before} {after}");
    let media = &mut fleet.client(0, shopper).media[2];
    (media.paused, media.key_frame_wanted) = (false, true);
    fleet.run(MS(6_000));
    assert_eq!(crossing(&mut fleet), [2], "and the better one comes back");
}

#[test]
fn a_link_that_loses_and_reorders_harms_no_more_than_it_must() {
    let mut fleet = Fleet::new(31, 2);
    fleet.link.loss = 0.02;
    fleet.link.jitter = MS(30);
    fleet.publisher(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(6_000));
    let client = fleet.client(1, agent);
    for (name, rate) in [("microphone", 50), ("camera", 30)] {
        let track = client.track_of("shopper", name).expect("known");
        let mut sequences: Vec<u64> = client
            .packets_of(&track)
            .iter()
            .map(|p| *p.seq_no)
            .collect();
        sequences.sort_unstable();
        let received = sequences.len();
        sequences.dedup();
        assert_eq!(sequences.len(), received, "nothing comes twice");
        assert!(received > rate * 4, "{name}: {received}");
    }
}

#[test]
fn a_track_comes_from_its_owner_only() {
    let mut fleet = Fleet::new(32, 3);
    fleet.publisher(0, "shopper");
    fleet.join(1, "agent");
    fleet.join(2, "other");
    fleet.run(MS(3_000));
    let packet = fleet
        .relayed
        .iter()
        .find(|(_, from, to, _)| (*from, *to) == (0, 1));
    let packet = packet.expect("relayed").3.clone();
    assert!(
        fleet.relayed.iter().all(|(_, from, ..)| *from == 0),
        "nobody passes on what is not his"
    );
    let (now, shard) = (fleet.now(), &mut fleet.nodes[1].shard);
    let unknown =
        |shard: &tradewind_rtc::Shard| shard.counters().dropped[DropReason::UnknownTrack as usize];
    let before = unknown(shard);
    shard.handle_relayed(now, PeerId(2), packet);
    assert_eq!(unknown(shard), before + 1);
}

#[test]
fn the_wishes_of_many_for_a_key_frame_cross_as_one() {
    let mut fleet = Fleet::new(33, 2);
    fleet.publisher(0, "shopper");
    for at in 0..10 {
        fleet.join(1, &format!("w{at}"));
    }
    fleet.run(MS(3_000));
    let requests: Vec<_> = fleet
        .messages
        .iter()
        .filter(|(.., message)| matches!(message.body, ReplicaBody::KeyFrame { .. }))
        .map(|(at, ..)| *at)
        .collect();
    for pair in requests.windows(2) {
        assert!(pair[1] - pair[0] >= MS(500), "{:?}", pair[1] - pair[0]);
    }
    let clocks = |(.., message): &&(_, _, _, Box<tradewind_rtc::replica::ReplicaMessage>)| {
        matches!(message.body, ReplicaBody::Clock { .. })
    };
    assert!(
        fleet.messages.iter().filter(clocks).count() > 0,
        "clocks cross, so that lips stay in sync"
    );
}

#[test]
fn whoever_stops_watching_stops_the_flow() {
    let mut fleet = Fleet::new(34, 2);
    fleet.publisher(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.join(1, "guest");
    fleet.run(MS(3_000));
    for connection in [agent, agent] {
        let reason = tradewind_rtc::DisconnectReason::ClientInitiated;
        fleet.nodes[1].signal(connection, SignalRequest::Leave { reason });
    }
    fleet.run(MS(4_000));
    assert!(!crossing(&mut fleet).is_empty(), "somebody is left");
    let guests: Vec<ConnectionId> = fleet.nodes[1].clients.keys().copied().collect();
    for connection in guests {
        let reason = tradewind_rtc::DisconnectReason::ClientInitiated;
        fleet.nodes[1].signal(connection, SignalRequest::Leave { reason });
    }
    fleet.run(MS(4_000));
    assert!(crossing(&mut fleet).is_empty(), "nobody is left");
}
