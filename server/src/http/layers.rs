//! What every answer has in common: an id, a log line and a metric, safe headers, an end in time, no panic let through.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::problem::Problem;
use crate::{metrics, random};

/// Time for a whole request until its answer starts; above the longest that a join may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a browser may remember what cross-origin requests are allowed. Browsers cap it lower themselves.
const CORS_MAX_AGE: Duration = Duration::from_secs(86_400);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds what every answer has in common to `routes` and their fallback.
pub(super) fn common(routes: Router, max_body_bytes: usize) -> Router {
    routes
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(observe))
}

/// Lets pages of any origin call, as SDKs in foreign pages do: who may do what is decided by the token, not the page.
pub(super) fn any_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods(AllowMethods::mirror_request())
        // `*` would leave out Authorization (Fetch, section 3.3.2).
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(CORS_MAX_AGE)
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(ANSWER_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| {
            Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the answer took too long: try again",
            )
            .into_response()
        })
}

async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = random::text(12);
    let method = method_name(request.method());
    // The pattern, not the path: paths and queries hold names and tokens.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!("request", %id, method, route);
    let mut response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    let took = started.elapsed();
    metrics::http_request(&route, method, status.as_u16(), took);
    span.in_scope(|| {
        let (status, took_ms) = (status.as_u16(), took.as_millis());
        if status >= 500 {
            tracing::warn!(status, took_ms, "answered");
        } else {
            tracing::debug!(status, took_ms, "answered");
        }
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// A closed set: clients may invent methods, and each would be a time series of its own.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server has a fault: see its log",
    )
    .into_response()
}
