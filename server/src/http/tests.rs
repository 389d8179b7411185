use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, header};
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tradewind_rtc::RoomEvent;

use super::calls::samples::{participant, room};
use super::*;
use crate::config::{Sources, load};
use crate::node::NodeOptions;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CLIENT: ClientAddress = ClientAddress(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)));

/// A node for the public, with pages and a desk key.
const PUBLIC: [&str; 2] = ["pages.enabled=true", "pages.desk_key=open-sesame"];
/// A node on a developer's machine, without a desk key.
const LOCAL: [&str; 2] = ["pages.enabled=true", "http.bind=127.0.0.1:7880"];

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn is_problem(&self, status: u16) -> bool {
        let body = self.json();
        let complete = ["type", "title", "detail"]
            .iter()
            .all(|field| body[*field].is_string());
        self.header("content-type") == "application/problem+json"
            && body["status"] == status
            && self.status == status
            && complete
    }
}

/// The routes of a node with this configuration and no call yet.
async fn routes(flags: &[&str]) -> Router {
    routes_and_switchboard(flags).await.0
}

async fn routes_and_switchboard(flags: &[&str]) -> (Router, Arc<Switchboard>) {
    let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("keys.APIkey={SECRET}"));
    flags.extend(["rtc.bind=127.0.0.1".to_owned(), "rtc.shards=1".to_owned()]);
    let mut settings = load(&Sources {
        flags,
        ..Sources::default()
    })
    .unwrap()
    .settings;
    // Any free port, so that tests can run side by side.
    settings.rtc.udp_port = 0;
    settings.rtc.tcp_port = 0;
    let options = NodeOptions::from_settings(&settings).unwrap();
    let node = Node::start(options).await.unwrap();
    let limit = settings.limits.calls_per_minute_per_ip;
    let keys = Arc::new(settings.api_keys());
    let state = AppState {
        keys,
        settings: Arc::new(settings),
        node,
    };
    let switchboard = Arc::new(Switchboard::new(limit, CancellationToken::new()));
    (public(&state, &switchboard), switchboard)
}

async fn send(routes: &Router, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:7880");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(CLIENT);
    server::fold_slashes(request.uri_mut());
    let response = routes.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

async fn get(routes: &Router, path: &str) -> Answer {
    send(routes, &format!("GET {path}"), &[], "").await
}

async fn post(routes: &Router, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    send(routes, &format!("POST {path}"), &headers, body).await
}

#[tokio::test]
async fn sdks_find_an_ok_at_the_root_of_a_node_without_pages() {
    let routes = routes(&[]).await;
    let answer = get(&routes, "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
    let answer = send(&routes, "HEAD /", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(get(&routes, "/call").await.is_problem(404));
    assert!(get(&routes, "/v1/calls").await.is_problem(404));
}

#[tokio::test]
async fn any_origin_may_call_and_read_even_what_is_not_there() {
    let routes = routes(&[]).await;
    for path in ["/", "/healthz", "/nothing", "/rtc/v9/validate"] {
        let answer = send(
            &routes,
            &format!("GET {path}"),
            &[("origin", "https://shop.example")],
            "",
        )
        .await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn a_preflight_is_allowed_to_send_a_token_for_a_day() {
    let asked = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let answer = send(
        &routes(&[]).await,
        "OPTIONS /twirp/livekit.RoomService/ListRooms",
        &asked,
        "",
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "authorization,content-type"
    );
    assert_eq!(answer.header("access-control-max-age"), "86400");
}

#[tokio::test]
async fn only_the_pages_of_the_server_may_use_its_calls() {
    let routes = routes(&PUBLIC).await;
    let answer = send(
        &routes,
        "GET /v1/calls",
        &[("origin", "https://evil.example")],
        "",
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, "")
    );
}

#[tokio::test]
async fn a_leading_double_slash_is_folded() {
    let routes = routes(&[]).await;
    assert_eq!(get(&routes, "//healthz").await.status, 200);
    assert_eq!(get(&routes, "///healthz?x=1").await.status, 200);
}

#[tokio::test]
async fn pages_bring_a_policy_that_loads_nothing_from_elsewhere() {
    let flags = [&PUBLIC[..], &["http.public_url=https://calls.example.com"]].concat();
    let routes = routes(&flags).await;
    for path in ["/", "/call", "/desk"] {
        let answer = get(&routes, path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        if answer.header("content-type").starts_with("text/html") {
            let policy = answer.header("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("wss://calls.example.com"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("cache-control"), "no-cache");
            let tag = answer.header("etag").to_owned();
            let again = send(
                &routes,
                &format!("GET {path}"),
                &[("if-none-match", &tag)],
                "",
            )
            .await;
            assert_eq!((again.status, again.body.as_str()), (304, ""));
        } else {
            assert!(answer.body.contains("npm run build"), "{}", answer.body);
        }
    }
    assert!(get(&routes, "/assets/../Cargo.toml").await.is_problem(404));
    assert!(get(&routes, "/assets/none.js").await.is_problem(404));
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let routes = routes(&[]).await;
    let (one, other) = (get(&routes, "/").await, get(&routes, "/").await);
    assert!(!one.header("x-request-id").is_empty());
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn a_panic_is_an_answer_and_not_the_end() {
    async fn fails() -> &'static str {
        panic!("on purpose")
    }
    let routes = layers::common(
        Router::new().route("/fails", axum::routing::get(fails)),
        1024,
    );
    assert!(get(&routes, "/fails").await.is_problem(500));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_an_error_in_the_end() {
    let routes = layers::common(
        Router::new().route("/hangs", axum::routing::get(std::future::pending::<()>)),
        1024,
    );
    assert!(get(&routes, "/hangs").await.is_problem(504));
}

#[tokio::test]
async fn numbers_are_for_operators_and_on_ones_own_machine() {
    assert_eq!(get(&routes(&PUBLIC).await, "/metrics").await.status, 404);
    let answer = get(&routes(&LOCAL).await, "/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert!(answer.body.contains("tradewind_build_info"));
}

#[tokio::test]
async fn a_shopper_starts_a_call_and_gets_a_token_for_its_room_alone() {
    let routes = routes(&PUBLIC).await;
    let answer = post(
        &routes,
        "/v1/calls",
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
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims =
        tradewind_signalling::token::verify(&keys, pass["token"].as_str().unwrap(), now).unwrap();
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
    let answer = post(&routes(&flags).await, "/v1/calls", &[], "{}").await;
    assert_eq!(answer.json()["url"], "wss://calls.example.com");
    let answer = post(
        &routes(&PUBLIC).await,
        "/v1/calls",
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
        post(&routes, "/v1/calls", &[], "name=Yuki")
            .await
            .is_problem(400)
    );
    assert!(
        send(
            &routes,
            "POST /v1/calls",
            &[("content-type", "text/plain")],
            "{}"
        )
        .await
        .is_problem(415)
    );
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(20_000));
    assert!(
        post(&routes, "/v1/calls", &[], &large)
            .await
            .is_problem(413)
    );
}

#[tokio::test]
async fn too_many_calls_from_one_address_are_told_when_to_come_back() {
    let routes = routes(&[&PUBLIC[..], &["limits.calls_per_minute_per_ip=2"]].concat()).await;
    assert_eq!(post(&routes, "/v1/calls", &[], "{}").await.status, 201);
    assert_eq!(post(&routes, "/v1/calls", &[], "{}").await.status, 201);
    let answer = post(&routes, "/v1/calls", &[], "{}").await;
    assert!(answer.is_problem(429));
    assert!((1..=30).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
}

#[tokio::test]
async fn too_many_waiting_calls_are_refused() {
    let routes = routes(&[&PUBLIC[..], &["limits.waiting_calls=1"]].concat()).await;
    assert_eq!(post(&routes, "/v1/calls", &[], "{}").await.status, 201);
    let answer = post(&routes, "/v1/calls", &[], "{}").await;
    assert!(answer.is_problem(429) && !answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn the_desk_needs_its_key() {
    let routes = routes(&PUBLIC).await;
    let answer = get(&routes, "/v1/calls").await;
    assert!(answer.is_problem(401));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for path in ["/v1/calls", "/v1/calls/events"] {
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
    let answer = send(&routes, "GET /v1/calls", &right, "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"calls":[]}"#)
    );
    assert!(
        post(&routes, "/v1/calls/CL_none/answer", &[], "{}")
            .await
            .is_problem(401)
    );
    assert!(
        post(&routes, "/v1/calls/CL_none/answer", &right, "{}")
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
                "GET /v1/calls",
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
            "GET /v1/calls",
            &[("authorization", "Bearer wrong")],
            ""
        )
        .await
        .is_problem(429)
    );
    assert_eq!(
        send(
            &routes,
            "GET /v1/calls",
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
    assert_eq!(get(&routes, "/v1/calls").await.status, 200);
    let proxied = send(
        &routes,
        "GET /v1/calls",
        &[("x-forwarded-for", "203.0.113.9")],
        "",
    )
    .await;
    assert!(proxied.is_problem(403));
    let mut foreign = Request::builder()
        .uri("/v1/calls")
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
    let (routes, switchboard) = routes_and_switchboard(&LOCAL).await;
    let (rooms, events) = mpsc::channel(8);
    tokio::spawn({
        let switchboard = switchboard.clone();
        async move { switchboard.run(events).await }
    });
    let stream = Request::builder()
        .uri("/v1/calls/events")
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let stream = routes.clone().oneshot(stream).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut stream = stream.into_body().into_data_stream();
    assert_eq!(next_call(&mut stream).await, None);

    let id = post(&routes, "/v1/calls", &[], r#"{"name":"Yuki"}"#)
        .await
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = format!("/v1/calls/{id}/answer");
    assert!(
        post(&routes, &answer, &[], r#"{"name":"Aline"}"#)
            .await
            .is_problem(404)
    );
    let shopper = participant("PA_y", "shopper", "Yuki");
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
