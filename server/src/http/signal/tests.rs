//! The signalling routes on a real port, with a WebSocket client.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Answer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tradewind_signalling::token::{VideoGrant, sign};

use super::*;
use crate::calls::{Alone, GeoIp, Planner, Switchboard};
use crate::config::{Sources, load};
use crate::http::{Calls, Port, public};
use crate::node::{Node, NodeOptions};

const KEY: &str = "APIkey";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    app: AppState,
    address: SocketAddr,
}

impl Server {
    async fn start(flags: &[&str]) -> Self {
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.extend([
            format!("keys.{KEY}={SECRET}"),
            "rtc.bind=127.0.0.1".into(),
            "rtc.shards=2".into(),
        ]);
        let mut settings = load(&Sources {
            flags,
            ..Sources::default()
        })
        .unwrap()
        .settings;
        // Any free port, so that tests can run side by side.
        settings.rtc.udp_port = 0;
        settings.rtc.tcp_port = 0;
        let node = Node::start(NodeOptions::from_settings(&settings).unwrap())
            .await
            .unwrap();
        let app = AppState {
            keys: Arc::new(settings.api_keys()),
            settings: Arc::new(settings),
            node,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let port = Port {
            routes: public(&app, &calls(&app, &stop)),
            trusted_proxies: [].into(),
            max_connections: 64,
        };
        tokio::spawn(port.serve(listener, stop));
        Self { app, address }
    }

    fn token(&self, identity: &str, grants: VideoGrant) -> String {
        let claims = Claims {
            identity: identity.into(),
            grants,
            ..Claims::default()
        };
        sign(&self.app.keys, &claims, unix_s(), 60).unwrap()
    }

    fn joining(&self, identity: &str) -> String {
        self.token(
            identity,
            VideoGrant {
                room_join: true,
                room: "shop".into(),
                ..VideoGrant::default()
            },
        )
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.address))
            .await
            .unwrap();
        assert_eq!(
            response.headers().get("x-content-type-options").unwrap(),
            "nosniff"
        );
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn connect(&self, query: &str) -> Result<Client, (u16, String)> {
        let url = format!("ws://{}/rtc?protocol=17&sdk=js&{query}", self.address);
        match connect_async(url).await {
            Ok((client, _)) => Ok(client),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// The next signal message; `None` = the server closed the connection in order.
async fn next(client: &mut Client) -> Option<Answer> {
    loop {
        let message = timeout(Duration::from_secs(5), client.next())
            .await
            .expect("an answer in time");
        match message
            .expect("a close frame before the end")
            .expect("no transport error")
        {
            Message::Binary(bytes) => {
                return proto::SignalResponse::decode(bytes).unwrap().message;
            }
            Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), 1000, "{}", frame.reason);
                return None;
            }
            Message::Ping(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn send(client: &mut Client, request: Request) {
    let request = proto::SignalRequest {
        message: Some(request),
    };
    client
        .send(Message::Binary(request.encode_to_vec().into()))
        .await
        .unwrap();
}

async fn close_code_of(client: &mut Client) -> u16 {
    let closed = async {
        while let Some(message) = client.next().await {
            if let Ok(Message::Close(Some(frame))) = message {
                return frame.code.into();
            }
        }
        0
    };
    timeout(Duration::from_secs(10), closed)
        .await
        .expect("a close frame in time")
}

#[tokio::test]
async fn a_plain_get_is_not_found_so_that_sdks_fall_back() {
    let server = Server::start(&[]).await;
    assert_eq!(server.get("/rtc").await.0, 404);
    assert_eq!(server.get("/rtc/v1").await.0, 404);
}

#[tokio::test]
async fn validate_says_what_a_browser_cannot_see() {
    let server = Server::start(&[]).await;
    let good = server.joining("ann");
    assert_eq!(
        server
            .get(&format!("/rtc/validate?access_token={good}"))
            .await,
        (200, "success".into())
    );
    assert_eq!(
        server
            .get(&format!("//rtc/validate?access_token={good}"))
            .await,
        (200, "success".into())
    );
    assert_eq!(server.get("/rtc/validate").await.0, 401);
    assert_eq!(server.get("/rtc/validate?access_token=a.b.c").await.0, 401);
    let not_joining = server.token(
        "ann",
        VideoGrant {
            room: "shop".into(),
            ..VideoGrant::default()
        },
    );
    assert_eq!(
        server
            .get(&format!("/rtc/validate?access_token={not_joining}"))
            .await
            .0,
        401
    );
    let no_room = server.token(
        "ann",
        VideoGrant {
            room_join: true,
            ..VideoGrant::default()
        },
    );
    assert_eq!(
        server
            .get(&format!("/rtc/validate?access_token={no_room}"))
            .await
            .0,
        400
    );
    // Without a join request there is nothing to validate.
    assert_eq!(
        server
            .get(&format!("/rtc/v1/validate?access_token={good}"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn validate_names_a_missing_room_in_the_words_sdks_look_for() {
    let server = Server::start(&["room.auto_create=false"]).await;
    let answer = server
        .get(&format!(
            "/rtc/validate?access_token={}",
            server.joining("ann")
        ))
        .await;
    assert_eq!(answer, (404, "requested room does not exist".into()));
}

#[tokio::test]
async fn a_bad_token_is_refused_before_the_upgrade_and_never_repeated() {
    let server = Server::start(&[]).await;
    let (status, body) = server
        .connect("access_token=secret.secret.secret")
        .await
        .unwrap_err();
    assert_eq!(status, 401);
    assert!(!body.contains("secret.secret"), "{body}");
}

#[tokio::test]
async fn joins_beyond_the_rate_are_told_to_come_back() {
    let server = Server::start(&["limits.joins_per_second_per_ip=2"]).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(server.connect("access_token=x").await.unwrap_err().0);
    }
    assert_eq!(statuses, [401, 401, 503, 503]);
}

#[tokio::test]
async fn a_join_is_answered_first_then_a_fresh_token_follows() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    let Some(Answer::Join(join)) = next(&mut client).await else {
        panic!("the first message answers the join");
    };
    assert_eq!(join.room.unwrap().name, "shop");
    assert_eq!(join.participant.unwrap().identity, "ann");
    assert!(join.ping_interval > 0 && join.ping_timeout > 0);
    let Some(Answer::RefreshToken(token)) = next(&mut client).await else {
        panic!("a fresh token follows");
    };
    let claims = verify(&server.app.keys, &token, unix_s()).unwrap();
    assert_eq!(
        (claims.identity.as_str(), claims.grants.room.as_str()),
        ("ann", "shop")
    );
}

#[tokio::test]
async fn pings_are_answered() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    send(
        &mut client,
        Request::PingReq(proto::Ping {
            timestamp: 42,
            rtt: 0,
        }),
    )
    .await;
    let pong = loop {
        match next(&mut client).await.expect("still connected") {
            Answer::PongResp(pong) => break pong,
            _ => continue,
        }
    };
    assert_eq!(pong.last_ping_timestamp, 42);
}

#[tokio::test]
async fn a_missing_room_is_a_404_before_the_upgrade() {
    let server = Server::start(&["room.auto_create=false"]).await;
    let refused = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap_err();
    assert_eq!(refused, (404, "requested room does not exist".into()));
    let forgotten = async {
        while server.app.node.has_room(&"shop".into()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(2), forgotten)
        .await
        .expect("the refused join leaves no room behind");
}

#[tokio::test]
async fn a_resume_of_an_unknown_session_is_told_to_join_anew() {
    let server = Server::start(&[]).await;
    let query = format!(
        "reconnect=1&sid=PA_unknown&access_token={}",
        server.joining("ann")
    );
    let mut client = server.connect(&query).await.unwrap();
    let Some(Answer::Leave(leave)) = next(&mut client).await else {
        panic!("the first message tells to leave");
    };
    assert_eq!(leave.action(), proto::leave_request::Action::Reconnect);
}

#[tokio::test]
async fn leaving_closes_the_connection_in_order() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    send(&mut client, Request::Leave(proto::LeaveRequest::default())).await;
    while next(&mut client).await.is_some() {}
}

#[tokio::test]
async fn a_second_join_of_an_identity_ends_the_first_after_telling_it() {
    let server = Server::start(&[]).await;
    let token = server.joining("ann");
    let mut first = server
        .connect(&format!("access_token={token}"))
        .await
        .unwrap();
    let _second = server
        .connect(&format!("access_token={token}"))
        .await
        .unwrap();
    let mut told = None;
    while let Some(answer) = next(&mut first).await {
        if let Answer::Leave(leave) = answer {
            told = Some(leave.reason());
        }
    }
    assert_eq!(told, Some(proto::DisconnectReason::DuplicateIdentity));
}

#[tokio::test]
async fn a_malformed_message_closes_its_connection_with_a_reason() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    client
        .send(Message::Binary(vec![0xff; 8].into()))
        .await
        .unwrap();
    assert_eq!(close_code_of(&mut client).await, 1002);
}

#[tokio::test]
async fn a_flood_of_messages_closes_its_connection() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    let ping = proto::SignalRequest {
        message: Some(Request::Ping(1)),
    }
    .encode_to_vec();
    for _ in 0..3_000 {
        if client
            .feed(Message::Binary(ping.clone().into()))
            .await
            .is_err()
        {
            break;
        }
    }
    // The server may close while the flood is still being written.
    let _ = client.flush().await;
    assert_eq!(close_code_of(&mut client).await, 1008);
}

#[tokio::test]
async fn one_address_keeps_no_more_connections_than_allowed() {
    let server = Server::start(&["limits.signal_connections_per_ip=1"]).await;
    let _ann = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    let refused = server
        .connect(&format!("access_token={}", server.joining("bob")))
        .await
        .unwrap_err();
    assert_eq!(refused.0, 503);
}

#[tokio::test]
async fn a_shutdown_tells_clients_before_it_closes() {
    let server = Server::start(&[]).await;
    let mut client = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    let node = server.app.node.clone();
    let shutdown = tokio::spawn(async move { node.shutdown().await });
    let mut told = None;
    while let Some(answer) = next(&mut client).await {
        if let Answer::Leave(leave) = answer {
            told = Some(leave.reason());
        }
    }
    assert_eq!(told, Some(proto::DisconnectReason::ServerShutdown));
    timeout(Duration::from_secs(5), shutdown)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_server_api_sees_who_joined_and_refuses_who_may_not_ask() {
    let server = Server::start(&[]).await;
    let _ann = server
        .connect(&format!("access_token={}", server.joining("ann")))
        .await
        .unwrap();
    let url = format!(
        "http://{}/twirp/livekit.RoomService/ListParticipants",
        server.address
    );
    let ask = |token: Option<String>| {
        let request = reqwest::Client::new()
            .post(&url)
            .header("content-type", "application/json");
        let request = request.body(r#"{"room":"shop"}"#);
        match token {
            Some(token) => request.bearer_auth(token).send(),
            None => request.send(),
        }
    };
    assert_eq!(ask(None).await.unwrap().status(), 401);
    assert_eq!(
        ask(Some(server.joining("ann"))).await.unwrap().status(),
        403
    );
    let admin = VideoGrant {
        room_admin: true,
        room: "shop".into(),
        ..VideoGrant::default()
    };
    let answer = ask(Some(server.token("", admin))).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["participants"][0]["identity"], "ann");
}

/// The calls of a node that is alone.
fn calls(app: &AppState, stop: &CancellationToken) -> Arc<Calls> {
    let settings = &app.settings;
    let alone = Alone::new(app.node.clone(), settings.clone());
    let switchboard = Switchboard::new(&settings.node.id, stop.clone());
    let planner = Planner::new(Arc::new(alone), GeoIp::default());
    Arc::new(Calls::new(
        settings,
        Arc::new(switchboard),
        Arc::new(planner),
    ))
}
