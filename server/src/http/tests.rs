use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::calls::nodes::Nodes;
use crate::calls::{Alone, GeoIp, Planner, Switchboard};
use crate::config::{Sources, load};
use crate::node::NodeOptions;

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CLIENT: ClientAddress = ClientAddress(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)));

/// A node for the public, with pages and a desk key.
pub(super) const PUBLIC: [&str; 2] = ["pages.enabled=true", "pages.desk_key=open-sesame"];
/// A node on a developer's machine, without a desk key.
pub(super) const LOCAL: [&str; 2] = ["pages.enabled=true", "http.bind=127.0.0.1:7880"];

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn is_problem(&self, status: u16) -> bool {
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
pub(super) async fn routes(flags: &[&str]) -> Router {
    routes_and_calls(flags, None).await.0
}

/// The same with the calls behind them; `nodes` instead of the node alone.
pub(super) async fn routes_and_calls(
    flags: &[&str],
    nodes: Option<Arc<dyn Nodes>>,
) -> (Router, Arc<Calls>) {
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
    let keys = Arc::new(settings.api_keys());
    let settings = Arc::new(settings);
    let nodes = nodes.unwrap_or_else(|| Arc::new(Alone::new(node.clone(), settings.clone())));
    let switchboard = Arc::new(Switchboard::new(
        &settings.node.id,
        CancellationToken::new(),
    ));
    let planner = Arc::new(Planner::new(nodes, GeoIp::default()));
    let calls = Arc::new(Calls::new(&settings, switchboard, planner));
    let state = AppState {
        keys,
        settings,
        node,
    };
    (public(&state, &calls), calls)
}

pub(super) async fn send(
    routes: &Router,
    request: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
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

pub(super) async fn get(routes: &Router, path: &str) -> Answer {
    send(routes, &format!("GET {path}"), &[], "").await
}

pub(super) async fn post(
    routes: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
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
    assert!(get(&routes, "/v1/desk/calls").await.is_problem(404));
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
        "GET /v1/desk/calls",
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
    for path in ["/", "/call", "/desk", "/operator"] {
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
async fn the_public_port_does_not_drain() {
    for flags in [&PUBLIC, &LOCAL] {
        assert_eq!(get(&routes(flags).await, "/admin/drain").await.status, 404);
    }
}
