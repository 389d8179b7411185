//! What the rooms tell the outside: participants over signalling, and the rest of the node.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{SessionDescription, Target};
use crate::counters::Counters;
use crate::id::{
    ConnectionId, DataTrackHandle, DataTrackSid, Identity, Mid, ParticipantSid, PeerId, RequestId,
    RoomName, TrackSid,
};
use crate::info::{
    DataTrackInfo, DisconnectReason, ParticipantInfo, RoomInfo, TrackInfo, TrackKind, VideoQuality,
};
use crate::replica::ReplicaMessage;

/// An output of a [`Shard`](crate::Shard).
#[derive(Clone, Debug)]
pub enum Output {
    /// A message for one signalling connection, in order.
    Connection(ConnectionId, Event),
    /// The room has let go of this connection: close it once everything before is sent. No event follows.
    CloseConnection(ConnectionId),
    /// Something others on this node follow (webhooks, calls, directory), in order per room.
    Room(RoomEvent),
    Reply(RequestId, Result<AdminReply, AdminError>),
    /// A message for the peer's replica of the room, in order.
    Replica {
        room: RoomName,
        peer: PeerId,
        message: Box<ReplicaMessage>,
    },
    /// Local ICE user fragment that now belongs to this shard (`true`) or no longer does (`false`).
    IceFragment(String, bool),
}

/// A message for a participant.
#[derive(Clone, Debug)]
pub enum Event {
    /// First event after [`Command::Join`](crate::Command::Join).
    Joined(Box<Joined>),
    /// Only event after a refused [`Command::Join`](crate::Command::Join).
    JoinRefused(JoinRefusal),
    /// First event after [`Command::Resume`](crate::Command::Resume).
    Resumed {
        last_message_seq: u32,
    },
    /// An answer to the client's offer.
    Answer(Box<Description>),
    /// An offer of the server, [`PeerMode::Dual`](crate::PeerMode::Dual) only.
    Offer(Box<Description>),
    TrackPublished {
        cid: String,
        track: Box<TrackInfo>,
    },
    TrackUnpublished {
        track: TrackSid,
    },
    /// Somebody now receives this track of the client, for the first time.
    TrackSubscribed {
        track: TrackSid,
    },
    /// Complete snapshots; a participant in state `Disconnected` is gone.
    Participants(Vec<Arc<ParticipantInfo>>),
    Room(Box<RoomInfo>),
    /// Changes only; those who fell silent are in it with `active: false`.
    Speakers(Vec<Speaker>),
    Quality(Vec<QualityReport>),
    StreamStates(Vec<StreamState>),
    /// Which layers of the client's track somebody wants.
    SubscribedQuality {
        track: TrackSid,
        codecs: Vec<SubscribedCodec>,
    },
    SubscriptionPermission {
        participant: ParticipantSid,
        track: TrackSid,
        allowed: bool,
    },
    SubscriptionFailed {
        track: TrackSid,
        error: SubscriptionError,
    },
    /// The server mutes (or unmutes) the client's track.
    Mute {
        track: TrackSid,
        muted: bool,
    },
    /// Receive-only sections the client should add to its next offer; 0, 0 = just offer again.
    MediaSectionsRequirement {
        audios: u32,
        videos: u32,
    },
    /// The client may send packets of this data track.
    DataTrackPublished(Box<DataTrackInfo>),
    /// The client's data track has ended, by its wish or the server's.
    DataTrackUnpublished(Box<DataTrackInfo>),
    /// Everything the client receives over its data track channel from now on, by handle.
    DataTrackHandles(Vec<ForwardedDataTrack>),
    RequestFailed {
        request_id: u32,
        refused: RefusedRequest,
        reason: RefusalReason,
        message: String,
    },
    Leave {
        reason: DisconnectReason,
        action: LeaveAction,
    },
}

#[derive(Clone, Debug)]
pub struct Joined {
    pub room: RoomInfo,
    pub participant: Arc<ParticipantInfo>,
    pub others: Vec<Arc<ParticipantInfo>>,
    /// Whether the client should wait for the subscriber peer connection; always false in single mode.
    pub subscriber_primary: bool,
}

/// Why a join was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    #[error("requested room does not exist")]
    NoSuchRoom,
    #[error("the room is full: {limit} participants are allowed")]
    RoomFull { limit: u32 },
    #[error("the node takes no more participants: ask for another node or try later")]
    NodeFull,
}

/// A local description as str0m wrote it, with what each section carries, so that signalling can finish the text.
#[derive(Clone, Debug)]
pub struct Description {
    pub target: Target,
    pub description: SessionDescription,
    pub sections: Vec<Section>,
}

/// What a media section carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub mid: Mid,
    pub kind: TrackKind,
    /// The track forwarded to the client here.
    pub forwards: Option<ForwardedTrack>,
    /// The track the client publishes here.
    pub receives: Option<ReceivedTrack>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedTrack {
    pub participant: ParticipantSid,
    pub track: TrackSid,
    /// Stream name that replaces the track's sid where tracks of a participant are to play in step.
    pub stream: Option<String>,
}

/// Wishes of the publisher that are answered in the section's format parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedTrack {
    pub track: TrackSid,
    pub disable_dtx: bool,
    pub stereo: bool,
    pub disable_red: bool,
    /// Codec asked for by name (`vp8`, `video/VP8`); put first in the section.
    pub codec: Option<String>,
}

/// A data track that comes to the client under a handle of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedDataTrack {
    pub handle: DataTrackHandle,
    pub publisher: ParticipantSid,
    pub publisher_identity: Identity,
    pub track: DataTrackSid,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Speaker {
    pub participant: ParticipantSid,
    /// 0 (silent) to 1 (loudest), linear.
    pub level: f32,
    pub active: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    pub participant: ParticipantSid,
    pub quality: ConnectionQuality,
    /// 1 to 4.5 on the MOS scale.
    pub score: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConnectionQuality {
    Lost,
    Poor,
    Good,
    Excellent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub participant: ParticipantSid,
    pub track: TrackSid,
    /// Forwarding is paused because bandwidth is short.
    pub paused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribedCodec {
    /// Lower-case short name: `vp8`.
    pub codec: String,
    pub qualities: Vec<(VideoQuality, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    /// The subscriber can decode none of the track's codecs.
    CodecUnsupported,
    TrackNotFound,
}

/// The request a [`Event::RequestFailed`] answers.
#[derive(Clone, Debug)]
pub enum RefusedRequest {
    AddTrack(Box<crate::command::AddTrack>),
    UpdateMetadata(crate::command::UpdateMetadata),
    Mute { track: TrackSid, muted: bool },
    UpdateAudioTrack { track: TrackSid },
    UpdateVideoTrack { track: TrackSid },
    PublishDataTrack(Box<crate::command::PublishDataTrack>),
    UnpublishDataTrack { handle: DataTrackHandle },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    NotFound,
    NotAllowed,
    LimitExceeded,
    Queued,
    UnsupportedType,
    InvalidRequest,
    /// Another data track of the participant has this handle.
    DuplicateHandle,
    /// Another data track of the participant has this name.
    DuplicateName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveAction {
    Disconnect,
    /// Reopen signalling and keep the session.
    Resume,
    /// Join anew.
    Reconnect,
}

/// What happened to a room, for the rest of the node.
#[derive(Clone, Debug)]
pub enum RoomEvent {
    Started {
        room: RoomInfo,
    },
    /// The room ended on this shard. It goes on elsewhere if participants are left in it.
    Finished {
        room: RoomInfo,
    },
    MetadataChanged {
        room: RoomInfo,
    },
    /// The participant takes a place on this shard. It becomes active, or is aborted.
    ParticipantAdmitted {
        room: RoomName,
        participant: Arc<ParticipantInfo>,
    },
    /// The participant is in state `Active`.
    ParticipantJoined {
        room: RoomInfo,
        participant: Arc<ParticipantInfo>,
    },
    ParticipantLeft {
        room: RoomInfo,
        participant: Arc<ParticipantInfo>,
    },
    /// The participant went before it was active.
    ParticipantAborted {
        room: RoomInfo,
        participant: Arc<ParticipantInfo>,
    },
    TrackPublished {
        room: RoomInfo,
        participant: Arc<ParticipantInfo>,
        track: Box<TrackInfo>,
    },
    TrackUnpublished {
        room: RoomInfo,
        participant: Arc<ParticipantInfo>,
        track: Box<TrackInfo>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminReply {
    Done,
    Room(RoomInfo),
    Rooms(Vec<RoomInfo>),
    Participant(Arc<ParticipantInfo>),
    Participants(Vec<Arc<ParticipantInfo>>),
    Track(Box<TrackInfo>),
    /// Stays on its node.
    #[serde(skip)]
    Counters(Box<Counters>),
    RoundTrips(Vec<RoundTrip>),
}

/// What the transport of a participant measured, by ICE or RTCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    pub room: RoomName,
    pub identity: Identity,
    pub round_trip: Duration,
}

/// Why a server API call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AdminError {
    #[error("requested room does not exist")]
    NoSuchRoom,
    #[error("participant does not exist")]
    NoSuchParticipant,
    #[error("track not found")]
    NoSuchTrack,
    #[error("remote unmute is not enabled: set room.enable_remote_unmute to allow it")]
    RemoteUnmuteDisabled,
    #[error("the node the participant is connected to does not answer: try again")]
    Unreachable,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    LimitExceeded(String),
}
