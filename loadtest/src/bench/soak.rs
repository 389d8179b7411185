//! Hours in minutes: participants come and go, and memory must end where it began.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::MachineArgs;
use super::server::{Server, stay_on_core};
use crate::plan::{Load, Shape};
use crate::process;
use crate::report::{Report, page, table};
use crate::run::Progress;
use crate::session::Session;

const SETTLE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    machine: MachineArgs,
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Calls of two that go on all the time.
    #[arg(long, default_value_t = 30)]
    calls: u32,
    /// Participants a second who leave while another joins in their place.
    #[arg(long, default_value_t = 2)]
    churn: u32,
    /// The server's memory may end so much above where it was after a tenth of the time, %.
    #[arg(long, default_value_t = 10.0)]
    growth: f64,
}

#[derive(Serialize)]
struct Figures {
    minutes: u64,
    participants_in_all: u32,
    /// Proportional memory after a tenth of the time, at the end, and with everybody gone, KiB.
    pss_begin_kib: u64,
    pss_end_kib: u64,
    pss_empty_kib: u64,
    growth_percent: f64,
    steady: bool,
    exact: bool,
    void: Vec<String>,
}

pub(crate) async fn run(args: SoakArgs) -> anyhow::Result<()> {
    let machine = &args.machine;
    stay_on_core(machine.generator_core, machine.nice)?;
    let server = Server::start(machine)?;
    let load = Load {
        shape: Shape::Calls,
        rooms: args.calls,
        participants: 2,
        video_tracks: 1,
        audio_tracks: 1,
        fps: 30,
        packets_per_frame: 4,
        packet_bytes: 1_200,
        audio_bytes: 100,
        message_rate: 10,
        message_bytes: 200,
        reliable: false,
    };
    let mut session = Session::start(&server.target)?;
    let mut progress = Progress::default();
    progress.say("participants join");
    session.join(&load, 50.0, None).await?;
    session.settle(SETTLE, |_| {}).await?;
    let time = Duration::from_secs(60 * args.minutes);
    let (mut place, mut began_kib) = (0, None);
    let mut last_churn = Instant::now();
    let measured = session
        .measure(time, async |session, elapsed| {
            if began_kib.is_none() && elapsed >= time / 10 {
                began_kib = Some(process::pss_kib(server.pid())?);
            }
            // The last seconds are quiet, so that everybody is there to be verified.
            if elapsed + Duration::from_secs(5) < time {
                let due =
                    (last_churn.elapsed().as_secs_f64() * f64::from(args.churn)).round() as u32;
                last_churn = Instant::now();
                for _ in 0..due {
                    session.replace(&load, place % load.bots(), None)?;
                    place += 1;
                }
            }
            let view = session.look().await?;
            progress.say(&format!(
                "{:.0} of {} s: {} packets, {} participants replaced, p99 {} us",
                elapsed.as_secs_f64(),
                time.as_secs(),
                view.counts.delivered,
                place,
                view.p99_ns / 1_000
            ));
            Ok(())
        })
        .await?;
    session.settle(SETTLE, |_| {}).await?;
    let pss_end_kib = process::pss_kib(server.pid())?;
    let ended = session.stop_and_verify().await?;
    let report = Report::new("Soak", &load, &measured, &ended);
    session.leave().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pss_begin_kib = began_kib.unwrap_or(pss_end_kib);
    let growth_percent = (pss_end_kib as f64 / pss_begin_kib as f64 - 1.0) * 100.0;
    let figures = Figures {
        minutes: args.minutes,
        participants_in_all: load.bots() + place,
        pss_begin_kib,
        pss_end_kib,
        pss_empty_kib: process::pss_kib(server.pid())?,
        growth_percent,
        steady: growth_percent <= args.growth,
        exact: report.exact,
        void: report.void.clone(),
    };
    progress.end();
    print!("{}", table(&report));
    if let Some(path) = &machine.html {
        std::fs::write(path, page("Soak", &[], std::slice::from_ref(&report)))?;
    }
    println!("{}", serde_json::to_string(&figures)?);
    anyhow::ensure!(figures.steady, "memory grew by {growth_percent:.1} %");
    Ok(())
}
