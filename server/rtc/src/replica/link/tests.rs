use proptest::prelude::*;

use super::*;
use crate::id::RoomSid;
use crate::info::{DisconnectReason, RoomConfig};
use crate::replica::{ReplicaState, RoomRecord};

#[expect(
    clippy::disallowed_methods,
    reason = "an instant can only be made from the clock"
)]
fn start() -> Instant {
    Instant::now()
}

fn sync() -> ReplicaBody {
    ReplicaBody::Sync(Box::new(ReplicaState {
        room: RoomRecord {
            sid: RoomSid::from("RM_a"),
            created_at_ms: 0,
            config: RoomConfig::default(),
            version: 0,
        },
        participants: Vec::new(),
        speakers: Vec::new(),
        demands: Vec::new(),
        data_demands: Vec::new(),
    }))
}

fn left(number: usize) -> ReplicaBody {
    ReplicaBody::Left {
        participant: format!("PA_{number}").into(),
        reason: DisconnectReason::ClientInitiated,
    }
}

fn name(body: &ReplicaBody) -> String {
    match body {
        ReplicaBody::Sync(_) => "sync".into(),
        ReplicaBody::Left { participant, .. } => participant.to_string(),
        other => format!("{other:?}"),
    }
}

fn take(inbox: &mut Inbox, now: Instant, message: ReplicaMessage) -> Vec<String> {
    match inbox.take(now, message) {
        Progress::Ready { bodies, .. } => bodies.iter().map(name).collect(),
        Progress::Outdated => vec!["outdated".into()],
    }
}

#[test]
fn what_overtakes_waits_for_what_was_overtaken() {
    let now = start();
    let (mut outbox, mut inbox) = (Outbox::new(7), Inbox::default());
    let first = outbox.number(now, sync());
    let second = outbox.number(now, left(1));
    assert!(take(&mut inbox, now, second).is_empty());
    assert_eq!(take(&mut inbox, now, first), ["sync", "PA_1"]);
    assert!(inbox.is_complete());
}

#[test]
fn a_message_of_an_earlier_life_is_dropped() {
    let now = start();
    let mut inbox = Inbox::default();
    take(&mut inbox, now, Outbox::new(9).number(now, sync()));
    let old = Outbox::new(8).number(now, sync());
    assert_eq!(take(&mut inbox, now, old), ["outdated"]);
    let new = Outbox::new(10).number(now, left(1));
    assert!(matches!(
        inbox.take(now, new),
        Progress::Ready { bodies, new_life: true } if bodies.is_empty()
    ));
}

#[test]
fn a_far_side_that_begins_anew_gets_the_complete_state() {
    let now = start();
    let mut outbox = Outbox::new(1);
    outbox.number(now, sync());
    outbox.number(now, left(1));
    outbox.acknowledged(1, 2);
    assert!(
        outbox.since(0, 0).is_none(),
        "only the complete state helps"
    );
    assert!(outbox.since(1, 2).is_some_and(|missing| missing.is_empty()));
    outbox.number(now, sync());
    outbox.number(now, left(2));
    let again = outbox.since(0, 0).expect("it is still there");
    let mut inbox = Inbox::default();
    let got: Vec<String> = again
        .into_iter()
        .flat_map(|message| take(&mut inbox, now, message))
        .collect();
    assert_eq!(got, ["sync", "PA_2"]);
}

#[test]
fn nothing_is_asked_while_nothing_is_missing() {
    let now = start();
    let (mut outbox, mut inbox) = (Outbox::new(1), Inbox::default());
    take(&mut inbox, now, outbox.number(now, sync()));
    assert_eq!(inbox.poll_timeout(), None);
    let ReplicaBody::Ack { of, have } = inbox.acknowledgement() else {
        panic!("an acknowledgement");
    };
    outbox.acknowledged(of, have);
    assert_eq!(outbox.poll_timeout(), None);
}

proptest! {
    /// Whatever is lost or late, in the end everything has come once and in order.
    #[test]
    fn loss_and_disorder_heal(fates in proptest::collection::vec(0u8..4, 1..60)) {
        let mut now = start();
        let (mut outbox, mut inbox) = (Outbox::new(1), Inbox::default());
        let mut got = Vec::new();
        let mut late = Vec::new();
        let mut messages = vec![outbox.number(now, sync())];
        for number in 0..fates.len() {
            messages.push(outbox.number(now, left(number)));
        }
        for (message, fate) in messages.into_iter().zip(fates.iter().chain(&[0])) {
            match fate {
                0 | 1 => got.extend(take(&mut inbox, now, message)),
                2 => late.push(message),
                _ => {}
            }
        }
        for message in late.into_iter().rev() {
            got.extend(take(&mut inbox, now, message));
        }
        for _ in 0..4 {
            now += Duration::from_secs(1);
            if let Some(beat) = outbox.poll_beat(now) {
                inbox.take(now, beat);
            }
            now += Duration::from_secs(1);
            if let Some(ReplicaBody::Resend { of, have }) = inbox.poll_request(now) {
                for message in outbox.since(of, have).expect("retained") {
                    got.extend(take(&mut inbox, now, message));
                }
            }
        }
        let wanted: Vec<String> = std::iter::once("sync".to_owned())
            .chain((0..fates.len()).map(|number| format!("PA_{number}")))
            .collect();
        prop_assert_eq!(got, wanted);
    }
}
