//! Webhooks: what the server posts to an application when something happens in a room.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use livekit_protocol as proto;
use sha2::{Digest, Sha256};
use tradewind_rtc::{ParticipantInfo, RoomEvent, RoomInfo, TrackInfo};

use crate::convert::{participant_info, room_info, track_info};
use crate::json::{self, Named};
use crate::token::{self, Claims, Keys, TokenError};

/// `Content-Type` of the request.
pub const CONTENT_TYPE: &str = "application/webhook+json";

/// How long the `Authorization` of a request is valid, seconds: enough for slow networks, and short for a thief.
const TTL_S: u64 = 300;

/// A request's body and what it tells, so that the sender can keep events of a room in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPayload {
    /// Name of the event, as in the body.
    pub event: &'static str,
    /// Name of the room.
    pub room: String,
    pub body: Vec<u8>,
}

/// The request that tells of `event`; `None` for events that are not told. `id` is unique per event and the same in
/// repeats, so that the application can drop them.
pub fn event(event: &RoomEvent, id: &str, now_unix_s: u64) -> Option<WebhookPayload> {
    let (name, parts) = match event {
        RoomEvent::Started { room } => ("room_started", Parts::of_room(room)),
        RoomEvent::Finished { room } => ("room_finished", Parts::of_room(room)),
        RoomEvent::MetadataChanged { .. } | RoomEvent::ParticipantAdmitted { .. } => return None,
        RoomEvent::ParticipantJoined { room, participant } => (
            "participant_joined",
            Parts::of_participant(room, participant),
        ),
        RoomEvent::ParticipantLeft { room, participant } => {
            ("participant_left", Parts::of_participant(room, participant))
        }
        RoomEvent::ParticipantAborted { room, participant } => (
            "participant_connection_aborted",
            Parts::of_participant(room, participant),
        ),
        RoomEvent::TrackPublished {
            room,
            participant,
            track,
        } => (
            "track_published",
            Parts {
                track: Some(track),
                ..Parts::of_participant(room, participant)
            },
        ),
        RoomEvent::TrackUnpublished {
            room,
            participant,
            track,
        } => (
            "track_unpublished",
            Parts {
                track: Some(track),
                ..Parts::of_participant(room, participant)
            },
        ),
    };
    let message = proto::WebhookEvent {
        event: name.to_owned(),
        id: id.to_owned(),
        created_at: i64::try_from(now_unix_s).unwrap_or(i64::MAX),
        room: Some(room_info(parts.room)),
        participant: parts
            .participant
            .map(|participant| participant_info(participant).named()),
        track: parts.track.map(|track| track_info(track).named()),
        ..proto::WebhookEvent::default()
    };
    Some(WebhookPayload {
        event: name,
        room: parts.room.name.to_string(),
        body: json::write(&message),
    })
}

/// The `Authorization` header of a request with this body: a token that vouches for the body, without `Bearer`.
///
/// # Errors
/// [`TokenError::UnknownApiKey`].
pub fn authorization(
    keys: &Keys,
    api_key: &str,
    body: &[u8],
    now_unix_s: u64,
) -> Result<String, TokenError> {
    let claims = Claims {
        api_key: api_key.to_owned(),
        sha256: STANDARD.encode(Sha256::digest(body)),
        ..Claims::default()
    };
    token::sign(keys, &claims, now_unix_s, TTL_S)
}

/// What an event is about.
struct Parts<'a> {
    room: &'a RoomInfo,
    participant: Option<&'a ParticipantInfo>,
    track: Option<&'a TrackInfo>,
}

impl<'a> Parts<'a> {
    fn of_room(room: &'a RoomInfo) -> Self {
        Self {
            room,
            participant: None,
            track: None,
        }
    }

    fn of_participant(room: &'a RoomInfo, participant: &'a ParticipantInfo) -> Self {
        Self {
            room,
            participant: Some(participant),
            track: None,
        }
    }
}

#[cfg(test)]
mod tests;
