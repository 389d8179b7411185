use std::time::Instant;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

async fn serving(
    routes: Router,
    max_connections: usize,
) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let port = Port {
        routes,
        trusted_proxies: ["127.0.0.1/32".parse().unwrap()].into(),
        max_connections,
    };
    (
        address,
        stop.clone(),
        tokio::spawn(port.serve(listener, stop)),
    )
}

/// Sends a request with these header lines and gives the whole answer, head and body.
async fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_line_with_a_whole_session_description_is_taken() {
    let (address, ..) = serving(Router::new().route("/rtc/v1", get(|| async { "long" })), 10).await;
    let answer = ask(
        address,
        &format!("/rtc/v1?join_request={}", "a".repeat(60_000)),
        "",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("long"),
        "{answer}"
    );
    let answer = ask(
        address,
        &format!("/rtc/v1?join_request={}", "a".repeat(100_000)),
        "",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn routes_learn_who_asks() {
    async fn who(client: axum::Extension<ClientAddress>) -> String {
        client.0.0.to_string()
    }
    let (address, ..) = serving(Router::new().route("/who", get(who)), 10).await;
    assert!(ask(address, "/who", "").await.ends_with("127.0.0.1"));
    let forwarded = ask(address, "//who", "X-Forwarded-For: 203.0.113.9\r\n").await;
    assert!(forwarded.ends_with("203.0.113.9"), "{forwarded}");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_its_turn() {
    let (address, ..) = serving(Router::new().route("/", get(|| async { "served" })), 1).await;
    let idle = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::spawn(async move { ask(address, "/", "").await });
    sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(idle);
    assert!(waiting.await.unwrap().ends_with("served"));
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_idle_connections_go() {
    async fn slow() -> &'static str {
        sleep(Duration::from_millis(300)).await;
        "finished"
    }
    let (address, stop, served) = serving(Router::new().route("/slow", get(slow)), 10).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    let asked = tokio::spawn(async move { ask(address, "/slow", "").await });
    sleep(Duration::from_millis(100)).await;
    let stopped = Instant::now();
    stop.cancel();
    assert!(asked.await.unwrap().ends_with("finished"));
    served.await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(address).await.is_err());
}
