//! One room on several nodes: what its participants see and hear, in virtual time.

mod common;

use std::time::Duration;

use common::{Client, Fleet, any};
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, ConnectionId, ConnectionQuality, DisconnectReason, Event,
    LeaveAction, Permission, SignalRequest, SubscriptionPermission, TrackKind, TrackSettings,
    UpdateMetadata, VideoQuality,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A client on a node that publishes audio and one encoding of video.
fn publisher(fleet: &mut Fleet, node: usize, identity: &str) -> ConnectionId {
    let connection = fleet.join(node, identity);
    fleet.run_until("connected", |fleet| {
        fleet.client(node, connection).connected
    });
    let client = fleet.client(node, connection);
    client.publish("microphone", TrackKind::Audio, &[]);
    fleet.run(MS(100));
    let client = fleet.client(node, connection);
    client.publish("camera", TrackKind::Video, &[]);
    fleet.run(MS(100));
    connection
}

fn simulcaster(fleet: &mut Fleet, node: usize, identity: &str) -> ConnectionId {
    let connection = fleet.join(node, identity);
    fleet.run_until("connected", |fleet| {
        fleet.client(node, connection).connected
    });
    let client = fleet.client(node, connection);
    client.publish("camera", TrackKind::Video, &["q", "h", "f"]);
    fleet.run(MS(100));
    connection
}

fn receives(client: &mut Client, identity: &str, name: &str) -> usize {
    client
        .track_of(identity, name)
        .map_or(0, |track| client.packets_of(&track).len())
}

fn sid(client: &Client) -> tradewind_rtc::ParticipantSid {
    client
        .joined
        .as_ref()
        .expect("joined")
        .participant
        .sid
        .clone()
}

#[test]
fn two_regions_see_and_hear_each_other() {
    let mut fleet = Fleet::new(1, 2);
    let tokyo = publisher(&mut fleet, 0, "shopper");
    let paris = publisher(&mut fleet, 1, "agent");
    fleet.run(MS(2_000));
    for (node, connection, other) in [(0, tokyo, "agent"), (1, paris, "shopper")] {
        assert_eq!(fleet.sees(node, connection), [other]);
        let client = fleet.client(node, connection);
        assert!(
            receives(client, other, "microphone") > 50,
            "{other}'s voice"
        );
        assert!(receives(client, other, "camera") > 30, "{other}'s picture");
    }
}

#[test]
fn three_nodes_are_one_room() {
    let mut fleet = Fleet::new(2, 3);
    let members: Vec<(usize, ConnectionId)> = (0..3)
        .map(|node| (node, publisher(&mut fleet, node, &format!("p{node}"))))
        .collect();
    fleet.run(MS(3_000));
    for (node, connection) in members {
        let others: Vec<String> = (0..3)
            .filter(|other| *other != node)
            .map(|other| format!("p{other}"))
            .collect();
        assert_eq!(fleet.sees(node, connection), others);
        for other in &others {
            let client = fleet.client(node, connection);
            assert!(receives(client, other, "camera") > 30, "{other} at {node}");
        }
        let room = "shop".into();
        let rooms = AdminRequest::ListRooms { names: vec![room] };
        let Ok(AdminReply::Rooms(rooms)) = fleet.nodes[node].admin(rooms) else {
            panic!("rooms");
        };
        assert_eq!((rooms[0].num_participants, rooms[0].num_publishers), (3, 3));
    }
}

#[test]
fn one_copy_goes_to_a_node_whatever_the_number_of_subscribers() {
    let mut fleet = Fleet::new(3, 2);
    publisher(&mut fleet, 0, "shopper");
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
        assert!(receives(client, "shopper", "camera") > 60);
    }
}

#[test]
fn nothing_crosses_while_nobody_wants_it() {
    let mut fleet = Fleet::new(4, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
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
    assert!(receives(fleet.client(1, agent), "shopper", "camera") > 30);
    assert!(
        any(&fleet.client(0, shopper).events, subscribed),
        "the publisher is told"
    );
}

fn settings(track: &tradewind_rtc::TrackSid, quality: VideoQuality) -> SignalRequest {
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
fn only_the_layer_in_demand_crosses_and_the_publisher_learns_of_it() {
    let mut fleet = Fleet::new(5, 2);
    let shopper = simulcaster(&mut fleet, 0, "shopper");
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
    let shopper = publisher(&mut fleet, 0, "shopper");
    fleet.join(1, "first");
    fleet.run(MS(3_000));
    // Someone else's need makes a fresh key frame come, which is then less than two seconds old.
    fleet.client(0, shopper).media[1].key_frame_wanted = true;
    fleet.run(MS(500));
    let late = fleet.join(1, "late");
    fleet.run_until("connected", |fleet| fleet.client(1, late).connected);
    let connected = fleet.now();
    fleet.run_until("a picture", |fleet| {
        receives(fleet.client(1, late), "shopper", "camera") > 0
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
fn mute_metadata_and_permissions_cross() {
    let mut fleet = Fleet::new(7, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(2_000));
    let track = fleet
        .client(1, agent)
        .track_of("shopper", "camera")
        .expect("known");
    let muted = SignalRequest::Mute {
        track: track.clone(),
        muted: true,
    };
    fleet.nodes[0].signal(shopper, muted);
    let permission = SubscriptionPermission {
        all_participants: false,
        tracks: Vec::new(),
    };
    fleet.nodes[0].signal(shopper, SignalRequest::SubscriptionPermission(permission));
    let room = "shop".into();
    let metadata = "sale".to_owned();
    fleet.nodes[0]
        .admin(AdminRequest::UpdateRoomMetadata { room, metadata })
        .expect("allowed");
    fleet.run(MS(1_000));
    let client = fleet.client(1, agent);
    let known = client
        .participants
        .values()
        .find(|p| p.identity.as_str() == "shopper");
    let info = known
        .expect("known")
        .tracks
        .iter()
        .find(|info| info.sid == track);
    assert!(info.expect("published").muted);
    assert!(any(&client.events, |event| matches!(event,
        Event::SubscriptionPermission { allowed: false, track: told, .. } if *told == track)));
    assert!(client.forwarded().is_empty(), "{:?}", client.forwarded());
    assert!(any(&client.events, |event| matches!(event,
        Event::Room(room) if room.config.metadata == "sale")));
}

#[test]
fn both_sides_know_the_room_by_one_sid() {
    let mut fleet = Fleet::new(8, 2);
    let first = fleet.join(0, "shopper");
    fleet.run(MS(1_000));
    let second = fleet.join(1, "agent");
    fleet.run(MS(1_000));
    let joined = fleet.client(0, first).joined.clone().expect("joined");
    let told = fleet
        .client(1, second)
        .events
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::Room(room) => Some(room.sid.clone()),
            _ => None,
        });
    assert_eq!(told, Some(joined.room.sid));
}

#[test]
fn reliable_data_arrives_once_and_in_order_even_over_a_cut() {
    let mut fleet = Fleet::new(9, 2);
    fleet.link.jitter = MS(40);
    let shopper = fleet.join(0, "shopper");
    let agent = fleet.join(1, "agent");
    let other = fleet.join(1, "other");
    fleet.run(MS(2_000));
    for number in 1..=30 {
        let message = format!("|{number}|{number}");
        fleet.client(0, shopper).send_data("_reliable", &message);
        fleet.run(MS(20));
        if number == 10 {
            fleet.cut(0, 1);
        }
        if number == 20 {
            fleet.heal(0, 1);
        }
    }
    fleet
        .client(0, shopper)
        .send_data("_reliable", "agent|31|for you");
    fleet.run(MS(3_000));
    let everything: Vec<String> = (1..=30)
        .map(|number| format!("shopper: {number}"))
        .collect();
    assert_eq!(fleet.client(1, other).messages, everything);
    let messages = &fleet.client(1, agent).messages;
    assert_eq!(messages[..30], everything);
    assert_eq!(messages[30..], ["shopper: for you"]);
    assert!(fleet.client(0, shopper).messages.is_empty());
}

#[test]
fn the_newer_session_of_an_identity_wins_across_nodes() {
    let mut fleet = Fleet::new(10, 3);
    let old = publisher(&mut fleet, 0, "shopper");
    let agent = fleet.join(2, "agent");
    fleet.run(MS(1_000));
    let new = publisher(&mut fleet, 1, "shopper");
    fleet.run(MS(2_000));
    let left = |event: &Event| {
        let wanted = (DisconnectReason::DuplicateIdentity, LeaveAction::Disconnect);
        matches!(event, Event::Leave { reason, action } if (*reason, *action) == wanted)
    };
    assert!(any(&fleet.client(0, old).events, left));
    assert!(!any(&fleet.client(1, new).events, left));
    assert_eq!(fleet.sees(2, agent), ["shopper"]);
    assert!(receives(fleet.client(2, agent), "shopper", "camera") > 20);
}

#[test]
fn sessions_begun_on_both_sides_of_a_cut_become_one() {
    let mut fleet = Fleet::new(11, 2);
    fleet.join(0, "host");
    let guest = fleet.join(1, "guest");
    fleet.run(MS(1_000));
    fleet.cut(0, 1);
    let first = fleet.join(0, "shopper");
    fleet.run(MS(1_000));
    let second = fleet.join(1, "shopper");
    fleet.run(MS(1_000));
    fleet.heal(0, 1);
    fleet.run(MS(2_000));
    assert!(fleet.client(0, first).closed, "the earlier one ends");
    assert!(!fleet.client(1, second).closed);
    assert_eq!(fleet.sees(1, guest), ["host", "shopper"]);
}

#[test]
fn participants_of_a_lost_node_leave_and_rejoin_elsewhere() {
    let mut fleet = Fleet::new(12, 3);
    publisher(&mut fleet, 0, "shopper");
    let agent = publisher(&mut fleet, 1, "agent");
    fleet.run(MS(2_000));
    fleet.kill(0);
    fleet.run(MS(1_000));
    fleet.lose(0);
    fleet.run(MS(500));
    assert!(fleet.sees(1, agent).is_empty());
    let again = publisher(&mut fleet, 2, "shopper");
    fleet.run(MS(2_000));
    assert_eq!(fleet.sees(1, agent), ["shopper"]);
    assert!(receives(fleet.client(1, agent), "shopper", "camera") > 20);
    assert!(receives(fleet.client(2, again), "agent", "microphone") > 50);
}

#[test]
fn a_cut_shows_in_the_quality_and_heals() {
    let mut fleet = Fleet::new(13, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(7_000));
    let shopper_sid = sid(fleet.client(0, shopper));
    let quality = |fleet: &mut Fleet| {
        let events = &fleet.client(1, agent).events;
        let reports = events.iter().filter_map(|event| match event {
            Event::Quality(reports) => Some(reports),
            _ => None,
        });
        let told = reports
            .flatten()
            .rfind(|report| report.participant == shopper_sid);
        told.map(|report| report.quality)
    };
    assert_eq!(quality(&mut fleet), Some(ConnectionQuality::Excellent));
    fleet.cut(0, 1);
    fleet.run(MS(100));
    assert_eq!(quality(&mut fleet), Some(ConnectionQuality::Lost));
    assert_eq!(fleet.sees(1, agent), ["shopper"], "nobody has left");
    fleet.nodes[0].signal(
        shopper,
        SignalRequest::UpdateMetadata(UpdateMetadata::default()),
    );
    fleet.run(MS(3_000));
    let before = receives(fleet.client(1, agent), "shopper", "camera");
    let newcomer = fleet.join(0, "newcomer");
    fleet.run(MS(1_000));
    fleet.heal(0, 1);
    fleet.run(MS(2_000));
    assert_eq!(quality(&mut fleet), Some(ConnectionQuality::Excellent));
    assert_eq!(fleet.sees(1, agent), ["newcomer", "shopper"]);
    assert_eq!(fleet.sees(0, newcomer), ["agent", "shopper"]);
    let after = receives(fleet.client(1, agent), "shopper", "camera");
    assert!(after > before + 20, "the picture is back: {before} {after}");
}

#[test]
fn the_server_api_reaches_participants_on_other_nodes() {
    let mut fleet = Fleet::new(14, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
    fleet.join(1, "agent");
    fleet.run(MS(2_000));
    let (room, identity) = ("shop".into(), "shopper".into());
    let reply = fleet.nodes[1].admin(AdminRequest::ListParticipants { room });
    let Ok(AdminReply::Participants(listed)) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(listed.len(), 2);
    let track = listed
        .iter()
        .find(|p| p.identity == identity)
        .expect("listed")
        .tracks[0]
        .sid
        .clone();

    let mut call = |fleet: &mut Fleet, request| {
        let id = fleet.nodes[1].ask(request);
        fleet.run(MS(300));
        fleet.nodes[1].replies.remove(&id).expect("answered")
    };
    let (room, muted) = ("shop".into(), true);
    let mute = AdminRequest::MuteTrack {
        room,
        identity: identity.clone(),
        track,
        muted,
    };
    assert!(matches!(call(&mut fleet, mute), Ok(AdminReply::Track(info)) if info.muted));
    assert!(any(&fleet.client(0, shopper).events, |event| matches!(
        event,
        Event::Mute { .. }
    )));
    let update = AdminRequest::UpdateParticipant {
        room: "shop".into(),
        identity: identity.clone(),
        metadata: UpdateMetadata {
            name: Some("Yuki".into()),
            ..Default::default()
        },
        permission: None,
    };
    assert!(
        matches!(call(&mut fleet, update), Ok(AdminReply::Participant(info)) if info.name == "Yuki")
    );
    let room = "shop".into();
    let remove = AdminRequest::RemoveParticipant { room, identity };
    assert!(matches!(
        call(&mut fleet, remove.clone()),
        Ok(AdminReply::Done)
    ));
    assert!(fleet.client(0, shopper).closed);
    assert_eq!(
        call(&mut fleet, remove).err(),
        Some(AdminError::NoSuchParticipant)
    );
}

#[test]
fn a_call_to_a_node_that_does_not_answer_ends() {
    let mut fleet = Fleet::new(15, 2);
    fleet.join(0, "shopper");
    fleet.join(1, "agent");
    fleet.run(MS(1_000));
    fleet.kill(0);
    let (room, identity) = ("shop".into(), "shopper".into());
    let id = fleet.nodes[1].ask(AdminRequest::RemoveParticipant { room, identity });
    fleet.run(MS(6_000));
    let reply = fleet.nodes[1].replies.remove(&id).expect("answered");
    assert_eq!(reply.err(), Some(AdminError::Unreachable));
}

#[test]
fn hidden_participants_stay_hidden_and_see() {
    let mut fleet = Fleet::new(16, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
    let ghost = fleet.join_as(1, "ghost", |client| {
        client.permission = Permission {
            hidden: true,
            ..Permission::default()
        };
    });
    fleet.run(MS(2_000));
    assert!(fleet.sees(0, shopper).is_empty());
    assert!(receives(fleet.client(1, ghost), "shopper", "camera") > 20);
}

#[test]
fn deleting_the_room_on_one_node_ends_it_everywhere() {
    let mut fleet = Fleet::new(17, 2);
    fleet.join(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(1_000));
    let room = "shop".into();
    fleet.nodes[0]
        .admin(AdminRequest::DeleteRoom { room })
        .expect("exists");
    fleet.run(MS(500));
    assert!(fleet.client(1, agent).closed);
    let gone = AdminRequest::ListParticipants {
        room: "shop".into(),
    };
    assert_eq!(
        fleet.nodes[1].admin(gone).err(),
        Some(AdminError::NoSuchRoom)
    );
}

#[test]
fn speakers_of_all_nodes_are_told() {
    let mut fleet = Fleet::new(18, 2);
    let shopper = publisher(&mut fleet, 0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(3_000));
    let speaker = sid(fleet.client(0, shopper));
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
fn a_full_room_is_full_on_every_node() {
    let mut fleet = Fleet::new(19, 2);
    let (room, config) = (
        "shop".into(),
        tradewind_rtc::RoomConfig {
            max_participants: 2,
            ..Default::default()
        },
    );
    fleet.nodes[0]
        .admin(AdminRequest::CreateRoom { room, config })
        .expect("created");
    fleet.join(0, "a");
    fleet.run(MS(500));
    fleet.join(1, "b");
    fleet.run(MS(1_000));
    let third = fleet.join(1, "c");
    fleet.run(MS(500));
    assert!(any(&fleet.client(1, third).events, |event| matches!(
        event,
        Event::JoinRefused(_)
    )));
}
