use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt;
use tradewind_rtc::RoomEvent;
use tradewind_signalling::token::{Keys, verify};

use crate::calls::samples::{participant, room};
use crate::clock::unix_s;
use crate::http::tests::{LOCAL, PUBLIC, SECRET, get, post, routes, routes_and_calls, send};

#[tokio::test]
async fn a_shopper_starts_a_call_and_gets_a_token_for_its_room_alone() {
    let routes = routes(&PUBLIC).await;
    let answer = post(
        &routes,
        "/v1/shopper/calls",
        &[],
        r#"{"name":" Yuki\u0007 ","language":"ja"}"#,
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (201, "no-store")
    );
    let pass = answer.json();
    assert!(pass["id"].as_str().unwrap().starts_with("CL_"));
    assert_eq!(pass["url"], "ws://localhost:7880");

    let keys = Keys::from_iter([("APIkey".to_owned(), SECRET.to_owned())]);
    let claims = verify(&keys, pass["token"].as_str().unwrap(), unix_s()).unwrap();
    assert_eq!(claims.grants.room, pass["room"].as_str().unwrap());
    assert!(claims.grants.room_join && !claims.grants.room_admin && !claims.grants.room_create);
    assert_eq!(
        (claims.name.as_str(), claims.identity.as_str()),
        ("Yuki", pass["identity"].as_str().unwrap())
    );
    assert_eq!(claims.attributes["tradewind.role"], "shopper");
    assert_eq!(claims.attributes["tradewind.language"], "ja");
}

#[tokio::test]
async fn the_address_to_connect_to_is_the_public_one_if_there_is_one() {
    let flags = [&PUBLIC[..], &["http.public_url=https://calls.example.com/"]].concat();
    let answer = post(&routes(&flags).await, "/v1/shopper/calls", &[], "{}").await;
    assert_eq!(answer.json()["url"], "wss://calls.example.com");
    let answer = post(
        &routes(&PUBLIC).await,
        "/v1/shopper/calls",
        &[("x-forwarded-proto", "https")],
        "{}",
    )
    .await;
    assert_eq!(answer.json()["url"], "wss://localhost:7880");
}

#[tokio::test]
async fn a_body_that_is_not_json_or_too_large_is_a_problem() {
    let routes = routes(&PUBLIC).await;
    assert!(
        post(&routes, "/v1/shopper/calls", &[], "name=Yuki")
            .await
            .is_problem(400)
    );
    assert!(
        send(
            &routes,
            "POST /v1/shopper/calls",
            &[("content-type", "text/plain")],
            "{}"
        )
        .await
        .is_problem(415)
    );
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(20_000));
    assert!(
        post(&routes, "/v1/shopper/calls", &[], &large)
            .await
            .is_problem(413)
    );
}

#[tokio::test]
async fn too_many_calls_from_one_address_are_told_when_to_come_back() {
    let routes = routes(&[&PUBLIC[..], &["limits.calls_per_minute_per_ip=2"]].concat()).await;
    assert_eq!(
        post(&routes, "/v1/shopper/calls", &[], "{}").await.status,
        201
    );
    assert_eq!(
        post(&routes, "/v1/shopper/calls", &[], "{}").await.status,
        201
    );
    let answer = post(&routes, "/v1/shopper/calls", &[], "{}").await;
    assert!(answer.is_problem(429));
    assert!((1..=30).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
}

#[tokio::test]
async fn too_many_waiting_calls_are_refused() {
    let routes = routes(&[&PUBLIC[..], &["limits.waiting_calls=1"]].concat()).await;
    assert_eq!(
        post(&routes, "/v1/shopper/calls", &[], "{}").await.status,
        201
    );
    let answer = post(&routes, "/v1/shopper/calls", &[], "{}").await;
    assert!(answer.is_problem(429) && !answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn the_desk_needs_its_key() {
    let routes = routes(&PUBLIC).await;
    let answer = get(&routes, "/v1/desk/calls").await;
    assert!(answer.is_problem(401));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for path in ["/v1/desk/calls", "/v1/desk/events"] {
        let answer = send(
            &routes,
            &format!("GET {path}"),
            &[("authorization", "Bearer wrong")],
            "",
        )
        .await;
        assert!(answer.is_problem(401), "{path}");
    }
    let right = [("authorization", "Bearer open-sesame")];
    let answer = send(&routes, "GET /v1/desk/calls", &right, "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"calls":[]}"#)
    );
    assert!(
        post(&routes, "/v1/desk/calls/CL_none/answer", &[], "{}")
            .await
            .is_problem(401)
    );
    assert!(
        post(&routes, "/v1/desk/calls/CL_none/answer", &right, "{}")
            .await
            .is_problem(404)
    );
}

#[tokio::test]
async fn guessing_the_desk_key_is_slow() {
    let routes = routes(&PUBLIC).await;
    for _ in 0..10 {
        assert_eq!(
            send(
                &routes,
                "GET /v1/desk/calls",
                &[("authorization", "Bearer wrong")],
                ""
            )
            .await
            .status,
            401
        );
    }
    assert!(
        send(
            &routes,
            "GET /v1/desk/calls",
            &[("authorization", "Bearer wrong")],
            ""
        )
        .await
        .is_problem(429)
    );
    assert_eq!(
        send(
            &routes,
            "GET /v1/desk/calls",
            &[("authorization", "Bearer open-sesame")],
            ""
        )
        .await
        .status,
        429
    );
}

#[tokio::test]
async fn a_desk_without_key_is_for_this_machine_only() {
    let routes = routes(&LOCAL).await;
    assert_eq!(get(&routes, "/v1/desk/calls").await.status, 200);
    let proxied = send(
        &routes,
        "GET /v1/desk/calls",
        &[("x-forwarded-for", "203.0.113.9")],
        "",
    )
    .await;
    assert!(proxied.is_problem(403));
    let mut foreign = Request::builder()
        .uri("/v1/desk/calls")
        .body(Body::empty())
        .unwrap();
    foreign
        .headers_mut()
        .insert(header::HOST, "rebound.example:7880".parse().unwrap());
    assert_eq!(routes.clone().oneshot(foreign).await.unwrap().status(), 403);
}

/// The next event of a stream of calls, as (state, agent) of its only call; `None` if there is none.
async fn next_call(
    events: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Option<(String, Value)> {
    let text = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    let data = text.strip_prefix("event: calls\ndata: ").unwrap();
    let list: Value = serde_json::from_str(data).unwrap();
    let call = list["calls"].get(0)?;
    Some((
        call["state"].as_str().unwrap().to_owned(),
        call["agent"].clone(),
    ))
}

#[tokio::test]
async fn the_desk_sees_a_shopper_come_and_one_agent_gets_the_call() {
    let (routes, calls) = routes_and_calls(&LOCAL, None).await;
    let (rooms, events) = mpsc::channel(8);
    tokio::spawn(async move { calls.switchboard.run(events).await });
    let stream = Request::builder()
        .uri("/v1/desk/events")
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let stream = routes.clone().oneshot(stream).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut stream = stream.into_body().into_data_stream();
    assert_eq!(next_call(&mut stream).await, None);

    let id = post(&routes, "/v1/shopper/calls", &[], r#"{"name":"Yuki"}"#)
        .await
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = format!("/v1/desk/calls/{id}/answer");
    assert!(
        post(&routes, &answer, &[], r#"{"name":"Aline"}"#)
            .await
            .is_problem(404)
    );
    let shopper = participant("PA_y", "yuki", "shopper", "Yuki");
    rooms
        .send(RoomEvent::ParticipantJoined {
            room: room(&id),
            participant: shopper,
        })
        .await
        .unwrap();
    assert_eq!(
        next_call(&mut stream).await,
        Some(("waiting".to_owned(), Value::Null))
    );

    let answered = post(&routes, &answer, &[], r#"{"name":"Aline"}"#).await;
    assert_eq!(
        (answered.status, &answered.json()["room"]),
        (200, &Value::from(id.as_str()))
    );
    assert_eq!(
        next_call(&mut stream).await,
        Some(("answered".to_owned(), "Aline".into()))
    );
    assert!(
        post(&routes, &answer, &[], r#"{"name":"Bruno"}"#)
            .await
            .is_problem(409)
    );

    rooms
        .send(RoomEvent::Finished { room: room(&id) })
        .await
        .unwrap();
    assert_eq!(next_call(&mut stream).await, None);
}
