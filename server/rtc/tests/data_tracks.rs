//! What publishers and subscribers of data tracks experience, in virtual time.

mod common;

use std::time::Duration;

use common::{Client, World, any};
use tradewind_rtc::{
    AdminRequest, Command, ConnectionId, DataTrackHandle, DataTrackInfo, DataTrackSid, Event,
    ForwardedDataTrack, LeaveAction, Permission, PublishDataTrack, RefusalReason, Resume,
    ShardConfig, SignalRequest, SubscriptionPermission, SyncState, TrackPermission, UpdateMetadata,
};

const MOMENT: Duration = Duration::from_millis(200);

fn handle(number: u32) -> DataTrackHandle {
    DataTrackHandle::new(number).expect("within bounds")
}

fn join(world: &mut World, identity: &str) -> ConnectionId {
    let client = Client::new(world, identity);
    settled(world, client)
}

fn settled(world: &mut World, client: Client) -> ConnectionId {
    let connection = world.join(client);
    world.run_until("the channel is open", |world| {
        world
            .client(connection)
            .channels
            .contains_key("_data_track")
    });
    world.run(MOMENT);
    connection
}

fn publish(world: &mut World, connection: ConnectionId, number: u32, name: &str) {
    let wish = PublishDataTrack {
        handle: handle(number),
        name: name.into(),
        encryption: 0,
        frame_encoding: None,
        schema: None,
    };
    world.signal(connection, SignalRequest::PublishDataTrack(Box::new(wish)));
    world.run(MOMENT);
}

fn choose(world: &mut World, connection: ConnectionId, track: &DataTrackSid, subscribe: bool) {
    let choice = SignalRequest::DataSubscription(vec![(track.clone(), subscribe)]);
    world.signal(connection, choice);
    world.run(MOMENT);
}

/// A packet whose payload is one byte.
fn packet(number: u16, payload: u8) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![0x18, 0, high, low, 0, 1, 0, 1, 0, 0, 0, 1, payload]
}

fn send(world: &mut World, connection: ConnectionId, number: u16, payload: u8) {
    let packet = packet(number, payload);
    world.client(connection).send_bytes("_data_track", &packet);
    world.run(MOMENT);
}

/// Data tracks another participant is seen to publish.
fn seen(world: &mut World, connection: ConnectionId, identity: &str) -> Vec<DataTrackInfo> {
    let participants = world.client(connection).participants.values();
    let mut participants = participants.filter(|p| p.identity.as_str() == identity);
    participants
        .next_back()
        .map(|p| p.data_tracks.clone())
        .unwrap_or_default()
}

fn sid(world: &mut World, connection: ConnectionId, identity: &str, name: &str) -> DataTrackSid {
    let tracks = seen(world, connection, identity);
    let track = tracks.iter().find(|track| track.name == name);
    track.expect("the track is listed").sid.clone()
}

/// What the client was last told about handles.
fn handles(world: &mut World, connection: ConnectionId) -> Vec<ForwardedDataTrack> {
    let events = world.client(connection).events.iter().rev();
    let mut maps = events.filter_map(|event| match event {
        Event::DataTrackHandles(tracks) => Some(tracks.clone()),
        _ => None,
    });
    maps.next().unwrap_or_default()
}

fn received(world: &mut World, connection: ConnectionId) -> Vec<Vec<u8>> {
    std::mem::take(&mut world.client(connection).data_packets)
}

fn refusals(world: &mut World, connection: ConnectionId) -> Vec<RefusalReason> {
    let events = world.client(connection).events.iter();
    let reasons = events.filter_map(|event| match event {
        Event::RequestFailed { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn each_subscriber_gets_the_chosen_track_under_its_own_handle() {
    let mut world = World::new(1);
    let (robot, other) = (join(&mut world, "robot"), join(&mut world, "other"));
    let (desk, bystander) = (join(&mut world, "desk"), join(&mut world, "bystander"));
    publish(&mut world, robot, 500, "arm");
    publish(&mut world, robot, 7, "camera");
    publish(&mut world, other, 500, "arm");
    let sids = [("robot", "arm"), ("robot", "camera"), ("other", "arm")]
        .map(|(identity, name)| sid(&mut world, desk, identity, name));
    assert!(sids[0].as_str().starts_with("DTR_"));

    choose(&mut world, desk, &sids[2], true);
    choose(&mut world, desk, &sids[0], true);
    choose(&mut world, other, &sids[0], true);
    let map = handles(&mut world, desk);
    assert_eq!(map.len(), 2);
    assert_ne!(map[0].handle, map[1].handle);
    let arm = map
        .iter()
        .find(|known| known.track == sids[0])
        .expect("told");
    assert_eq!(arm.publisher_identity.as_str(), "robot");

    send(&mut world, robot, 500, 42);
    send(&mut world, robot, 7, 43);
    assert_eq!(received(&mut world, desk), [packet(arm.handle.get(), 42)]);
    let at_other = handles(&mut world, other)[0].handle.get();
    assert_eq!(received(&mut world, other), [packet(at_other, 42)]);
    assert!(received(&mut world, bystander).is_empty(), "nobody asked");
    assert!(received(&mut world, robot).is_empty(), "nothing comes back");
}

#[test]
fn who_unsubscribes_gets_no_more_and_a_fresh_handle_next_time() {
    let mut world = World::new(2);
    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    let arm = sid(&mut world, desk, "robot", "arm");
    choose(&mut world, desk, &arm, true);
    let first = handles(&mut world, desk)[0].handle;
    choose(&mut world, desk, &arm, false);
    send(&mut world, robot, 1, 1);
    assert!(received(&mut world, desk).is_empty());
    choose(&mut world, desk, &arm, true);
    assert_ne!(
        handles(&mut world, desk)[0].handle,
        first,
        "late packets find no new owner"
    );
    send(&mut world, robot, 1, 2);
    assert_eq!(received(&mut world, desk).len(), 1);
}

#[test]
fn who_asks_for_everything_gets_tracks_old_and_new() {
    let mut world = World::new(3);
    let robot = join(&mut world, "robot");
    publish(&mut world, robot, 1, "arm");
    let mut client = Client::new(&mut world, "recorder");
    client.auto_subscribe_data_tracks = true;
    let recorder = settled(&mut world, client);
    publish(&mut world, robot, 2, "leg");
    assert_eq!(handles(&mut world, recorder).len(), 2);
    send(&mut world, robot, 1, 10);
    send(&mut world, robot, 2, 20);
    let payloads: Vec<u8> = received(&mut world, recorder)
        .iter()
        .map(|packet| packet[12])
        .collect();
    assert_eq!(payloads, [10, 20]);
}

#[test]
fn a_track_that_ends_is_gone_for_everybody() {
    let mut world = World::new(4);
    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    let arm = sid(&mut world, desk, "robot", "arm");
    choose(&mut world, desk, &arm, true);
    world.signal(
        robot,
        SignalRequest::UnpublishDataTrack { handle: handle(1) },
    );
    world.run(MOMENT);
    assert!(any(&world.client(robot).events, |event| matches!(
        event,
        Event::DataTrackUnpublished(track) if track.sid == arm
    )));
    assert!(seen(&mut world, desk, "robot").is_empty());
    assert!(handles(&mut world, desk).is_empty());
    send(&mut world, robot, 1, 1);
    assert!(received(&mut world, desk).is_empty());

    world.signal(
        robot,
        SignalRequest::UnpublishDataTrack { handle: handle(1) },
    );
    assert_eq!(refusals(&mut world, robot), [RefusalReason::NotFound]);
    publish(&mut world, robot, 1, "arm");
    assert_ne!(
        sid(&mut world, desk, "robot", "arm"),
        arm,
        "a new publication"
    );
}

#[test]
fn who_leaves_takes_its_tracks_and_subscriptions_along() {
    let mut world = World::new(5);
    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    publish(&mut world, desk, 1, "stick");
    let (arm, stick) = (
        sid(&mut world, desk, "robot", "arm"),
        sid(&mut world, robot, "desk", "stick"),
    );
    choose(&mut world, desk, &arm, true);
    choose(&mut world, robot, &stick, true);
    let identity = "robot".into();
    let removal = AdminRequest::RemoveParticipant {
        room: "shop".into(),
        identity,
    };
    world.admin(removal).expect("the robot is there");
    world.run(MOMENT);
    assert!(seen(&mut world, desk, "robot").is_empty());
    assert!(handles(&mut world, desk).is_empty());
    send(&mut world, desk, 1, 1);
    assert!(received(&mut world, robot).is_empty());
}

#[test]
fn handles_and_names_are_unique_and_counted() {
    let config = ShardConfig {
        max_data_tracks_per_participant: 2,
        ..ShardConfig::default()
    };
    let mut world = World::with_config(6, config);
    let robot = join(&mut world, "robot");
    publish(&mut world, robot, 1, "arm");
    publish(&mut world, robot, 1, "leg");
    publish(&mut world, robot, 2, "arm");
    publish(&mut world, robot, 2, "leg");
    publish(&mut world, robot, 3, "eye");
    let expected = [
        RefusalReason::DuplicateHandle,
        RefusalReason::DuplicateName,
        RefusalReason::LimitExceeded,
    ];
    assert_eq!(refusals(&mut world, robot), expected);
}

#[test]
fn without_the_right_to_send_data_there_are_no_tracks() {
    let mut world = World::new(7);
    let mut client = Client::new(&mut world, "guest");
    client.permission.can_publish_data = false;
    let guest = settled(&mut world, client);
    publish(&mut world, guest, 1, "arm");
    assert_eq!(refusals(&mut world, guest), [RefusalReason::NotAllowed]);

    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    let arm = sid(&mut world, desk, "robot", "arm");
    choose(&mut world, desk, &arm, true);
    let revoked = AdminRequest::UpdateParticipant {
        room: "shop".into(),
        identity: "robot".into(),
        metadata: UpdateMetadata::default(),
        permission: Some(Permission {
            can_publish_data: false,
            ..Permission::default()
        }),
    };
    world.admin(revoked).expect("the robot is there");
    world.run(MOMENT);
    assert!(any(&world.client(robot).events, |event| matches!(
        event,
        Event::DataTrackUnpublished(_)
    )));
    assert!(seen(&mut world, desk, "robot").is_empty());
    send(&mut world, robot, 1, 1);
    assert!(received(&mut world, desk).is_empty());
}

#[test]
fn a_publisher_may_restrict_who_receives_its_tracks() {
    let mut world = World::new(8);
    let (robot, desk, spy) = (
        join(&mut world, "robot"),
        join(&mut world, "desk"),
        join(&mut world, "spy"),
    );
    publish(&mut world, robot, 1, "arm");
    let arm = sid(&mut world, desk, "robot", "arm");
    choose(&mut world, desk, &arm, true);
    choose(&mut world, spy, &arm, true);
    let desk_only = TrackPermission {
        participant: None,
        identity: Some("desk".into()),
        all_tracks: true,
        tracks: Vec::new(),
    };
    let permission = SubscriptionPermission {
        all_participants: false,
        tracks: vec![desk_only],
    };
    world.signal(robot, SignalRequest::SubscriptionPermission(permission));
    send(&mut world, robot, 1, 1);
    assert_eq!(received(&mut world, desk).len(), 1);
    assert!(received(&mut world, spy).is_empty());
}

#[test]
fn malformed_packets_and_unknown_handles_go_nowhere() {
    let mut world = World::new(9);
    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    let arm = sid(&mut world, desk, "robot", "arm");
    choose(&mut world, desk, &arm, true);
    let mut newer = packet(1, 1);
    newer[0] = 0x38;
    for bytes in [packet(2, 1), newer, vec![0; 12], b"x".to_vec()] {
        world.client(robot).send_bytes("_data_track", &bytes);
    }
    world.run(MOMENT);
    assert!(received(&mut world, desk).is_empty());
    send(&mut world, robot, 1, 1);
    assert_eq!(received(&mut world, desk).len(), 1);
}

fn resume(world: &mut World, connection: ConnectionId, state: SyncState) -> ConnectionId {
    world.command(Command::ConnectionClosed { connection });
    let mut client = world.clients.remove(&connection).expect("client exists");
    client.connection = ConnectionId(world.next_id());
    client.events.clear();
    let (connection, identity) = (client.connection, client.identity.clone());
    world.clients.insert(connection, client);
    world.command(Command::Resume(Box::new(Resume {
        connection,
        room: "shop".into(),
        identity,
        participant: "".into(),
        sync_state: Some(state),
        offer: None,
    })));
    world.run(MOMENT);
    connection
}

#[test]
fn tracks_and_subscriptions_outlive_the_loss_of_signalling() {
    let mut world = World::new(10);
    let (robot, desk) = (join(&mut world, "robot"), join(&mut world, "desk"));
    publish(&mut world, robot, 1, "arm");
    publish(&mut world, robot, 2, "leg");
    let [arm, leg] = ["arm", "leg"].map(|name| sid(&mut world, desk, "robot", name));
    choose(&mut world, desk, &arm, true);
    let before = handles(&mut world, desk);

    let state = SyncState {
        data_subscription: vec![(leg.clone(), true)],
        ..SyncState::default()
    };
    let desk = resume(&mut world, desk, state);
    let after = handles(&mut world, desk);
    assert!(after.contains(&before[0]), "told again, and unchanged");
    assert_eq!(after.len(), 2);

    // The answer for the second track was lost on its way.
    let state = SyncState {
        published_data: vec![arm.clone()],
        ..SyncState::default()
    };
    let robot = resume(&mut world, robot, state);
    let answered: Vec<DataTrackSid> = world
        .client(robot)
        .events
        .iter()
        .filter_map(|event| match event {
            Event::DataTrackPublished(track) => Some(track.sid.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [leg]);
    send(&mut world, robot, 1, 1);
    send(&mut world, robot, 2, 2);
    assert_eq!(received(&mut world, desk).len(), 2);

    let state = SyncState {
        published_data: vec!["DTR_unknown".into()],
        ..SyncState::default()
    };
    let robot = resume(&mut world, robot, state);
    assert!(any(&world.client(robot).events, |event| matches!(
        event,
        Event::Leave {
            action: LeaveAction::Reconnect,
            ..
        }
    )));
}
