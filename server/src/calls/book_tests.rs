use super::super::samples::{call, participant, party, room};
use super::super::{call::CallState, event::Kind};
use super::*;

const SHOPPER: &str = "shopper";
const AGENT: &str = "agent";

/// A book with a clock.
struct Desk {
    book: CallBook,
    now: UnixMs,
}

impl Desk {
    fn empty() -> Self {
        Self {
            book: CallBook::new("ND_a"),
            now: 1_000,
        }
    }

    /// One call, `CL_a`, whose shopper Yuki is still to come.
    fn with_call() -> Self {
        let mut desk = Self::empty();
        desk.book.create(call("CL_a", desk.now), desk.now).unwrap();
        desk
    }

    fn joins(&mut self, sid: &str, role: &str, identity: &str) {
        let event = RoomEvent::ParticipantJoined {
            room: room("CL_a"),
            participant: participant(sid, identity, role, "Yuki"),
        };
        self.book.handle_event(&event, self.now);
    }

    fn leaves(&mut self, sid: &str, identity: &str) {
        let event = RoomEvent::ParticipantLeft {
            room: room("CL_a"),
            participant: participant(sid, identity, "", ""),
        };
        self.book.handle_event(&event, self.now);
    }

    fn room_ends(&mut self) {
        let event = RoomEvent::Finished { room: room("CL_a") };
        self.book.handle_event(&event, self.now);
    }

    /// Lets `seconds` pass, waking the book only when it asks for it.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + seconds * 1_000;
        while let Some(due) = self.book.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.book.handle_timeout(due);
        }
        self.now = end;
    }

    fn answer(&mut self, identity: &str) -> Result<(), CallError> {
        let mut agent = party(identity, Role::Agent, self.now);
        agent.presence = Presence::Expected {
            until_ms: self.now + AGENT_WAIT_MS,
        };
        let answered = self.book.answer("CL_a", agent, None, self.now);
        answered.map(drop)
    }

    fn call(&self) -> &Call {
        self.book.get("CL_a").unwrap()
    }

    fn state(&self) -> CallState {
        self.call().state()
    }

    /// Who has the call.
    fn agent(&self) -> Option<&str> {
        self.call().agent().map(|agent| agent.identity.as_str())
    }

    fn told(&mut self) -> Vec<(Kind, Origin)> {
        let events = self.book.take_events();
        events
            .iter()
            .map(|event| (event.kind, event.origin))
            .collect()
    }
}

#[test]
fn a_call_waits_once_its_shopper_is_in_the_room() {
    let mut desk = Desk::with_call();
    assert_eq!(desk.state(), CallState::Created);
    desk.joins("PA_y", SHOPPER, "yuki");
    assert_eq!(desk.state(), CallState::Waiting);
    assert_eq!(desk.call().created_at_ms, 1_000);
}

#[test]
fn a_shopper_who_never_comes_is_given_up_after_a_minute() {
    let mut desk = Desk::with_call();
    desk.pass(59);
    assert_eq!(desk.book.unanswered(), 1);
    desk.pass(1);
    assert_eq!(desk.book.unanswered(), 0);
    let ended = desk.call().ended.as_ref().unwrap();
    assert_eq!(ended.reason, EndReason::NobodyCame);
}

#[test]
fn an_ended_call_can_be_asked_for_an_hour() {
    let mut desk = Desk::with_call();
    desk.pass(60 + 3_599);
    assert_eq!(desk.state(), CallState::Ended);
    desk.pass(1);
    assert!(desk.book.get("CL_a").is_none());
    assert_eq!(desk.book.poll_timeout(), None);
}

#[test]
fn the_first_agent_gets_the_call_and_the_second_is_told() {
    let mut desk = Desk::with_call();
    assert_eq!(desk.answer("aline"), Err(CallError::NoSuchCall));
    desk.joins("PA_y", SHOPPER, "yuki");
    assert_eq!(desk.answer("aline"), Ok(()));
    assert_eq!(desk.agent(), Some("aline"));
    assert_eq!(desk.answer("bruno"), Err(CallError::AlreadyAnswered));
    desk.joins("PA_a", AGENT, "aline");
    desk.pass(3600);
    assert_eq!(desk.agent(), Some("aline"));
    assert_eq!(desk.answer("bruno"), Err(CallError::AlreadyAnswered));
}

#[test]
fn a_call_whose_agent_does_not_come_waits_again() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    assert_eq!(desk.answer("aline"), Ok(()));
    desk.pass(30);
    assert_eq!(desk.state(), CallState::Waiting);
    assert_eq!(desk.answer("bruno"), Ok(()));
}

#[test]
fn a_shopper_left_by_the_agent_waits_again() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    assert_eq!(desk.answer("aline"), Ok(()));
    desk.joins("PA_a", AGENT, "aline");
    desk.leaves("PA_a", "aline");
    assert_eq!(desk.state(), CallState::Waiting);
}

#[test]
fn a_shopper_who_reloads_the_page_keeps_the_call() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    desk.leaves("PA_y", "yuki");
    assert_eq!(desk.state(), CallState::Created);
    desk.pass(10);
    desk.joins("PA_y2", SHOPPER, "yuki");
    desk.pass(3600);
    assert_eq!(desk.state(), CallState::Waiting);
}

#[test]
fn a_new_session_that_replaces_the_old_one_keeps_the_call_whatever_the_order() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    desk.joins("PA_y2", SHOPPER, "yuki");
    desk.leaves("PA_y", "yuki");
    assert_eq!(desk.state(), CallState::Waiting);
}

#[test]
fn a_call_ends_with_its_room() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    desk.room_ends();
    assert_eq!(desk.state(), CallState::Ended);
    assert_eq!(desk.answer("aline"), Err(CallError::NoSuchCall));
}

#[test]
fn a_call_outlives_its_room_on_this_node_while_somebody_is_on_another() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    let mut far = party("aline", Role::Agent, desk.now);
    far.node = "ND_b".to_owned();
    desk.book.add_party("CL_a", far, None, desk.now).unwrap();
    desk.room_ends();
    assert!(desk.call().ended.is_none());
    assert!(!desk.call().is_shopper_here());
}

#[test]
fn a_shopper_who_comes_back_after_the_end_begins_the_next_life_of_the_call() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    desk.room_ends();
    desk.joins("PA_y2", SHOPPER, "yuki");
    assert_eq!((desk.state(), desk.call().life), (CallState::Waiting, 1));
}

#[test]
fn a_shopper_with_a_token_from_elsewhere_is_a_call_too() {
    let mut desk = Desk::empty();
    desk.joins("PA_y", SHOPPER, "yuki");
    assert_eq!(desk.state(), CallState::Waiting);
    assert_eq!(desk.call().details.language, "ja");
}

#[test]
fn people_without_a_role_make_no_call() {
    let mut desk = Desk::empty();
    desk.joins("PA_x", "observer", "eve");
    desk.joins("PA_a", AGENT, "aline");
    assert_eq!(desk.book.calls().count(), 0);
}

#[test]
fn a_repeated_request_gives_the_same_call_and_another_one_is_refused() {
    let mut desk = Desk::with_call();
    let again = desk.book.create(call("CL_a", 5_000), desk.now).unwrap();
    assert!(matches!(again, Created::Again(call) if call.created_at_ms == 1_000));
    let mut other = call("CL_a", 5_000);
    other.request = "something else".to_owned();
    assert_eq!(
        desk.book.create(other, desk.now).unwrap_err(),
        CallError::KeyReused
    );
}

#[test]
fn what_happens_is_told_once_and_in_order() {
    let mut desk = Desk::with_call();
    desk.joins("PA_y", SHOPPER, "yuki");
    desk.answer("aline").unwrap();
    desk.book.measured("CL_a", "yuki", 40.0, desk.now);
    desk.book.measured("CL_a", "yuki", 41.0, desk.now);
    desk.book
        .end("CL_a", EndReason::Requested, desk.now)
        .unwrap();
    desk.book
        .end("CL_a", EndReason::Requested, desk.now)
        .unwrap();
    let expected = [
        Kind::Created,
        Kind::PartyJoined,
        Kind::PartyAdded,
        Kind::Answered,
        Kind::Measured,
        Kind::Ended,
    ];
    assert_eq!(desk.told(), expected.map(|kind| (kind, Origin::Here)));
}

#[test]
fn another_node_learns_of_a_call_and_tells_its_own_listeners_only() {
    let mut home = Desk::with_call();
    let mut other = Desk {
        book: CallBook::new("ND_b"),
        now: 1_000,
    };
    other.book.learn(home.call(), 1_000);
    other.book.learn(home.call(), 1_000);
    assert_eq!(other.told(), [(Kind::Created, Origin::Fleet)]);
    home.joins("PA_y", SHOPPER, "yuki");
    other.book.learn(home.call(), 1_000);
    assert_eq!(other.told(), [(Kind::PartyJoined, Origin::Fleet)]);
    assert_eq!(other.answer("aline"), Ok(()));
    home.book.learn(other.call(), 1_000);
    assert_eq!(home.agent(), Some("aline"));
}

#[test]
fn another_node_ends_a_call_whose_home_is_gone() {
    let home = Desk::with_call();
    let mut other = Desk {
        book: CallBook::new("ND_b"),
        now: 1_000,
    };
    other.book.learn(home.call(), 1_000);
    other.pass(89);
    assert_eq!(other.state(), CallState::Created);
    other.pass(1);
    assert_eq!(other.state(), CallState::Ended);
}

#[test]
fn a_call_has_a_bound_on_its_parties() {
    let mut desk = Desk::with_call();
    let mut add = |number: usize| {
        let guest = party(&format!("guest{number}"), Role::Guest, 1_000);
        desk.book.add_party("CL_a", guest, None, 1_000).map(drop)
    };
    assert!((1..MAX_PARTIES).all(|number| add(number).is_ok()));
    assert_eq!(add(MAX_PARTIES), Err(CallError::TooManyParties));
    assert_eq!(add(1), Ok(()));
}

#[test]
fn a_node_taken_for_dead_that_lives_keeps_those_who_are_on_it() {
    let mut desk = Desk::with_call();
    desk.joins("PA_1", SHOPPER, "yuki");
    let mut other = CallBook::new("ND_b");
    other.learn(desk.book.get("CL_a").unwrap(), desk.now);
    other.node_lost("ND_a", |_| true, desk.now);
    let told = other.get("CL_a").unwrap().clone();
    assert!(!told.is_shopper_here());

    desk.book.take_events();
    desk.book.learn(&told, desk.now);
    assert!(desk.book.get("CL_a").unwrap().is_shopper_here());
    let events = desk.book.take_events();
    let last = events.last().unwrap();
    assert_eq!((last.kind, last.origin), (Kind::PartyJoined, Origin::Here));
    other.learn(&last.call, desk.now);
    assert!(other.get("CL_a").unwrap().is_shopper_here());
}

#[test]
fn calls_that_another_node_settles_are_left_to_it() {
    let mut desk = Desk::with_call();
    desk.joins("PA_1", SHOPPER, "yuki");
    desk.book
        .node_lost("ND_a", |call| call.home == "ND_c", desk.now);
    desk.book.node_lost("ND_b", |_| true, desk.now);
    assert!(desk.book.get("CL_a").unwrap().is_shopper_here());
}
