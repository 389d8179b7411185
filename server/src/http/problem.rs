//! Errors as problem documents, RFC 9457.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: Option<Kind>,
    detail: String,
    retry_after: Option<Duration>,
}

/// What programs may want to tell apart beyond the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    NoToken,
    ForeignToken,
    MissingGrant,
    UnknownCall,
    UnknownRegion,
    ImpossibleResidency,
    NoCapacity,
    NotReady,
    DuplicateKey,
    AlreadyAnswered,
    CallEnded,
    TooManyParties,
    TooLarge,
    TooManyRequests,
}

impl Kind {
    /// Every kind, for documentation.
    pub(crate) const ALL: [Self; 15] = [
        Self::InvalidRequest,
        Self::NoToken,
        Self::ForeignToken,
        Self::MissingGrant,
        Self::UnknownCall,
        Self::UnknownRegion,
        Self::ImpossibleResidency,
        Self::NoCapacity,
        Self::NotReady,
        Self::DuplicateKey,
        Self::AlreadyAnswered,
        Self::CallEnded,
        Self::TooManyParties,
        Self::TooLarge,
        Self::TooManyRequests,
    ];

    /// Its `type`, an address that explains it, relative to the server.
    pub(crate) fn address(self) -> String {
        format!("/v1/problems/{}", self.name())
    }

    /// Last part of its `type`.
    pub(crate) fn name(self) -> &'static str {
        self.texts().0
    }

    /// What it means, in a few words that never change.
    pub(crate) fn title(self) -> &'static str {
        self.texts().1
    }

    /// What to do about it.
    pub(crate) fn remedy(self) -> &'static str {
        self.texts().2
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::ForeignToken => StatusCode::UNAUTHORIZED,
            Self::MissingGrant => StatusCode::FORBIDDEN,
            Self::UnknownCall => StatusCode::NOT_FOUND,
            Self::UnknownRegion | Self::ImpossibleResidency => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoCapacity | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::DuplicateKey | Self::AlreadyAnswered | Self::CallEnded | Self::TooManyParties => {
                StatusCode::CONFLICT
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (
                "invalid-request",
                "The request cannot be read",
                "Correct the field that the detail names; /v1/openapi.json describes every request.",
            ),
            Self::NoToken => (
                "no-token",
                "No access token",
                "Send a token signed with an API secret of this server as Authorization: Bearer.",
            ),
            Self::ForeignToken => (
                "foreign-token",
                "The access token is not good here",
                "Sign a new token with an API key and secret of this server, and check the clocks.",
            ),
            Self::MissingGrant => (
                "missing-grant",
                "The access token does not allow this",
                "Add the grant that the detail names to the token.",
            ),
            Self::UnknownCall => (
                "unknown-call",
                "There is no such call",
                "Check the id; ended calls are kept for an hour.",
            ),
            Self::UnknownRegion => (
                "unknown-region",
                "No node is in that region",
                "Use a region that GET /v1/edges lists, or leave the region out.",
            ),
            Self::ImpossibleResidency => (
                "impossible-residency",
                "No node may carry the call",
                "Use a residency that GET /v1/edges lists, or add a node in that zone.",
            ),
            Self::NoCapacity => (
                "no-capacity",
                "Every node that may carry the call is full",
                "Try again after Retry-After, or add nodes.",
            ),
            Self::NotReady => (
                "not-ready",
                "The server takes no calls now",
                "Ask another node, or try again after a moment.",
            ),
            Self::DuplicateKey => (
                "duplicate-key",
                "The Idempotency-Key was used for another request",
                "Use a new key for a new request, and the same body for a repeat.",
            ),
            Self::AlreadyAnswered => (
                "already-answered",
                "Another agent has the call",
                "Take the next one.",
            ),
            Self::CallEnded => ("call-ended", "The call has ended", "Create another call."),
            Self::TooManyParties => (
                "too-many-parties",
                "The call is full",
                "Create another call.",
            ),
            Self::TooLarge => (
                "too-large",
                "The request is too large",
                "Send less: the detail names the limit.",
            ),
            Self::TooManyRequests => (
                "too-many-requests",
                "Too many requests",
                "Wait as long as Retry-After says.",
            ),
        }
    }
}

impl Problem {
    /// `detail` says what to do, in a sentence.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind: None,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// A problem of a documented kind. `detail` says what to do in this case.
    pub(crate) fn of(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(kind.status(), detail)
        }
    }

    /// 429: try again after this long.
    pub(crate) fn too_many(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::of(Kind::TooManyRequests, detail).retry_after(retry_after)
    }

    /// Says when to try again.
    pub(crate) fn retry_after(self, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = self.kind.map(|kind| (kind.address(), kind.title()));
        let (address, title) = kind.unwrap_or_else(|| {
            let title = self.status.canonical_reason().unwrap_or("Error");
            ("about:blank".to_owned(), title)
        });
        let body = json!({
            "type": address,
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: a client that waits exactly as told must not come too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
