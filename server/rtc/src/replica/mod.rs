//! One room on several shards, of one node or of many.
//!
//! A room on a shard is a *replica*. Every participant, track and data track has one owner: the replica its client is
//! connected to. Replicas tell each other what they own, and each shows its own clients the whole room, so that to an SDK
//! it is one room. There is nothing to merge: what an owner says of its own is right, and nobody else says it.
//!
//! # Links
//! The shell tells which peers (see [`PeerId`](crate::PeerId)) hold replicas of a room, and carries
//! [`ReplicaMessage`]s and [`RelayedPacket`]s between them. Messages want a reliable, ordered stream, packets want
//! datagrams. Neither has to be perfect: `link` numbers the messages that carry state, puts them in order, asks again
//! for what is missing, and falls back to a complete [`ReplicaState`] where the far side knows too little. A message
//! names the *epoch* of the replica that sent it, one life of a room on a shard; those of an earlier life are dropped.
//!
//! # State
//! A [`ReplicaParticipant`] is everything a replica tells about one participant, always complete, so that a repeated one
//! changes nothing. [`ReplicaState`] is everything it owns; what it does not name is gone. The record of the room
//! itself ([`RoomRecord`]) may be changed by any replica: the higher version wins, and of equal ones the older room.
//! An identity may have joined twice on the two sides of a cut: the join of the higher generation wins (a join that knows
//! of another has a higher one), then the later, and the owner of the other ends its session.
//!
//! # Media
//! A subscriber's replica says which encodings of a track its clients want ([`LayerDemand`]): more at once, less after a
//! hold. The owner sends one copy of each to each peer, whatever the number of subscribers there. A replica relays only
//! tracks it owns, so that no packet can go round in a circle. At the far side a packet takes the same path as one that
//! came from a client. Requests for key frames are coalesced at both ends, and the packets since the last key frame are
//! kept at the far side, so that who comes late sees a picture without a round trip to the owner.
//!
//! # Life
//! A replica lives while it has participants of its own, then says [`ReplicaBody::Gone`]. A peer that is cut off keeps
//! its participants here, shown with lost connections, until the shell says that it is lost for good. When the link is
//! back, both sides go on where they were.

mod cache;
mod demand;
mod link;
mod media;
mod message;

pub(crate) use cache::{CachedPacket, PictureCache};
pub(crate) use demand::HeldDemand;
pub use demand::LayerDemand;
pub(crate) use link::{Inbox, Outbox, Progress};
pub(crate) use media::codec_of;
pub use media::{MediaExtensions, MediaFormat, RelayedPacket};
pub use message::{
    RelayedData, RemoteAnswer, RemoteCall, ReplicaBody, ReplicaMessage, ReplicaParticipant,
    ReplicaSource, ReplicaState, ReplicaTrack, RoomRecord,
};
