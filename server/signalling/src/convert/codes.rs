//! Enumerations that both sides know by name.

use tradewind_rtc::{ConnectionQuality, DisconnectReason, TrackSource, VideoQuality};

use super::proto;

/// Why a session ended.
pub fn disconnect_reason(reason: DisconnectReason) -> proto::DisconnectReason {
    use proto::DisconnectReason as Code;
    match reason {
        DisconnectReason::ClientInitiated => Code::ClientInitiated,
        DisconnectReason::DuplicateIdentity => Code::DuplicateIdentity,
        DisconnectReason::ServerShutdown => Code::ServerShutdown,
        DisconnectReason::ParticipantRemoved => Code::ParticipantRemoved,
        DisconnectReason::RoomDeleted => Code::RoomDeleted,
        DisconnectReason::StateMismatch => Code::StateMismatch,
        DisconnectReason::JoinFailure => Code::JoinFailure,
        DisconnectReason::SignalClose => Code::SignalClose,
        DisconnectReason::RoomClosed => Code::RoomClosed,
        DisconnectReason::ConnectionTimeout => Code::ConnectionTimeout,
        DisconnectReason::MediaFailure => Code::MediaFailure,
        DisconnectReason::Migration => Code::Migration,
    }
}

/// Why a client leaves. Codes that only servers use count as the client's own wish, which a leave message is.
pub fn disconnect_reason_from(code: i32) -> DisconnectReason {
    use proto::DisconnectReason as Code;
    match Code::try_from(code) {
        Ok(Code::JoinFailure) => DisconnectReason::JoinFailure,
        Ok(Code::ConnectionTimeout) => DisconnectReason::ConnectionTimeout,
        Ok(Code::MediaFailure) => DisconnectReason::MediaFailure,
        Ok(Code::Migration) => DisconnectReason::Migration,
        _ => DisconnectReason::ClientInitiated,
    }
}

/// What a track shows.
pub fn source(source: TrackSource) -> proto::TrackSource {
    match source {
        TrackSource::Unknown => proto::TrackSource::Unknown,
        TrackSource::Camera => proto::TrackSource::Camera,
        TrackSource::Microphone => proto::TrackSource::Microphone,
        TrackSource::ScreenShare => proto::TrackSource::ScreenShare,
        TrackSource::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
    }
}

/// What a track shows; codes newer than this server are [`TrackSource::Unknown`].
pub fn source_from(code: i32) -> TrackSource {
    match proto::TrackSource::try_from(code) {
        Ok(proto::TrackSource::Camera) => TrackSource::Camera,
        Ok(proto::TrackSource::Microphone) => TrackSource::Microphone,
        Ok(proto::TrackSource::ScreenShare) => TrackSource::ScreenShare,
        Ok(proto::TrackSource::ScreenShareAudio) => TrackSource::ScreenShareAudio,
        Ok(proto::TrackSource::Unknown) | Err(_) => TrackSource::Unknown,
    }
}

/// Quality class of a video layer.
pub fn video_quality(quality: VideoQuality) -> proto::VideoQuality {
    match quality {
        VideoQuality::Low => proto::VideoQuality::Low,
        VideoQuality::Medium => proto::VideoQuality::Medium,
        VideoQuality::High => proto::VideoQuality::High,
    }
}

/// Quality class of a video layer; `None` for `OFF` and codes newer than this server.
pub fn video_quality_from(code: i32) -> Option<VideoQuality> {
    match proto::VideoQuality::try_from(code) {
        Ok(proto::VideoQuality::Low) => Some(VideoQuality::Low),
        Ok(proto::VideoQuality::Medium) => Some(VideoQuality::Medium),
        Ok(proto::VideoQuality::High) => Some(VideoQuality::High),
        Ok(proto::VideoQuality::Off) | Err(_) => None,
    }
}

/// How well a participant is connected.
pub fn connection_quality(quality: ConnectionQuality) -> proto::ConnectionQuality {
    match quality {
        ConnectionQuality::Lost => proto::ConnectionQuality::Lost,
        ConnectionQuality::Poor => proto::ConnectionQuality::Poor,
        ConnectionQuality::Good => proto::ConnectionQuality::Good,
        ConnectionQuality::Excellent => proto::ConnectionQuality::Excellent,
    }
}
