//! One room on several nodes: what its participants see and hear, in virtual time.

mod common;

use std::time::Duration;

use common::{Client, Fleet, any};
use tradewind_rtc::replica::RoomRecord;
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, ConnectionId, ConnectionQuality,
    DataTrackHandle, DisconnectReason, Event, LeaveAction, Permission, PublishDataTrack, Resume,
    SignalRequest, SubscriptionPermission, UpdateMetadata,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

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
    let tokyo = fleet.publisher(0, "shopper");
    let paris = fleet.publisher(1, "agent");
    fleet.run(MS(2_000));
    for (node, connection, other) in [(0, tokyo, "agent"), (1, paris, "shopper")] {
        assert_eq!(fleet.sees(node, connection), [other]);
        let client = fleet.client(node, connection);
        assert!(client.received(other, "microphone") > 50, "{other}'s voice");
        assert!(client.received(other, "camera") > 30, "{other}'s picture");
    }
}

#[test]
fn three_nodes_are_one_room() {
    let mut fleet = Fleet::new(2, 3);
    let members: Vec<(usize, ConnectionId)> = (0..3)
        .map(|node| (node, fleet.publisher(node, &format!("p{node}"))))
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
            assert!(client.received(other, "camera") > 30, "{other} at {node}");
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
fn mute_metadata_and_permissions_cross() {
    let mut fleet = Fleet::new(7, 2);
    let shopper = fleet.publisher(0, "shopper");
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
    let old = fleet.publisher(0, "shopper");
    let agent = fleet.join(2, "agent");
    fleet.run(MS(1_000));
    let new = fleet.publisher(1, "shopper");
    fleet.run(MS(2_000));
    let left = |event: &Event| {
        let wanted = (DisconnectReason::DuplicateIdentity, LeaveAction::Disconnect);
        matches!(event, Event::Leave { reason, action } if (*reason, *action) == wanted)
    };
    assert!(any(&fleet.client(0, old).events, left));
    assert!(!any(&fleet.client(1, new).events, left));
    assert_eq!(fleet.sees(2, agent), ["shopper"]);
    assert!(fleet.client(2, agent).received("shopper", "camera") > 20);
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
    fleet.publisher(0, "shopper");
    let agent = fleet.publisher(1, "agent");
    fleet.run(MS(2_000));
    fleet.kill(0);
    fleet.run(MS(1_000));
    fleet.lose(0);
    fleet.run(MS(500));
    assert!(fleet.sees(1, agent).is_empty());
    let again = fleet.publisher(2, "shopper");
    fleet.run(MS(2_000));
    assert_eq!(fleet.sees(1, agent), ["shopper"]);
    assert!(fleet.client(1, agent).received("shopper", "camera") > 20);
    assert!(fleet.client(2, again).received("agent", "microphone") > 50);
}

#[test]
fn a_cut_shows_in_the_quality_and_heals() {
    let mut fleet = Fleet::new(13, 2);
    let shopper = fleet.publisher(0, "shopper");
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
    let before = fleet.client(1, agent).received("shopper", "camera");
    let newcomer = fleet.join(0, "newcomer");
    fleet.run(MS(1_000));
    fleet.heal(0, 1);
    fleet.run(MS(2_000));
    assert_eq!(quality(&mut fleet), Some(ConnectionQuality::Excellent));
    assert_eq!(fleet.sees(1, agent), ["newcomer", "shopper"]);
    assert_eq!(fleet.sees(0, newcomer), ["agent", "shopper"]);
    let after = fleet.client(1, agent).received("shopper", "camera");
    assert!(after > before + 20, "the picture is back: {before} {after}");
    let speaks = fleet
        .client(1, agent)
        .events
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::Speakers(speakers) => Some(speakers[0].active),
            _ => None,
        });
    assert_eq!(speaks, Some(true), "and who speaks is shown");
}

#[test]
fn the_server_api_reaches_participants_on_other_nodes() {
    let mut fleet = Fleet::new(14, 2);
    let shopper = fleet.publisher(0, "shopper");
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

    let call = |fleet: &mut Fleet, request| {
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
    let shopper = fleet.publisher(0, "shopper");
    let ghost = fleet.join_as(1, "ghost", |client| {
        client.permission = Permission {
            hidden: true,
            ..Permission::default()
        };
    });
    fleet.run(MS(2_000));
    assert!(fleet.sees(0, shopper).is_empty());
    assert!(fleet.client(1, ghost).received("shopper", "camera") > 20);
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

#[test]
fn a_data_track_crosses_to_those_who_chose_it() {
    let mut fleet = Fleet::new(40, 2);
    let robot = fleet.publisher(0, "robot");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(1_000));
    let handle = DataTrackHandle::new(7).expect("within bounds");
    let wish = PublishDataTrack {
        handle,
        name: "arm".into(),
        encryption: 0,
        frame_encoding: None,
        schema: None,
    };
    fleet.nodes[0].signal(robot, SignalRequest::PublishDataTrack(Box::new(wish)));
    fleet.run(MS(500));
    let packet = |payload: u8| vec![0x18, 0, 0, 7, 0, 1, 0, 1, 0, 0, 0, 1, payload];
    fleet.client(0, robot).send_bytes("_data_track", &packet(1));
    fleet.run(MS(500));
    let client = fleet.client(1, agent);
    assert!(client.data_packets.is_empty(), "nobody chose it yet");
    let known = client
        .participants
        .values()
        .find(|p| p.identity.as_str() == "robot");
    let track = known.expect("known").data_tracks[0].sid.clone();
    let choice = SignalRequest::DataSubscription(vec![(track.clone(), true)]);
    fleet.nodes[1].signal(agent, choice);
    fleet.run(MS(500));
    fleet.client(0, robot).send_bytes("_data_track", &packet(2));
    fleet.run(MS(500));
    let payloads: Vec<u8> = fleet
        .client(1, agent)
        .data_packets
        .iter()
        .map(|p| p[12])
        .collect();
    assert_eq!(payloads, [2]);
    fleet.nodes[0].signal(robot, SignalRequest::UnpublishDataTrack { handle });
    fleet.run(MS(500));
    let client = fleet.client(1, agent);
    let known = client
        .participants
        .values()
        .find(|p| p.identity.as_str() == "robot");
    assert!(known.expect("known").data_tracks.is_empty());
}

#[test]
fn a_question_is_answered_from_the_other_node() {
    let mut fleet = Fleet::new(41, 2);
    let shopper = fleet.publisher(0, "shopper");
    let agent = fleet.publisher(1, "agent");
    fleet.join(1, "other");
    fleet.run(MS(1_000));
    fleet
        .client(1, agent)
        .send_data("_reliable", "shopper|1|size?");
    fleet.run(MS(500));
    assert_eq!(fleet.client(0, shopper).messages, ["agent: size?"]);
    fleet
        .client(0, shopper)
        .send_data("_reliable", "agent|1|42");
    fleet.run(MS(500));
    assert_eq!(fleet.client(1, agent).messages, ["shopper: 42"]);
}

#[test]
fn a_session_of_another_node_cannot_be_resumed_here() {
    let mut fleet = Fleet::new(42, 2);
    let shopper = fleet.publisher(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(1_000));
    let resume = Resume {
        connection: agent,
        room: "shop".into(),
        identity: "shopper".into(),
        participant: sid(fleet.client(0, shopper)),
        sync_state: None,
        offer: None,
    };
    fleet.nodes[1].command(Command::Resume(Box::new(resume)));
    let (reason, action) = (DisconnectReason::StateMismatch, LeaveAction::Reconnect);
    assert!(any(&fleet.client(1, agent).events, |event| matches!(event,
        Event::Leave { reason: told, action: asked } if (*told, *asked) == (reason, action))));
}

#[test]
fn a_replica_opened_from_the_directory_has_the_room_s_sid_from_the_start() {
    let mut fleet = Fleet::new(43, 2);
    let first = fleet.join(0, "shopper");
    fleet.run(MS(500));
    let room = fleet.client(0, first).joined.clone().expect("joined").room;
    let record = RoomRecord {
        sid: room.sid.clone(),
        created_at_ms: room.created_at_ms,
        config: room.config,
        version: 0,
    };
    let (room, record) = (room.name, Box::new(record));
    fleet.nodes[1].command(Command::OpenReplica { room, record });
    let second = fleet.join(1, "agent");
    let joined = fleet.client(1, second).joined.clone().expect("joined");
    assert_eq!(
        joined.room.sid,
        fleet
            .client(0, first)
            .joined
            .clone()
            .expect("joined")
            .room
            .sid
    );
}

#[test]
fn a_replica_ends_with_its_last_participant_and_may_begin_again() {
    let mut fleet = Fleet::new(44, 2);
    let shopper = fleet.publisher(0, "shopper");
    let agent = fleet.join(1, "agent");
    fleet.run(MS(1_000));
    let reason = DisconnectReason::ClientInitiated;
    fleet.nodes[1].signal(agent, SignalRequest::Leave { reason });
    fleet.run(MS(25_000));
    assert!(fleet.sees(0, shopper).is_empty());
    let list = AdminRequest::ListParticipants {
        room: "shop".into(),
    };
    assert_eq!(
        fleet.nodes[1].admin(list).err(),
        Some(AdminError::NoSuchRoom)
    );
    assert!(
        !fleet.client(0, shopper).closed,
        "the room goes on elsewhere"
    );
    let again = fleet.join(1, "agent");
    fleet.run(MS(2_000));
    assert_eq!(fleet.sees(0, shopper), ["agent"]);
    assert!(fleet.client(1, again).received("shopper", "camera") > 20);
}
