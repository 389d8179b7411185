//! What the outside asks of the rooms: from participants over signalling, and from the server API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{
    ConnectionId, DataTrackHandle, DataTrackSid, Identity, ParticipantSid, PeerId, RequestId,
    RoomName, TrackSid,
};
use crate::info::{
    DataTrackSchema, DisconnectReason, NamedEncoding, Permission, RoomConfig, TrackKind,
    TrackSource, VideoLayer, VideoQuality,
};
use crate::replica::{ReplicaMessage, RoomRecord};

/// An input of a [`Shard`](crate::Shard).
#[derive(Clone, Debug)]
pub enum Command {
    /// A signalling connection wants to join a room. Answered by [`Event::Joined`](crate::Event::Joined) or
    /// [`Event::JoinRefused`](crate::Event::JoinRefused).
    Join(Box<Join>),
    /// A signalling connection wants to take over a running session. Answered by
    /// [`Event::Resumed`](crate::Event::Resumed), or [`Event::Leave`](crate::Event::Leave) with `StateMismatch`.
    Resume(Box<Resume>),
    /// A message of a joined participant.
    Signal {
        connection: ConnectionId,
        request: Box<SignalRequest>,
    },
    /// The signalling connection is gone. The session stays for a while so that it can be resumed.
    ConnectionClosed { connection: ConnectionId },
    /// A server API call. Answered by [`Output::Reply`](crate::Output::Reply).
    Admin {
        request: RequestId,
        command: Box<AdminRequest>,
    },
    /// Asks up to this many participants to join anew, which leads them to another node: whole rooms one after the other,
    /// so that a call is interrupted once.
    Drain { participants: u32 },
    /// Makes sure that a replica of a room that lives elsewhere exists here, to be used before the first join.
    OpenReplica {
        room: RoomName,
        /// As the fleet's directory has it, so that those who join learn the right one at once.
        record: Box<RoomRecord>,
    },
    /// The peer holds a replica of the room, and the link to it is up. Said again when a link that was cut is back. Nothing
    /// happens if the room does not exist here.
    AttachPeer { room: RoomName, peer: PeerId },
    /// The peer holds no replica of the room any more.
    DetachPeer { room: RoomName, peer: PeerId },
    /// The link to the peer is down. Its participants stay in their rooms, shown with lost connections.
    PeerCut { peer: PeerId },
    /// The peer is given up: all its participants leave.
    PeerLost { peer: PeerId },
    /// A message of the peer's replica of the room.
    Replica {
        room: RoomName,
        peer: PeerId,
        message: Box<ReplicaMessage>,
    },
    /// Ends every session with this reason.
    Shutdown { reason: DisconnectReason },
}

/// Everything a checked token and the join request say.
#[derive(Clone, Debug)]
pub struct Join {
    pub connection: ConnectionId,
    pub room: RoomName,
    /// From the token, used only if the room does not exist yet.
    pub room_config: Option<RoomConfig>,
    pub identity: Identity,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub permission: Permission,
    /// Code of `ParticipantInfo.Kind`.
    pub kind: i32,
    /// Codes of `ParticipantInfo.KindDetail`.
    pub kind_details: Vec<i32>,
    pub client: Client,
    pub peer_mode: PeerMode,
    pub auto_subscribe: bool,
    /// Data tracks are chosen one by one unless the client asks for all.
    pub auto_subscribe_data_tracks: bool,
    pub adaptive_stream: bool,
    /// The client asked for a full ICE agent on our side, or needs one (Firefox).
    pub full_ice: bool,
    /// The first offer, where it came with the join request.
    pub offer: Option<SessionDescription>,
    /// Tracks announced with the join request.
    pub add_tracks: Vec<AddTrack>,
}

/// What the client says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Lower-case SDK name: `js`, `python`, `swift`...
    pub sdk: String,
    pub version: String,
    /// Signalling protocol number.
    pub protocol: i32,
    pub client_protocol: i32,
    /// Codes of `ClientInfo.Capability`.
    pub capabilities: Vec<i32>,
    /// Lower-case browser name: `chrome`, `firefox`, `safari`; empty outside browsers.
    pub browser: String,
    pub os: String,
}

/// How many peer connections a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMode {
    /// One; the client always offers.
    Single,
    /// Two; the client offers on the publisher, the server on the subscriber.
    Dual,
}

/// Which peer connection a description or candidate belongs to. In [`PeerMode::Single`] it is always `Publisher`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Publisher,
    Subscriber,
}

/// SDP text with the number that pairs offer and answer.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionDescription {
    pub sdp: String,
    /// 0 = the sender does not number its descriptions.
    pub id: u32,
}

impl std::fmt::Debug for SessionDescription {
    // SDP holds addresses and ICE passwords, which must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SessionDescription {{ id: {}, {} bytes }}",
            self.id,
            self.sdp.len()
        )
    }
}

/// Takes over the session `participant` if it still lives in `room` under `identity`.
#[derive(Clone, Debug)]
pub struct Resume {
    pub connection: ConnectionId,
    pub room: RoomName,
    pub identity: Identity,
    /// Empty if the client did not say: then the identity decides.
    pub participant: ParticipantSid,
    /// Some clients send these with the reconnect instead of as messages.
    pub sync_state: Option<SyncState>,
    pub offer: Option<SessionDescription>,
}

/// A message of a joined participant.
#[derive(Clone, Debug)]
pub enum SignalRequest {
    Offer(SessionDescription),
    Answer(SessionDescription),
    /// An ICE candidate attribute without `a=`; empty = end of candidates.
    Trickle {
        target: Target,
        candidate: String,
    },
    AddTrack(Box<AddTrack>),
    Mute {
        track: TrackSid,
        muted: bool,
    },
    Subscription {
        tracks: Vec<TrackSid>,
        subscribe: bool,
    },
    TrackSettings(TrackSettings),
    SubscriptionPermission(SubscriptionPermission),
    SyncState(Box<SyncState>),
    UpdateMetadata(UpdateMetadata),
    UpdateAudioTrack {
        track: TrackSid,
        features: Vec<i32>,
    },
    UpdateVideoTrack {
        track: TrackSid,
        width: u32,
        height: u32,
    },
    PublishDataTrack(Box<PublishDataTrack>),
    UnpublishDataTrack {
        handle: DataTrackHandle,
    },
    /// Data tracks to receive (`true`) or not.
    DataSubscription(Vec<(DataTrackSid, bool)>),
    /// Round trip measured by the client on the signalling connection, milliseconds.
    RoundTrip {
        ms: u32,
    },
    Simulate(Scenario),
    Leave {
        reason: DisconnectReason,
    },
}

/// A track the client is about to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddTrack {
    /// The client's name for the track, usually the track id of its `a=msid`.
    pub cid: String,
    /// Set to add a second codec to a published track.
    pub sid: Option<TrackSid>,
    pub name: String,
    pub kind: TrackKind,
    pub source: TrackSource,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    pub muted: bool,
    pub disable_dtx: bool,
    pub stereo: bool,
    pub disable_red: bool,
    /// Low to high.
    pub layers: Vec<VideoLayer>,
    pub codecs: Vec<AddCodec>,
    /// Code of `Encryption.Type`.
    pub encryption: i32,
    pub stream: String,
    /// Codes of `AudioTrackFeature`.
    pub audio_features: Vec<i32>,
    /// Code of `BackupCodecPolicy`.
    pub backup_codec_policy: i32,
    /// Codes of `PacketTrailerFeature`.
    pub packet_trailer_features: Vec<i32>,
}

/// A codec the client is about to send a track in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCodec {
    /// `vp8` or `video/VP8`, as sent; empty = the client's choice.
    pub codec: String,
    pub cid: String,
    pub layers: Vec<VideoLayer>,
    /// Code of `VideoLayer.Mode`.
    pub video_layer_mode: i32,
}

/// A data track the client is about to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishDataTrack {
    /// Unique among the client's data tracks.
    pub handle: DataTrackHandle,
    /// Unique among the client's data tracks.
    pub name: String,
    /// Code of `Encryption.Type`: how clients encrypt frames end to end.
    pub encryption: i32,
    pub frame_encoding: Option<NamedEncoding>,
    pub schema: Option<DataTrackSchema>,
}

/// What a subscriber wants of some tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSettings {
    pub tracks: Vec<TrackSid>,
    /// Pauses forwarding without unsubscribing.
    pub disabled: bool,
    /// Used where no size is given.
    pub quality: VideoQuality,
    /// Pixels; 0 = not stated.
    pub width: u32,
    /// Pixels; 0 = not stated.
    pub height: u32,
    /// Frames per second; 0 = not stated.
    pub fps: u32,
    /// Higher goes first when bandwidth is short.
    pub priority: u32,
}

/// Who may subscribe to a publisher's tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionPermission {
    pub all_participants: bool,
    pub tracks: Vec<TrackPermission>,
}

/// Names a subscriber by sid or identity (either may be absent) and the tracks it may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackPermission {
    pub participant: Option<ParticipantSid>,
    pub identity: Option<Identity>,
    pub all_tracks: bool,
    pub tracks: Vec<TrackSid>,
}

/// The client's picture of the session after a reconnect.
#[derive(Clone, Debug, Default)]
pub struct SyncState {
    pub published: Vec<(String, TrackSid)>,
    /// Tracks that differ from the automatic choice, and whether those are the subscribed ones.
    pub subscription: Option<(Vec<TrackSid>, bool)>,
    pub disabled: Vec<TrackSid>,
    pub channels: Vec<ChannelState>,
    /// Last reliable message received, per publisher.
    pub received: Vec<(ParticipantSid, u32)>,
    pub published_data: Vec<DataTrackSid>,
    /// Data tracks chosen by hand.
    pub data_subscription: Vec<(DataTrackSid, bool)>,
}

/// A data channel the client still has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    pub label: String,
    /// SCTP stream id.
    pub id: u16,
    pub target: Target,
}

/// Fields that are `None` stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMetadata {
    pub request_id: u32,
    pub metadata: Option<String>,
    pub name: Option<String>,
    /// An empty value deletes the attribute.
    pub attributes: BTreeMap<String, String>,
}

/// Faults that SDK tests ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Seconds for which the sender is shown as speaking.
    SpeakerUpdate {
        seconds: u32,
    },
    NodeFailure,
    Migration,
    ServerLeave,
    /// Codes of `CandidateProtocol`: 0 UDP, 1 TCP, 2 TLS.
    SwitchCandidateProtocol {
        protocol: i32,
    },
    /// Bits per second; 0 = no limit.
    SubscriberBandwidth {
        bitrate: u64,
    },
    DisconnectSignalOnResume,
    DisconnectSignalOnResumeNoMessages,
    LeaveRequestFullReconnect,
}

/// A call of the server API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminRequest {
    CreateRoom {
        room: RoomName,
        config: RoomConfig,
    },
    /// Replies with [`AdminReply::Rooms`](crate::AdminReply::Rooms); empty names = all rooms of the shard.
    ListRooms {
        names: Vec<RoomName>,
    },
    DeleteRoom {
        room: RoomName,
    },
    ListParticipants {
        room: RoomName,
    },
    GetParticipant {
        room: RoomName,
        identity: Identity,
    },
    RemoveParticipant {
        room: RoomName,
        identity: Identity,
    },
    MuteTrack {
        room: RoomName,
        identity: Identity,
        track: TrackSid,
        muted: bool,
    },
    UpdateParticipant {
        room: RoomName,
        identity: Identity,
        metadata: UpdateMetadata,
        permission: Option<Permission>,
    },
    UpdateSubscriptions {
        room: RoomName,
        identity: Identity,
        tracks: Vec<TrackSid>,
        subscribe: bool,
    },
    SendData(Box<SendData>),
    UpdateRoomMetadata {
        room: RoomName,
        metadata: String,
    },
    /// Replies with [`AdminReply::Counters`](crate::AdminReply::Counters).
    Counters,
    /// Replies with [`AdminReply::RoundTrips`](crate::AdminReply::RoundTrips) of the shard's participants.
    RoundTrips,
}

/// A data message of the server API. The message is complete but for the recipients' view of the sender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendData {
    pub room: RoomName,
    pub reliable: bool,
    /// An encoded data packet, opaque to the room.
    #[serde(with = "serde_bytes")]
    pub message: Vec<u8>,
    /// Empty together with `destination_sids` = everybody.
    pub destinations: Vec<Identity>,
    pub destination_sids: Vec<ParticipantSid>,
    /// 16 bytes that identify the message; empty = no check for repeats.
    pub nonce: Vec<u8>,
}
