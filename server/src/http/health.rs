//! What operators and orchestrators ask: alive, ready, numbers.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::AppState;
use super::problem::Problem;
use crate::metrics;
use crate::node::DrainStatus;

/// `/healthz`: the process answers.
pub(super) fn alive() -> Router {
    Router::new().route("/healthz", get(|| async { no_store("alive\n".to_owned()) }))
}

/// `/readyz` and `/metrics`, not for the public.
pub(super) fn operators(state: AppState) -> Router {
    Router::new()
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .with_state(state)
}

/// `/admin/drain`, on the operators' port only: whoever reaches it can empty the node.
pub(super) fn administration(state: AppState) -> Router {
    Router::new()
        .route("/admin/drain", get(drain_status).post(drain))
        .with_state(state)
}

/// A day: long enough for any call to end by itself.
const MAX_DRAIN_S: u64 = 24 * 60 * 60;

#[derive(Deserialize)]
struct DrainQuery {
    /// Seconds in which sessions are asked to join anew; whoever is left then stays.
    #[serde(default = "default_deadline_s")]
    deadline_s: u64,
}

/// A minute: clients take seconds, and a large node moves in waves.
fn default_deadline_s() -> u64 {
    60
}

async fn drain_status(State(state): State<AppState>) -> Json<DrainStatus> {
    Json(state.node.drain_status())
}

/// Begins to empty the node and says how far it is; ask again by GET.
async fn drain(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(query): Query<DrainQuery>,
) -> Result<Json<DrainStatus>, Problem> {
    if is_from_a_page(&headers) {
        let advice =
            "pages may not drain a node: use `tradewind drain` or a tool without a browser";
        return Err(Problem::new(StatusCode::FORBIDDEN, advice));
    }
    let deadline = Duration::from_secs(query.deadline_s.min(MAX_DRAIN_S));
    Ok(Json(state.node.drain(deadline)))
}

/// Whether a browser sent it. Any page that an operator looks at can post to his own machine; browsers then name its origin
/// (Fetch standard, section 3.2).
fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    match state.node.ready() {
        Ok(()) => (StatusCode::OK, no_store("ready\n".to_owned())),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            no_store(format!("not ready: {reason}\n")),
        ),
    }
}

async fn numbers(State(state): State<AppState>) -> impl IntoResponse {
    let node = &state.node;
    let (shards, sockets) = tokio::join!(node.counters(), node.socket_counters());
    let text = metrics::render(&shards, &sockets, node.room_events_dropped());
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
}

fn no_store(text: String) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_cannot_drain_the_node_of_who_looks_at_it() {
        let mut headers = HeaderMap::new();
        assert!(!is_from_a_page(&headers));
        headers.insert(header::ORIGIN, "https://shop.example".parse().unwrap());
        assert!(is_from_a_page(&headers));
    }
}
