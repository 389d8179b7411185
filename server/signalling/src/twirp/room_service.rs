//! `livekit.RoomService`: calls about rooms and their participants.

use livekit_protocol::{self as proto, data_packet};
use prost::Message;
use serde::de::DeserializeOwned;
use tradewind_rtc::{
    AdminRequest, Identity, ParticipantSid, RoomName, SendData, TrackSid, UpdateMetadata,
};

use super::{Encoding, TwirpCode, TwirpError};
use crate::convert::permission_from;
use crate::data::server_packet;
use crate::json;
use crate::token::{MAX_IDENTITY_CHARS, VideoGrant, room_config};

/// Characters of a room's name.
const MAX_ROOM_NAME_CHARS: usize = 256;
/// Bytes of a data message: what clients announce as the largest they take.
const MAX_DATA_BYTES: usize = 65_535;
/// Bytes of the number that tells repeated data messages apart; others are no such number.
const NONCE_BYTES: usize = 16;

pub(super) fn handle(
    method: &str,
    encoding: Encoding,
    body: &[u8],
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    match method {
        "CreateRoom" => create_room(read(encoding, body)?, grants),
        "ListRooms" => list_rooms(read(encoding, body)?, grants),
        "DeleteRoom" => delete_room(read(encoding, body)?, grants),
        "ListParticipants" => list_participants(read(encoding, body)?, grants),
        "GetParticipant" => {
            let (room, identity) = participant(read(encoding, body)?, grants)?;
            Ok(AdminRequest::GetParticipant { room, identity })
        }
        "RemoveParticipant" => {
            let (room, identity) = participant(read(encoding, body)?, grants)?;
            Ok(AdminRequest::RemoveParticipant { room, identity })
        }
        "MutePublishedTrack" => mute_published_track(read(encoding, body)?, grants),
        "UpdateParticipant" => update_participant(read(encoding, body)?, grants),
        "UpdateSubscriptions" => update_subscriptions(read(encoding, body)?, grants),
        "SendData" => send_data(read(encoding, body)?, grants),
        "UpdateRoomMetadata" => update_room_metadata(read(encoding, body)?, grants),
        "PerformRpc" => Err(TwirpError::new(
            TwirpCode::Unimplemented,
            "the server makes no remote procedure calls: make them from a participant, or use SendData",
        )),
        "ForwardParticipant" | "MoveParticipant" => Err(TwirpError::new(
            TwirpCode::Unimplemented,
            "participants are not moved between rooms: give the participant a token for the other room",
        )),
        _ => Err(TwirpError::bad_route("livekit.RoomService", method)),
    }
}

fn create_room(
    request: proto::CreateRoomRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    demand(grants.room_create, "roomCreate")?;
    // Carried out in part, these would fail in silence: somebody waits for a recording or an agent.
    if request.egress.is_some() {
        return Err(TwirpError::new(
            TwirpCode::Unimplemented,
            "rooms are not recorded by this server: leave out `egress`, and let a recorder join as a participant",
        ));
    }
    if !request.agents.is_empty() {
        return Err(TwirpError::new(
            TwirpCode::Unimplemented,
            "agents are not dispatched by this server: leave out `agents`, and let the agent join with its own token",
        ));
    }
    Ok(AdminRequest::CreateRoom {
        room: room_name(request.name)?,
        config: room_config(proto::RoomConfiguration {
            metadata: request.metadata,
            empty_timeout: request.empty_timeout,
            departure_timeout: request.departure_timeout,
            max_participants: request.max_participants,
            sync_streams: request.sync_streams,
            ..proto::RoomConfiguration::default()
        }),
    })
}

fn list_rooms(
    request: proto::ListRoomsRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    demand(grants.room_list, "roomList")?;
    Ok(AdminRequest::ListRooms {
        names: request.names.into_iter().map(RoomName::from).collect(),
    })
}

fn delete_room(
    request: proto::DeleteRoomRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    demand(grants.room_create, "roomCreate")?;
    Ok(AdminRequest::DeleteRoom {
        room: room_name(request.room)?,
    })
}

fn list_participants(
    request: proto::ListParticipantsRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    Ok(AdminRequest::ListParticipants {
        room: administered(request.room, grants)?,
    })
}

fn participant(
    request: proto::RoomParticipantIdentity,
    grants: &VideoGrant,
) -> Result<(RoomName, Identity), TwirpError> {
    Ok((
        administered(request.room, grants)?,
        identity(request.identity)?,
    ))
}

fn mute_published_track(
    request: proto::MuteRoomTrackRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    Ok(AdminRequest::MuteTrack {
        room: administered(request.room, grants)?,
        identity: identity(request.identity)?,
        track: TrackSid::from(stated(request.track_sid, "track_sid")?),
        muted: request.muted,
    })
}

fn update_participant(
    request: proto::UpdateParticipantRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    // The protocol has no absent text here, so empty means unchanged.
    let changed = |text: String| (!text.is_empty()).then_some(text);
    Ok(AdminRequest::UpdateParticipant {
        room: administered(request.room, grants)?,
        identity: identity(request.identity)?,
        metadata: UpdateMetadata {
            request_id: 0,
            metadata: changed(request.metadata),
            name: changed(request.name),
            attributes: request.attributes.into_iter().collect(),
        },
        permission: request.permission.map(permission_from),
    })
}

fn update_subscriptions(
    request: proto::UpdateSubscriptionsRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    let of_participants = request
        .participant_tracks
        .into_iter()
        .flat_map(|tracks| tracks.track_sids);
    Ok(AdminRequest::UpdateSubscriptions {
        room: administered(request.room, grants)?,
        identity: identity(request.identity)?,
        tracks: request
            .track_sids
            .into_iter()
            .chain(of_participants)
            .map(TrackSid::from)
            .collect(),
        subscribe: request.subscribe,
    })
}

#[expect(deprecated, reason = "older server SDKs address participants by sid")]
fn send_data(
    mut request: proto::SendDataRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    let room = administered(std::mem::take(&mut request.room), grants)?;
    if request.nonce.len() != NONCE_BYTES {
        request.nonce.clear();
    }
    let reliable = request.kind == data_packet::Kind::Reliable as i32;
    let destinations = request
        .destination_identities
        .iter()
        .map(|text| Identity::from(text.as_str()))
        .collect();
    let destination_sids = request
        .destination_sids
        .iter()
        .map(|text| ParticipantSid::from(text.as_str()))
        .collect();
    let nonce = request.nonce.clone();
    let message = server_packet(request);
    if message.len() > MAX_DATA_BYTES {
        return Err(TwirpError::new(
            TwirpCode::InvalidArgument,
            format!(
                "data messages are limited to {MAX_DATA_BYTES} bytes with topic and recipients: send it in parts"
            ),
        ));
    }
    Ok(AdminRequest::SendData(Box::new(SendData {
        room,
        reliable,
        message,
        destinations,
        destination_sids,
        nonce,
    })))
}

fn update_room_metadata(
    request: proto::UpdateRoomMetadataRequest,
    grants: &VideoGrant,
) -> Result<AdminRequest, TwirpError> {
    Ok(AdminRequest::UpdateRoomMetadata {
        room: administered(request.room, grants)?,
        metadata: request.metadata,
    })
}

/// The room's name, if the token may administer that very room.
fn administered(room: String, grants: &VideoGrant) -> Result<RoomName, TwirpError> {
    demand(
        grants.room_admin && grants.room == room,
        "roomAdmin for this room",
    )?;
    room_name(room)
}

fn demand(granted: bool, grant: &str) -> Result<(), TwirpError> {
    if granted {
        return Ok(());
    }
    Err(TwirpError::new(
        TwirpCode::PermissionDenied,
        format!("the token does not grant {grant}"),
    ))
}

fn room_name(name: String) -> Result<RoomName, TwirpError> {
    bounded(
        stated(name, "the room's name")?,
        "the room's name",
        MAX_ROOM_NAME_CHARS,
    )
    .map(RoomName::from)
}

fn identity(identity: String) -> Result<Identity, TwirpError> {
    bounded(
        stated(identity, "identity")?,
        "identity",
        MAX_IDENTITY_CHARS,
    )
    .map(Identity::from)
}

fn stated(text: String, what: &str) -> Result<String, TwirpError> {
    if text.is_empty() {
        return Err(TwirpError::new(
            TwirpCode::InvalidArgument,
            format!("{what} is missing"),
        ));
    }
    Ok(text)
}

fn bounded(text: String, what: &str, max_chars: usize) -> Result<String, TwirpError> {
    if text.chars().count() > max_chars {
        let msg = format!("{what} is longer than {max_chars} characters");
        return Err(TwirpError::new(TwirpCode::InvalidArgument, msg));
    }
    Ok(text)
}

fn read<M: Message + DeserializeOwned + Default>(
    encoding: Encoding,
    body: &[u8],
) -> Result<M, TwirpError> {
    let result = match encoding {
        Encoding::Protobuf => M::decode(body).map_err(|error| error.to_string()),
        Encoding::Json => json::read(body).map_err(|error| error.to_string()),
    };
    result.map_err(|error| {
        TwirpError::new(
            TwirpCode::Malformed,
            format!("the request cannot be read: {error}"),
        )
    })
}
