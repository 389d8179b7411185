//! The node as its HTTP services see it: rooms by name, whatever shard they live on.

use tokio::sync::mpsc;
use tradewind_rtc::{AdminError, AdminReply, AdminRequest, Counters, RoomEvent};

/// A handle to the shards of this node; cheap to clone.
#[derive(Clone)]
pub struct Node {}

/// Why a call to the node failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Refused(#[from] AdminError),
    /// The shard did not take or answer the call in time.
    #[error("the node is overloaded: try again in a moment")]
    Overloaded,
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl Node {
    /// Runs a server API call on the shard that owns its room; [`AdminRequest::ListRooms`] asks all shards.
    pub async fn admin(&self, _request: AdminRequest) -> Result<AdminReply, NodeError> {
        Err(NodeError::ShuttingDown)
    }

    /// A queue that from now on receives every room event, in order per room. Events are dropped and counted, never
    /// waited for, if its reader falls `capacity` behind.
    pub fn room_events(&self, _capacity: usize) -> mpsc::Receiver<RoomEvent> {
        mpsc::channel(1).1
    }

    /// Counters of each shard.
    pub async fn counters(&self) -> Vec<Counters> {
        Vec::new()
    }

    /// Whether the node takes calls; if not, why.
    ///
    /// # Errors
    /// The reason, for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}
