//! The seam to the wire format of data messages, which `signalling` knows and rooms do not.

use std::sync::Arc;

use crate::id::{Identity, ParticipantSid};

/// Reads and stamps data messages.
pub trait DataCodec: Send {
    /// Reads a message that `sender` sent and writes the sender's identity and sid into it.
    ///
    /// # Errors
    /// The message is malformed and must not be relayed.
    fn stamp(&self, message: &[u8], sender: DataSender<'_>) -> Result<StampedMessage, DataError>;
}

/// Who sent a data message.
#[derive(Clone, Copy, Debug)]
pub struct DataSender<'a> {
    pub identity: &'a Identity,
    pub sid: &'a ParticipantSid,
    /// Agents may speak in another participant's name in transcriptions, chat and streams.
    pub is_agent: bool,
}

/// A message ready to be relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedMessage {
    pub message: Arc<[u8]>,
    /// Empty together with `destination_sids` = everybody but the sender.
    pub destinations: Vec<Identity>,
    pub destination_sids: Vec<ParticipantSid>,
    /// Number of a reliable message; 0 = unnumbered.
    pub sequence: u32,
    /// False for messages meant for the server only.
    pub relay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("data message is not a valid data packet")]
    Malformed,
}
