//! The call API (`/v1/calls`, for applications), and what the pages of this server use.
//!
//! `application` serves holders of API keys, `shop` the shopper page, the desk and the operator console; `edges` tells
//! everybody which nodes to measure. What the routes decide lives in [`crate::calls`].

mod application;
mod authority;
mod body;
mod desk;
mod edges;
mod events;
mod grant;
mod openapi;
mod operator;
mod plan;
mod shop;
pub(crate) mod view;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, post};

use super::AppState;
use super::problem::{Kind, Problem};
use super::rate::RateByAddress;
use crate::calls::{Planner, Switchboard};
use crate::cluster::Claims;
use crate::config::Settings;

/// Bytes of a request's body: a call with many parties and its custom data.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// Bytes of a page's body: a name, a language and measurements.
const MAX_PAGE_BODY_BYTES: usize = 16 * 1024;
/// Wrong desk keys per minute and address: enough for slips of the finger, too few to guess.
const GUESSES_PER_MINUTE: u32 = 10;
/// Questions for edges and probes per minute and address: dozens of shoppers behind one router.
const PROBES_PER_MINUTE: u32 = 600;
const MINUTE: Duration = Duration::from_secs(60);

/// What the routes of calls share; cheap to clone.
#[derive(Clone)]
pub(super) struct CallsState {
    app: AppState,
    pub(super) calls: Arc<Calls>,
}

/// Calls, where they go, and how often strangers may ask.
pub(crate) struct Calls {
    pub(crate) switchboard: Arc<Switchboard>,
    pub(crate) planner: Arc<Planner>,
    /// Requests that may come on several nodes; none on a node of its own.
    claims: Option<Claims>,
    turns: Mutex<RateByAddress>,
    guesses: Mutex<RateByAddress>,
    probes: Mutex<RateByAddress>,
}

impl Calls {
    pub(crate) fn new(
        settings: &Settings,
        switchboard: Arc<Switchboard>,
        planner: Arc<Planner>,
    ) -> Self {
        let per_minute = |burst| Mutex::new(RateByAddress::new(burst, MINUTE));
        // On a machine of one's own every client has the same address.
        let probes = if settings.is_local() {
            0
        } else {
            PROBES_PER_MINUTE
        };
        Self {
            switchboard,
            planner,
            claims: None,
            turns: per_minute(settings.limits.calls_per_minute_per_ip),
            guesses: per_minute(GUESSES_PER_MINUTE),
            probes: per_minute(probes),
        }
    }
}

impl Calls {
    /// The same for a node of a fleet.
    pub(crate) fn in_fleet(self, claims: Claims) -> Self {
        Self {
            claims: Some(claims),
            ..self
        }
    }

    /// Notes from which address somebody with a token for `room` connects.
    pub(super) fn connects(&self, room: &str, identity: &str, address: IpAddr) {
        let place = self.planner.place_of(address);
        self.switchboard.connects(room, identity, address, place);
    }
}

/// Takes one token of `address`, or says how long it must wait.
fn take(rate: &Mutex<RateByAddress>, address: Option<IpAddr>) -> Result<(), Duration> {
    let Some(address) = address else {
        return Ok(());
    };
    rate.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(address, Instant::now())
}

/// A route with the method and path under which `/v1/openapi.json` describes it.
type Described = (&'static str, &'static str, MethodRouter<CallsState>);

/// Routes for everybody from anywhere: applications show a token, the rest is public.
pub(super) fn open_routes(app: &AppState, calls: &Arc<Calls>) -> Router {
    router(described(), MAX_BODY_BYTES, app, calls)
}

/// Routes for the pages of this server alone.
pub(super) fn page_routes(app: &AppState, calls: &Arc<Calls>) -> Router {
    router(described_for_pages(), MAX_PAGE_BODY_BYTES, app, calls)
}

fn described() -> Vec<Described> {
    vec![
        ("post", "/v1/calls", post(application::create)),
        ("get", "/v1/calls", get(application::list)),
        ("get", "/v1/calls/events", get(events::application)),
        ("get", "/v1/calls/{id}", get(application::show)),
        ("delete", "/v1/calls/{id}", delete(application::end)),
        (
            "post",
            "/v1/calls/{id}/parties",
            post(application::add_party),
        ),
        (
            "get",
            "/v1/calls/{id}/placement",
            get(application::placement),
        ),
        ("get", "/v1/edges", get(edges::list)),
        ("get", "/v1/probe", get(edges::probe)),
        ("get", "/v1/openapi.json", get(openapi::document)),
        ("get", "/v1/problems/{type}", get(openapi::problem)),
    ]
}

fn described_for_pages() -> Vec<Described> {
    vec![
        ("post", "/v1/shopper/calls", post(shop::open)),
        ("get", "/v1/desk/calls", get(shop::waiting)),
        ("get", "/v1/desk/events", get(events::desk)),
        ("post", "/v1/desk/calls/{id}/answer", post(shop::answer)),
        ("get", "/v1/operator/overview", get(operator::overview)),
    ]
}

fn router(
    routes: Vec<Described>,
    max_body_bytes: usize,
    app: &AppState,
    calls: &Arc<Calls>,
) -> Router {
    let add =
        |router: Router<CallsState>, (_, path, handler): Described| router.route(path, handler);
    routes
        .into_iter()
        .fold(Router::new(), add)
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(CallsState {
            app: app.clone(),
            calls: calls.clone(),
        })
}

fn ready(app: &AppState) -> Result<(), Problem> {
    app.node.ready().map_err(|reason| {
        Problem::of(
            Kind::NotReady,
            format!("this node takes no calls now: {reason}"),
        )
    })
}
