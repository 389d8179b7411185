//! The agent's one task: probes, checks and announcements, each when it is due.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tradewind_fleet::{EdgeRecord, Fleet, NodeId, PathQuality, Vector};

use crate::config::Settings;
use crate::drain::{Done, Drain};
use crate::host::{Reading, Sampler};
use crate::http::Shown;
use crate::probe::codec::FleetKey;
use crate::probe::peer::Peer;
use crate::probe::reach::Reach;
use crate::probe::socket::{Incoming, ProbeSocket};
use crate::server::{CHECK_EVERY, ServerClient};
use crate::status::Status;
use crate::watchdog::{Verdict, Watchdog};

/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(20);
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The agent beside one node.
pub(crate) struct Agent {
    settings: Settings,
    fleet: Fleet,
    server: ServerClient,
    shown: Arc<Shown>,
    socket: ProbeSocket,
    began: Instant,
    seed: u64,
    peers: BTreeMap<NodeId, (SocketAddr, Peer)>,
    reach: Reach,
    /// Where peers say that this edge's probes come from.
    seen_as: Option<SocketAddr>,
    watchdog: Watchdog,
    sampler: Sampler,
    drain: Option<Drain>,
    report_due: Duration,
}

impl Agent {
    /// Binds the probe's socket. `seed` must be random: peers prove by it that the port is open.
    ///
    /// # Errors
    /// The port is in use, or the server's URL is of no use.
    pub(crate) async fn new(
        settings: Settings,
        fleet: Fleet,
        shown: Arc<Shown>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let key = FleetKey::new(settings.fleet.key());
        let bind = settings.probe.bind;
        let socket = ProbeSocket::bind(bind, key, settings.node.id.clone());
        let server = ServerClient::new(&settings.server.url, &settings.server.drain_path)?;
        Ok(Self {
            socket: socket
                .await
                .map_err(|error| anyhow::anyhow!("probe.bind {bind}: {error}"))?,
            server,
            shown,
            fleet,
            settings,
            began: Instant::now(),
            seed,
            peers: BTreeMap::new(),
            reach: Reach::new(seed),
            seen_as: None,
            watchdog: Watchdog::default(),
            sampler: Sampler::default(),
            drain: None,
            report_due: Duration::ZERO,
        })
    }

    /// Runs until a drain has ended. `drain` fires when it is to begin.
    ///
    /// # Errors
    /// The probe's socket is broken.
    pub(crate) async fn run(mut self, mut drain: mpsc::Receiver<()>) -> anyhow::Result<Done> {
        let mut checks = watch(self.server.clone());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let began = self.began;
            tokio::select! {
                incoming = self.socket.receive(|| began.elapsed()) => self.incoming(incoming?),
                Some(result) = checks.recv() => self.checked(result),
                Some(()) = drain.recv() => self.begin_drain(),
                _ = ticks.tick() => {
                    if let Some(done) = self.tick() {
                        return Ok(done);
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn incoming(&mut self, incoming: Incoming) {
        let now = self.now();
        match incoming {
            Incoming::Pong {
                from,
                number,
                seen_as,
            } => {
                if let Some((_, peer)) = self.peers.get_mut(&from) {
                    peer.answered(now, number);
                    self.seen_as = seen_as.or(self.seen_as);
                }
            }
            Incoming::Knock { from, secret } => self.reach.knocked(now, from, secret),
            Incoming::Nothing => {}
        }
    }

    fn checked(&mut self, result: Result<(), String>) {
        let now = self.now();
        let node = self.settings.node.id.clone();
        let was_up = self.watchdog.problem().is_none();
        let told = match self.watchdog.checked(now, result) {
            Some(Verdict::Withdraw(reason)) => {
                if was_up {
                    tracing::warn!(%reason, "the server does not answer: withdrawn");
                    self.shown.figures.withdrawals.inc();
                    self.report_due = now;
                }
                self.fleet.withdraw(node, reason)
            }
            Some(Verdict::Restore) => {
                tracing::info!("the server answers again");
                self.report_due = now;
                self.fleet.restore(node)
            }
            None => Ok(()),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "the fleet cannot be told of the server");
        }
    }

    fn begin_drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let within = Duration::from_secs(self.settings.drain.deadline_s);
        tracing::info!(?within, "draining");
        self.drain = Some(Drain::new(self.now(), within));
        self.report_due = self.now();
        let server = self.server.clone();
        tokio::spawn(async move {
            if let Err(error) = server.drain().await {
                tracing::error!("{error}");
            }
        });
    }

    fn tick(&mut self) -> Option<Done> {
        let now = self.now();
        self.probe(now);
        if now >= self.report_due {
            self.report_due = now + REPORT_EVERY;
            self.meet_peers(now);
            self.report(now);
        }
        let (participants, known) = (self.participants(), self.fleet.snapshot().connected);
        let done = self.drain.as_mut()?.poll(now, participants, known)?;
        Some(done)
    }

    fn probe(&mut self, now: Duration) {
        for (address, peer) in self.peers.values_mut() {
            if let Some(number) = peer.poll(now) {
                self.socket.ping(*address, number, now);
            }
        }
        if let Some(at) = self.advertised()
            && let Some((turn, secret)) = self.reach.poll(now, self.peers.len())
            && let Some((address, _)) = self.peers.values().nth(turn)
        {
            self.socket.ask_for_knock(*address, secret, at);
        }
    }

    /// Begins and ends measurements as edges come and go.
    fn meet_peers(&mut self, now: Duration) {
        let snapshot = self.fleet.snapshot();
        let me = &self.settings.node.id;
        let edges: BTreeMap<&NodeId, SocketAddr> = snapshot
            .edges
            .values()
            .filter(|edge| edge.node != *me)
            .filter_map(|edge| Some((&edge.node, edge.udp_probe?)))
            .collect();
        self.peers
            .retain(|id, (address, _)| edges.get(id) == Some(address));
        for (id, address) in edges {
            self.peers
                .entry(id.clone())
                .or_insert_with(|| (address, Peer::new(now, self.seed)));
        }
    }

    fn report(&mut self, now: Duration) {
        let paths: BTreeMap<NodeId, PathQuality> = self
            .peers
            .iter()
            .filter_map(|(id, (_, peer))| Some((id.clone(), peer.quality()?)))
            .collect();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let pressure = self.sampler.sample(Reading::take(now, wall));
        let problems = self.problems(now);
        let connected = self.fleet.snapshot().connected;

        let figures = &self.shown.figures;
        let alive = self.watchdog.problem().is_none();
        figures.state(problems.is_empty(), connected, alive);
        figures.paths(self.peers.len(), &paths);
        figures.pressure(&pressure);
        let record = EdgeRecord {
            node: self.settings.node.id.clone(),
            udp_probe: self.advertised(),
            http_probe: self.settings.probe.http_url.clone(),
            pressure,
            draining: self.drain.is_some(),
            ready: problems.is_empty(),
            reason: problems.first().cloned(),
        };
        let vector = Vector {
            from: self.settings.node.id.clone(),
            to: paths,
        };
        let told = self
            .fleet
            .announce_edge(record)
            .and_then(|()| self.fleet.publish_vector(vector));
        if let Err(error) = told {
            tracing::warn!(%error, "the fleet cannot be told of this edge");
        }
        self.shown.set_status(Status {
            problems,
            participants: self.participants(),
        });
    }

    /// Why the node should take no calls.
    fn problems(&self, now: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if self.drain.is_some() {
            problems.push("draining".to_owned());
        }
        problems.extend(self.watchdog.problem());
        if !self.fleet.snapshot().connected {
            problems.push("not connected to NATS: see fleet.nats".to_owned());
        }
        if self.settings.probe.required && self.reach.by(now).is_none() {
            problems.push(match self.advertised() {
                None => "no public address yet: set probe.advertise, or wait for another edge".to_owned(),
                Some(_) if !self.reach.has_asked() => "no other edge to reach this one's UDP port: \
                    set probe.required to false in a fleet of one"
                    .to_owned(),
                Some(address) => format!(
                    "no other edge has reached UDP {address}: open the port, or correct probe.advertise"
                ),
            });
        }
        problems
    }

    /// Where this edge is reached, as far as it is known.
    fn advertised(&self) -> Option<SocketAddr> {
        let local = self.socket.local_address().ok()?;
        let by_peers = self
            .seen_as
            .map(|seen| SocketAddr::new(seen.ip(), local.port()));
        let bound = (!local.ip().is_unspecified()).then_some(local);
        self.settings.probe.advertise.or(bound).or(by_peers)
    }

    fn participants(&self) -> Option<u32> {
        let server = self.fleet.node(&self.settings.node.id)?;
        Some(server.record.load.participants)
    }
}

/// Checks the server several times a second; a check that hangs holds nothing else up.
fn watch(server: ServerClient) -> mpsc::Receiver<Result<(), String>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if sender.send(server.check().await).await.is_err() {
                return;
            }
        }
    });
    receiver
}
