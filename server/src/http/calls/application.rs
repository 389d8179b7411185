//! Calls for applications: create, see, list, add to and end them with a token of an API key.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_placement::NodeId;
use tradewind_rtc::{AdminRequest, RoomConfig};

use super::authority::Application;
use super::body::{Body, CreateCall, Guest, NewParty, fingerprint, invalid};
use super::grant::{self, Pass};
use super::{CallsState, plan, ready, view};
use crate::calls::book::{CallError, Created};
use crate::calls::call::{Call, CallState};
use crate::calls::list::{Cursor, DEFAULT_PAGE, Filter, MAX_PAGE};
use crate::http::AppState;
use crate::http::problem::{Kind, Problem};
use crate::random;

/// Characters after the prefix of an id: 100 unguessable bits, and those of the hash of a secret are no worse.
const ID_CHARS: usize = 20;
/// Characters of an idempotency key.
const MAX_KEY_CHARS: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks the answer to a repeat.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Seconds a room made for a call waits for its first party: as long as tokens are good by default.
const EMPTY_TIMEOUT_S: u32 = 900;

pub(super) async fn create(
    application: Application,
    State(state): State<CallsState>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response, Problem> {
    application.may_create()?;
    ready(&state.app)?;
    let request = fingerprint(&[body.to_string().as_bytes()], 24);
    let id = id(&state.app, &application, &headers)?;
    let now_ms = state.calls.switchboard.now_ms();
    let (details, guests) = CreateCall::read(body)?.check(&id, now_ms)?;

    let mut lifetimes = BTreeMap::new();
    let mut parties = BTreeMap::new();
    for (identity, Guest { party, token_ttl_s }) in guests {
        lifetimes.insert(identity.clone(), token_ttl_s);
        parties.insert(identity, party);
    }
    let mut call = Call {
        id,
        life: 0,
        home: state.app.settings.node.id.clone(),
        created_at_ms: now_ms,
        details,
        parties,
        placement: None,
        ended: None,
        request,
    };
    // A repeat is answered with the call there is, wherever a new one would go by now.
    if state.calls.switchboard.get(&call.id).is_none() {
        plan::place(&state, &mut call)?;
        create_room(&state.app, &call.id, EMPTY_TIMEOUT_S).await?;
        if headers.contains_key(IDEMPOTENCY_KEY)
            && let Some(claims) = &state.calls.claims
            && let Some(first) = claims.claim(&call).await
        {
            state.calls.switchboard.learn(&first);
        }
    }
    let created = state.calls.switchboard.create(call).map_err(refused)?;
    let (call, is_new) = match created {
        Created::New(call) => (call, true),
        Created::Again(call) if call.ended.is_some() => return Err(refused(CallError::HasEnded)),
        Created::Again(call) => (call, false),
    };
    let passes: Result<Vec<Pass>, Problem> = lifetimes
        .iter()
        .filter_map(|(identity, ttl_s)| Some((call.parties.get(identity)?, *ttl_s)))
        .map(|(party, ttl_s)| {
            let fleet = state.calls.planner.view();
            grant::admit(&state.app, &fleet, &call, party, ttl_s, &headers)
        })
        .collect();
    let mut answer = answer(&call, passes?);
    let head = answer.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/calls/{}", call.id)) {
        head.insert(header::LOCATION, location);
    }
    if !is_new {
        head.insert(REPLAYED, HeaderValue::from_static("true"));
        *answer.status_mut() = StatusCode::OK;
    }
    Ok(answer)
}

pub(super) async fn show(
    application: Application,
    State(state): State<CallsState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    application.may_see(&id)?;
    Ok(uncached(view::call(&*known(&state, &id)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<String>,
    tenant: Option<String>,
    language: Option<String>,
    scenario: Option<String>,
    node: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    application: Application,
    State(state): State<CallsState>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    application.may_list()?;
    let Query(query) =
        query.map_err(|rejection| Problem::of(Kind::InvalidRequest, rejection.body_text()))?;
    let filter = Filter {
        state: query.state.as_deref().map(call_state).transpose()?,
        tenant: query.tenant,
        language: query.language,
        scenario: query.scenario,
        node: query.node,
    };
    let after = query.cursor.as_deref().map(|cursor| {
        Cursor::read(cursor).ok_or_else(|| invalid("cursor", "use next_cursor of the page before"))
    });
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(invalid("limit", &format!("choose 1 to {MAX_PAGE}")));
    }
    let (calls, next) = state
        .calls
        .switchboard
        .page(&filter, after.transpose()?.as_ref(), limit);
    let calls: Vec<Value> = calls.iter().map(|call| view::call(call)).collect();
    let next = next.map(|cursor| cursor.write());
    Ok(uncached(json!({"calls": calls, "next_cursor": next})))
}

pub(super) async fn add_party(
    application: Application,
    State(state): State<CallsState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(party): Body<NewParty>,
) -> Result<Response, Problem> {
    application.may_change(&id)?;
    ready(&state.app)?;
    let call = known(&state, &id)?;
    let now_ms = state.calls.switchboard.now_ms();
    let Guest {
        mut party,
        token_ttl_s,
    } = party.check("party", &random::text(ID_CHARS), now_ms)?;
    let placement = match call.parties.get(&party.identity) {
        // Somebody who is there stays there, and gets a new token.
        Some(known) if known.presence.is_here() => {
            party = known.clone();
            None
        }
        _ => Some(plan::place_newcomer(&state, &call, &mut party)?),
    };
    let identity = party.identity.clone();
    let call = state
        .calls
        .switchboard
        .add_party(&id, party, placement)
        .map_err(refused)?;
    let party = call
        .parties
        .get(&identity)
        .ok_or_else(|| refused(CallError::NoSuchCall))?;
    let fleet = state.calls.planner.view();
    let pass = grant::admit(&state.app, &fleet, &call, party, token_ttl_s, &headers)?;
    Ok(answer(&call, vec![pass]))
}

pub(super) async fn end(
    application: Application,
    State(state): State<CallsState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    application.may_change(&id)?;
    let call = state.calls.switchboard.end(&id).map_err(refused)?;
    Ok(uncached(view::call(&call)))
}

/// Why a call is where it is: JSON, or text for people who ask for text.
pub(super) async fn placement(
    application: Application,
    State(state): State<CallsState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    application.may_see(&id)?;
    let call = known(&state, &id)?;
    let placement = call.placement.as_ref().ok_or_else(|| {
        let detail = "nobody placed this call: its parties came with tokens from elsewhere";
        Problem::of(Kind::UnknownCall, detail)
    })?;
    let route: Vec<NodeId> = placement
        .nodes
        .iter()
        .map(|node| node.as_str().into())
        .collect();
    let link_now = state.calls.planner.view().route_rtt_ms(&route);
    let link_now = link_now.or(placement.link_rtt_ms).unwrap_or_default();
    let measured_ms = call.measured_over(link_now);
    let wants_text = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("text/plain"));
    if wants_text {
        let text = format!(
            "{}\n{}",
            placement.explanation.to_string().trim_end(),
            measured(&call, measured_ms)
        );
        return Ok((
            [
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            ],
            text,
        )
            .into_response());
    }
    let parties: BTreeMap<&String, Value> = call
        .parties
        .iter()
        .map(|(identity, party)| {
            let delays = json!({
                "node": party.node,
                "predicted_rtt_ms": party.predicted_rtt_ms,
                "measured_rtt_ms": party.measured_rtt_ms,
            });
            (identity, delays)
        })
        .collect();
    Ok(uncached(json!({
        "call": call.id,
        "nodes": placement.nodes,
        "standby": placement.standby,
        "predicted_ms": placement.predicted_ms,
        "measured_ms": measured_ms,
        "link_rtt_ms": placement.link_rtt_ms,
        "parties": parties,
        "explanation": placement.explanation,
    })))
}

/// Predicted beside measured, a line for each party.
fn measured(call: &Call, measured_ms: Option<f64>) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let mut text = format!(
        "\n{:<32} {:<20} {:>12} {:>12}\n",
        "party", "node", "predicted ms", "measured ms"
    );
    for party in call.parties.values() {
        text += &format!(
            "{:<32} {:<20} {:>12} {:>12}\n",
            party.identity,
            party.node,
            ms(party.predicted_rtt_ms),
            ms(party.measured_rtt_ms),
        );
    }
    let predicted = call
        .placement
        .as_ref()
        .and_then(|placement| placement.predicted_ms);
    text + &format!(
        "{:<32} {:<20} {:>12} {:>12}\n",
        "one way, end to end",
        "",
        ms(predicted),
        ms(measured_ms),
    )
}

/// The same for the same key of the same application, else new and unguessable.
fn id(app: &AppState, application: &Application, headers: &HeaderMap) -> Result<String, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(format!("CL_{}", random::text(ID_CHARS)));
    };
    let key = key.to_str().ok().filter(|key| {
        let characters = key.chars().count();
        (1..=MAX_KEY_CHARS).contains(&characters)
    });
    let advice = format!("send 1 to {MAX_KEY_CHARS} visible ASCII characters");
    let key = key.ok_or_else(|| invalid("Idempotency-Key", &advice))?;
    let secret = app.keys.secret(application.api_key()).unwrap_or_default();
    let parts = [secret, application.api_key(), key].map(str::as_bytes);
    Ok(format!("CL_{}", fingerprint(&parts, ID_CHARS)))
}

fn call_state(text: &str) -> Result<CallState, Problem> {
    match text {
        "created" => Ok(CallState::Created),
        "waiting" => Ok(CallState::Waiting),
        "answered" => Ok(CallState::Answered),
        "ended" => Ok(CallState::Ended),
        _ => Err(invalid(
            "state",
            "choose created, waiting, answered or ended",
        )),
    }
}

fn known(state: &CallsState, id: &str) -> Result<Arc<Call>, Problem> {
    let known = state.calls.switchboard.get(id);
    known.ok_or_else(|| refused(CallError::NoSuchCall))
}

/// Makes the room of a call where rooms do not appear by themselves.
pub(super) async fn create_room(
    app: &AppState,
    room: &str,
    empty_timeout_s: u32,
) -> Result<(), Problem> {
    let defaults = &app.settings.room;
    if defaults.auto_create {
        return Ok(());
    }
    let config = RoomConfig {
        empty_timeout_s,
        departure_timeout_s: defaults.departure_timeout_s,
        max_participants: defaults.max_participants,
        ..RoomConfig::default()
    };
    let request = AdminRequest::CreateRoom {
        room: room.into(),
        config,
    };
    let created = app.node.admin(request).await;
    created
        .map(drop)
        .map_err(|error| Problem::of(Kind::NotReady, error.to_string()))
}

pub(super) fn refused(error: CallError) -> Problem {
    let kind = match error {
        CallError::NoSuchCall => Kind::UnknownCall,
        CallError::AlreadyAnswered => Kind::AlreadyAnswered,
        CallError::HasEnded => Kind::CallEnded,
        CallError::KeyReused => Kind::DuplicateKey,
        CallError::TooManyParties => Kind::TooManyParties,
        CallError::Full => Kind::NoCapacity,
    };
    Problem::of(kind, error.to_string())
}

fn answer(call: &Call, parties: Vec<Pass>) -> Response {
    let body = json!({"call": view::call(call), "parties": parties});
    (
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(body),
    )
        .into_response()
}

fn uncached(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
