//! HTTP services of the node.

mod calls;
mod client_address;
mod health;
mod layers;
mod pages;
mod problem;
mod rate;
mod server;
mod signal;
mod twirp;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use tradewind_signalling::token::Keys;

use crate::config::Settings;
use crate::node::Node;
use problem::Problem;

pub(crate) use calls::{Calls, view as call_view};
pub(crate) use client_address::ClientAddress;
pub(crate) use server::Port;

/// What the routes share; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) node: Node,
}

/// The routes of `http.bind`: what SDKs, pages and shoppers use.
pub(crate) fn public(state: &AppState, calls: &Arc<Calls>) -> Router {
    let settings = &state.settings;
    let mut open = Router::new()
        .merge(health::alive())
        .merge(pages::routes(settings, calls.planner.clone()))
        .merge(signal::routes(state.clone(), calls.clone()))
        .merge(twirp::routes(state.clone()))
        .merge(calls::open_routes(state, calls));
    if settings.is_local() {
        // On a machine of one's own, one port to look at is enough.
        open = open.merge(health::operators(state.clone()));
    }
    let open = layers::common(open.fallback(not_found), settings.limits.api_body_bytes)
        .layer(layers::any_origin());
    if !settings.pages.enabled {
        return open;
    }
    // Only the pages of this server call these, so no other origin may.
    let for_pages = calls::page_routes(state, calls);
    layers::common(for_pages, settings.limits.api_body_bytes).fallback_service(open)
}

/// The routes of `metrics.bind`.
pub(crate) fn operators(state: &AppState) -> Router {
    let routes = Router::new()
        .merge(health::alive())
        .merge(health::operators(state.clone()))
        .merge(health::administration(state.clone()));
    layers::common(
        routes.fallback(not_found),
        state.settings.limits.api_body_bytes,
    )
}

async fn not_found(uri: Uri) -> Problem {
    // SDKs ask for paths of newer servers and fall back if they get 404.
    tracing::trace!(path = uri.path(), "no such path");
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

#[cfg(test)]
mod tests;
