//! Messages of a client that has joined.

use tradewind_rtc::{Event, Output};
use tradewind_signalling::session::{FrameRef, Incoming, Session};

use crate::Verdict;
use crate::call::{self, Call, NOW_UNIX_S};
use crate::record::records;

/// Input: a byte whose bit 0 chooses one peer connection rather than two, then [records](crate::record): WebSocket
/// messages, as text where bit 0 of the tag is set.
///
/// The messages go through the session to the room, and the room's events back through the session.
///
/// Accepted: all messages were understood.
pub fn signal_message(input: &[u8]) -> Verdict {
    let Some((settings, messages)) = input.split_first() else {
        return Verdict::Refused;
    };
    let single = settings & 1 == 1;
    let mut session = call::session(&call::connect(single));
    let (mut call, outputs) = Call::with(call::join(single));
    deliver(&mut session, outputs);
    let mut understood = true;
    for record in records(messages) {
        let frame = match std::str::from_utf8(record.contents) {
            Ok(text) if record.tag & 1 == 1 => FrameRef::Text(text),
            _ => FrameRef::Binary(record.contents),
        };
        let Ok(incoming) = session.receive(frame, NOW_UNIX_S * 1_000) else {
            understood = false;
            break;
        };
        for one in incoming {
            if let Incoming::Request(request) = one {
                let outputs = call.signal(request);
                deliver(&mut session, outputs);
            }
        }
    }
    call.end();
    Verdict::accepted_if(understood)
}

/// Writes the events as frames and checks that the first thing a client hears is that it has joined.
fn deliver(session: &mut Session, outputs: Vec<Output>) {
    for event in call::events(outputs) {
        let joined = matches!(event, Event::Joined(_));
        let frames = session.send(event);
        assert!(!joined || !frames.is_empty(), "a join is answered");
    }
}
