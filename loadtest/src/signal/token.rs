//! Access tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use thiserror::Error;

/// A run may take hours.
const VALID_S: u64 = 6 * 3_600;

#[derive(Debug, Error)]
#[error("no token can be made with this key and secret: {0}")]
pub(crate) struct TokenError(#[from] jsonwebtoken::errors::Error);

/// API key and secret of the server.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) key: String,
    pub(crate) secret: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    exp: u64,
    video: Grant<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Grant<'a> {
    room: &'a str,
    room_join: bool,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

impl Api {
    /// A token that lets `identity` join `room`.
    pub(crate) fn token(&self, identity: &str, room: &str) -> Result<String, TokenError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        let claims = Claims {
            iss: &self.key,
            sub: identity,
            exp: now + VALID_S,
            video: Grant {
                room,
                room_join: true,
                can_publish: true,
                can_subscribe: true,
                can_publish_data: true,
            },
        };
        let secret = EncodingKey::from_secret(self.secret.as_bytes());
        Ok(encode(&Header::new(Algorithm::HS256), &claims, &secret)?)
    }
}
