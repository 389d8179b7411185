//! `tradewind-loadtest run`.

use std::time::Duration;

use clap::Args;

use crate::bot::link::LinkSpec;
use crate::plan::{Load, Shape};
use crate::session::{BadLinks, Session, Target};
use crate::signal::Api;

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Server, as SDKs are given it.
    #[arg(long, default_value = "ws://127.0.0.1:7880")]
    url: String,
    #[arg(long, default_value = "devkey")]
    api_key: String,
    #[arg(long, default_value = "secret")]
    api_secret: String,
    /// Process whose CPU time and memory are read.
    #[arg(long)]
    server_pid: Option<u32>,
    #[arg(long, value_enum, default_value = "calls")]
    shape: Shape,
    #[arg(long, default_value_t = 1)]
    rooms: u32,
    /// In each room; calls have two.
    #[arg(long, default_value_t = 2)]
    participants: u32,
    #[arg(long, default_value_t = 10)]
    duration: u64,
}

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let load = Load {
        shape: args.shape,
        rooms: args.rooms,
        participants: args.participants,
        video_tracks: 1,
        audio_tracks: 1,
        fps: 30,
        packets_per_frame: 10,
        packet_bytes: 1200,
        audio_bytes: 100,
        message_rate: 10,
        message_bytes: 100,
        reliable: false,
    };
    let target = Target { url: args.url, api: Api { key: args.api_key, secret: args.api_secret }, pid: args.server_pid };
    let mut session = Session::start(&target)?;
    let bad: Option<BadLinks> = None;
    let _ = LinkSpec { loss: 0.0, delay: Duration::ZERO };
    session.join(&load, 50.0, bad).await?;
    session.settle(Duration::from_secs(20), |v| eprintln!("{} {}/{}", v.connected, v.pairs_live, v.pairs_expected)).await?;
    let m = session.measure(Duration::from_secs(args.duration), async |s, _| { let v = s.look().await?; eprintln!("{:?}", v.counts); Ok(()) }).await?;
    let e = session.stop_and_verify().await?;
    println!("{:?} {:?} gen {} p50 {} p99 {}", m.window.counts, m.server_cpu_ns.map(|n| n / m.window.counts.delivered.max(1)), m.generator_cpu_ns / m.window.counts.delivered.max(1), m.window.latency.value_at_quantile(0.5), m.window.latency.value_at_quantile(0.99));
    println!("{:?} {} {} {}", e.verification, e.generator_drops, e.server_drops, e.clock_moved_ns);
    session.leave().await
}
