//! The server API for server SDKs: `POST /twirp/<service>/<method>`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tradewind_signalling::token::verify;
use tradewind_signalling::twirp::{Encoding, TwirpCode, TwirpError, handle, reply};

use super::AppState;
use super::signal::bearer;
use crate::clock::unix_s;
use crate::node::NodeError;

/// The routes of the server API.
pub(super) fn routes(state: AppState) -> Router {
    Router::new()
        .route("/twirp/{service}/{method}", post(call).fallback(not_a_post))
        .with_state(state)
}

async fn call(
    State(state): State<AppState>,
    Path((service, method)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    // Nobody without a valid token makes the server read a body.
    let token = bearer(request.headers()).ok_or_else(|| {
        TwirpError::new(
            TwirpCode::Unauthenticated,
            "no access token: send it as Authorization: Bearer",
        )
    })?;
    let claims = verify(&state.keys, token, unix_s()).map_err(TwirpError::from)?;
    let encoding = Encoding::from_content_type(content_type(request.headers()))?;
    let body = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => TwirpError::new(
                TwirpCode::ResourceExhausted,
                "the request is larger than limits.api_body_bytes allows",
            ),
            _ => TwirpError::new(TwirpCode::Malformed, "the request broke off"),
        })?;
    let request = handle(&service, &method, encoding, &body, &claims)?;
    let answer = state.node.admin(request).await?;
    Ok((
        [(header::CONTENT_TYPE, encoding.content_type())],
        reply(&answer, encoding),
    )
        .into_response())
}

async fn not_a_post(Path((service, method)): Path<(String, String)>) -> Failure {
    Failure(TwirpError::bad_route(&service, &method))
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// An error as Twirp writes it.
#[derive(Debug)]
struct Failure(TwirpError);

impl From<TwirpError> for Failure {
    fn from(error: TwirpError) -> Self {
        Self(error)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self(match error {
            NodeError::Refused(refused) => refused.into(),
            error @ (NodeError::Overloaded | NodeError::ShuttingDown | NodeError::Draining) => {
                TwirpError::new(TwirpCode::Unavailable, error.to_string())
            }
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (
            status,
            [(header::CONTENT_TYPE, "application/json")],
            self.0.body(),
        )
            .into_response()
    }
}
