//! Participants, what they may do and what they change about themselves.

use std::collections::BTreeMap;

use tradewind_rtc::{ParticipantInfo, ParticipantState, Permission, UpdateMetadata};

use super::room::{milliseconds, seconds};
use super::{data_track_info, disconnect_reason, proto, source, source_from, track_info};

/// A participant as others see it.
pub fn participant_info(participant: &ParticipantInfo) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: participant.sid.to_string(),
        identity: participant.identity.to_string(),
        state: state(participant.state) as i32,
        tracks: participant.tracks.iter().map(track_info).collect(),
        data_tracks: participant
            .data_tracks
            .iter()
            .map(data_track_info)
            .collect(),
        metadata: participant.metadata.clone(),
        joined_at: seconds(participant.joined_at_ms),
        joined_at_ms: milliseconds(participant.joined_at_ms),
        name: participant.name.clone(),
        version: participant.version,
        permission: Some(permission(&participant.permission)),
        is_publisher: participant.is_publisher,
        kind: participant.kind,
        kind_details: participant.kind_details.clone(),
        attributes: participant.attributes.clone().into_iter().collect(),
        disconnect_reason: participant
            .disconnect_reason
            .map_or(0, |reason| disconnect_reason(reason) as i32),
        client_protocol: participant.client_protocol,
        capabilities: participant.capabilities.clone(),
        ..proto::ParticipantInfo::default()
    }
}

fn state(state: ParticipantState) -> proto::participant_info::State {
    use proto::participant_info::State;
    match state {
        ParticipantState::Joining => State::Joining,
        ParticipantState::Joined => State::Joined,
        ParticipantState::Active => State::Active,
        ParticipantState::Disconnected => State::Disconnected,
    }
}

/// What a participant may do. Fields the protocol calls deprecated are filled too: older SDKs read them.
#[expect(deprecated)]
pub fn permission(permission: &Permission) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission
            .can_publish_sources
            .iter()
            .map(|allowed| source(*allowed) as i32)
            .collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
        ..proto::ParticipantPermission::default()
    }
}

/// What the server API says a participant may do.
#[expect(deprecated)]
pub fn permission_from(permission: proto::ParticipantPermission) -> Permission {
    Permission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission
            .can_publish_sources
            .into_iter()
            .map(source_from)
            .collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
    }
}

/// Reads a change of name, metadata or attributes. The protocol has no absent text here, so empty means unchanged.
pub fn update_metadata_from(update: proto::UpdateParticipantMetadata) -> UpdateMetadata {
    let stated = |text: String| (!text.is_empty()).then_some(text);
    UpdateMetadata {
        request_id: update.request_id,
        metadata: stated(update.metadata),
        name: stated(update.name),
        attributes: update.attributes.into_iter().collect::<BTreeMap<_, _>>(),
    }
}
