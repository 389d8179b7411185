//! One load on a fresh server: join, find the rate, measure, verify.

use std::time::Duration;

use tokio::time::sleep;

use super::MachineArgs;
use super::server::Server;
use crate::plan::{Load, Shape};
use crate::process;
use crate::report::Report;
use crate::session::{BadLinks, Measured, Session};

const SETTLE: Duration = Duration::from_secs(30);
/// While bots join and while something else is measured, frames leave at this multiple of the load's rate.
const QUIET: f64 = 0.1;
const JOINS_PER_S: f64 = 100.0;
/// A rate is approached by this factor each step: estimates follow what is wanted by a probe a second, and a jump would
/// be more than they allow at first.
const RAMP: f64 = 1.25;
const RAMP_STEP: Duration = Duration::from_millis(1_100);
/// Estimates settle in this time.
const WARM_UP: Duration = Duration::from_secs(3);
/// Of a core: more would measure overload.
const MAX_SHARE: f64 = 0.6;

/// How fast to send.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rate {
    /// As the load says, or less where that would take the server more than [`MAX_SHARE`] of its core.
    Nominal,
    /// This multiple of what the load says.
    Fixed(f64),
    /// So that the server takes this share of its core.
    Share(f64),
}

/// Bots on a server of ours.
pub(super) struct Rig {
    pub(super) server: Server,
    session: Session,
    load: Load,
    pub(super) rate: f64,
    /// Server memory before anybody joined, KiB.
    base_kib: u64,
    /// Server CPU time that all joins took, ns.
    pub(super) join_cpu_ns: u64,
}

impl Rig {
    /// Starts a server and lets everybody join.
    pub(super) async fn start(
        machine: &MachineArgs,
        load: &Load,
        bad: Option<BadLinks>,
    ) -> anyhow::Result<Self> {
        let server = Server::start(machine)?;
        sleep(Duration::from_millis(300)).await;
        let base_kib = process::pss_kib(server.pid())?;
        let before = process::read(server.pid())?;
        let mut session = Session::start(&server.target)?;
        session.set_rate(QUIET)?;
        session.join(load, JOINS_PER_S, bad).await?;
        session.settle(SETTLE, |_| {}).await?;
        let after = process::read(server.pid())?;
        let join_cpu_ns = process::cpu_between(&before, &after);
        Ok(Self {
            server,
            session,
            load: load.clone(),
            rate: QUIET,
            base_kib,
            join_cpu_ns,
        })
    }

    /// Finds the rate and lets the server's estimates grow.
    pub(super) async fn run_at(&mut self, rate: Rate) -> anyhow::Result<()> {
        match rate {
            Rate::Fixed(rate) => self.climb(rate).await?,
            Rate::Nominal => {
                self.climb(0.2).await?;
                let share = self.share().await?;
                self.climb((0.2 * MAX_SHARE / share.max(0.001)).min(1.0))
                    .await?;
            }
            Rate::Share(goal) => {
                // Cost is not quite proportional to rate: approach in steps.
                for _ in 0..5 {
                    let share = self.share().await?;
                    let wanted = self.rate * (goal / share.max(0.001)).min(3.0);
                    self.climb(wanted.min(20.0)).await?;
                }
            }
        }
        sleep(WARM_UP).await;
        Ok(())
    }

    /// Sends little while something else is measured.
    pub(super) fn quiet(&self) -> anyhow::Result<()> {
        Ok(self.session.set_rate(QUIET)?)
    }

    /// Sends again at the rate found.
    pub(super) async fn resume(&self) -> anyhow::Result<()> {
        self.session.set_rate(self.rate)?;
        sleep(WARM_UP).await;
        Ok(())
    }

    pub(super) async fn measure(&mut self, time: Duration) -> anyhow::Result<Measured> {
        self.session.measure(time, async |_, _| Ok(())).await
    }

    /// Server memory per participant, KiB, without what an empty server takes.
    pub(super) fn kib_per_participant(&self) -> anyhow::Result<f64> {
        let now = process::pss_kib(self.server.pid())?;
        Ok(now.saturating_sub(self.base_kib) as f64 / f64::from(self.load.bots()))
    }

    /// Stops sending, verifies, and lets everybody leave.
    pub(super) async fn finish(self, title: &str, measured: &Measured) -> anyhow::Result<Report> {
        let ended = self.session.stop_and_verify().await?;
        let report = Report::new(title, &self.load, measured, &ended);
        self.session.leave().await?;
        Ok(report)
    }

    /// Goes to a rate, up in steps.
    async fn climb(&mut self, rate: f64) -> anyhow::Result<()> {
        while self.rate * RAMP < rate {
            self.rate *= RAMP;
            self.session.set_rate(self.rate)?;
            sleep(RAMP_STEP).await;
        }
        self.rate = rate;
        Ok(self.session.set_rate(rate)?)
    }

    /// Share of a core that the server takes now.
    async fn share(&mut self) -> anyhow::Result<f64> {
        sleep(Duration::from_millis(500)).await;
        let measured = self.measure(Duration::from_secs(1)).await?;
        Ok(measured.server_cpu_ns.unwrap_or_default() as f64 / 1e9 / measured.seconds)
    }
}

/// One load, start to end.
pub(super) async fn measure(
    machine: &MachineArgs,
    title: &str,
    load: &Load,
    rate: Rate,
    time: Duration,
    bad: Option<BadLinks>,
) -> anyhow::Result<Outcome> {
    let mut rig = Rig::start(machine, load, bad).await?;
    rig.run_at(rate).await?;
    let measured = rig.measure(time).await?;
    let (rate, kib) = (rig.rate, rig.kib_per_participant()?);
    Ok(Outcome {
        report: rig.finish(title, &measured).await?,
        rate,
        kib_per_participant: kib,
    })
}

pub(super) struct Outcome {
    pub(super) report: Report,
    /// Multiple of the load's rate that was measured.
    pub(super) rate: f64,
    pub(super) kib_per_participant: f64,
}

/// The load of the benchmarks: 30 frames a second of ten packets of 1,200 bytes.
pub(super) fn video(shape: Shape, rooms: u32, participants: u32) -> Load {
    Load {
        shape,
        rooms,
        participants,
        video_tracks: 1,
        audio_tracks: 0,
        fps: 30,
        packets_per_frame: 10,
        packet_bytes: 1_200,
        audio_bytes: 100,
        message_rate: 10,
        message_bytes: 200,
        reliable: false,
    }
}
