//! What operators and orchestrators ask: alive, ready, numbers.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::AppState;
use crate::metrics;

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
