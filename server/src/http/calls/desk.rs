//! Who may see and answer calls.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};

use super::{Calls, CallsState, take};
use crate::config::is_loopback_host;
use crate::http::client_address::ClientAddress;
use crate::http::problem::Problem;
use crate::http::signal::bearer;

/// Headers that reverse proxies add: with one of them, the client may be anywhere.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-forwarded-host"];

/// Proof that the request comes from the desk: it has the desk key, or there is none and it comes from this machine.
pub(super) struct AtTheDesk;

impl FromRequestParts<CallsState> for AtTheDesk {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &CallsState) -> Result<Self, Problem> {
        let key = &state.app.settings.pages.desk_key;
        if key.is_empty() {
            return if state.app.settings.is_local() && is_from_this_machine(&parts.headers) {
                Ok(Self)
            } else {
                Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "the desk is closed: set pages.desk_key in the configuration",
                ))
            };
        }
        let address = parts
            .extensions
            .get::<ClientAddress>()
            .map(|client| client.household());
        if let Some(wait) = address.and_then(|address| guess_wait(&state.calls, address)) {
            return Err(Problem::too_many(
                "too many wrong desk keys: wait a little",
                wait,
            ));
        }
        let given = bearer(&parts.headers);
        if given.is_some_and(|given| is_same(given.as_bytes(), key.expose().as_bytes())) {
            return Ok(Self);
        }
        // A desk that has no key yet is not guessing.
        if given.is_some() {
            // A refusal shows in the next `guess_wait`.
            let _ = take(&state.calls.guesses, address);
        }
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "the desk key is missing or wrong",
        ))
    }
}

/// A page of another site whose name was pointed at this machine still sends that name.
pub(super) fn is_from_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| is_loopback_host(host.host()))
        && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// How long `address` must wait after too many wrong desk keys before even the right one is looked at.
fn guess_wait(calls: &Calls, address: IpAddr) -> Option<Duration> {
    calls
        .guesses
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .wait(address, Instant::now())
}

/// Compares in a time that does not tell how much was right.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differences = a
        .iter()
        .zip(b)
        .fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    a.len() == b.len() && differences == 0
}
