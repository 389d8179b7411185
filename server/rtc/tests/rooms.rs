//! What participants of a room experience, in virtual time.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Client, World, any};
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, ConnectionId, ConnectionQuality,
    DisconnectReason, DropReason, Event, LeaveAction, ParticipantState, Permission, Protocol,
    Received, Resume, RoomEvent, SessionDescription, SignalRequest, TrackKind, UpdateMetadata,
};

/// A client that joined, publishes audio, and video in one encoding.
fn publisher(world: &mut World, identity: &str) -> ConnectionId {
    let client = Client::new(world, identity);
    let connection = world.join(client);
    world.run_until("connected", |world| world.client(connection).connected);
    world
        .client(connection)
        .publish("microphone", TrackKind::Audio, &[]);
    world.run(Duration::from_millis(100));
    world
        .client(connection)
        .publish("camera", TrackKind::Video, &[]);
    world.run(Duration::from_millis(100));
    connection
}

fn watcher(world: &mut World, identity: &str) -> ConnectionId {
    let client = Client::new(world, identity);
    world.join(client)
}

fn receives(world: &mut World, connection: ConnectionId, identity: &str, name: &str) -> usize {
    let client = world.client(connection);
    client
        .track_of(identity, name)
        .map_or(0, |track| client.packets_of(&track).len())
}

#[test]
fn shopper_and_agent_hear_and_see_each_other() {
    let mut world = World::new(1);
    let shopper = publisher(&mut world, "shopper");
    let agent = publisher(&mut world, "agent");
    world.run(Duration::from_secs(2));
    for (connection, other) in [(shopper, "agent"), (agent, "shopper")] {
        assert!(
            receives(&mut world, connection, other, "microphone") > 50,
            "{other}'s voice"
        );
        assert!(
            receives(&mut world, connection, other, "camera") > 30,
            "{other}'s picture"
        );
    }
}

#[test]
fn a_late_joiner_gets_every_track_from_the_right_participant() {
    let mut world = World::new(2);
    publisher(&mut world, "a");
    publisher(&mut world, "b");
    let late = watcher(&mut world, "late");
    world.run(Duration::from_secs(3));
    assert_eq!(
        world.client(late).forwarded(),
        ["a/camera", "a/microphone", "b/camera", "b/microphone"]
    );
    for other in ["a", "b"] {
        assert!(
            receives(&mut world, late, other, "camera") > 20,
            "{other}'s picture"
        );
    }
}

#[test]
fn more_tracks_than_sections_make_the_client_add_some() {
    let mut world = World::new(3);
    for name in ["a", "b", "c", "d", "e"] {
        publisher(&mut world, name);
    }
    let late = watcher(&mut world, "late");
    world.run(Duration::from_secs(3));
    assert_eq!(world.client(late).forwarded().len(), 10);
}

#[test]
fn the_first_packet_of_a_picture_begins_a_key_frame() {
    let mut world = World::new(4);
    publisher(&mut world, "shopper");
    world.run(Duration::from_secs(3));
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    let track = world
        .client(agent)
        .track_of("shopper", "camera")
        .expect("published");
    let packets = world.client(agent).packets_of(&track);
    let first = packets.first().expect("received");
    assert_eq!(first.payload[4] & 1, 0, "a key frame comes first");
    let mut sequences: Vec<u64> = packets.iter().map(|packet| *packet.seq_no).collect();
    sequences.sort_unstable();
    assert!(
        sequences.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "without gaps"
    );
}

#[test]
fn the_same_identity_ends_the_older_session() {
    let mut world = World::new(5);
    let first = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    let second = publisher(&mut world, "shopper");
    world.run(Duration::from_secs(1));
    let left = |event: &Event| {
        let wanted = (DisconnectReason::DuplicateIdentity, LeaveAction::Disconnect);
        matches!(event, Event::Leave { reason, action } if (*reason, *action) == wanted)
    };
    assert!(any(&world.client(first).events, left));
    assert!(world.client(first).closed);
    let sid = world
        .client(second)
        .joined
        .as_ref()
        .expect("joined")
        .participant
        .sid
        .clone();
    let known: Vec<_> = world
        .client(agent)
        .participants
        .values()
        .filter(|p| p.identity.as_str() == "shopper" && p.state != ParticipantState::Disconnected)
        .map(|p| p.sid.clone())
        .collect();
    assert_eq!(known, [sid], "the agent knows only the newer one");
}

#[test]
fn a_session_survives_the_loss_of_its_signalling() {
    let mut world = World::new(6);
    let shopper = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    let sid = world
        .client(shopper)
        .joined
        .as_ref()
        .expect("joined")
        .participant
        .sid
        .clone();
    world.command(Command::ConnectionClosed {
        connection: shopper,
    });
    world.run(Duration::from_secs(3));
    let before = receives(&mut world, agent, "shopper", "microphone");

    let mut client = world.clients.remove(&shopper).expect("exists");
    client.connection = ConnectionId(900);
    client.events.clear();
    world.clients.insert(ConnectionId(900), client);
    world.command(Command::Resume(Box::new(Resume {
        connection: ConnectionId(900),
        room: "shop".into(),
        identity: "shopper".into(),
        participant: sid,
        sync_state: None,
        offer: None,
    })));
    world.run(Duration::from_secs(1));
    assert!(matches!(
        world.client(ConnectionId(900)).events.first(),
        Some(Event::Resumed { .. })
    ));
    assert!(before > 100, "media went on meanwhile");
    assert!(
        receives(&mut world, agent, "shopper", "microphone") > before + 30,
        "and goes on"
    );
    let gone = |event: &RoomEvent| matches!(event, RoomEvent::ParticipantLeft { .. });
    assert!(!world.room_events.iter().any(gone));
}

#[test]
fn an_unknown_session_is_told_to_join_anew() {
    let mut world = World::new(7);
    let client = Client::new(&mut world, "stranger");
    let connection = client.connection;
    world.clients.insert(connection, client);
    world.command(Command::Resume(Box::new(Resume {
        connection,
        room: "shop".into(),
        identity: "stranger".into(),
        participant: "PA_unknown".into(),
        sync_state: None,
        offer: None,
    })));
    let events = &world.client(connection).events;
    let reconnect = |event: &Event| {
        matches!(
            event,
            Event::Leave {
                reason: DisconnectReason::StateMismatch,
                action: LeaveAction::Reconnect
            }
        )
    };
    assert!(events.len() == 1 && any(events, reconnect));
    assert!(world.client(connection).closed);
}

#[test]
fn who_vanishes_is_gone_for_the_others_within_seconds() {
    let mut world = World::new(8);
    let shopper = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    world.clients.remove(&shopper);
    world.command(Command::ConnectionClosed {
        connection: shopper,
    });
    world.run(Duration::from_secs(8));
    let gone = world
        .client(agent)
        .participants
        .values()
        .any(|p| p.state == ParticipantState::Disconnected);
    assert!(gone);
}

#[test]
fn a_revoked_permission_ends_the_tracks() {
    let mut world = World::new(9);
    let shopper = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    let permission = Permission {
        can_publish: false,
        ..Permission::default()
    };
    let reply = world.admin(AdminRequest::UpdateParticipant {
        room: "shop".into(),
        identity: "shopper".into(),
        metadata: UpdateMetadata::default(),
        permission: Some(permission),
    });
    assert!(matches!(reply, Ok(AdminReply::Participant(info)) if info.tracks.is_empty()));
    world.run(Duration::from_secs(1));
    assert_eq!(world.client(agent).forwarded(), Vec::<String>::new());
    assert!(any(&world.client(shopper).events, |event| matches!(
        event,
        Event::TrackUnpublished { .. }
    )));
    let received = world.client(agent).packets.len();
    world.run(Duration::from_secs(1));
    assert_eq!(
        world.client(agent).packets.len(),
        received,
        "nothing is forwarded any more"
    );
}

#[test]
fn a_hidden_participant_sees_and_is_not_seen() {
    let mut world = World::new(10);
    let shopper = publisher(&mut world, "shopper");
    let mut client = Client::new(&mut world, "supervisor");
    client.permission.hidden = true;
    let supervisor = world.join(client);
    world.run(Duration::from_secs(2));
    assert!(
        world
            .client(shopper)
            .participants
            .values()
            .all(|p| p.identity.as_str() != "supervisor")
    );
    assert!(receives(&mut world, supervisor, "shopper", "camera") > 10);
}

#[test]
fn who_may_not_publish_is_told_so() {
    let mut world = World::new(11);
    let mut client = Client::new(&mut world, "viewer");
    client.permission.can_publish = false;
    let viewer = world.join(client);
    world.run_until("connected", |world| world.client(viewer).connected);
    world
        .client(viewer)
        .publish("camera", TrackKind::Video, &[]);
    world.run(Duration::from_millis(200));
    assert!(any(&world.client(viewer).events, |event| matches!(
        event,
        Event::RequestFailed { .. }
    )));
    assert!(world.client(viewer).published.is_empty());
}

#[test]
fn without_automatic_subscription_only_chosen_tracks_come() {
    let mut world = World::new(12);
    publisher(&mut world, "shopper");
    let mut client = Client::new(&mut world, "picky");
    client.auto_subscribe = false;
    let picky = world.join(client);
    world.run(Duration::from_secs(1));
    assert!(world.client(picky).forwarded().is_empty());
    let track = world
        .client(picky)
        .track_of("shopper", "camera")
        .expect("published");
    world.signal(
        picky,
        SignalRequest::Subscription {
            tracks: vec![track.clone()],
            subscribe: true,
        },
    );
    world.run(Duration::from_secs(1));
    assert_eq!(world.client(picky).forwarded(), ["shopper/camera"]);
    world.signal(
        picky,
        SignalRequest::Subscription {
            tracks: vec![track],
            subscribe: false,
        },
    );
    world.run(Duration::from_secs(1));
    assert!(world.client(picky).forwarded().is_empty());
}

#[test]
fn a_section_that_lost_its_track_carries_the_next() {
    let mut world = World::new(13);
    let first = publisher(&mut world, "first");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    world.signal(
        first,
        SignalRequest::Leave {
            reason: DisconnectReason::ClientInitiated,
        },
    );
    world.clients.remove(&first);
    world.run(Duration::from_secs(1));
    publisher(&mut world, "second");
    world.run(Duration::from_secs(2));
    assert_eq!(
        world.client(agent).forwarded(),
        ["second/camera", "second/microphone"]
    );
    assert!(receives(&mut world, agent, "second", "camera") > 10);
    assert!(
        world.client(agent).sections.len() <= 6,
        "no section was added"
    );
}

#[test]
fn data_reaches_whom_it_is_meant_for_with_the_sender_stamped() {
    let mut world = World::new(14);
    let names = ["a", "b", "c"];
    let connections: Vec<ConnectionId> =
        names.iter().map(|name| watcher(&mut world, name)).collect();
    world.run_until("channels", |world| {
        connections
            .iter()
            .all(|connection| world.client(*connection).channels.len() == 3)
    });
    world
        .client(connections[0])
        .send_data("_reliable", "b|1|only for b");
    world
        .client(connections[0])
        .send_data("_reliable", "|2|for all");
    world
        .client(connections[0])
        .send_data("_reliable", "|2|for all, repeated");
    world
        .client(connections[0])
        .send_data("_reliable", "not a message");
    world.run(Duration::from_secs(1));
    assert_eq!(world.client(connections[0]).messages, Vec::<String>::new());
    assert_eq!(
        world.client(connections[1]).messages,
        ["a: only for b", "a: for all"]
    );
    assert_eq!(world.client(connections[2]).messages, ["a: for all"]);
}

#[test]
fn a_message_waits_for_a_receiver_whose_channels_are_not_open_yet() {
    let mut world = World::new(24);
    let shopper = watcher(&mut world, "shopper");
    world.run_until("channels", |world| {
        world.client(shopper).channels.len() == 3
    });
    let agent = watcher(&mut world, "agent");
    assert!(world.client(agent).channels.is_empty());
    world.client(shopper).send_data("_reliable", "|1|first");
    world.client(shopper).send_data("_reliable", "|2|second");
    world.run(Duration::from_secs(2));
    assert_eq!(
        world.client(agent).messages,
        ["shopper: first", "shopper: second"]
    );
}

#[test]
fn who_may_not_send_data_is_not_relayed() {
    let mut world = World::new(15);
    let mut client = Client::new(&mut world, "mute");
    client.permission.can_publish_data = false;
    let mute = world.join(client);
    let other = watcher(&mut world, "other");
    world.run_until("channels", |world| {
        [mute, other]
            .iter()
            .all(|connection| world.client(*connection).channels.len() == 3)
    });
    world.client(mute).send_data("_reliable", "|1|psst");
    world.run(Duration::from_secs(1));
    assert!(world.client(other).messages.is_empty());
}

#[test]
fn speakers_light_up_and_go_dark() {
    let mut world = World::new(16);
    let shopper = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(3));
    let active = |wanted: bool| move |event: &Event| matches!(event, Event::Speakers(speakers) if speakers.iter().any(|speaker| speaker.active == wanted));
    assert!(any(&world.client(agent).events, active(true)));
    world.client(agent).events.clear();
    for media in &mut world.client(shopper).media {
        media.paused = true;
    }
    world.run(Duration::from_secs(3));
    assert!(any(&world.client(agent).events, active(false)));
}

#[test]
fn a_good_connection_is_never_called_lost() {
    let mut world = World::new(17);
    let shopper = publisher(&mut world, "shopper");
    publisher(&mut world, "agent");
    world.run(Duration::from_secs(30));
    for event in &world.client(shopper).events {
        if let Event::Quality(reports) = event {
            assert!(
                reports
                    .iter()
                    .all(|report| report.quality >= ConnectionQuality::Good),
                "{reports:?}"
            );
        }
    }
}

#[test]
fn the_number_of_participants_is_told_when_it_changed() {
    let mut world = World::new(23);
    let shopper = watcher(&mut world, "shopper");
    watcher(&mut world, "agent");
    world.run(Duration::from_secs(6));
    let told = |count: u32| move |event: &Event| matches!(event, Event::Room(room) if room.num_participants == count);
    assert!(any(&world.client(shopper).events, told(2)));
    world.client(shopper).events.clear();
    world.run(Duration::from_secs(11));
    assert!(
        !any(&world.client(shopper).events, told(2)),
        "and only then"
    );
}

#[test]
fn an_empty_room_ends_and_says_so() {
    let mut world = World::new(18);
    let shopper = watcher(&mut world, "shopper");
    world.run(Duration::from_secs(1));
    world.signal(
        shopper,
        SignalRequest::Leave {
            reason: DisconnectReason::ClientInitiated,
        },
    );
    world.clients.clear();
    world.run(Duration::from_secs(25));
    assert!(matches!(
        world.room_events.last(),
        Some(RoomEvent::Finished { .. })
    ));
    assert!(matches!(
        world.admin(AdminRequest::ListParticipants {
            room: "shop".into()
        }),
        Err(AdminError::NoSuchRoom)
    ));
}

#[test]
fn a_deleted_room_sends_everybody_away() {
    let mut world = World::new(19);
    let shopper = watcher(&mut world, "shopper");
    world.run(Duration::from_secs(1));
    assert!(
        world
            .admin(AdminRequest::DeleteRoom {
                room: "shop".into()
            })
            .is_ok()
    );
    let told = |event: &Event| {
        matches!(
            event,
            Event::Leave {
                reason: DisconnectReason::RoomDeleted,
                ..
            }
        )
    };
    assert!(any(&world.client(shopper).events, told));
}

#[test]
fn a_draining_node_asks_some_to_join_anew_and_the_others_talk_on() {
    let mut world = World::new(61);
    let shopper = publisher(&mut world, "shopper");
    let agent = publisher(&mut world, "agent");
    world.run(Duration::from_secs(2));
    world.command(Command::Drain { participants: 1 });
    world.run(Duration::from_millis(100));
    let asked = |world: &mut World, connection| {
        world.client(connection).events.iter().any(|event| {
            matches!(
                event,
                Event::Leave {
                    reason: DisconnectReason::Migration,
                    action: LeaveAction::Reconnect
                }
            )
        })
    };
    assert_eq!(
        (asked(&mut world, shopper), asked(&mut world, agent)),
        (true, false)
    );
    world.command(Command::Drain { participants: 7 });
    world.run(Duration::from_millis(100));
    assert!(asked(&mut world, agent));
}

#[test]
fn a_panic_in_one_peer_ends_that_peer_and_nobody_else() {
    let mut world = World::new(20);
    let shopper = publisher(&mut world, "shopper");
    let agent = watcher(&mut world, "agent");
    world.run(Duration::from_secs(1));
    // An input that makes the WebRTC library panic; found by fuzzing.
    let input = include_str!("../../../fuzz/corpus/sdp/found-payload-type-locked-twice");
    // The fuzz target's first byte says how the rest is used.
    let sdp = input[1..].to_owned();
    let Command::Join(mut join) = Client::new(&mut world, "poisoner").join_command() else {
        unreachable!("clients join");
    };
    join.offer = Some(SessionDescription { sdp, id: 1 });
    world.command(Command::Join(join));
    assert_eq!(
        world.shard.counters().transport_panics,
        1,
        "the input is still poison"
    );
    let gone = |event: &RoomEvent| matches!(event, RoomEvent::ParticipantAborted { .. });
    assert!(world.room_events.iter().any(gone));
    let before = receives(&mut world, agent, "shopper", "camera");
    world.run(Duration::from_secs(1));
    assert!(receives(&mut world, agent, "shopper", "camera") > before + 20);
    assert!(!world.client(shopper).closed);
}

#[test]
fn junk_is_dropped_by_reason_and_never_answered() {
    let mut world = World::new(21);
    publisher(&mut world, "shopper");
    world.run(Duration::from_secs(1));
    let before = world.shard.counters();
    let stranger = SocketAddr::from(([203, 0, 113, 9], 4_000));
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    stun.extend([7; 12]);
    let junk: [&[u8]; 6] = [
        &[],
        &[0xFF; 40],
        &[0, 1, 0, 0],
        &stun,
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0x80; 60],
    ];
    for contents in junk {
        let destination = SocketAddr::from(common::SERVER);
        let received = Received {
            protocol: Protocol::Udp,
            source: stranger,
            destination,
            contents,
        };
        world.shard.handle_datagram(world.now, received);
    }
    world.shard.finish_turn(world.now);
    while let Some(transmit) = world.shard.poll_transmit() {
        assert_ne!(transmit.destination, stranger);
    }
    let after = world.shard.counters();
    let dropped =
        |reason: DropReason| after.dropped[reason as usize] - before.dropped[reason as usize];
    assert_eq!(dropped(DropReason::Unrecognised), 3);
    assert_eq!(dropped(DropReason::UnknownFragment), 1);
    assert_eq!(dropped(DropReason::UnvalidatedAddress), 2);
}

#[test]
fn media_from_an_address_that_was_not_validated_goes_nowhere() {
    let mut world = World::new(22);
    let shopper = publisher(&mut world, "shopper");
    world.run(Duration::from_secs(1));
    let before = world.shard.counters();
    // The client's next datagrams come from elsewhere, without a connectivity check first.
    world.client(shopper).address.set_port(6_000);
    let contents = [0x80u8; 200];
    let received = Received {
        protocol: Protocol::Udp,
        source: world.client(shopper).address,
        destination: SocketAddr::from(common::SERVER),
        contents: &contents,
    };
    world.shard.handle_datagram(world.now, received);
    let after = world.shard.counters();
    assert_eq!(after.rtp_in, before.rtp_in);
    assert_eq!(
        after.dropped[DropReason::UnvalidatedAddress as usize],
        before.dropped[DropReason::UnvalidatedAddress as usize] + 1
    );
}
