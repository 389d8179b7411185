use super::super::call::{CallState, Role};
use super::super::event::Origin;
use super::super::samples::{call, participant, party, room};
use super::*;

fn switchboard(node: &str) -> Arc<Switchboard> {
    Arc::new(Switchboard::new(node, CancellationToken::new()))
}

/// Gives what happened at one node to the other, as a fleet does.
fn pass_on(events: &mut mpsc::Receiver<CallEvent>, to: &Switchboard) {
    while let Ok(event) = events.try_recv() {
        if event.origin == Origin::Here {
            to.learn(&event.call);
        }
    }
}

#[tokio::test]
async fn nodes_that_tell_each_other_hold_the_same_calls() {
    let (tokyo, paris) = (switchboard("tokyo"), switchboard("paris"));
    let (mut from_tokyo, mut from_paris) = (tokyo.call_events(64), paris.call_events(64));
    let now = tokyo.now_ms();
    tokyo.create(call("CL_a", now)).unwrap();
    pass_on(&mut from_tokyo, &paris);
    paris
        .add_party("CL_a", party("aline", Role::Agent, now), None)
        .unwrap();
    tokyo.measured("CL_a", "yuki", 12.0);
    pass_on(&mut from_paris, &tokyo);
    pass_on(&mut from_tokyo, &paris);
    let (here, there) = (tokyo.get("CL_a").unwrap(), paris.get("CL_a").unwrap());
    assert_eq!(here, there);
    assert_eq!(here.parties["yuki"].measured_rtt_ms, Some(12.0));
    assert!(here.parties.contains_key("aline"));

    let late = switchboard("sydney");
    tokyo.calls().iter().for_each(|call| late.learn(call));
    assert_eq!(late.get("CL_a").unwrap(), here);
}

#[tokio::test]
async fn a_party_that_connects_from_elsewhere_is_known_by_where_it_connects_from() {
    let switchboard = switchboard("tokyo");
    switchboard
        .create(call("CL_a", switchboard.now_ms()))
        .unwrap();
    let address = "203.0.113.7".parse().unwrap();
    switchboard.connects("CL_a", "yuki", address, Some((43.0, 141.0)));
    let party = switchboard.get("CL_a").unwrap().parties["yuki"].clone();
    assert_eq!(
        (party.address, party.place),
        (Some(address), Some((43.0, 141.0)))
    );
    switchboard.connects("CL_a", "nobody", address, None);
    switchboard.connects("CL_none", "yuki", address, None);
    assert_eq!(switchboard.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shopper_who_does_not_come_is_given_up_without_being_asked_for() {
    let switchboard = switchboard("tokyo");
    let (_rooms, events) = mpsc::channel(1);
    tokio::spawn({
        let switchboard = switchboard.clone();
        async move { switchboard.run(events).await }
    });
    let mut stream = switchboard.stream(None);
    // Due already: the wall clock of the test does not run with its timers.
    let long_ago = switchboard.now_ms() - 3_600_000;
    switchboard.create(call("CL_a", long_ago)).unwrap();
    let ended = async {
        while switchboard.get("CL_a").unwrap().state() != CallState::Ended {
            stream.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn room_events_reach_the_book() {
    let switchboard = switchboard("tokyo");
    let (rooms, events) = mpsc::channel(1);
    let running = tokio::spawn({
        let switchboard = switchboard.clone();
        async move { switchboard.run(events).await }
    });
    let joined = RoomEvent::ParticipantJoined {
        room: room("CL_a"),
        participant: participant("PA_y", "yuki", "shopper", "Yuki"),
    };
    rooms.send(joined).await.unwrap();
    drop(rooms);
    running.await.unwrap();
    assert_eq!(switchboard.at_the_desk().len(), 1);
    assert_eq!(switchboard.unanswered(), 1);
}
