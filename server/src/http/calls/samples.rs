//! Rooms and participants for tests.

use std::sync::Arc;

use tradewind_rtc::{ParticipantInfo, ParticipantState, Permission, RoomConfig, RoomInfo};

use super::book::{LANGUAGE_ATTRIBUTE, ROLE_ATTRIBUTE};

pub(crate) fn room(id: &str) -> RoomInfo {
    RoomInfo {
        sid: "RM_1".into(),
        name: id.into(),
        config: RoomConfig::default(),
        created_at_ms: 0,
        num_participants: 1,
        num_publishers: 0,
    }
}

/// A participant with this role who speaks Japanese.
pub(crate) fn participant(sid: &str, role: &str, name: &str) -> Arc<ParticipantInfo> {
    let attributes = [(ROLE_ATTRIBUTE, role), (LANGUAGE_ATTRIBUTE, "ja")];
    Arc::new(ParticipantInfo {
        sid: sid.into(),
        identity: name.into(),
        name: name.to_owned(),
        state: ParticipantState::Active,
        metadata: String::new(),
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        permission: Permission::default(),
        joined_at_ms: 0,
        version: 1,
        is_publisher: false,
        kind: 0,
        kind_details: Vec::new(),
        client_protocol: 0,
        capabilities: Vec::new(),
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        disconnect_reason: None,
    })
}
