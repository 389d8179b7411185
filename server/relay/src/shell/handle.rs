//! What other threads of the node say to the relay.

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::relay::Peer;
use crate::class::MediaClass;
use crate::frame::{MAX_FRAME, MAX_NAME};
use crate::id::{Epoch, FlowId, NodeId, RoomKey};

/// Bytes of a room message that its frame needs for itself.
const ROOM_OVERHEAD: usize = MAX_NAME + 16;

/// Speaks to the relay from any thread without waiting. Clones are cheap.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    commands: Sender<Command>,
}

/// The relay did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// Its queue is full: the node is overloaded. Media may be dropped; anything else has to be tried again.
    #[error("the relay's queue is full: drop media, try anything else again")]
    Busy,
    /// It has ended.
    #[error("the relay has ended")]
    Stopped,
    /// A name, description or message is longer than the protocol allows.
    #[error("longer than the relay's protocol allows: split it")]
    TooLong,
}

#[derive(Debug)]
pub(crate) enum Command {
    SetPeers(Vec<Peer>),
    Drain,
    Stop,
    Link(NodeId, LinkCommand),
}

#[derive(Debug)]
pub(crate) enum LinkCommand {
    Media {
        class: MediaClass,
        flow: FlowId,
        epoch: Epoch,
        rtp: Bytes,
    },
    Room {
        room: RoomKey,
        payload: Bytes,
    },
    Drain,
    Close(&'static str),
}

impl RelayHandle {
    pub(crate) fn new(commands: Sender<Command>) -> Self {
        Self { commands }
    }

    /// The other nodes to keep links with, all of them; links to others end.
    ///
    /// # Errors
    /// [`SendError::Busy`] or [`SendError::Stopped`].
    pub fn set_peers(&self, peers: Vec<Peer>) -> Result<(), SendError> {
        self.send(Command::SetPeers(peers))
    }

    /// Tells every peer that this node takes no new rooms.
    ///
    /// # Errors
    /// [`SendError::Busy`] or [`SendError::Stopped`].
    pub fn drain(&self) -> Result<(), SendError> {
        self.send(Command::Drain)
    }

    /// Sends an RTP packet. It is dropped while there is no link.
    ///
    /// # Errors
    /// [`SendError::Busy`] or [`SendError::Stopped`].
    pub fn send_media(
        &self,
        peer: &NodeId,
        class: MediaClass,
        flow: FlowId,
        epoch: Epoch,
        rtp: Bytes,
    ) -> Result<(), SendError> {
        self.link(
            peer,
            LinkCommand::Media {
                class,
                flow,
                epoch,
                rtp,
            },
        )
    }

    /// Sends bytes to the room's replica at a peer: reliably and in order within the room, as long as the link lives.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_room(
        &self,
        peer: &NodeId,
        room: &RoomKey,
        payload: Bytes,
    ) -> Result<(), SendError> {
        if room.as_str().len() > MAX_NAME || payload.len() > MAX_FRAME - ROOM_OVERHEAD {
            return Err(SendError::TooLong);
        }
        self.link(
            peer,
            LinkCommand::Room {
                room: room.clone(),
                payload,
            },
        )
    }

    pub(crate) fn stop(&self) -> Result<(), SendError> {
        self.send(Command::Stop)
    }

    fn link(&self, peer: &NodeId, command: LinkCommand) -> Result<(), SendError> {
        self.send(Command::Link(peer.clone(), command))
    }

    fn send(&self, command: Command) -> Result<(), SendError> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Full(_) => SendError::Busy,
                TrySendError::Closed(_) => SendError::Stopped,
            })
    }
}
