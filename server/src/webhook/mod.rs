//! Events of rooms and calls posted to the application's addresses: signed, in order per room, tried again for minutes.

mod queue;
mod retry;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url, redirect};
use tokio::sync::mpsc;
use tradewind_rtc::{RoomEvent, RoomName};
use tradewind_signalling::token::Keys;
use tradewind_signalling::webhook;

use crate::calls::event::{CallEvent, Kind, Origin};
use crate::config::Webhook;
use crate::http::call_view;
use crate::random;
use queue::{Post, Queue};

/// Time to reach a receiver.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for a whole request. A receiver that needs longer should queue the event on its side.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Delivers `events` as `settings` say, until there are no more and all are delivered or given up.
///
/// # Errors
/// TLS cannot be set up, or an address is none (the configuration check has refused it before).
pub(crate) fn run(
    settings: &Webhook,
    keys: Arc<Keys>,
    events: mpsc::Receiver<RoomEvent>,
    calls: mpsc::Receiver<CallEvent>,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let urls: Result<Vec<Url>, _> = settings.urls.iter().map(|url| url.parse()).collect();
    let post = HttpPost {
        client: client()?,
        urls: urls?,
        keys,
        api_key: settings.api_key.clone(),
    };
    let receivers = post.urls.len();
    Ok(deliver(events, calls, Queue::new(post, receivers)))
}

fn client() -> reqwest::Result<Client> {
    Client::builder()
        // A redirect could lead the signed event to where the operator did not send it.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .no_proxy()
        .user_agent(concat!("tradewind/", env!("CARGO_PKG_VERSION")))
        .build()
}

async fn deliver<P: Post>(
    mut rooms: mpsc::Receiver<RoomEvent>,
    mut calls: mpsc::Receiver<CallEvent>,
    queue: Queue<P>,
) {
    loop {
        // Ends when both have ended.
        tokio::select! {
            Some(event) = rooms.recv() => deliver_room_event(&event, &queue),
            Some(event) = calls.recv() => deliver_call_event(&event, &queue),
            else => break,
        }
    }
    queue.drained().await;
}

fn deliver_room_event<P: Post>(event: &RoomEvent, queue: &Queue<P>) {
    if let Some(payload) = webhook::event(event, &event_id(), unix_s()) {
        queue.send(&RoomName::from(payload.room), &payload.body.into());
    }
}

/// What another node did, it tells itself; measurements are told where they are watched, in the event stream.
fn deliver_call_event<P: Post>(event: &CallEvent, queue: &Queue<P>) {
    if event.origin == Origin::Here && event.kind != Kind::Measured {
        let body = call_view::event(&event_id(), event).to_string();
        queue.send(
            &RoomName::from(event.call.id.as_str()),
            &body.into_bytes().into(),
        );
    }
}

fn event_id() -> String {
    format!("EV_{}", random::text(12))
}

/// Receivers on the network.
struct HttpPost {
    client: Client,
    urls: Vec<Url>,
    keys: Arc<Keys>,
    api_key: String,
}

impl Post for HttpPost {
    async fn post(&self, receiver: usize, body: &Arc<[u8]>) -> Result<(), String> {
        let url = self.urls.get(receiver).ok_or("no such receiver")?;
        // Signed at each try: a signature is good for less time than the tries take.
        let authorization = webhook::authorization(&self.keys, &self.api_key, body, unix_s())
            .map_err(|error| error.to_string())?;
        let request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, webhook::CONTENT_TYPE)
            .header(AUTHORIZATION, authorization)
            .body(body.to_vec());
        // The address may hold a secret, so it is left out of the reason.
        let response = request
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(format!("status {}", response.status()))
        }
    }
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests;
