//! Calls as server-sent events: each event for applications, the whole list for the desk.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde_json::{Value, json};

use super::authority::Application;
use super::desk::AtTheDesk;
use super::{CallsState, shop, view};
use crate::calls::switchboard::Told;
use crate::http::problem::Problem;

/// How often a silent event stream shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Every event of every call from now on, or from the listener's last event on.
pub(super) async fn application(
    application: Application,
    State(state): State<CallsState>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    application.may_list()?;
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let told = state.calls.switchboard.stream(last);
    let events = futures_util::stream::unfold(told, |mut told| async move {
        let event = match told.next().await? {
            Told::Event { id, event } => Event::default()
                .event(event.kind.name())
                .data(view::event(&id, &event).to_string())
                .id(id),
            Told::Reset { id } => Event::default()
                .event("reset")
                .data(json!({"detail": "events were missed: list the calls anew"}).to_string())
                .id(id),
        };
        Some((Ok::<_, Infallible>(event), told))
    });
    Ok(unbuffered(events))
}

/// The list of calls at once and after every change, until the node stops.
pub(super) async fn desk(_: AtTheDesk, State(state): State<CallsState>) -> impl IntoResponse {
    let switchboard = state.calls.switchboard.clone();
    let changes = switchboard.stream(None);
    let lists = futures_util::stream::unfold(
        (switchboard, changes, Value::Null),
        |(switchboard, mut changes, last)| async move {
            loop {
                changes.changed().await?;
                let list = shop::listing(&switchboard.at_the_desk());
                if list != last {
                    let event = Event::default().event("calls").data(list.to_string());
                    return Some((Ok::<_, Infallible>(event), (switchboard, changes, list)));
                }
            }
        },
    );
    unbuffered(lists)
}

fn unbuffered<S>(events: S) -> impl IntoResponse
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    // Proxies that buffer would hold a new call back.
    let header = [(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    )];
    let alive = KeepAlive::new().interval(HEARTBEAT);
    (header, Sse::new(events).keep_alive(alive))
}
