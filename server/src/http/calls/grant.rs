//! What a person needs to join the room of a call.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use tradewind_signalling::token::{self, Claims, VideoGrant};

use crate::calls::CALL_CLAIM;
use crate::calls::book::{LANGUAGE_ATTRIBUTE, ROLE_ATTRIBUTE};
use crate::calls::call::{Call, Party};
use crate::calls::nodes::View;
use crate::clock::unix_s;
use crate::config::Settings;
use crate::http::AppState;
use crate::http::problem::Problem;

/// The answer of the interface to somebody who may join.
#[derive(Debug, Serialize)]
pub(super) struct Pass {
    id: String,
    room: String,
    identity: String,
    role: &'static str,
    node: String,
    url: String,
    token: String,
    token_expires_at_ms: u64,
    standby: Vec<StandBy>,
}

/// Where to go if the node fails.
#[derive(Debug, Serialize)]
struct StandBy {
    node: String,
    url: String,
}

/// Issues a token for `party`, good for `ttl_s` seconds, and tells where to go with it.
///
/// # Errors
/// The request names no host, or there is no key to sign with.
pub(super) fn admit(
    app: &AppState,
    view: &View,
    call: &Call,
    party: &Party,
    ttl_s: u64,
    request: &HeaderMap,
) -> Result<Pass, Problem> {
    let standby = call
        .placement
        .iter()
        .flat_map(|placement| &placement.standby);
    let mut nodes: Vec<&String> = call
        .placement
        .iter()
        .flat_map(|placement| placement.nodes.iter().chain(&placement.standby))
        .chain([&party.node])
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut attributes = vec![(ROLE_ATTRIBUTE.to_owned(), party.role.as_str().to_owned())];
    if !call.details.language.is_empty() {
        attributes.push((LANGUAGE_ATTRIBUTE.to_owned(), call.details.language.clone()));
    }
    let mut claims = Claims {
        identity: party.identity.clone(),
        name: party.name.clone(),
        attributes: attributes.into_iter().collect(),
        grants: VideoGrant {
            room_join: true,
            room: call.id.clone(),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    // A node that is alone may get another name when it starts again, and its tokens stay good.
    if view.is_fleet() {
        claims.other.insert(
            CALL_CLAIM.to_owned(),
            json!({"call": call.id, "nodes": nodes}),
        );
    }
    let now = unix_s();
    let token = token::sign(&app.keys, &claims, now, ttl_s)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let standby: Result<Vec<StandBy>, Problem> = standby
        .filter(|node| **node != party.node)
        .map(|node| {
            Ok(StandBy {
                node: node.clone(),
                url: socket_url(&app.settings, view, node, request)?,
            })
        })
        .collect();
    Ok(Pass {
        id: call.id.clone(),
        room: call.id.clone(),
        identity: party.identity.clone(),
        role: party.role.as_str(),
        node: party.node.clone(),
        url: socket_url(&app.settings, view, &party.node, request)?,
        token,
        token_expires_at_ms: now.saturating_add(ttl_s) * 1_000,
        standby: standby?,
    })
}

/// Where SDKs connect to reach `node`.
fn socket_url(
    settings: &Settings,
    view: &View,
    node: &str,
    request: &HeaderMap,
) -> Result<String, Problem> {
    web_url(settings, view, node, request).map(|url| url.replacen("http", "ws", 1))
}

/// Where `node` serves HTTP: its public address, or for this node the one the request came to.
pub(super) fn web_url(
    settings: &Settings,
    view: &View,
    node: &str,
    request: &HeaderMap,
) -> Result<String, Problem> {
    let public = view.url(node).or(settings.http.public_url.as_deref());
    if let Some(url) = public {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let host =
        host.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the request has no valid Host"))?;
    // A client that lies here misleads only itself.
    let secure = request
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme == "https");
    Ok(format!(
        "{}://{host}",
        if secure { "https" } else { "http" }
    ))
}
