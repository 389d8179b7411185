//! What a room tells about itself, its participants and their tracks.
//!
//! Fields called *code* are numbers of the signalling protocol that the room relays without reading them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{
    DataTrackHandle, DataTrackSid, Identity, ParticipantSid, RoomName, RoomSid, TrackSid,
};

/// A room as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    pub sid: RoomSid,
    pub name: RoomName,
    pub config: RoomConfig,
    /// Unix time in milliseconds.
    pub created_at_ms: u64,
    /// Participants that are not hidden.
    pub num_participants: u32,
    pub num_publishers: u32,
}

/// What the creator of a room may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomConfig {
    pub metadata: String,
    /// Seconds an empty room waits for its first participant.
    pub empty_timeout_s: u32,
    /// Seconds a room outlives its last participant.
    pub departure_timeout_s: u32,
    /// 0 = no limit.
    pub max_participants: u32,
    /// Whether tracks of one participant share a stream, so that players keep them in step.
    pub sync_streams: bool,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            metadata: String::new(),
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_participants: 0,
            sync_streams: false,
        }
    }
}

/// A participant as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantInfo {
    pub sid: ParticipantSid,
    pub identity: Identity,
    pub name: String,
    pub state: ParticipantState,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub permission: Permission,
    /// Unix time in milliseconds.
    pub joined_at_ms: u64,
    /// Grows with every change, never goes back: clients drop older versions.
    pub version: u32,
    pub is_publisher: bool,
    /// Code of `ParticipantInfo.Kind`.
    pub kind: i32,
    /// Codes of `ParticipantInfo.KindDetail`.
    pub kind_details: Vec<i32>,
    pub client_protocol: i32,
    /// Codes of `ClientInfo.Capability`.
    pub capabilities: Vec<i32>,
    pub tracks: Vec<TrackInfo>,
    pub data_tracks: Vec<DataTrackInfo>,
    /// Set once the state is [`ParticipantState::Disconnected`].
    pub disconnect_reason: Option<DisconnectReason>,
}

/// How far a participant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ParticipantState {
    /// Signalling is up.
    Joining,
    /// The first session description was exchanged.
    Joined,
    /// The primary transport is up.
    Active,
    Disconnected,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DisconnectReason {
    ClientInitiated,
    DuplicateIdentity,
    ServerShutdown,
    ParticipantRemoved,
    RoomDeleted,
    StateMismatch,
    JoinFailure,
    SignalClose,
    RoomClosed,
    ConnectionTimeout,
    MediaFailure,
    /// The session goes on at another node, once the client has joined there.
    Migration,
}

/// What a participant may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub can_subscribe: bool,
    pub can_publish: bool,
    pub can_publish_data: bool,
    /// Empty = every source.
    pub can_publish_sources: Vec<TrackSource>,
    /// Invisible to the others.
    pub hidden: bool,
    pub recorder: bool,
    pub can_update_metadata: bool,
    pub agent: bool,
    pub can_subscribe_metrics: bool,
}

impl Default for Permission {
    fn default() -> Self {
        Self {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_publish_sources: Vec::new(),
            hidden: false,
            recorder: false,
            can_update_metadata: false,
            agent: false,
            can_subscribe_metrics: false,
        }
    }
}

impl Permission {
    /// Whether tracks of `source` may be published.
    pub fn allows_source(&self, source: TrackSource) -> bool {
        self.can_publish
            && (self.can_publish_sources.is_empty() || self.can_publish_sources.contains(&source))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrackKind {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrackSource {
    Unknown,
    Camera,
    Microphone,
    ScreenShare,
    ScreenShareAudio,
}

/// Quality classes of a video track, low to high.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VideoQuality {
    Low,
    Medium,
    High,
}

impl VideoQuality {
    /// All classes, low to high.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// Position in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// One declared layer of a video track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoLayer {
    pub quality: VideoQuality,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits per second; 0 = not stated.
    pub bitrate: u32,
    pub spatial_layer: i32,
    pub rid: String,
    pub ssrc: u32,
    pub repair_ssrc: u32,
}

/// One codec in which a track is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackCodec {
    /// `video/VP8`; empty until known.
    pub mime_type: String,
    pub mid: String,
    /// The client's name for the sender of this codec.
    pub cid: String,
    pub layers: Vec<VideoLayer>,
    /// Code of `VideoLayer.Mode`.
    pub video_layer_mode: i32,
}

/// A published track as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    pub sid: TrackSid,
    pub kind: TrackKind,
    pub source: TrackSource,
    pub name: String,
    pub muted: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    pub simulcast: bool,
    pub disable_dtx: bool,
    pub stereo: bool,
    pub disable_red: bool,
    /// `video/VP8`; empty until known.
    pub mime_type: String,
    pub mid: String,
    pub codecs: Vec<TrackCodec>,
    pub layers: Vec<VideoLayer>,
    /// Code of `Encryption.Type`: how clients encrypt end to end.
    pub encryption: i32,
    pub stream: String,
    /// Codes of `AudioTrackFeature`.
    pub audio_features: Vec<i32>,
    /// Code of `BackupCodecPolicy`.
    pub backup_codec_policy: i32,
    /// Codes of `PacketTrailerFeature`.
    pub packet_trailer_features: Vec<i32>,
    /// Unix time in microseconds of the last change.
    pub version_us: u64,
}

/// A published data track as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataTrackInfo {
    pub sid: DataTrackSid,
    /// In the packets the publisher sends.
    pub handle: DataTrackHandle,
    pub name: String,
    /// Code of `Encryption.Type`: how clients encrypt frames end to end.
    pub encryption: i32,
    pub frame_encoding: Option<NamedEncoding>,
    pub schema: Option<DataTrackSchema>,
}

/// An encoding of frames or schemas, for applications to agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamedEncoding {
    /// Code of `WellKnownFrameEncoding` or `WellKnownSchemaEncoding`.
    WellKnown(i32),
    Custom(String),
}

/// Names the description of a data track's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataTrackSchema {
    pub name: String,
    pub encoding: Option<NamedEncoding>,
}
