//! What reaches a media thread from the rest of the node, and what the rest of the node hears from it.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};
use tradewind_rtc::replica::{RelayedPacket, ReplicaMessage};
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, ConnectionId, Event, PeerId, RoomEvent, RoomName,
};

use crate::node::RoomClaim;
use crate::socket::SocketCounters;

/// A message to a media thread.
#[derive(Debug)]
pub(crate) enum Input {
    /// A join or resume, and where the events of its connection go. The queue's end means that the room has let go.
    Connect {
        connection: ConnectionId,
        command: Command,
        events: mpsc::Sender<Event>,
        claim: Option<RoomClaim>,
    },
    /// Any other message of a participant or its connection.
    Command(Command),
    /// A server API call.
    Admin {
        request: Box<AdminRequest>,
        reply: oneshot::Sender<Result<AdminReply, AdminError>>,
        claim: Option<RoomClaim>,
    },
    /// A media packet of a peer's replica.
    Relayed { peer: PeerId, packet: RelayedPacket },
    SocketCounters {
        reply: oneshot::Sender<SocketCounters>,
    },
}

/// What an ICE/TCP connection sends to a media thread, in order.
#[derive(Debug)]
pub(crate) enum TcpInput {
    Opened {
        peer: SocketAddr,
        frames: mpsc::Sender<Vec<u8>>,
    },
    Frame {
        peer: SocketAddr,
        destination: SocketAddr,
        contents: Vec<u8>,
    },
    Closed {
        peer: SocketAddr,
    },
}

/// What the node must not miss, so that its maps agree with the rooms.
#[derive(Debug)]
pub(crate) enum Notice {
    Room {
        shard: usize,
        event: RoomEvent,
    },
    /// For the peer's replica of the room, in order.
    Replica {
        shard: usize,
        room: RoomName,
        peer: PeerId,
        message: Box<ReplicaMessage>,
    },
    IceFragment {
        shard: usize,
        fragment: String,
        added: bool,
    },
    /// A join or creation for which the room's place was kept has been done or has failed.
    Released {
        room: RoomName,
        shard: usize,
    },
}
