//! From a QUIC connection to a link: both sides say who they are.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use thiserror::Error;
use tokio::time::timeout;

use super::tls::is_node;
use crate::frame::{Frame, FrameError, FrameReader, Version};
use crate::id::NodeId;

/// Codes with which a connection is closed.
pub(crate) const CLOSED: VarInt = VarInt::from_u32(0);
pub(crate) const PROTOCOL: VarInt = VarInt::from_u32(1);

/// Handshake and hello take this long at most; the longest round trip on Earth fits many times.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection whose peer is known.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) peer: NodeId,
    pub(crate) instance: u64,
    pub(crate) control_out: SendStream,
    pub(crate) control_in: (RecvStream, FrameReader),
}

/// No link came about.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error("no answer in time: is the address right and its UDP port open?")]
    Timeout,
    #[error("no connection: {0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("cannot dial: {0}")]
    Dial(#[from] quinn::ConnectError),
    #[error("the peer's first stream ended: {0}")]
    Stream(String),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the peer says it is {0:?}, but its certificate does not carry this name")]
    Imposter(NodeId),
    #[error("the peer did not begin with a hello of our version")]
    NoHello,
}

pub(crate) async fn establish(
    connecting: impl Future<Output = Result<Connection, quinn::ConnectionError>>,
    node: &NodeId,
    instance: u64,
) -> Result<Session, SessionError> {
    timeout(PATIENCE, async {
        let connection = connecting.await?;
        match greet(&connection, node, instance).await {
            Ok(session) => Ok(session),
            Err(error) => {
                connection.close(PROTOCOL, error.to_string().as_bytes());
                Err(error)
            }
        }
    })
    .await
    .map_err(|_| SessionError::Timeout)?
}

async fn greet(
    connection: &Connection,
    node: &NodeId,
    instance: u64,
) -> Result<Session, SessionError> {
    let hello = Frame::Hello {
        node: node.clone(),
        version: Version::OURS,
        instance,
        features: 0,
    };
    let mut control_out = connection.open_uni().await?;
    control_out
        .write_all(&hello.encode())
        .await
        .map_err(|error| SessionError::Stream(error.to_string()))?;
    // Streams are accepted in the order they were opened, so this is the peer's control stream.
    let mut stream = connection.accept_uni().await?;
    let mut reader = FrameReader::default();
    loop {
        match reader.next_frame()? {
            Some(Frame::Hello {
                node,
                version,
                instance,
                ..
            }) if version.major == Version::OURS.major => {
                if !is_node(connection, &node) {
                    return Err(SessionError::Imposter(node));
                }
                return Ok(Session {
                    connection: connection.clone(),
                    peer: node,
                    instance,
                    control_out,
                    control_in: (stream, reader),
                });
            }
            Some(_) => return Err(SessionError::NoHello),
            None => {}
        }
        match stream.read_chunk(4_096, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) => return Err(SessionError::NoHello),
            Err(error) => return Err(SessionError::Stream(error.to_string())),
        }
    }
}
