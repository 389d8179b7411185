//! `/v1/calls`: the interface of the pages. Shoppers start calls, agents see and answer them.

mod book;
mod desk;
mod grant;
#[cfg(test)]
pub(super) mod samples;
mod switchboard;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::Stream;
use serde::Deserialize;
use tradewind_rtc::{AdminRequest, RoomConfig};

use super::AppState;
use super::client_address::ClientAddress;
use super::problem::Problem;
use crate::random;
use book::{AGENT, AnswerError, SHOPPER};
use desk::AtTheDesk;
use grant::Guest;

pub(crate) use switchboard::Switchboard;

/// Bytes of a request's body: a name and a language.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Characters of a person's name; the rest is cut.
const MAX_NAME_CHARS: usize = 80;
/// Characters of a language tag (RFC 5646 section 4.4.1).
const MAX_LANGUAGE_CHARS: usize = 35;
/// Characters after the prefix of an id: 120 unguessable bits.
const ID_CHARS: usize = 20;
/// When to try again if too many calls wait: about how long it takes an agent to answer one.
const BUSY_RETRY: Duration = Duration::from_secs(15);
/// Seconds a room made for a call waits for its shopper.
const EMPTY_TIMEOUT_S: u32 = 60;
/// How often a silent event stream shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the routes of calls share; cheap to clone.
#[derive(Clone)]
struct CallsState {
    app: AppState,
    switchboard: Arc<Switchboard>,
}

/// The routes under `/v1/calls`.
pub(super) fn routes(app: AppState, switchboard: Arc<Switchboard>) -> Router {
    Router::new()
        .route("/v1/calls", post(open).get(list))
        .route("/v1/calls/events", get(events))
        .route("/v1/calls/{id}/answer", post(answer))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(CallsState { app, switchboard })
}

#[derive(Deserialize)]
struct OpenRequest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    language: String,
}

#[derive(Deserialize)]
struct AnswerRequest {
    #[serde(default)]
    name: String,
}

async fn open(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Json<OpenRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = body.map_err(bad_body)?;
    let address = client.map(|Extension(client)| client.household());
    ready(&state.app)?;
    admit(&state, address)?;

    let guest = Guest {
        room: format!("CL_{}", random::text(ID_CHARS)),
        role: SHOPPER,
        name: cleaned(&request.name),
        language: language(&request.language),
    };
    let pass = grant::admit(&state.app, &guest, &headers)?;
    if !state.app.settings.room.auto_create {
        create_room(&state.app, &guest.room).await?;
    }
    state
        .switchboard
        .open(&guest.room, &guest.name, &guest.language);
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(pass),
    )
        .into_response())
}

async fn list(_: AtTheDesk, State(state): State<CallsState>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, state.switchboard.list().to_string())
}

async fn events(_: AtTheDesk, State(state): State<CallsState>) -> impl IntoResponse {
    // Proxies that buffer would hold a new call back.
    let unbuffered = [(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    )];
    (
        unbuffered,
        Sse::new(call_events(&state.switchboard)).keep_alive(KeepAlive::new().interval(HEARTBEAT)),
    )
}

async fn answer(
    _: AtTheDesk,
    State(state): State<CallsState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<AnswerRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = body.map_err(bad_body)?;
    let guest = Guest {
        room: id,
        role: AGENT,
        name: cleaned(&request.name),
        language: String::new(),
    };
    let pass = grant::admit(&state.app, &guest, &headers)?;
    state
        .switchboard
        .answer(&guest.room, &guest.name)
        .map_err(|error| {
            let status = match error {
                AnswerError::NoSuchCall => StatusCode::NOT_FOUND,
                AnswerError::AlreadyAnswered => StatusCode::CONFLICT,
            };
            Problem::new(status, error.to_string())
        })?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(pass)).into_response())
}

/// The list at once and after every change, until the node stops.
fn call_events(
    switchboard: &Switchboard,
) -> impl Stream<Item = Result<Event, std::convert::Infallible>> + use<> {
    futures_util::stream::unfold(switchboard.follow(), |mut lists| async move {
        let list = lists.next().await?;
        Some((Ok(Event::default().event("calls").data(&*list)), lists))
    })
}

fn ready(app: &AppState) -> Result<(), Problem> {
    app.node.ready().map_err(|reason| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the server takes no calls now: {reason}"),
        )
    })
}

fn admit(state: &CallsState, address: Option<IpAddr>) -> Result<(), Problem> {
    if state.switchboard.unanswered() >= state.app.settings.limits.waiting_calls as usize {
        return Err(Problem::too_many(
            "too many calls are waiting: try again in a moment",
            BUSY_RETRY,
        ));
    }
    match address.map(|address| state.switchboard.take_turn(address)) {
        Some(Err(wait)) => Err(Problem::too_many(
            "too many calls from your address: wait a little",
            wait,
        )),
        _ => Ok(()),
    }
}

async fn create_room(app: &AppState, room: &str) -> Result<(), Problem> {
    let defaults = &app.settings.room;
    let config = RoomConfig {
        empty_timeout_s: EMPTY_TIMEOUT_S,
        departure_timeout_s: defaults.departure_timeout_s,
        max_participants: defaults.max_participants,
        ..RoomConfig::default()
    };
    let created = app
        .node
        .admin(AdminRequest::CreateRoom {
            room: room.into(),
            config,
        })
        .await;
    created
        .map(drop)
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

fn bad_body(rejection: JsonRejection) -> Problem {
    Problem::new(rejection.status(), rejection.body_text())
}

/// A name as people write it: no control characters, no endless text.
fn cleaned(name: &str) -> String {
    let visible: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    visible.trim().to_owned()
}

/// A language tag, or nothing if it is none.
fn language(tag: &str) -> String {
    let good = tag.len() <= MAX_LANGUAGE_CHARS
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good { tag.to_owned() } else { String::new() }
}
