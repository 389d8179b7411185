//! Rooms, participants and tracks for tests.

use std::sync::Arc;

use tradewind_rtc::{
    ParticipantInfo, ParticipantState, Permission, RoomConfig, RoomInfo, TrackInfo, TrackKind,
    TrackSource,
};

pub(crate) fn room() -> RoomInfo {
    RoomInfo {
        sid: "RM_1".into(),
        name: "order-17".into(),
        config: RoomConfig::default(),
        created_at_ms: 1_800_000_000_123,
        num_participants: 1,
        num_publishers: 1,
    }
}

/// A participant of a newer SDK than this server knows.
pub(crate) fn participant() -> Arc<ParticipantInfo> {
    Arc::new(ParticipantInfo {
        sid: "PA_tokyo".into(),
        identity: "shopper".into(),
        name: "Aiko".into(),
        state: ParticipantState::Active,
        metadata: String::new(),
        attributes: [("locale".to_owned(), "ja".to_owned())].into(),
        permission: Permission::default(),
        joined_at_ms: 1_800_000_000_456,
        version: 3,
        is_publisher: true,
        kind: 99,
        kind_details: vec![0, 99],
        client_protocol: 2,
        capabilities: vec![1, 99],
        tracks: vec![track()],
        data_tracks: vec![],
        disconnect_reason: None,
    })
}

pub(crate) fn track() -> TrackInfo {
    TrackInfo {
        sid: "TR_voice".into(),
        kind: TrackKind::Audio,
        source: TrackSource::Microphone,
        name: "mic".into(),
        muted: false,
        width: 0,
        height: 0,
        simulcast: false,
        disable_dtx: false,
        stereo: false,
        disable_red: false,
        mime_type: "audio/opus".into(),
        mid: "0".into(),
        codecs: Vec::new(),
        layers: Vec::new(),
        encryption: 99,
        stream: String::new(),
        audio_features: vec![99],
        backup_codec_policy: 99,
        packet_trailer_features: vec![99],
        version_us: 1,
    }
}
