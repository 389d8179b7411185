//! Bots on one server: joins, measuring windows, the end.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use crate::bot::Spec;
use crate::bot::add_track_requests;
use crate::bot::link::LinkSpec;
use crate::clock::Drift;
use crate::engine::{Command, Handle, Verification, View, Window, start};
use crate::plan::Load;
use crate::process::{self, Reading};
use crate::signal::{Api, Joiner, Signal};

/// Joins under way at a time.
const JOINS_AT_ONCE: u32 = 24;
/// Deliveries above this latency count as late.
const LATE: Duration = Duration::from_millis(500);
/// Time for the last packets and their repair.
const DRAIN: Duration = Duration::from_millis(1_500);

/// The server to test.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) api: Api,
    pub(crate) pid: Option<u32>,
}

/// Emulated bad links for some of the bots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadLinks {
    /// 0 to 1.
    pub(crate) share: f64,
    pub(crate) link: LinkSpec,
}

pub(crate) struct Session {
    engine: Handle,
    joiner: Arc<Joiner>,
    target: Target,
    ip: IpAddr,
    run: u32,
    next_number: u32,
    failures: Arc<Mutex<Vec<String>>>,
    drift: Drift,
    /// Numbers of the bots that are here, by place in the load.
    seats: Vec<u32>,
}

/// What one measuring window gave.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) window: Window,
    /// CPU time of the server and of this process, ns.
    pub(crate) server_cpu_ns: Option<u64>,
    pub(crate) generator_cpu_ns: u64,
    pub(crate) before: Option<Reading>,
    pub(crate) after: Option<Reading>,
}

/// The end of a session.
pub(crate) struct Ended {
    pub(crate) verification: Verification,
    pub(crate) view: View,
    /// Datagrams that the bots' sockets dropped: the generator was too slow.
    pub(crate) generator_drops: u64,
    /// Datagrams that the server's sockets dropped.
    pub(crate) server_drops: u64,
    pub(crate) clock_moved_ns: u64,
}

impl Session {
    pub(crate) fn start(target: &Target) -> anyhow::Result<Self> {
        let run = std::process::id() ^ crate::clock::unix_ns() as u32;
        Ok(Self {
            engine: start(run, LATE)?,
            joiner: Arc::new(Joiner {
                url: target.url.clone(),
                api: target.api.clone(),
            }),
            ip: local_address(&target.url)?,
            target: target.clone(),
            run,
            next_number: 0,
            failures: Arc::default(),
            drift: Drift::start(),
            seats: Vec::new(),
        })
    }

    /// Lets everybody of a load join, at most `rate` a second.
    pub(crate) async fn join(
        &mut self,
        load: &Load,
        rate: f64,
        bad: Option<BadLinks>,
    ) -> anyhow::Result<()> {
        let gap = Duration::from_secs_f64(1.0 / rate.max(0.1));
        let mut at = Instant::now();
        for place in 0..load.bots() {
            self.add(load, place, bad)?;
            at += gap;
            sleep(at.saturating_duration_since(Instant::now())).await;
            while self.next_number - self.settled().await? > JOINS_AT_ONCE {
                sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }

    /// Lets the bot at a place leave and another join there.
    pub(crate) fn replace(
        &mut self,
        load: &Load,
        place: u32,
        bad: Option<BadLinks>,
    ) -> anyhow::Result<()> {
        if let Some(number) = self.seats.get(place as usize) {
            self.engine.send(Command::Remove(*number))?;
        }
        self.add(load, place, bad)
    }

    fn add(&mut self, load: &Load, place: u32, bad: Option<BadLinks>) -> anyhow::Result<()> {
        let number = self.next_number;
        self.next_number += 1;
        if self.seats.len() <= place as usize {
            self.seats.resize(place as usize + 1, number);
        }
        self.seats[place as usize] = number;
        let (room, place_in_room) = (place / load.participants, place % load.participants);
        // Those who only receive come last in a room; every n-th has a bad link.
        let nth = bad
            .filter(|bad| bad.share > 0.0)
            .map(|bad| ((1.0 / bad.share) as u32).max(1));
        let is_bad = nth.is_some_and(|nth| place_in_room % nth == nth - 1);
        let spec = Spec {
            room,
            tracks: load.tracks(place_in_room),
            messages: load.messages(),
            link: bad.filter(|_| is_bad).map(|bad| bad.link),
        };
        let (engine, joiner, failures, ip) = (
            self.engine.clone(),
            self.joiner.clone(),
            self.failures.clone(),
            self.ip,
        );
        let room_name = format!("load-{:08x}-{room}", self.run);
        tokio::spawn(async move {
            if let Err(error) = live(number, spec, ip, &room_name, &engine, &joiner).await
                && let Ok(mut failures) = failures.lock()
            {
                failures.push(format!("{error:#}"));
            }
        });
        Ok(())
    }

    /// Bots whose join is over, well or not.
    async fn settled(&self) -> anyhow::Result<u32> {
        let view = self.look().await?;
        let failed = self.failures.lock().map_or(0, |failures| failures.len());
        Ok(view.connected + failed as u32)
    }

    pub(crate) async fn look(&self) -> io::Result<View> {
        self.engine.ask(Command::Look).await
    }

    /// Waits until everybody is connected and gets everything, at most for `patience`. Streams that are silent by then
    /// show in the verification.
    ///
    /// # Errors
    /// Somebody failed, or is not connected within `patience`.
    pub(crate) async fn settle(
        &self,
        patience: Duration,
        mut progress: impl FnMut(&View),
    ) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        loop {
            let view = self.look().await?;
            progress(&view);
            let failures = self
                .failures
                .lock()
                .map(|failures| failures.clone())
                .unwrap_or_default();
            if let Some(failure) = failures.first().or(view.failures.first()) {
                bail!(
                    "{} bots failed: {failure}",
                    failures.len() + view.failed as usize
                );
            }
            let all = view.connected as usize == self.seats.len();
            let late = Instant::now() > until;
            if all && (late || view.pairs_live == view.pairs_expected) {
                return Ok(());
            }
            if late {
                bail!(
                    "{} of {} connected within {} s",
                    view.connected,
                    self.seats.len(),
                    patience.as_secs()
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sets the rate of frames as a multiple of the load's.
    pub(crate) fn set_rate(&self, rate: f64) -> io::Result<()> {
        self.engine.send(Command::Rate(rate))
    }

    /// Measures for `time`; `each_second` may let bots come and go.
    pub(crate) async fn measure(
        &mut self,
        time: Duration,
        mut each_second: impl AsyncFnMut(&mut Self, Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<Measured> {
        let read = |pid: Option<u32>| {
            pid.map(process::read)
                .transpose()
                .context("--server-pid: cannot be read")
        };
        let before = read(self.target.pid)?;
        let own_before = process::read(std::process::id())?;
        self.engine.send(Command::BeginWindow)?;
        let began = Instant::now();
        loop {
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            sleep(left.min(Duration::from_secs(1))).await;
            each_second(self, began.elapsed()).await?;
        }
        let window = self.engine.ask(Command::EndWindow).await?;
        let seconds = began.elapsed().as_secs_f64();
        let after = read(self.target.pid)?;
        let own_after = process::read(std::process::id())?;
        Ok(Measured {
            seconds,
            window,
            server_cpu_ns: before
                .as_ref()
                .zip(after.as_ref())
                .map(|(before, after)| process::cpu_between(before, after)),
            generator_cpu_ns: process::cpu_between(&own_before, &own_after),
            before,
            after,
        })
    }

    /// Stops sending, waits for what is under way, and draws up the accounts. The bots stay.
    pub(crate) async fn stop_and_verify(&self) -> anyhow::Result<Ended> {
        self.engine.send(Command::Stop)?;
        sleep(DRAIN).await;
        let verification = self.engine.ask(Command::Verify).await?;
        Ok(Ended {
            view: self.look().await?,
            generator_drops: process::udp_drops(&verification.ports),
            server_drops: process::udp_drops(&verification.server_ports),
            verification,
            clock_moved_ns: self.drift.so_far_ns(),
        })
    }

    /// Lets everybody leave.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        for number in &self.seats {
            self.engine.send(Command::Remove(*number))?;
        }
        sleep(Duration::from_millis(500)).await;
        self.engine.send(Command::Quit)?;
        Ok(())
    }
}

/// The life of one bot, to the end of its signalling connection.
async fn live(
    number: u32,
    spec: Spec,
    ip: IpAddr,
    room: &str,
    engine: &Handle,
    joiner: &Joiner,
) -> anyhow::Result<()> {
    let (requests, outgoing) = unbounded_channel();
    let tracks = add_track_requests(&spec.tracks);
    let spec = Box::new(spec);
    let offer = engine
        .ask(|offer| Command::Add {
            number,
            spec,
            ip,
            requests,
            offer,
        })
        .await?;
    let offer = offer.map_err(anyhow::Error::msg)?;
    let signal: Signal = joiner
        .join(&format!("bot-{number}"), room, offer, tracks)
        .await?;
    signal.run(number, engine, outgoing).await;
    Ok(())
}

/// The address from which this machine reaches the server.
fn local_address(url: &str) -> anyhow::Result<IpAddr> {
    let (scheme, rest) = url
        .split_once("://")
        .context("--url: begins with ws:// or http://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let default = if scheme.ends_with('s') { 443 } else { 80 };
    let host = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:{default}")
    };
    // IPv4 where a name has both: servers announce IPv4 candidates most often.
    let mut addresses: Vec<SocketAddr> = host
        .to_socket_addrs()
        .with_context(|| format!("--url: {host} is unknown"))?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let address = addresses
        .first()
        .with_context(|| format!("--url: {host} has no address"))?;
    let any: SocketAddr = if address.is_ipv6() {
        "[::]:0".parse()?
    } else {
        "0.0.0.0:0".parse()?
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}
