use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tradewind_signalling::token::{Claims, Keys, VideoGrant, sign, verify};

use crate::calls::samples::fixed;
use crate::clock::{unix_ms, unix_s};
use crate::http::Calls;
use crate::http::tests::{Answer, SECRET, routes_and_calls, send};

/// An application with a token, and the node it talks to.
struct Application {
    routes: Router,
    calls: Arc<Calls>,
    token: String,
}

fn keys() -> Keys {
    Keys::from_iter([("APIkey".to_owned(), SECRET.to_owned())])
}

fn token(grants: VideoGrant) -> String {
    let claims = Claims {
        grants,
        ..Claims::default()
    };
    sign(&keys(), &claims, unix_s(), 60).unwrap()
}

/// May do everything with calls.
fn everything() -> VideoGrant {
    VideoGrant {
        room_create: true,
        room_list: true,
        ..VideoGrant::default()
    }
}

impl Application {
    /// On a node without pages, in the fleet of Tokyo and Paris.
    async fn new() -> Self {
        Self::with(&["node.id=tokyo"]).await
    }

    async fn with(flags: &[&str]) -> Self {
        let (routes, calls) = routes_and_calls(flags, Some(fixed(unix_ms()))).await;
        Self {
            routes,
            calls,
            token: token(everything()),
        }
    }

    fn may(self, grants: VideoGrant) -> Self {
        Self {
            token: token(grants),
            ..self
        }
    }

    async fn asks(&self, request: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let own = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(&self.routes, request, &[&own, headers].concat(), &body).await
    }

    async fn creates(&self, body: &Value) -> Answer {
        self.asks("POST /v1/calls", &[], body).await
    }

    async fn gets(&self, path: &str) -> Answer {
        self.asks(&format!("GET {path}"), &[], &Value::Null).await
    }

    /// A call of Yuki near Tokyo and Aline near Paris.
    async fn has_call(&self) -> Value {
        let created = self.creates(&yuki_and_aline()).await;
        assert_eq!(created.status, 201, "{}", created.body);
        created.json()
    }
}

fn yuki_and_aline() -> Value {
    let probes = |tokyo: f64, paris: f64| json!([{"node": "tokyo", "rtt_ms": tokyo, "samples": 5}, {"node": "paris", "rtt_ms": paris, "samples": 5}]);
    json!({
        "language": "ja", "scenario": "returns", "tenant": "acme", "custom": {"order": 17},
        "parties": [
            {"role": "shopper", "identity": "yuki", "name": "Yuki", "probes": probes(8.0, 240.0)},
            {"role": "agent", "identity": "aline", "name": "Aline", "probes": probes(240.0, 8.0)},
        ],
    })
}

fn is(answer: &Answer, status: u16, kind: &str) -> bool {
    answer.is_problem(status)
        && answer.json()["type"] == format!("/v1/problems/{kind}")
        && !answer.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
}

#[tokio::test]
async fn a_call_is_created_with_a_node_a_standby_and_a_token_for_each_party() {
    let app = Application::new().await;
    let created = app.creates(&yuki_and_aline()).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("cache-control"), "no-store");
    let answer = created.json();
    let id = answer["call"]["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/v1/calls/{id}"));
    assert_eq!(answer["call"]["custom"]["order"], 17);
    assert_eq!(answer["call"]["state"], "created");
    assert!(
        answer["call"]["placement"]["predicted_ms"]
            .as_f64()
            .unwrap()
            > 50.0
    );

    let passes = answer["parties"].as_array().unwrap();
    assert_eq!(passes.len(), 2);
    for pass in passes {
        let node = pass["node"].as_str().unwrap();
        assert_eq!(pass["url"], format!("wss://{node}.example.com"));
        assert!(pass["token_expires_at_ms"].as_u64().unwrap() > unix_ms());
        let claims = verify(&keys(), pass["token"].as_str().unwrap(), unix_s()).unwrap();
        assert_eq!(claims.grants.room, id);
        assert_eq!(claims.identity, pass["identity"].as_str().unwrap());
        assert!(claims.grants.room_join && !claims.grants.room_admin);
        assert_eq!(claims.other["tradewind"]["call"], id);
        let nodes = claims.other["tradewind"]["nodes"].as_array().unwrap();
        assert!(nodes.contains(&pass["node"]), "{nodes:?}");
    }
}

#[tokio::test]
async fn a_token_is_good_on_the_nodes_of_its_call_alone() {
    let app = Application::with(&["node.id=sydney"]).await;
    let answer = app.has_call().await;
    let token = answer["parties"][0]["token"].as_str().unwrap();
    let refused = send(
        &app.routes,
        &format!("GET /rtc/validate?access_token={token}"),
        &[],
        "",
    )
    .await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains("standby"), "{}", refused.body);
    let app = Application::new().await;
    let path = format!("GET /rtc/validate?access_token={token}");
    assert_eq!(send(&app.routes, &path, &[], "").await.status, 200);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_gives_the_same_call() {
    let app = Application::new().await;
    let key = [("idempotency-key", "order-17")];
    let first = app.asks("POST /v1/calls", &key, &yuki_and_aline()).await;
    let again = app.asks("POST /v1/calls", &key, &yuki_and_aline()).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.json()["call"]["id"], again.json()["call"]["id"]);
    assert_eq!(again.json()["parties"].as_array().unwrap().len(), 2);

    let mut other = yuki_and_aline();
    other["tenant"] = "somebody else".into();
    let refused = app.asks("POST /v1/calls", &key, &other).await;
    assert!(is(&refused, 409, "duplicate-key"), "{}", refused.body);
    let other_key = [("idempotency-key", "order-18")];
    let created = app.asks("POST /v1/calls", &other_key, &other).await;
    assert_eq!(created.status, 201);
    let empty = [("idempotency-key", "")];
    let refused = app.asks("POST /v1/calls", &empty, &other).await;
    assert!(is(&refused, 400, "invalid-request"), "{}", refused.body);
}

#[tokio::test]
async fn without_a_good_token_nothing_is_read_and_the_reason_is_typed() {
    let app = Application::new().await;
    for request in [
        "POST /v1/calls",
        "GET /v1/calls",
        "GET /v1/calls/events",
        "GET /v1/calls/CL_a",
        "DELETE /v1/calls/CL_a",
        "POST /v1/calls/CL_a/parties",
        "GET /v1/calls/CL_a/placement",
    ] {
        let answer = send(&app.routes, request, &[], "").await;
        assert!(is(&answer, 401, "no-token"), "{request}: {}", answer.body);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let claims = Claims {
        grants: everything(),
        ..Claims::default()
    };
    let stranger = Keys::from_iter([("APIother".to_owned(), SECRET.to_owned())]);
    let foreign = sign(&stranger, &claims, unix_s(), 60).unwrap();
    let old = sign(&keys(), &claims, unix_s() - 600, 60).unwrap();
    for token in [foreign, old, "x".repeat(40_000)] {
        let app = Application {
            token,
            ..Application::new().await
        };
        let answer = app.creates(&yuki_and_aline()).await;
        assert!(is(&answer, 401, "foreign-token"), "{}", answer.body);
    }
}

#[tokio::test]
async fn grants_are_those_of_rooms() {
    let none = Application::new().await.may(VideoGrant::default());
    for request in ["POST /v1/calls", "GET /v1/calls", "DELETE /v1/calls/CL_a"] {
        let answer = none.asks(request, &[], &yuki_and_aline()).await;
        assert!(
            is(&answer, 403, "missing-grant"),
            "{request}: {}",
            answer.body
        );
    }
    let app = Application::new().await;
    let id = app.has_call().await["call"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let of_call = app.may(VideoGrant {
        room_admin: true,
        room: id.clone(),
        ..VideoGrant::default()
    });
    assert_eq!(of_call.gets(&format!("/v1/calls/{id}")).await.status, 200);
    assert!(is(&of_call.gets("/v1/calls").await, 403, "missing-grant"));
    assert!(is(
        &of_call.gets("/v1/calls/CL_other").await,
        403,
        "missing-grant"
    ));
    let end = format!("DELETE /v1/calls/{id}");
    assert_eq!(of_call.asks(&end, &[], &Value::Null).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_is_a_typed_problem() {
    let app = Application::new().await;
    let with = |field: &str, value: Value| {
        let mut body = yuki_and_aline();
        body[field] = value;
        body
    };
    let party = |field: &str, value: Value| {
        let mut body = yuki_and_aline();
        body["parties"][0][field] = value;
        body
    };
    let many: Vec<Value> = (0..51).map(|_| json!({"role": "guest"})).collect();
    for (status, kind, body) in [
        (400, "invalid-request", json!({})),
        (400, "invalid-request", json!([1])),
        (400, "invalid-request", with("parties", json!([]))),
        (400, "invalid-request", with("langauge", json!("ja"))),
        (400, "invalid-request", with("language", json!("日本"))),
        (400, "invalid-request", party("role", json!("boss"))),
        (400, "invalid-request", party("identity", json!("aline"))),
        (400, "invalid-request", party("address", json!("here"))),
        (400, "invalid-request", party("token_ttl_s", json!(0))),
        (409, "too-many-parties", with("parties", json!(many))),
        (
            413,
            "too-large",
            with("custom", json!({"x": "y".repeat(20_000)})),
        ),
        (
            413,
            "too-large",
            with("custom", json!({"x": "y".repeat(300_000)})),
        ),
        (422, "unknown-region", party("region", json!("atlantis"))),
        (
            422,
            "impossible-residency",
            with("residency", json!("moon")),
        ),
    ] {
        let answer = app.creates(&body).await;
        assert!(
            is(&answer, status, kind),
            "{kind}: {} {}",
            answer.status,
            answer.body
        );
    }
    for path in ["/v1/calls/CL_none", "/v1/calls/CL_none/placement"] {
        assert!(is(&app.gets(path).await, 404, "unknown-call"), "{path}");
    }
    for query in ["state=lost", "limit=0", "limit=x", "cursor=x", "colour=red"] {
        let answer = app.gets(&format!("/v1/calls?{query}")).await;
        assert!(
            is(&answer, 400, "invalid-request"),
            "{query}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_full_zone_says_when_to_come_back() {
    let app = Application::new().await;
    let in_europe = json!({"residency": "eu", "parties": [{"role": "shopper"}, {"role": "agent"}]});
    for _ in 0..4 {
        assert_eq!(app.creates(&in_europe).await.status, 201);
    }
    let answer = app.creates(&in_europe).await;
    assert!(is(&answer, 503, "no-capacity"), "{}", answer.body);
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_party_is_added_and_let_in_again() {
    let app = Application::new().await;
    let id = app.has_call().await["call"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("POST /v1/calls/{id}/parties");
    let guest = json!({"role": "guest", "identity": "interpreter", "region": "europe"});
    let added = app.asks(&path, &[], &guest).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.json()["call"]["parties"].as_array().unwrap().len(), 3);
    assert_eq!(added.json()["parties"][0]["identity"], "interpreter");
    let again = app.asks(&path, &[], &guest).await;
    assert_eq!(again.json()["call"]["parties"].as_array().unwrap().len(), 3);

    let end = format!("DELETE /v1/calls/{id}");
    let ended = app.asks(&end, &[], &Value::Null).await.json();
    assert_eq!(
        (&ended["state"], &ended["end_reason"]),
        (&json!("ended"), &json!("requested"))
    );
    let late = app.asks(&path, &[], &guest).await;
    assert!(is(&late, 409, "call-ended"), "{}", late.body);
}

#[tokio::test]
async fn calls_are_listed_by_page_and_filter() {
    let app = Application::new().await;
    for _ in 0..3 {
        app.has_call().await;
    }
    let page = app.gets("/v1/calls?limit=2&tenant=acme").await.json();
    assert_eq!(page["calls"].as_array().unwrap().len(), 2);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = app
        .gets(&format!("/v1/calls?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(rest["calls"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    let none = app.gets("/v1/calls?state=answered").await.json();
    assert_eq!(none["calls"], json!([]));
}

#[tokio::test]
async fn a_placement_is_explained_to_programs_and_to_people() {
    let app = Application::new().await;
    let id = app.has_call().await["call"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/calls/{id}/placement");
    let report = app.gets(&path).await.json();
    assert_eq!(report["call"], id.as_str());
    assert!(report["parties"]["yuki"]["predicted_rtt_ms"].is_number());
    assert_eq!(report["measured_ms"], Value::Null);
    let candidates = report["explanation"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert_eq!(candidates[0]["legs"][0]["estimate"]["source"], "probe");

    app.calls.switchboard.measured(&id, "yuki", 9.0);
    app.calls.switchboard.measured(&id, "aline", 11.0);
    let measured = app.gets(&path).await.json()["measured_ms"]
        .as_f64()
        .unwrap();
    let is_cascaded = report["nodes"].as_array().unwrap().len() > 1;
    assert_eq!(measured, if is_cascaded { 115.0 } else { 10.0 });
    let text = app
        .asks(
            &format!("GET {path}"),
            &[("accept", "text/plain")],
            &Value::Null,
        )
        .await;
    assert!(text.header("content-type").starts_with("text/plain"));
    for part in [
        "tokyo",
        "paris",
        "the client's probes",
        "Score",
        "measured ms",
        "9.0",
    ] {
        assert!(text.body.contains(part), "{part} is not in\n{}", text.body);
    }
}

/// The next event of a stream, as its name, id and data.
async fn next(
    stream: &mut (impl StreamExt<Item = Result<axum::body::Bytes, axum::Error>> + Unpin),
) -> (String, String, Value) {
    let text = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().to_owned()
    };
    let data = serde_json::from_str(&field("data:")).unwrap();
    (field("event:"), field("id:"), data)
}

impl Application {
    async fn follows(
        &self,
        last: Option<&str>,
    ) -> impl StreamExt<Item = Result<axum::body::Bytes, axum::Error>> + Unpin + use<> {
        let mut request = Request::builder()
            .uri("/v1/calls/events")
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        answer.into_body().into_data_stream()
    }
}

#[tokio::test]
async fn a_listener_who_lost_its_connection_hears_what_it_missed() {
    let app = Application::new().await;
    let mut stream = app.follows(None).await;
    let id = app.has_call().await["call"]["id"].clone();
    let (event, first, data) = next(&mut stream).await;
    assert_eq!((event.as_str(), &data["call"]["id"]), ("call_created", &id));
    assert_eq!(data["event"], "call_created");
    drop(stream);
    app.calls.switchboard.end(id.as_str().unwrap()).unwrap();
    let mut stream = app.follows(Some(&first)).await;
    let (event, second, _) = next(&mut stream).await;
    assert_eq!(event, "call_ended");
    assert_ne!(first, second);
    let silence = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(silence.is_err(), "nothing else happened");
    for stranger in ["elsewhere-1", "garbage", ""] {
        let mut stream = app.follows(Some(stranger)).await;
        assert_eq!(next(&mut stream).await.0, "reset", "{stranger}");
    }
}

#[tokio::test]
async fn everybody_may_see_which_nodes_to_measure() {
    let app = Application::new().await;
    let from_a_shop = [("origin", "https://shop.example")];
    let edges = send(&app.routes, "GET /v1/edges", &from_a_shop, "").await;
    assert_eq!(edges.header("access-control-allow-origin"), "*");
    let edges = edges.json()["edges"].clone();
    assert_eq!(edges[1]["node"], "tokyo");
    assert_eq!(edges[1]["probe_url"], "https://tokyo.example.com/v1/probe");
    let probe = send(&app.routes, "GET /v1/probe", &from_a_shop, "").await;
    assert_eq!((probe.status, probe.body.as_str()), (204, ""));
    assert_eq!(probe.header("timing-allow-origin"), "*");
    assert_eq!(probe.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn probing_is_bounded_for_each_address() {
    let app = Application::new().await;
    let mut last = 204;
    for _ in 0..700 {
        last = send(&app.routes, "GET /v1/probe", &[], "").await.status;
    }
    assert_eq!(last, 429);
}
