//! What the pages of this server call: shoppers start calls, agents see and answer them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::application::{create_room, refused};
use super::body::{Body, NewProbe, cleaned, invalid, language, probes};
use super::desk::AtTheDesk;
use super::{CallsState, grant, plan, ready, take, view};
use crate::calls::book::{AGENT_WAIT_MS, CallError, SHOPPER_WAIT_MS};
use crate::calls::call::{Call, Details, Party, Presence, Role, Stamp, UnixMs};
use crate::http::client_address::ClientAddress;
use crate::http::problem::Problem;
use crate::random;

/// Seconds a token is good for. A page that is reloaded joins with the one it got at first, so this bounds a call.
const TOKEN_TTL_S: u64 = 2 * 60 * 60;
/// Characters after the prefix of an id: 120 unguessable bits.
const ID_CHARS: usize = 20;
/// When to try again if too many calls wait: about how long it takes an agent to answer one.
const BUSY_RETRY: Duration = Duration::from_secs(15);
/// Seconds a room made for a call waits for its shopper.
const EMPTY_TIMEOUT_S: u32 = 60;

#[derive(Deserialize)]
pub(super) struct OpenRequest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    probes: Vec<NewProbe>,
}

#[derive(Deserialize)]
pub(super) struct AnswerRequest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    probes: Vec<NewProbe>,
}

/// A shopper asks for a call.
pub(super) async fn open(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    Body(request): Body<OpenRequest>,
) -> Result<Response, Problem> {
    let client = client.map(|Extension(client)| client);
    ready(&state.app)?;
    admit(&state, client.map(ClientAddress::household))?;

    let now_ms = state.calls.switchboard.now_ms();
    let until_ms = now_ms.saturating_add(SHOPPER_WAIT_MS);
    let shopper = visitor(&state, Role::Shopper, &request.name, client, until_ms);
    let identity = shopper.identity.clone();
    let shopper = Party {
        probes: probes("probes", request.probes, now_ms)?,
        ..shopper
    };
    let mut call = Call {
        id: format!("CL_{}", random::text(ID_CHARS)),
        life: 0,
        home: state.app.settings.node.id.clone(),
        created_at_ms: now_ms,
        details: Details {
            language: language(&request.language).unwrap_or_default(),
            ..Details::default()
        },
        parties: BTreeMap::from([(identity.clone(), shopper)]),
        placement: None,
        ended: None,
        request: String::new(),
    };
    plan::place(&state, &mut call)?;
    let shopper = call
        .parties
        .get(&identity)
        .ok_or_else(|| refused(CallError::NoSuchCall))?;
    let fleet = state.calls.planner.view();
    let pass = grant::admit(&state.app, &fleet, &call, shopper, TOKEN_TTL_S, &headers)?;
    create_room(&state.app, &call.id, EMPTY_TIMEOUT_S).await?;
    state.calls.switchboard.create(call).map_err(refused)?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(pass),
    )
        .into_response())
}

/// Calls whose shopper is there.
pub(super) async fn waiting(_: AtTheDesk, State(state): State<CallsState>) -> Response {
    let list = listing(&state.calls.switchboard.at_the_desk());
    ([(header::CACHE_CONTROL, "no-store")], Json(list)).into_response()
}

/// An agent takes a call.
pub(super) async fn answer(
    _: AtTheDesk,
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<AnswerRequest>,
) -> Result<Response, Problem> {
    let switchboard = &state.calls.switchboard;
    switchboard.can_answer(&id).map_err(refused)?;
    let call = switchboard
        .get(&id)
        .ok_or_else(|| refused(CallError::NoSuchCall))?;
    let now_ms = switchboard.now_ms();
    let until_ms = now_ms.saturating_add(AGENT_WAIT_MS);
    let client = client.map(|Extension(client)| client);
    let mut agent = Party {
        probes: probes("probes", request.probes, now_ms)?,
        ..visitor(&state, Role::Agent, &request.name, client, until_ms)
    };
    let placement = plan::place_newcomer(&state, &call, &mut agent)?;
    let identity = agent.identity.clone();
    let call = switchboard
        .answer(&id, agent, Some(placement))
        .map_err(refused)?;
    let agent = call
        .parties
        .get(&identity)
        .ok_or_else(|| invalid("id", "the call has gone"))?;
    let fleet = state.calls.planner.view();
    let pass = grant::admit(&state.app, &fleet, &call, agent, TOKEN_TTL_S, &headers)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(pass)).into_response())
}

/// The list of calls as the desk receives it.
pub(super) fn listing(calls: &[std::sync::Arc<Call>]) -> Value {
    let calls: Vec<Value> = calls.iter().map(|call| view::at_the_desk(call)).collect();
    json!({ "calls": calls })
}

fn visitor(
    state: &CallsState,
    role: Role,
    name: &str,
    client: Option<ClientAddress>,
    until_ms: UnixMs,
) -> Party {
    // Names and routes lead people to a node near them: that is where they are, if nothing better is known.
    let here = &state.app.settings.region.name;
    let known = state.calls.planner.view().region(here).is_some();
    Party {
        identity: format!("{}-{}", role.as_str(), random::text(12)),
        role,
        name: cleaned(name),
        region: if known { here.clone() } else { String::new() },
        address: client.map(|client| client.0),
        place: None,
        probes: BTreeMap::new(),
        node: String::new(),
        presence: Presence::Expected { until_ms },
        predicted_rtt_ms: None,
        measured_rtt_ms: None,
        stamp: Stamp::default(),
    }
}

fn admit(state: &CallsState, address: Option<IpAddr>) -> Result<(), Problem> {
    let limit = state.app.settings.limits.waiting_calls as usize;
    if state.calls.switchboard.unanswered() >= limit {
        return Err(Problem::too_many(
            "too many calls are waiting: try again in a moment",
            BUSY_RETRY,
        ));
    }
    take(&state.calls.turns, address)
        .map_err(|wait| Problem::too_many("too many calls from your address: wait a little", wait))
}

#[cfg(test)]
#[path = "shop_tests.rs"]
mod tests;
