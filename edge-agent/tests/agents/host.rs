//! What runs on one host of the test: NATS, a server's registration with a health port, and the agent's process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tradewind_fleet::{Fleet, NatsSettings, NodeRecord, Version};

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + seconds(30);
    while !holds() {
        assert!(Instant::now() < until, "never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A NATS server of this test.
pub(crate) struct Nats {
    url: String,
    disk: PathBuf,
    process: Child,
}

impl Nats {
    /// `None`, and a word why, without a server to run.
    pub(crate) async fn start() -> Option<Self> {
        let named = std::env::var_os("TRADEWIND_NATS_SERVER").map(PathBuf::from);
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path)
                .map(|folder| folder.join("nats-server"))
                .find(|program| program.is_file())
        };
        let Some(program) = named.or_else(on_path) else {
            eprintln!("SKIPPED: no nats-server on the path, and TRADEWIND_NATS_SERVER is not set");
            return None;
        };
        let port = free_port();
        let disk = std::env::temp_dir().join(format!("tradewind-agents-{port}"));
        let process = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(&disk)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self {
            url: format!("nats://127.0.0.1:{port}"),
            disk,
            process,
        })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

/// A server as far as the agent and the fleet see one.
pub(crate) struct Server {
    fleet: Fleet,
    health: Arc<Health>,
    url: String,
}

#[derive(Default)]
struct Health {
    hangs: AtomicBool,
    drains: AtomicU32,
}

impl Server {
    pub(crate) async fn start(nats: &Nats, name: &str) -> Self {
        let settings = NatsSettings {
            urls: vec![nats.url.clone()],
            ..NatsSettings::default()
        };
        let id = name.parse().unwrap();
        let fleet = Fleet::nats(&settings, id, 1).await.unwrap();
        let mut record = NodeRecord::new(fleet.me().clone(), Version::default(), 1);
        (record.ready, record.reason) = (true, None);
        fleet.announce(record).unwrap();

        let health = Arc::new(Health::default());
        let routes = Router::new()
            .route("/healthz", get(healthz))
            .route("/admin/drain", post(drain))
            .with_state(Arc::clone(&health));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { fleet, health, url }
    }

    pub(crate) fn fleet(&self) -> Fleet {
        self.fleet.clone()
    }

    pub(crate) fn hang(&self, hangs: bool) {
        self.health.hangs.store(hangs, Ordering::Relaxed);
    }

    pub(crate) fn drains(&self) -> u32 {
        self.health.drains.load(Ordering::Relaxed)
    }

    pub(crate) fn participants(&self, count: u32) {
        let mut record = NodeRecord::new(self.fleet.me().clone(), Version::default(), 1);
        (record.ready, record.reason) = (true, None);
        record.load.participants = count;
        self.fleet.announce(record).unwrap();
    }
}

async fn healthz(State(health): State<Arc<Health>>) -> &'static str {
    while health.hangs.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(10)).await;
    }
    "ok"
}

async fn drain(State(health): State<Arc<Health>>) {
    health.drains.fetch_add(1, Ordering::Relaxed);
}

/// An agent's process.
pub(crate) struct Agent {
    process: Child,
    operators: String,
}

impl Agent {
    pub(crate) async fn start(
        nats: &Nats,
        server: &Server,
        name: &str,
        port: u16,
        advertise: Option<SocketAddr>,
    ) -> Self {
        let until = Instant::now() + seconds(15);
        loop {
            // Another process may take the port before the agent does: then it ends, and another port is tried.
            let metrics = format!("127.0.0.1:{}", free_port());
            let mut command = Command::new(env!("CARGO_BIN_EXE_tradewind-edge-agent"));
            command
                .env("TRADEWIND_EDGE__NODE__ID", name)
                .env("TRADEWIND_EDGE__FLEET__NATS", &nats.url)
                .env("TRADEWIND_EDGE__FLEET__KEY", "a key for tests only")
                .env("TRADEWIND_EDGE__PROBE__BIND", format!("127.0.0.1:{port}"))
                .env("TRADEWIND_EDGE__METRICS__BIND", &metrics)
                .env("TRADEWIND_EDGE__SERVER__URL", &server.url)
                .env("TRADEWIND_EDGE__LOG__LEVEL", "warn");
            if let Some(advertise) = advertise {
                command.env("TRADEWIND_EDGE__PROBE__ADVERTISE", advertise.to_string());
            }
            let process = command.kill_on_drop(true).spawn().unwrap();
            let mut agent = Self {
                process,
                operators: format!("http://{metrics}"),
            };
            while agent.process.try_wait().unwrap().is_none() {
                if agent.get("/healthz").await.is_some() {
                    return agent;
                }
                assert!(Instant::now() < until, "{name} does not start");
                sleep(Duration::from_millis(50)).await;
            }
            assert!(Instant::now() < until, "{name} ends at once");
        }
    }

    /// What the operators' port says, whatever the status.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        let answer = reqwest::get(format!("{}{path}", self.operators))
            .await
            .ok()?;
        answer.text().await.ok()
    }

    /// Waits until `/readyz` says what it should.
    pub(crate) async fn until(&self, says: impl Fn(&str) -> bool) {
        let until = Instant::now() + seconds(30);
        loop {
            let text = self.get("/readyz").await.unwrap_or_default();
            if says(&text) {
                return;
            }
            assert!(Instant::now() < until, "/readyz says {text}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn until_ready(&self) {
        self.until(|text| text == "ready\n").await;
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.process.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        self.process.wait().await.unwrap()
    }
}
