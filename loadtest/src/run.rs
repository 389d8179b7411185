//! `tradewind-loadtest run`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::bot::link::LinkSpec;
use crate::plan::{Load, Shape};
use crate::process;
use crate::report::{Report, page, table};
use crate::session::{BadLinks, Session, Target};
use crate::signal::Api;

/// Time for everybody to be connected and to receive everything.
const SETTLE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct TargetArgs {
    /// Server, as SDKs are given it.
    #[arg(long, default_value = "ws://127.0.0.1:7880")]
    url: String,
    #[arg(long, default_value = "devkey")]
    api_key: String,
    #[arg(long, default_value = "secret")]
    api_secret: String,
    /// Process on this machine whose CPU time and memory are read.
    #[arg(long)]
    server_pid: Option<u32>,
}

#[derive(Args)]
pub(crate) struct LoadArgs {
    #[arg(long, value_enum, default_value = "calls")]
    pub(crate) shape: Shape,
    #[arg(long, default_value_t = 1)]
    pub(crate) rooms: u32,
    /// In each room.
    #[arg(long, default_value_t = 2)]
    pub(crate) participants: u32,
    /// Tracks of each sender.
    #[arg(long, default_value_t = 1)]
    pub(crate) video_tracks: u32,
    #[arg(long, default_value_t = 1)]
    pub(crate) audio_tracks: u32,
    #[arg(long, default_value_t = 30)]
    pub(crate) fps: u32,
    /// RTP packets of a video frame; they leave as one burst.
    #[arg(long, default_value_t = 10)]
    pub(crate) packets_per_frame: u32,
    /// Bits a second of a video track; sets the packets of a frame.
    #[arg(long)]
    pub(crate) bitrate: Option<u64>,
    /// RTP payload of a video packet, bytes.
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u16).range(52..=1_400))]
    pub(crate) packet_size: u16,
    /// RTP payload of an audio packet, bytes; 50 a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(37..=1_400))]
    pub(crate) audio_size: u16,
    /// Messages a second of each sender (shape data).
    #[arg(long, default_value_t = 10)]
    pub(crate) message_rate: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 200)]
    pub(crate) message_size: usize,
    /// Messages by the reliable channel instead of the lossy one.
    #[arg(long)]
    pub(crate) reliable: bool,
}

impl LoadArgs {
    pub(crate) fn load(&self) -> Load {
        let per_packet = u64::from(self.packet_size) * 8 * u64::from(self.fps.max(1));
        let by_rate =
            |bitrate: u64| u32::try_from(bitrate.div_ceil(per_packet)).unwrap_or(u32::MAX);
        Load {
            shape: self.shape,
            rooms: self.rooms,
            participants: if self.shape == Shape::Calls {
                2
            } else {
                self.participants
            },
            video_tracks: self.video_tracks,
            audio_tracks: self.audio_tracks,
            fps: self.fps,
            packets_per_frame: self
                .bitrate
                .map_or(self.packets_per_frame, by_rate)
                .clamp(1, 200),
            packet_bytes: self.packet_size.into(),
            audio_bytes: self.audio_size.into(),
            message_rate: self.message_rate,
            message_bytes: self.message_size,
            reliable: self.reliable,
        }
    }
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Joins a second.
    #[arg(long, default_value_t = 50.0)]
    join_rate: f64,
    /// Participants a second who leave while another joins in their place.
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Share of participants behind an emulated bad link.
    #[arg(long, default_value_t = 0.0)]
    lossy_share: f64,
    /// Share of datagrams that a bad link loses.
    #[arg(long, default_value_t = 0.02)]
    lossy_loss: f64,
    /// Delay of a bad link, ms.
    #[arg(long, default_value_t = 50)]
    lossy_delay: u64,
    /// Before measuring, s: bandwidth estimates grow in this time.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Measured time, s.
    #[arg(long, default_value_t = 20)]
    duration: u64,
    /// Where to write the report as a page.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Name of the run in reports.
    #[arg(long, default_value = "Load test")]
    title: String,
}

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let load = args.load.load();
    let target = Target {
        url: args.target.url,
        api: Api {
            key: args.target.api_key,
            secret: args.target.api_secret,
        },
        pid: args.target.server_pid,
    };
    let link = LinkSpec {
        loss: args.lossy_loss,
        delay: Duration::from_millis(args.lossy_delay),
    };
    let bad = (args.lossy_share > 0.0).then_some(BadLinks {
        share: args.lossy_share,
        link,
    });
    let mut session = Session::start(&target)?;
    let mut progress = Progress::default();
    progress.say(&format!("{} participants join", load.bots()));
    session.join(&load, args.join_rate, bad).await?;
    session
        .settle(SETTLE, |view| {
            progress.say(&format!(
                "{} connected, {} of {} streams arrive",
                view.connected, view.pairs_live, view.pairs_expected
            ));
        })
        .await?;
    progress.say("warming up");
    tokio::time::sleep(Duration::from_secs(args.warm_up)).await;
    let mut churned = 0.0;
    let mut next_place = 0;
    let time = Duration::from_secs(args.duration);
    let measured = session
        .measure(time, async |session, elapsed| {
            let view = session.look().await?;
            progress.say(&format!(
                "{:.0} of {} s: {} packets, p50 {} us, p99 {} us",
                elapsed.as_secs_f64(),
                time.as_secs(),
                view.counts.delivered,
                view.p50_ns / 1_000,
                view.p99_ns / 1_000
            ));
            churned += args.churn;
            while churned >= 1.0 {
                churned -= 1.0;
                session.replace(&load, next_place % load.bots(), bad)?;
                next_place += 1;
            }
            Ok(())
        })
        .await?;
    if args.churn > 0.0 {
        session.settle(SETTLE, |_| {}).await?;
    }
    let ended = session.stop_and_verify().await?;
    let report = Report::new(&args.title, &load, &measured, &ended);
    if let Some(pss) = target.pid.map(process::pss_kib).transpose()? {
        progress.say(&format!(
            "proportional memory of the server: {} MiB",
            pss / 1_024
        ));
    }
    session.leave().await?;
    progress.end();
    print!("{}", table(&report));
    if let Some(path) = &args.html {
        let text = page(&args.title, &[], std::slice::from_ref(&report));
        std::fs::write(path, text)
            .with_context(|| format!("--html: {} cannot be written", path.display()))?;
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Tells on standard error how a long run goes: one line that changes on a terminal, a line now and then elsewhere.
#[derive(Default)]
pub(crate) struct Progress {
    last: Option<Instant>,
}

impl Progress {
    pub(crate) fn say(&mut self, text: &str) {
        let mut to = std::io::stderr();
        let terminal = to.is_terminal();
        if !terminal
            && self
                .last
                .is_some_and(|last| last.elapsed() < Duration::from_secs(5))
        {
            return;
        }
        self.last = Some(Instant::now());
        // Progress that cannot be shown is no reason to stop.
        let _ = if terminal {
            write!(to, "\r\x1b[K{text}")
        } else {
            writeln!(to, "{text}")
        };
        let _ = to.flush();
    }

    pub(crate) fn end(&mut self) {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
    }
}
