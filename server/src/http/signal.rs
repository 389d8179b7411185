//! Where SDKs connect: `/rtc` and `/rtc/v1` for signalling, and `validate` beside each, which says in a body what a
//! browser's WebSocket hides.

mod connection;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::{Instrument, Span, info_span};
use tradewind_rtc::{Event, JoinRefusal, RoomName};
use tradewind_signalling::Limits;
use tradewind_signalling::join::{Connect, ConnectError, ConnectRequest, connect_v0, connect_v1};
use tradewind_signalling::session::{COMPATIBLE_VERSION, ServerInfo, Session};
use tradewind_signalling::token::{Claims, TokenError, verify};

use self::connection::SignalConnection;
use super::rate::RateByAddress;
use super::{AppState, Calls, ClientAddress};
use crate::calls::CALL_CLAIM;
use crate::clock::unix_s;
use crate::config::Settings;
use crate::metrics;
use crate::node::{Connection, NodeError};
use crate::socket::admission::{Admission, Admitted, Refused};

/// Signalling messages are small but for offers; larger ones are read in pieces.
const READ_BUFFER: usize = 4 * 1024;

/// How long the room may take to answer a join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Version of the agent worker protocol that is told to clients.
const AGENT_PROTOCOL: i32 = 1;

/// The signalling routes.
pub(super) fn routes(app: AppState, calls: Arc<Calls>) -> Router {
    let signalling = Arc::new(Signalling::new(app, calls));
    Router::new()
        .route(
            "/rtc",
            get(|state, who, head, query, upgrade| {
                connect(Version::V0, state, who, head, query, upgrade)
            }),
        )
        .route(
            "/rtc/v1",
            get(|state, who, head, query, upgrade| {
                connect(Version::V1, state, who, head, query, upgrade)
            }),
        )
        .route(
            "/rtc/validate",
            get(|state, head, query| validate(Version::V0, state, head, query)),
        )
        .route(
            "/rtc/v1/validate",
            get(|state, head, query| validate(Version::V1, state, head, query)),
        )
        .with_state(signalling)
}

/// What all signalling connections share.
struct Signalling {
    app: AppState,
    calls: Arc<Calls>,
    server: Arc<ServerInfo>,
    limits: Limits,
    open: Admission,
    joins: Mutex<RateByAddress>,
}

/// Form of the connect request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// A parameter for each setting; two peer connections.
    V0,
    /// One message; one peer connection.
    V1,
}

/// Why a connection was refused before it became a WebSocket. SDKs show the text and act by the status.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this address speaks WebSocket: connect with a LiveKit SDK")]
    NoWebSocket,
    #[error("no access token: send it as `access_token` or as Authorization: Bearer")]
    NoToken,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "the token is for a call on other nodes: connect to the address that came with it, or to its standby"
    )]
    OtherNode,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Join(#[from] JoinRefusal),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Connections(#[from] Refused),
    #[error("too many joins from this address: try again in a moment")]
    Rate { wait: Duration },
}

async fn connect(
    version: Version,
    State(signalling): State<Arc<Signalling>>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| Refusal::NoWebSocket)?;
    let joined = open(&signalling, version, client, &headers, query.as_deref()).await;
    metrics::joins(result(&joined));
    let joined = joined?;
    let message_bytes = signalling.limits.message_bytes;
    Ok(upgrade
        // The library fills this much memory with zeros for each connection.
        .read_buffer_size(READ_BUFFER)
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes)
        .on_upgrade(move |socket| {
            let run = async move {
                joined.connection.run(socket, joined.first).await;
                drop(joined.admitted);
            };
            run.instrument(joined.span)
        }))
}

/// A connection whose room has answered.
struct Joined {
    connection: SignalConnection,
    first: Event,
    admitted: Admitted,
    span: Span,
}

/// Everything before the upgrade, so that SDKs see a refusal as an HTTP status.
async fn open(
    signalling: &Signalling,
    version: Version,
    client: ClientAddress,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Joined, Refusal> {
    signalling
        .joins
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(client.household(), Instant::now())
        .map_err(|wait| Refusal::Rate { wait })?;
    let admitted = signalling.open.admit(client.0)?;
    let (claims, connect) = signalling.read(version, headers, query)?;
    let span = info_span!(
        "signalling",
        room = claims.grants.room,
        identity = claims.identity
    );
    let (connection, first) = signalling.join(&connect).instrument(span.clone()).await?;
    signalling
        .calls
        .connects(&claims.grants.room, &claims.identity, client.0);
    let session = Session::new(
        signalling.server.clone(),
        &connect,
        signalling.limits.clone(),
    );
    let connection =
        SignalConnection::new(connection, session, claims, signalling.app.keys.clone());
    Ok(Joined {
        connection,
        first,
        admitted,
        span,
    })
}

/// Label of the metric.
fn result(joined: &Result<Joined, Refusal>) -> &'static str {
    match joined {
        Ok(joined) => match joined.first {
            Event::Resumed { .. } => "resumed",
            Event::Leave { .. } => "must_rejoin",
            _ => "joined",
        },
        Err(refusal) => match refusal {
            Refusal::NoWebSocket | Refusal::Connect(_) => "bad_request",
            Refusal::NoToken | Refusal::Token(_) | Refusal::OtherNode => "unauthorized",
            Refusal::Join(JoinRefusal::NoSuchRoom) => "no_such_room",
            Refusal::Join(JoinRefusal::RoomFull { .. }) => "room_full",
            Refusal::Join(JoinRefusal::NodeFull) => "node_full",
            Refusal::Node(_) => "overloaded",
            Refusal::Connections(_) | Refusal::Rate { .. } => "limited",
        },
    }
}

async fn validate(
    version: Version,
    State(signalling): State<Arc<Signalling>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<&'static str, Refusal> {
    let (claims, _) = signalling.read(version, &headers, query.as_deref())?;
    let app = &signalling.app;
    if !app.settings.room.auto_create
        && !app
            .node
            .has_room(&RoomName::from(claims.grants.room.as_str()))
    {
        return Err(JoinRefusal::NoSuchRoom.into());
    }
    Ok("success")
}

impl Signalling {
    fn new(app: AppState, calls: Arc<Calls>) -> Self {
        let settings = &app.settings;
        let connections = &settings.limits;
        Self {
            server: Arc::new(ServerInfo {
                node_id: settings.node.id.clone(),
                region: settings.region.name.clone(),
                version: COMPATIBLE_VERSION.to_owned(),
                ice_servers: Vec::new(),
                agent_protocol: AGENT_PROTOCOL,
            }),
            limits: limits(settings),
            open: Admission::new(
                connections.http_connections as usize,
                connections.signal_connections_per_ip as usize,
            ),
            joins: Mutex::new(RateByAddress::new(
                connections.joins_per_second_per_ip,
                Duration::from_secs(1),
            )),
            app,
            calls,
        }
    }

    /// Checks the token and reads the connect request.
    fn read(
        &self,
        version: Version,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<(Claims, Connect), Refusal> {
        let query = query.unwrap_or_default();
        let token = query_token(query)
            .or_else(|| bearer(headers))
            .ok_or(Refusal::NoToken)?;
        let claims = verify(&self.app.keys, token, unix_s())?;
        if !names_node(&claims, &self.app.settings.node.id) {
            return Err(Refusal::OtherNode);
        }
        let connection = self.app.node.next_connection();
        let connect = match version {
            Version::V0 => connect_v0(query, &claims, connection, &self.limits)?,
            Version::V1 => connect_v1(query, &claims, connection, &self.limits)?,
        };
        let user_agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok());
        Ok((
            claims,
            connect.recognise_browser(user_agent.unwrap_or_default()),
        ))
    }

    /// Asks the room, and waits for its first word.
    async fn join(&self, connect: &Connect) -> Result<(Connection, Event), Refusal> {
        let mut connection = match &connect.request {
            ConnectRequest::Join(join) => self.app.node.join(join.clone()).await?,
            ConnectRequest::Resume(resume) => self.app.node.resume(resume.clone()).await?,
        };
        let first = tokio::time::timeout(JOIN_TIMEOUT, connection.event()).await;
        match first.map_err(|_| NodeError::Overloaded)? {
            Some(Event::JoinRefused(refusal)) => Err(refusal.into()),
            Some(first) => Ok((connection, first)),
            None => Err(NodeError::ShuttingDown.into()),
        }
    }
}

fn limits(settings: &Settings) -> Limits {
    let configured = &settings.limits;
    Limits {
        metadata_bytes: configured.metadata_bytes,
        attributes_bytes: configured.attributes_bytes,
        message_bytes: configured.signal_message_bytes,
        tracks_per_join: configured.tracks_per_participant as usize,
        ..Limits::default()
    }
}

/// Whether the token is good on this node: it names it, or no node at all.
fn names_node(claims: &Claims, node: &str) -> bool {
    let bound = claims.other.get(CALL_CLAIM);
    let nodes = bound.and_then(|bound| bound.get("nodes")?.as_array());
    nodes.is_none_or(|nodes| nodes.iter().any(|named| named == node))
}

/// Tokens are written in the characters of base64url and dots, which need no escape in a query.
fn query_token(query: &str) -> Option<&str> {
    let token = query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("access_token="));
    token.filter(|token| !token.is_empty())
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoWebSocket | Self::Join(JoinRefusal::NoSuchRoom) => StatusCode::NOT_FOUND,
            Self::NoToken | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::OtherNode => StatusCode::FORBIDDEN,
            Self::Connect(error) => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            // SDKs try again after a 5xx and give up after a 4xx.
            Self::Join(JoinRefusal::RoomFull { .. } | JoinRefusal::NodeFull)
            | Self::Node(_)
            | Self::Connections(_)
            | Self::Rate { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        tracing::debug!(status = status.as_u16(), reason = %self, "signalling connection refused");
        let mut response = (status, self.to_string()).into_response();
        if let Self::Rate { wait } = self {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
