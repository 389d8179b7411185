//! One signalling connection.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::wrapped_join_request::Compression as Wrapped;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Api, TokenError};
use crate::engine::{Command, Handle};

/// What the newest SDKs say they speak.
const PROTOCOL: i32 = 17;
const PING_INTERVAL: Duration = Duration::from_secs(5);
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
pub(crate) enum SignalError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the server refused the join: HTTP {status} {body}")]
    Refused { status: u16, body: String },
    #[error("no signalling connection: {0}: is the URL right, and the server up?")]
    Connection(#[from] Box<WsError>),
    #[error("no answer to the join within {} s", JOIN_TIMEOUT.as_secs())]
    Timeout,
    #[error("the first message was no join")]
    NoJoin,
    #[error("the join request cannot be compressed: {0}")]
    Compression(#[from] std::io::Error),
}

/// Where and as whom bots join.
pub(crate) struct Joiner {
    /// `ws://host:port` or `http://host:port`.
    pub(crate) url: String,
    pub(crate) api: Api,
}

/// An open connection, after its join.
pub(crate) struct Signal(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Joiner {
    /// Joins `room` with the first offer and the tracks it publishes; the answer goes to the bot.
    pub(crate) async fn join(
        &self,
        identity: &str,
        room: &str,
        offer: proto::SessionDescription,
        tracks: Vec<proto::AddTrackRequest>,
    ) -> Result<Signal, SignalError> {
        let request = proto::JoinRequest {
            client_info: Some(proto::ClientInfo {
                sdk: proto::client_info::Sdk::Rust as i32,
                version: env!("CARGO_PKG_VERSION").into(),
                protocol: PROTOCOL,
                os: "linux".into(),
                ..Default::default()
            }),
            connection_settings: Some(proto::ConnectionSettings {
                auto_subscribe: true,
                ..Default::default()
            }),
            publisher_offer: Some(offer),
            add_track_requests: tracks,
            ..Default::default()
        };
        let token = self.api.token(identity, room)?;
        let base = self.url.trim_end_matches('/').replacen("http", "ws", 1);
        let url = format!(
            "{base}/rtc/v1?access_token={token}&join_request={}",
            wrap(&request)?
        );
        let connected = timeout(JOIN_TIMEOUT, connect_async(url))
            .await
            .map_err(|_| SignalError::Timeout)?;
        let (mut socket, _) = connected.map_err(refusal)?;
        let first = timeout(JOIN_TIMEOUT, next(&mut socket))
            .await
            .map_err(|_| SignalError::Timeout)?;
        match first {
            Some(Response::Join(_)) => Ok(Signal(socket)),
            _ => Err(SignalError::NoJoin),
        }
    }
}

impl Signal {
    /// Carries messages both ways until the server closes or `requests` ends, which is a leave.
    pub(crate) async fn run(
        self,
        bot: u32,
        engine: &Handle,
        mut requests: UnboundedReceiver<Request>,
    ) {
        let mut socket = self.0;
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        loop {
            let request = tokio::select! {
                response = next(&mut socket) => {
                    let Some(response) = response else { return };
                    if engine.send(Command::Response(bot, Box::new(response))).is_err() {
                        return;
                    }
                    continue;
                }
                request = requests.recv() => request,
                _ = ping.tick() => Some(Request::PingReq(proto::Ping { timestamp: 1, rtt: 0 })),
            };
            let leaves = request.is_none();
            let request = request.unwrap_or_else(|| Request::Leave(proto::LeaveRequest::default()));
            let bytes = proto::SignalRequest {
                message: Some(request),
            }
            .encode_to_vec();
            if socket.send(Message::Binary(bytes.into())).await.is_err() || leaves {
                // The other side may have closed already.
                let _ = socket.close(None).await;
                return;
            }
        }
    }
}

/// The next signal message; `None` = closed.
async fn next(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Option<Response> {
    loop {
        match socket.next().await? {
            Ok(Message::Binary(bytes)) => {
                if let Some(message) = proto::SignalResponse::decode(bytes).ok()?.message {
                    return Some(message);
                }
            }
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn wrap(request: &proto::JoinRequest) -> Result<String, std::io::Error> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(&request.encode_to_vec())?;
    let wrapped = proto::WrappedJoinRequest {
        compression: Wrapped::Gzip as i32,
        join_request: zipped.finish()?,
    };
    Ok(URL_SAFE.encode(wrapped.encode_to_vec()))
}

fn refusal(error: WsError) -> SignalError {
    match error {
        WsError::Http(response) => SignalError::Refused {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                .into_owned(),
        },
        error => SignalError::Connection(Box::new(error)),
    }
}
