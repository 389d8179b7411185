use std::collections::BTreeMap;

use super::super::samples::{participant, room};
use super::*;

/// A book with a clock.
struct Desk {
    book: CallBook,
    now: Instant,
}

impl Desk {
    /// One call, `CL_a`, whose shopper Yuki is still to come.
    fn with_call() -> Self {
        let mut desk = Self {
            book: CallBook::default(),
            now: Instant::now(),
        };
        desk.book.open("CL_a", "Yuki", "ja", desk.now, 1_000);
        desk
    }

    fn joins(&mut self, sid: &str, role: &str, name: &str) {
        let event = RoomEvent::ParticipantJoined {
            room: room("CL_a"),
            participant: participant(sid, role, name),
        };
        self.book.handle_event(&event, self.now, 2_000);
    }

    fn leaves(&mut self, sid: &str, role: &str) {
        let event = RoomEvent::ParticipantLeft {
            room: room("CL_a"),
            participant: participant(sid, role, ""),
        };
        self.book.handle_event(&event, self.now, 2_000);
    }

    /// Lets `seconds` pass, waking the book only when it asks for it.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.book.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.book.handle_timeout(due);
        }
        self.now = end;
    }

    fn answer(&mut self, agent: &str) -> Result<(), AnswerError> {
        self.book.answer("CL_a", agent, self.now)
    }

    fn seen(&self) -> BTreeMap<String, (CallState, Option<String>)> {
        self.book
            .list()
            .into_iter()
            .map(|call| (call.id, (call.state, call.agent)))
            .collect()
    }

    fn state(&self) -> Option<(CallState, Option<String>)> {
        self.seen().remove("CL_a")
    }
}

fn waiting() -> Option<(CallState, Option<String>)> {
    Some((CallState::Waiting, None))
}

fn answered_by(name: &str) -> Option<(CallState, Option<String>)> {
    Some((CallState::Answered, Some(name.to_owned())))
}

#[test]
fn a_call_is_seen_once_its_shopper_is_in_the_room() {
    let mut desk = Desk::with_call();
    assert_eq!(desk.state(), None);
    desk.joins("PA_y", SHOPPER, "Yuki");
    assert_eq!(desk.state(), waiting());
    let call = desk.book.list().remove(0);
    assert_eq!(
        (
            call.name.as_str(),
            call.language.as_str(),
            call.created_at_ms
        ),
        ("Yuki", "ja", 1_000)
    );
}

#[test]
fn a_shopper_who_never_comes_is_forgotten_after_a_minute() {
    let mut desk = Desk::with_call();
    desk.pass(59);
    assert_eq!(desk.book.unanswered(), 1);
    desk.pass(1);
    assert_eq!(desk.book.unanswered(), 0);
    assert_eq!(desk.book.poll_timeout(), None);
}

#[test]
fn the_first_agent_gets_the_call_and_the_second_is_told() {
    let mut desk = Desk::with_call();
    assert_eq!(desk.answer("Aline"), Err(AnswerError::NoSuchCall));
    desk.joins("PA_y", SHOPPER, "Yuki");
    assert_eq!(desk.answer("Aline"), Ok(()));
    assert_eq!(desk.state(), answered_by("Aline"));
    assert_eq!(desk.answer("Bruno"), Err(AnswerError::AlreadyAnswered));
    desk.joins("PA_a", AGENT, "Aline");
    desk.pass(3600);
    assert_eq!(desk.state(), answered_by("Aline"));
    assert_eq!(desk.answer("Bruno"), Err(AnswerError::AlreadyAnswered));
}

#[test]
fn a_call_whose_agent_does_not_come_waits_again() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "Yuki");
    assert_eq!(desk.answer("Aline"), Ok(()));
    desk.pass(30);
    assert_eq!(desk.state(), waiting());
    assert_eq!(desk.answer("Bruno"), Ok(()));
}

#[test]
fn a_shopper_left_by_the_agent_waits_again() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "Yuki");
    assert_eq!(desk.answer("Aline"), Ok(()));
    desk.joins("PA_a", AGENT, "Aline");
    desk.leaves("PA_a", AGENT);
    assert_eq!(desk.state(), waiting());
}

#[test]
fn a_shopper_who_reloads_the_page_keeps_the_call() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "Yuki");
    desk.leaves("PA_y", SHOPPER);
    assert_eq!(desk.state(), None);
    desk.pass(10);
    desk.joins("PA_y2", SHOPPER, "Yuki");
    assert_eq!(desk.state(), waiting());
    desk.pass(3600);
    assert_eq!(desk.state(), waiting());
}

#[test]
fn a_new_session_that_replaces_the_old_one_keeps_the_call_whatever_the_order() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "Yuki");
    desk.joins("PA_y2", SHOPPER, "Yuki");
    desk.leaves("PA_y", SHOPPER);
    assert_eq!(desk.state(), waiting());
}

#[test]
fn a_call_is_gone_with_its_room() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "Yuki");
    desk.book
        .handle_event(&RoomEvent::Finished { room: room("CL_a") }, desk.now, 3_000);
    assert_eq!(desk.state(), None);
    assert_eq!(desk.answer("Aline"), Err(AnswerError::NoSuchCall));
}

#[test]
fn a_shopper_with_a_token_from_elsewhere_is_a_call_too() {
    let mut desk = Desk {
        book: CallBook::default(),
        now: Instant::now(),
    };
    desk.joins("PA_y", SHOPPER, "Yuki");
    let call = desk.book.list().remove(0);
    assert_eq!(
        (
            call.name.as_str(),
            call.language.as_str(),
            call.created_at_ms
        ),
        ("Yuki", "ja", 2_000)
    );
}

#[test]
fn people_without_a_role_make_no_call() {
    let mut desk = Desk {
        book: CallBook::default(),
        now: Instant::now(),
    };
    desk.joins("PA_x", "observer", "Eve");
    desk.joins("PA_a", AGENT, "Aline");
    assert!(desk.seen().is_empty());
}

#[test]
fn the_longest_wait_is_first_in_the_list() {
    let mut desk = Desk::with_call();
    desk.book.open("CL_0", "Zoe", "fr", desk.now, 5_000);
    let event = RoomEvent::ParticipantJoined {
        room: room("CL_0"),
        participant: participant("PA_z", SHOPPER, "Zoe"),
    };
    desk.book.handle_event(&event, desk.now, 5_000);
    desk.joins("PA_y", SHOPPER, "Yuki");
    let ids: Vec<String> = desk.book.list().into_iter().map(|call| call.id).collect();
    assert_eq!(ids, ["CL_a", "CL_0"]);
}
