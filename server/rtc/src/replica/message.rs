//! What replicas of a room tell each other. Plain data, so that a codec elsewhere can put it on a wire.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{LayerDemand, MediaFormat};
use crate::command::{SubscriptionPermission, UpdateMetadata};
use crate::event::{AdminError, QualityReport};
use crate::id::{DataTrackSid, FlowId, Identity, ParticipantSid, RoomSid, TrackSid};
use crate::info::{DisconnectReason, ParticipantInfo, Permission, RoomConfig, TrackInfo};
use crate::media::codec::Codec;

/// A message from one replica of a room to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaMessage {
    /// The life of the sending replica: later ones are greater. Microseconds of Unix time when it began, so that a node
    /// that starts anew does not go back.
    pub epoch: u64,
    /// Place in the order of messages from this replica to its peer, from 1; 0 = outside that order, may be lost.
    pub number: u64,
    pub body: ReplicaBody,
}

/// What a [`ReplicaMessage`] says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ReplicaBody {
    /// Everything the sender owns, and what it wants of the receiver. What it does not name is gone. Numbered, like the
    /// following up to [`Self::Nothing`].
    Sync(Box<ReplicaState>),
    /// A participant of the sender came or changed.
    Participant(Arc<ReplicaParticipant>),
    /// A participant of the sender left.
    Left {
        participant: ParticipantSid,
        reason: DisconnectReason,
    },
    /// The record of the room changed.
    Room(Box<RoomRecord>),
    /// The room was deleted: every replica ends.
    Closed { reason: DisconnectReason },
    /// Everybody of the sender's who speaks, with levels from 0 to 1.
    Speakers(Vec<(ParticipantSid, f32)>),
    /// Changes among the sender's participants.
    Quality(Vec<QualityReport>),
    /// What the sender's participants want of a track of the receiver's.
    Demand {
        track: TrackSid,
        demand: LayerDemand,
    },
    /// Whether the sender's participants want a data track of the receiver's.
    DataDemand { track: DataTrackSid, wanted: bool },
    /// A data message. Outside the order if it is not a reliable one.
    Data(Arc<RelayedData>),
    /// A call of the server API on a participant of the receiver's, answered with the same number.
    Call { id: u64, call: Box<RemoteCall> },
    Answer {
        id: u64,
        answer: Result<RemoteAnswer, AdminError>,
    },
    /// In place of a message that no longer matters when it is sent again.
    Nothing,
    /// A key frame is wanted. Not numbered, like the following.
    KeyFrame {
        track: TrackSid,
        source: u8,
        encoding: u8,
    },
    /// A sender report of the publisher (RFC 3550 section 6.4.1): ties the clocks of tracks and layers together.
    Clock {
        track: TrackSid,
        source: u8,
        encoding: u8,
        ntp: SystemTime,
        rtp: u32,
    },
    /// A packet of a data track, with the publisher's handle.
    DataTrackPacket {
        track: DataTrackSid,
        #[serde(with = "shared_bytes")]
        packet: Arc<[u8]>,
    },
    /// The highest number the sender has given.
    Beat { highest: u64 },
    /// Everything up to `have` of epoch `of` has arrived.
    Ack { of: u64, have: u64 },
    /// As [`Self::Ack`], and what follows is missing.
    Resend { of: u64, have: u64 },
    /// The sender has no replica of the room any more: those of its lives that began before `epoch` are over.
    Gone,
}

/// Everything a replica owns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaState {
    pub room: RoomRecord,
    pub participants: Vec<Arc<ReplicaParticipant>>,
    pub speakers: Vec<(ParticipantSid, f32)>,
    /// What the sender wants of the receiver's tracks, and of no others.
    pub demands: Vec<(TrackSid, LayerDemand)>,
    pub data_demands: Vec<DataTrackSid>,
}

/// What belongs to the room as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    pub sid: RoomSid,
    /// Unix time in milliseconds.
    pub created_at_ms: u64,
    pub config: RoomConfig,
    /// Changes of `config` so far.
    pub version: u64,
}

/// A participant, as its owner tells the other replicas.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaParticipant {
    pub info: Arc<ParticipantInfo>,
    /// Grows with every change of anything here: what is older than what is known is dropped.
    pub revision: u64,
    /// Sessions of this identity that the owner knew of when it joined.
    pub generation: u64,
    /// Who may receive its tracks; `None` = everybody.
    pub subscription_permission: Option<SubscriptionPermission>,
    /// What relaying needs to know of the tracks in `info`.
    pub tracks: Vec<ReplicaTrack>,
}

/// How a track is relayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaTrack {
    pub sid: TrackSid,
    pub flow: FlowId,
    /// One per codec; the first is the main one.
    pub sources: Vec<ReplicaSource>,
}

/// One codec of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaSource {
    pub codec: Codec,
    /// Simulcast encodings, 1 without simulcast.
    pub encodings: u8,
    /// Known with the first packet.
    pub format: Option<MediaFormat>,
}

/// A data message on its way, stamped by the replica its sender is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedData {
    /// `None`: from the server API.
    pub from: Option<ParticipantSid>,
    pub reliable: bool,
    /// Number of a reliable message among those of its sender; 0 = unnumbered.
    pub sequence: u32,
    /// Empty = everybody.
    pub destinations: Vec<Identity>,
    /// Identifies a message of the server API; empty = no check for repeats.
    pub nonce: Vec<u8>,
    /// An encoded data packet, opaque to the room.
    #[serde(with = "shared_bytes")]
    pub message: Arc<[u8]>,
}

/// A call of the server API on a participant of another replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteCall {
    Remove {
        identity: Identity,
    },
    Mute {
        identity: Identity,
        track: TrackSid,
        muted: bool,
    },
    Update {
        identity: Identity,
        metadata: UpdateMetadata,
        permission: Option<Permission>,
    },
    UpdateSubscriptions {
        identity: Identity,
        tracks: Vec<TrackSid>,
        subscribe: bool,
    },
}

/// What a [`RemoteCall`] came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteAnswer {
    Done,
    Participant(Arc<ParticipantInfo>),
    Track(Box<TrackInfo>),
}

/// Shared bytes as one string of bytes: the default is a list of numbers.
mod shared_bytes {
    use std::sync::Arc;

    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(&**bytes, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(from).map(Arc::from)
    }
}
