//! Rooms.

use tradewind_rtc::RoomInfo;

use super::proto;

/// Codecs clients may publish in. VP8 comes first of the video codecs because clients fall back to the first one.
pub const ENABLED_CODECS: [&str; 5] = [
    "audio/opus",
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
];

/// A room as clients and the server API see it.
pub fn room_info(room: &RoomInfo) -> proto::Room {
    proto::Room {
        sid: room.sid.to_string(),
        name: room.name.to_string(),
        empty_timeout: room.config.empty_timeout_s,
        departure_timeout: room.config.departure_timeout_s,
        max_participants: room.config.max_participants,
        creation_time: seconds(room.created_at_ms),
        creation_time_ms: milliseconds(room.created_at_ms),
        enabled_codecs: codecs(&ENABLED_CODECS),
        metadata: room.config.metadata.clone(),
        num_participants: room.num_participants,
        num_publishers: room.num_publishers,
        ..proto::Room::default()
    }
}

/// Codec list by mime types.
pub fn codecs(mimes: &[&str]) -> Vec<proto::Codec> {
    let codec = |mime: &&str| proto::Codec {
        mime: (*mime).to_owned(),
        fmtp_line: String::new(),
    };
    mimes.iter().map(codec).collect()
}

/// Unix seconds of Unix milliseconds, as the protocol's signed number.
pub(super) fn seconds(ms: u64) -> i64 {
    milliseconds(ms / 1000)
}

/// The protocol counts in signed numbers.
pub(super) fn milliseconds(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
