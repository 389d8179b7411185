//! Which nodes there are for clients to measure, and what they measure.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tradewind_placement::Health;

use super::grant::web_url;
use super::{CallsState, take};
use crate::http::client_address::ClientAddress;
use crate::http::problem::Problem;

/// The nodes that take calls now, with an address each at which a client can measure its round trip.
pub(super) async fn list(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    limit(&state, client)?;
    let view = state.calls.planner.view();
    let takes_calls = view
        .fleet()
        .nodes()
        .iter()
        .filter(|node| node.health == Health::Healthy && !node.draining);
    let edges: Result<Vec<Value>, Problem> = takes_calls
        .map(|node| {
            let url = web_url(&state.app.settings, &view, node.id.as_str(), &headers)?;
            let probe_url = view.probe_url(node.id.as_str()).map(str::to_owned);
            Ok(json!({
                "node": node.id,
                "region": node.region,
                "residency": node.residency,
                "url": url,
                "probe_url": probe_url.unwrap_or_else(|| format!("{url}/v1/probe")),
            }))
        })
        .collect();
    let body = json!({ "edges": edges? });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Nothing, as fast as can be.
pub(super) async fn probe(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
) -> Result<Response, Problem> {
    limit(&state, client)?;
    // Pages of other origins see the times of a request only where they are allowed to.
    let headers = [
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("timing-allow-origin", "*"),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn limit(state: &CallsState, client: Option<Extension<ClientAddress>>) -> Result<(), Problem> {
    let household = client.map(|Extension(client)| client.household());
    take(&state.calls.probes, household).map_err(|wait| {
        Problem::too_many("too many questions from your address: wait a little", wait)
    })
}
