//! Server API calls of anybody with an administrator's token.

use tradewind_rtc::AdminRequest;
use tradewind_signalling::token::{Claims, VideoGrant};
use tradewind_signalling::twirp::{Encoding, handle, reply};

use crate::Verdict;
use crate::call::{self, Call};

const METHODS: [&str; 16] = [
    "CreateRoom",
    "ListRooms",
    "DeleteRoom",
    "ListParticipants",
    "GetParticipant",
    "RemoveParticipant",
    "MutePublishedTrack",
    "UpdateParticipant",
    "UpdateSubscriptions",
    "SendData",
    "UpdateRoomMetadata",
    "PerformRpc",
    "ForwardParticipant",
    "MoveParticipant",
    "",
    "NoSuchMethod",
];

/// Input: a byte, then the body of a call. Bits 0 to 3 of the byte choose the method, bit 4 JSON rather than protobuf,
/// bit 5 a token that allows nothing.
///
/// Rule: without a grant nothing but an error comes back. What is understood is carried out in a room with one
/// participant, and its reply is written.
///
/// Accepted: the call was understood and allowed, whether the room could carry it out or not.
pub fn twirp(input: &[u8]) -> Verdict {
    let Some((choice, body)) = input.split_first() else {
        return Verdict::Refused;
    };
    let method = METHODS[usize::from(choice & 15)];
    let encoding = if choice & 16 == 0 {
        Encoding::Protobuf
    } else {
        Encoding::Json
    };
    let allowed = choice & 32 == 0;
    let claims = Claims {
        grants: VideoGrant {
            room_create: allowed,
            room_list: allowed,
            room_admin: allowed,
            room: "order-17".into(),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    let Ok(request) = handle("livekit.RoomService", method, encoding, body, &claims) else {
        return Verdict::Refused;
    };
    assert!(allowed, "{method} was allowed without a grant");
    carry_out(request, encoding);
    Verdict::Accepted
}

fn carry_out(request: AdminRequest, encoding: Encoding) {
    let (mut call, _) = Call::with(call::join(true));
    if let Some(answer) = call.administer(request) {
        reply(&answer, encoding);
    }
    call.end();
}
