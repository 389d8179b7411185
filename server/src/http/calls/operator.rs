//! What the operator console shows: nodes, links and the calls under way.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tradewind_placement::{Health, Link, Node};

use super::authority::Application;
use super::desk::is_from_this_machine;
use super::{CallsState, view};
use crate::calls::call::CallState;
use crate::calls::list::{Filter, MAX_PAGE};
use crate::http::problem::Problem;

/// Proof that the request comes from an operator: a token that may list rooms, or none on a machine of one's own.
pub(super) struct Operator;

impl FromRequestParts<CallsState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &CallsState) -> Result<Self, Problem> {
        let has_token = parts.headers.contains_key(header::AUTHORIZATION);
        if !has_token && state.app.settings.is_local() && is_from_this_machine(&parts.headers) {
            return Ok(Self);
        }
        let application = Application::from_request_parts(parts, state).await?;
        application.may_list().map(|()| Self)
    }
}

/// The fleet and its calls, oldest first, as this node knows them.
pub(super) async fn overview(_: Operator, State(state): State<CallsState>) -> Response {
    let fleet = state.calls.planner.view();
    let switchboard = &state.calls.switchboard;
    let mut calls = Vec::new();
    for wanted in [CallState::Answered, CallState::Waiting, CallState::Created] {
        let filter = Filter {
            state: Some(wanted),
            ..Filter::default()
        };
        let room = MAX_PAGE.saturating_sub(calls.len());
        if room > 0 {
            calls.extend(switchboard.page(&filter, None, room).0);
        }
    }
    let body = json!({
        "node": state.app.settings.node.id,
        "now_ms": switchboard.now_ms(),
        "nodes": fleet.fleet().nodes().iter().map(node).collect::<Vec<_>>(),
        "links": fleet.links().iter().map(link).collect::<Vec<_>>(),
        "calls": calls.iter().map(|call| view::call(call)).collect::<Vec<_>>(),
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn node(node: &Node) -> Value {
    json!({
        "id": node.id,
        "region": node.region,
        "latitude": node.coordinates.lat,
        "longitude": node.coordinates.lon,
        "residency": node.residency,
        "healthy": node.health == Health::Healthy,
        "draining": node.draining,
        "parties": node.capacity.in_use,
        "capacity": node.capacity.parties,
        "cpu": node.capacity.cpu,
        "egress": node.capacity.egress,
    })
}

fn link(link: &Link) -> Value {
    json!({
        "from": link.from,
        "to": link.to,
        "rtt_ms": link.rtt,
        "loss": link.loss,
        "up": link.up,
    })
}
