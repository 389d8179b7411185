//! The server API: Twirp calls of `livekit.RoomService`, in protobuf and JSON.
//!
//! <https://twitchtv.github.io/twirp/docs/spec_v7.html>: `POST /twirp/<service>/<method>`, the request message as body.

mod error;
mod room_service;

use livekit_protocol as proto;
use prost::Message;
use serde::Serialize;
use tradewind_rtc::{AdminReply, AdminRequest};

use crate::convert::{participant_info, room_info, track_info};
use crate::json::{self, Named};
use crate::token::Claims;

pub use error::{TwirpCode, TwirpError};

/// How a call's messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// The encoding a `Content-Type` header asks for.
    ///
    /// # Errors
    /// [`TwirpCode::BadRoute`], as Twirp prescribes.
    pub fn from_content_type(header: &str) -> Result<Self, TwirpError> {
        let media_type = header.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|encoding| encoding.content_type().eq_ignore_ascii_case(media_type))
            .ok_or_else(|| {
                TwirpError::new(
                    TwirpCode::BadRoute,
                    "unexpected Content-Type: send application/json or application/protobuf",
                )
            })
    }

    /// The `Content-Type` of the reply.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Reads a call of `service` (`livekit.RoomService`) and checks that the token's grants allow it.
///
/// # Errors
/// The message is malformed, the grants do not allow the call, or this server has no such call.
pub fn handle(
    service: &str,
    method: &str,
    encoding: Encoding,
    body: &[u8],
    claims: &Claims,
) -> Result<AdminRequest, TwirpError> {
    match service {
        "livekit.RoomService" => room_service::handle(method, encoding, body, &claims.grants),
        "livekit.Egress" => unimplemented(
            "recording and streaming out are not part of this server: let a recorder join the room as a participant",
        ),
        "livekit.Ingress" => unimplemented(
            "ingest of RTMP and WHIP is not part of this server: publish from a client SDK",
        ),
        "livekit.SIP" | "livekit.PhoneNumberService" => unimplemented(
            "telephony is not part of this server: let a SIP bridge join the room as a participant",
        ),
        "livekit.AgentDispatchService" => unimplemented(
            "agents are not dispatched by this server: let the agent join the room with a token of its own",
        ),
        "livekit.Connector" => unimplemented(
            "connectors are not part of this server: let a bridge join the room as a participant",
        ),
        _ => Err(TwirpError::bad_route(service, method)),
    }
}

/// The body of a successful reply.
pub fn reply(reply: &AdminReply, encoding: Encoding) -> Vec<u8> {
    match reply {
        AdminReply::Room(room) => write(&room_info(room), encoding),
        AdminReply::Rooms(rooms) => write(
            &proto::ListRoomsResponse {
                rooms: rooms.iter().map(room_info).collect(),
            },
            encoding,
        ),
        AdminReply::Participant(participant) => {
            write(&participant_info(participant).named(), encoding)
        }
        AdminReply::Participants(participants) => {
            let participants = participants
                .iter()
                .map(|participant| participant_info(participant).named())
                .collect();
            write(&proto::ListParticipantsResponse { participants }, encoding)
        }
        AdminReply::Track(track) => write(
            &proto::MuteRoomTrackResponse {
                track: Some(track_info(track).named()),
            },
            encoding,
        ),
        // All replies without content have the same form. Measurements are no part of this API.
        AdminReply::Done | AdminReply::Counters(_) | AdminReply::RoundTrips(_) => {
            write(&proto::DeleteRoomResponse {}, encoding)
        }
    }
}

fn write<M: Message + Serialize>(message: &M, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => message.encode_to_vec(),
        Encoding::Json => json::write(message),
    }
}

fn unimplemented(advice: &str) -> Result<AdminRequest, TwirpError> {
    Err(TwirpError::new(TwirpCode::Unimplemented, advice))
}

#[cfg(test)]
mod tests;
