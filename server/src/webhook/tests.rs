use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tradewind_rtc::{RoomConfig, RoomInfo};
use tradewind_signalling::token;

use super::*;
use crate::calls::samples::call;

type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// A receiver on loopback: `/moved` redirects, all else is taken.
async fn receiver() -> (String, Seen) {
    async fn take(
        State(seen): State<Seen>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl IntoResponse {
        seen.lock()
            .unwrap()
            .push((uri.path().to_owned(), headers, body));
        match uri.path() {
            "/moved" => (
                StatusCode::TEMPORARY_REDIRECT,
                [(header::LOCATION, "/elsewhere")],
            )
                .into_response(),
            _ => StatusCode::OK.into_response(),
        }
    }
    let seen = Seen::default();
    let routes = Router::new().fallback(take).with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, seen)
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::from_iter([(
        "APIkey".to_owned(),
        "0123456789abcdef0123456789abcdef".to_owned(),
    )]))
}

fn no_calls() -> mpsc::Receiver<CallEvent> {
    mpsc::channel(1).1
}

fn started(room: &str) -> RoomEvent {
    let config = RoomConfig::default();
    RoomEvent::Started {
        room: RoomInfo {
            sid: "RM_1".into(),
            name: room.into(),
            config,
            created_at_ms: 0,
            num_participants: 0,
            num_publishers: 0,
        },
    }
}

#[tokio::test]
async fn an_event_reaches_the_receiver_signed_for_its_body() {
    let (base, seen) = receiver().await;
    let settings = Webhook {
        urls: vec![format!("{base}/hook")],
        api_key: "APIkey".to_owned(),
    };
    let (sender, events) = mpsc::channel(8);
    sender.send(started("shop")).await.unwrap();
    drop(sender);
    run(&settings, keys(), events, no_calls()).unwrap().await;

    let seen = seen.lock().unwrap();
    let (path, headers, body) = seen.first().unwrap();
    assert_eq!((seen.len(), path.as_str()), (1, "/hook"));
    assert_eq!(headers["content-type"], "application/webhook+json");
    let event: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(
        (&event["event"], &event["room"]["name"]),
        (&"room_started".into(), &"shop".into())
    );
    let claims = token::verify(
        &keys(),
        headers["authorization"].to_str().unwrap(),
        unix_s(),
    )
    .unwrap();
    assert_eq!(STANDARD.decode(claims.sha256).unwrap().len(), 32);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (base, seen) = receiver().await;
    let post = HttpPost {
        client: client().unwrap(),
        urls: vec![format!("{base}/moved").parse().unwrap()],
        keys: keys(),
        api_key: String::new(),
    };
    let refused = post.post(0, &b"{}".as_slice().into()).await.unwrap_err();
    assert!(refused.contains("307"), "{refused}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_reason_for_failure_does_not_repeat_the_address() {
    let urls = vec!["http://127.0.0.1:1/secret-path".parse().unwrap()];
    let post = HttpPost {
        client: client().unwrap(),
        urls,
        keys: keys(),
        api_key: String::new(),
    };
    let reason = post.post(0, &b"{}".as_slice().into()).await.unwrap_err();
    assert!(!reason.contains("secret-path"), "{reason}");
}

#[tokio::test]
async fn what_happens_to_a_call_is_told_once_and_by_the_node_it_happened_on() {
    let (base, seen) = receiver().await;
    let settings = Webhook {
        urls: vec![format!("{base}/hook")],
        api_key: String::new(),
    };
    let event = |kind, origin| CallEvent {
        kind,
        at_ms: 5_000,
        call: Arc::new(call("CL_a", 5_000)),
        party: None,
        origin,
    };
    let (rooms, no_rooms) = mpsc::channel(1);
    drop(rooms);
    let (sender, calls) = mpsc::channel(8);
    sender
        .send(event(Kind::Created, Origin::Here))
        .await
        .unwrap();
    sender
        .send(event(Kind::Answered, Origin::Fleet))
        .await
        .unwrap();
    sender
        .send(event(Kind::Measured, Origin::Here))
        .await
        .unwrap();
    sender.send(event(Kind::Ended, Origin::Here)).await.unwrap();
    drop(sender);
    run(&settings, keys(), no_rooms, calls).unwrap().await;

    let seen = seen.lock().unwrap();
    let body =
        |index: usize| -> serde_json::Value { serde_json::from_slice(&seen[index].2).unwrap() };
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (&body(0)["event"], &body(1)["event"]),
        (&"call_created".into(), &"call_ended".into())
    );
    assert_eq!(body(0)["call"]["id"], "CL_a");
    assert_ne!(body(0)["id"], body(1)["id"]);
}
