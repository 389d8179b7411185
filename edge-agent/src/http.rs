//! Two listeners: the probe for browsers, open to the world, and health, metrics and drain for operators.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::status::{Figures, Status};

/// What the listeners show, and the order to drain.
pub(crate) struct Shown {
    pub(crate) status: Mutex<Status>,
    pub(crate) figures: Figures,
    pub(crate) drain: Notify,
}

impl Shown {
    pub(crate) fn status(&self) -> Status {
        let status = self.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_status(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Serves `/probe`: an empty answer that pages may time, wherever they come from.
///
/// # Errors
/// The port is in use.
pub(crate) async fn serve_probe(bind: SocketAddr) -> std::io::Result<()> {
    serve(bind, Router::new().route("/probe", get(probe))).await
}

async fn probe() -> impl IntoResponse {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("timing-allow-origin"), "*"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// Serves `/healthz`, `/readyz`, `/metrics` and `POST /drain`.
///
/// # Errors
/// The port is in use.
pub(crate) async fn serve_operators(bind: SocketAddr, shown: Arc<Shown>) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/drain", post(drain))
        .with_state(shown);
    serve(bind, routes).await
}

async fn ready(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let status = shown.status();
    if status.problems.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, status.explain())
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        shown.figures.text(),
    )
}

async fn drain(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    shown.drain.notify_one();
    let participants = shown.status().participants;
    let left = participants.map_or("an unknown number of".to_owned(), |left| left.to_string());
    (
        StatusCode::ACCEPTED,
        format!("draining: {left} participants left\n"),
    )
}

async fn serve(bind: SocketAddr, routes: Router) -> std::io::Result<()> {
    let listener = TcpListener::bind(bind).await?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, %bind, "listener ended");
        }
    });
    Ok(())
}
