//! Errors of the server API as Twirp writes them: <https://twitchtv.github.io/twirp/docs/spec_v7.html#error-codes>.

use std::collections::BTreeMap;

use serde::Serialize;
use tradewind_rtc::AdminError;

use crate::json;
use crate::token::TokenError;

/// A refused call. Its body is always JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{msg}")]
pub struct TwirpError {
    pub code: TwirpCode,
    pub msg: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// The error codes this server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TwirpCode {
    BadRoute,
    FailedPrecondition,
    InvalidArgument,
    Malformed,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
}

impl TwirpCode {
    /// HTTP status of a reply with this code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::BadRoute | Self::NotFound => 404,
            Self::FailedPrecondition => 412,
            Self::ResourceExhausted => 429,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
        }
    }
}

impl TwirpError {
    /// An error with a text for the developer who made the call.
    pub fn new(code: TwirpCode, msg: impl Into<String>) -> Self {
        Self {
            code,
            msg: msg.into(),
            meta: BTreeMap::new(),
        }
    }

    /// There is no such call.
    pub fn bad_route(service: &str, method: &str) -> Self {
        let mut error = Self::new(TwirpCode::BadRoute, "this server has no such call");
        error.meta.insert(
            "twirp_invalid_route".into(),
            format!("POST /twirp/{service}/{method}"),
        );
        error
    }

    /// HTTP status of the reply.
    pub fn http_status(&self) -> u16 {
        self.code.http_status()
    }

    /// Body of the reply, `application/json`.
    pub fn body(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl From<TokenError> for TwirpError {
    fn from(error: TokenError) -> Self {
        Self::new(TwirpCode::Unauthenticated, error.to_string())
    }
}

impl From<AdminError> for TwirpError {
    fn from(error: AdminError) -> Self {
        let code = match error {
            AdminError::NoSuchRoom | AdminError::NoSuchParticipant | AdminError::NoSuchTrack => {
                TwirpCode::NotFound
            }
            AdminError::RemoteUnmuteDisabled => TwirpCode::FailedPrecondition,
            AdminError::Unreachable => TwirpCode::Unavailable,
            AdminError::Invalid(_) => TwirpCode::InvalidArgument,
            AdminError::LimitExceeded(_) => TwirpCode::ResourceExhausted,
        };
        Self::new(code, error.to_string())
    }
}
