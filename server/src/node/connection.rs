//! A signalling connection as its WebSocket task sees it.

use tokio::sync::mpsc;
use tradewind_rtc::{Command, ConnectionId, Event, SignalRequest};

use super::NodeError;
use crate::shard::{Input, ShardHandle};

/// Events that may wait for the client. A connection that falls further behind is given up: its session can be resumed.
pub(super) const EVENTS_QUEUED: usize = 1_024;

/// A signalling connection that a shard knows of. Dropping it tells the shard that the client is gone.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) shard: ShardHandle,
    pub(super) events: mpsc::Receiver<Event>,
}

impl Connection {
    /// The next event; `None` = the room has let go, or this reader fell too far behind.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Passes on what the client asks for.
    ///
    /// # Errors
    /// The shard's queue stays full, or the node is shutting down.
    pub(crate) async fn signal(&self, request: SignalRequest) -> Result<(), NodeError> {
        let command = Command::Signal {
            connection: self.id,
            request: Box::new(request),
        };
        self.shard.send(Input::Command(command)).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // If the queue is full, the shard finds the closed event queue by itself a little later.
        self.shard
            .try_send(Input::Command(Command::ConnectionClosed {
                connection: self.id,
            }));
    }
}
