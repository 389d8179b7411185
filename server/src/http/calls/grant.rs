//! What a person needs to join the room of a call.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tradewind_signalling::token::{self, Claims, VideoGrant};

use super::book::{LANGUAGE_ATTRIBUTE, ROLE_ATTRIBUTE};
use crate::config::Settings;
use crate::http::AppState;
use crate::http::problem::Problem;
use crate::random;

/// Seconds a token is good for. A page that is reloaded joins with the one it got at first, so this bounds a call.
const TOKEN_TTL_S: u64 = 2 * 60 * 60;

/// Somebody about to join a call.
pub(super) struct Guest {
    pub(super) room: String,
    pub(super) role: &'static str,
    pub(super) name: String,
    /// Empty = not known.
    pub(super) language: String,
}

/// The answer of the interface to a guest.
#[derive(Debug, Serialize)]
pub(super) struct Pass {
    id: String,
    room: String,
    identity: String,
    url: String,
    token: String,
}

/// Issues a token for `guest` and tells where to go with it.
///
/// # Errors
/// The request names no host, or there is no key to sign with.
pub(super) fn admit(app: &AppState, guest: &Guest, request: &HeaderMap) -> Result<Pass, Problem> {
    let identity = format!("{}-{}", guest.role, random::text(12));
    let mut attributes = vec![(ROLE_ATTRIBUTE.to_owned(), guest.role.to_owned())];
    if !guest.language.is_empty() {
        attributes.push((LANGUAGE_ATTRIBUTE.to_owned(), guest.language.clone()));
    }
    let claims = Claims {
        identity: identity.clone(),
        name: guest.name.clone(),
        attributes: attributes.into_iter().collect(),
        grants: VideoGrant {
            room_join: true,
            room: guest.room.clone(),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let token = token::sign(&app.keys, &claims, now, TOKEN_TTL_S)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let url = url(&app.settings, request)?;
    Ok(Pass {
        id: guest.room.clone(),
        room: guest.room.clone(),
        identity,
        url,
        token,
    })
}

/// Where SDKs connect: the public address, or else the one this request came to.
fn url(settings: &Settings, request: &HeaderMap) -> Result<String, Problem> {
    if let Some(url) = &settings.http.public_url {
        return Ok(url
            .replacen("http", "ws", 1)
            .trim_end_matches('/')
            .to_owned());
    }
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let host =
        host.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the request has no valid Host"))?;
    // A client that lies here misleads only itself.
    let secure = request
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme == "https");
    Ok(format!("{}://{host}", if secure { "wss" } else { "ws" }))
}
