//! One signalling connection: frames in, typed requests out; events in, frames out.

mod candidate;
mod request;
mod response;
mod server;

use std::fmt;
use std::sync::Arc;

use prost::Message;
use tradewind_rtc::{Event, PeerMode, SignalRequest};

use crate::convert::proto;
use crate::convert::proto::signal_response::Message as Response;
use crate::join::{Connect, ConnectRequest, ConnectionSettings};
use crate::limits::{Limits, MAX_SID_BYTES, has_fields_at_most, has_members_at_most};
use crate::sdp::SdpClient;

pub use server::{COMPATIBLE_VERSION, IceServer, PROTOCOL, ServerInfo};

/// Characters of a parser's complaint that are passed on.
const MAX_ERROR_CHARS: usize = 200;

/// A WebSocket message to the client.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// Protobuf.
    Binary(Vec<u8>),
    /// Protobuf's JSON form.
    Text(String),
}

impl fmt::Debug for Frame {
    // Frames hold addresses, passwords and tokens, which must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

/// A WebSocket message of the client.
#[derive(Clone, Copy)]
pub enum FrameRef<'a> {
    Binary(&'a [u8]),
    Text(&'a str),
}

/// What a frame of the client asks for.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// For the room.
    Request(SignalRequest),
    /// To be sent back at once.
    Reply(Frame),
}

/// Why a frame was refused. The connection it came on is of no more use; the session may be resumed on another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    #[error("message of {bytes} bytes: {limit} are allowed")]
    MessageTooLarge { bytes: usize, limit: usize },
    #[error("message with more than {limit} fields: name fewer tracks at once")]
    TooManyFields { limit: usize },
    #[error("message is not a signal request: {0}")]
    Malformed(String),
    #[error("session description of {bytes} bytes: {limit} are allowed")]
    SdpTooLarge { bytes: usize, limit: usize },
    #[error("ICE candidate of {bytes} bytes: {limit} are allowed")]
    CandidateTooLarge { bytes: usize, limit: usize },
    #[error("ICE candidate is not a JSON object")]
    CandidateMalformed,
    #[error("a sid of more than {MAX_SID_BYTES} bytes")]
    SidTooLong,
}

/// The codec of one signalling connection.
#[derive(Debug)]
pub struct Session {
    server: Arc<ServerInfo>,
    settings: ConnectionSettings,
    limits: Limits,
    sdp_client: SdpClient,
    /// Whether the client's last frame was text: it is answered in kind.
    text: bool,
    /// The client resumes and does not expect to hear, before the list of those present, who left meanwhile.
    skip_departed: bool,
}

impl Session {
    /// A session for an accepted connect request.
    pub fn new(server: Arc<ServerInfo>, connect: &Connect, limits: Limits) -> Self {
        let resumes = matches!(connect.request, ConnectRequest::Resume(_));
        Self {
            server,
            sdp_client: SdpClient::from(&connect.settings.client),
            skip_departed: resumes && connect.settings.client.protocol <= 8,
            settings: connect.settings.clone(),
            limits,
            text: false,
        }
    }

    /// Reads one WebSocket message of the client. What this server does not know is ignored.
    ///
    /// # Errors
    /// The message breaks the protocol or a limit: close the connection.
    pub fn receive(
        &mut self,
        frame: FrameRef<'_>,
        now_unix_ms: u64,
    ) -> Result<Vec<Incoming>, SignalError> {
        let request = self.decode(frame)?;
        self.text = matches!(frame, FrameRef::Text(_));
        match request.message {
            Some(message) => self.read(message, now_unix_ms),
            None => Ok(Vec::new()),
        }
    }

    /// Writes one event of the room, in the form of the client's last frame; binary before the first.
    pub fn send(&mut self, event: Event) -> Vec<Frame> {
        self.write(event)
            .into_iter()
            .map(|response| self.encode(response))
            .collect()
    }

    /// Gives the client a fresh token for its reconnects.
    pub fn refresh_token(&self, token: String) -> Frame {
        self.encode(Response::RefreshToken(token))
    }

    fn peer_mode(&self) -> PeerMode {
        self.settings.peer_mode
    }

    fn protocol(&self) -> i32 {
        self.settings.client.protocol
    }

    fn decode(&self, frame: FrameRef<'_>) -> Result<proto::SignalRequest, SignalError> {
        let bytes = match frame {
            FrameRef::Binary(bytes) => bytes.len(),
            FrameRef::Text(text) => text.len(),
        };
        if bytes > self.limits.message_bytes {
            return Err(SignalError::MessageTooLarge {
                bytes,
                limit: self.limits.message_bytes,
            });
        }
        let limit = self.limits.fields;
        let few_enough = match frame {
            FrameRef::Binary(bytes) => has_fields_at_most(limit, bytes),
            FrameRef::Text(text) => has_members_at_most(limit, text),
        };
        if !few_enough {
            return Err(SignalError::TooManyFields { limit });
        }
        match frame {
            FrameRef::Binary(bytes) => {
                proto::SignalRequest::decode(bytes).map_err(|error| malformed(&error))
            }
            FrameRef::Text(text) => serde_json::from_str(text).map_err(|error| malformed(&error)),
        }
    }

    fn encode(&self, message: Response) -> Frame {
        let response = proto::SignalResponse {
            message: Some(message),
        };
        if self.text {
            // A relayed code that is newer than our protobuf types has no name in JSON. SDKs read both forms at any
            // time, so such a message goes out in binary.
            if let Ok(text) = serde_json::to_string(&response) {
                return Frame::Text(text);
            }
        }
        Frame::Binary(response.encode_to_vec())
    }
}

/// Cut short, because what a parser complains of may quote the message.
fn malformed(error: &dyn fmt::Display) -> SignalError {
    SignalError::Malformed(error.to_string().chars().take(MAX_ERROR_CHARS).collect())
}

#[cfg(test)]
mod tests;
