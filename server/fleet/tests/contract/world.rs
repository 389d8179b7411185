//! Two worlds to run the suite in.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tradewind_fleet::{Fleet, Hub, Nats, NatsSettings, NodeRecord, Version};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backbone that can be killed and brought back.
pub(crate) enum World {
    Hub(Hub),
    Nats(Box<NatsServer>),
}

/// A NATS server of this test.
pub(crate) struct NatsServer {
    program: PathBuf,
    port: u16,
    disk: PathBuf,
    flags: &'static [&'static str],
    process: Child,
}

impl World {
    pub(crate) fn hub() -> Self {
        Self::Hub(Hub::new())
    }

    /// `None`, and a word why, without a server to run.
    pub(crate) async fn nats() -> Option<Self> {
        Self::nats_with(&[]).await
    }

    /// As [`Self::nats`], with further flags of the server's.
    pub(crate) async fn nats_with(flags: &'static [&'static str]) -> Option<Self> {
        let Some(program) = find_program() else {
            eprintln!("SKIPPED: no nats-server on the path, and TRADEWIND_NATS_SERVER is not set");
            return None;
        };
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tradewind-nats-{}-{number}", std::process::id());
        let disk = std::env::temp_dir().join(name);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .unwrap()
            .port();
        let process = start(&program, port, &disk, flags);
        Some(Self::Nats(Box::new(NatsServer {
            program,
            port,
            disk,
            flags,
            process,
        })))
    }

    /// Where the server listens.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Hub(_) => String::new(),
            Self::Nats(nats) => format!("nats://127.0.0.1:{}", nats.port),
        }
    }

    /// A server's membership, announced and ready.
    pub(crate) async fn server(&self, name: &str) -> Fleet {
        let fleet = self.member(name, true).await;
        let mut record = NodeRecord::new(name.parse().unwrap(), Version::default(), 1);
        (record.ready, record.reason) = (true, None);
        fleet.announce(record).unwrap();
        eventually("connected", || fleet.snapshot().connected).await;
        fleet
    }

    /// The membership of the agent beside a server.
    pub(crate) async fn agent(&self, name: &str) -> Fleet {
        self.member(name, false).await
    }

    async fn member(&self, name: &str, server: bool) -> Fleet {
        let me = name.parse().unwrap();
        match self {
            Self::Hub(hub) if server => Fleet::over(hub.member(), "test", me, 1),
            Self::Hub(hub) => Fleet::agent(hub.member(), "test", me, 1),
            Self::Nats(_) => {
                let settings = NatsSettings {
                    urls: vec![self.url()],
                    ..NatsSettings::default()
                };
                let backbone = Nats::connect(&settings).await.unwrap();
                if server {
                    Fleet::over(backbone, "test", me, 1)
                } else {
                    Fleet::agent(backbone, "test", me, 1)
                }
            }
        }
    }

    /// Kills the backbone without a word.
    pub(crate) async fn kill(&mut self) {
        match self {
            Self::Hub(hub) => hub.go_down(),
            Self::Nats(nats) => nats.process.kill().await.unwrap(),
        }
    }

    /// Brings it back, with its disk or without.
    pub(crate) fn bring_back(&mut self, with_disk: bool) {
        match self {
            Self::Hub(hub) => {
                if !with_disk {
                    hub.wipe();
                }
                hub.come_back();
            }
            Self::Nats(nats) => {
                if !with_disk {
                    std::fs::remove_dir_all(&nats.disk).unwrap();
                }
                nats.process = start(&nats.program, nats.port, &nats.disk, nats.flags);
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

fn find_program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("TRADEWIND_NATS_SERVER") {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
}

fn start(program: &PathBuf, port: u16, disk: &PathBuf, flags: &[&str]) -> Child {
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(disk)
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// All memberships see each other.
pub(crate) async fn acquainted(fleets: &[&Fleet]) {
    for fleet in fleets {
        let all = || Arc::clone(&fleet.snapshot()).nodes.len() >= fleets.len();
        eventually("all nodes seen", all).await;
    }
}
