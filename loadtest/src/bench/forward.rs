//! Cost per packet, latency, memory and joins, beside a floor measured in the same run on the same core.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::MachineArgs;
use super::floor::{self, Sink};
use super::rig::{self, Rate, Rig, video};
use super::server::{run_ahead, stay_on_core};
use crate::plan::{Load, Shape};
use crate::report::{Report, page, table};
use crate::run::Progress;

/// Frames a second of one to 50 beside the floor, which sends as many frames to as many destinations: 1,000 packets a
/// second each.
const BESIDE_FLOOR_FPS: u32 = 100;
/// Rooms of one to 50 at 30 frames a second: as many packets a second as one to 500.
const FANOUT_ROOMS: u32 = 10;
const LATENCY_SHARE: f64 = 0.7;
/// Rooms of two idle participants. What a node takes once, whoever joins, shows in the few.
const FEW_IDLE_ROOMS: u32 = 20;
const IDLE_ROOMS: u32 = 170;
/// Meetings of five, of streams of 860 kbit/s. In larger fan-outs and bursts a packet waits longer for the others of its
/// own frame than for anything else, whatever the server does; `p50_us_bursts_to_50` tells of those.
const LATENCY_ROOMS: u32 = 20;

#[derive(Args)]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Floor and server phases, one after the other; medians count.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each server phase.
    #[arg(long, default_value_t = 3)]
    phase: u64,
}

/// The last line.
#[derive(Serialize)]
struct Figures {
    ns_per_packet: f64,
    limit_ns_per_packet: f64,
    /// Median of the rounds' own ratios, for the machine's speed drifts from round to round.
    ratio_to_limit: f64,
    /// Cost of a packet in ten rooms of 50, whose state no cache holds.
    ns_per_packet_ten_rooms: f64,
    naive_ns_per_packet: f64,
    naive_ratio: f64,
    packets_per_cpu_second: f64,
    p50_us: f64,
    p99_us: f64,
    latency_server_share: f64,
    p50_us_bursts_to_50: f64,
    p99_us_bursts_to_50: f64,
    kib_per_participant: f64,
    kib_per_participant_idle: f64,
    kib_per_participant_active: f64,
    joins_per_cpu_second: f64,
    meeting25_cost_ratio: f64,
    fanout500_cost_ratio: f64,
    generator_ns_per_packet: f64,
    /// Multiples of 30 frames a second that were measured, where a core could not carry more.
    rate_fanout50: f64,
    rate_ten_rooms: f64,
    rate_fanout500: f64,
    rate_meeting25: f64,
    /// Server, floor and generator ran ahead of everything else on the machine.
    realtime: bool,
    exact: bool,
    void: Vec<String>,
}

pub(crate) async fn run(args: ForwardArgs) -> anyhow::Result<()> {
    let machine = &args.machine;
    stay_on_core(machine.generator_core, machine.nice)?;
    let realtime = run_ahead(machine);
    let phase = Duration::from_secs(args.phase);
    let mut progress = Progress::default();

    progress.say("joins and idle participants");
    let (few, _) = idle(machine, FEW_IDLE_ROOMS).await?;
    let (many, join_cpu_ns) = idle(machine, IDLE_ROOMS).await?;
    let kib_idle = (many - few) / f64::from(2 * (IDLE_ROOMS - FEW_IDLE_ROOMS));
    let joins_per_cpu_second = f64::from(2 * IDLE_ROOMS) / (join_cpu_ns as f64 / 1e9);

    progress.say("one to 50, beside the floor");
    let sink = Sink::start()?;
    let beside_floor_load = Load {
        fps: BESIDE_FLOOR_FPS,
        ..video(Shape::Fanout, 1, 51)
    };
    let mut rig = Rig::start(machine, &beside_floor_load, None).await?;
    rig.run_at(Rate::Nominal).await?;
    let rate_fanout50 = rig.rate;
    let mut rounds = Vec::new();
    let mut last = None;
    for _ in 0..args.rounds.max(1) {
        rig.quiet()?;
        let floor = floor::measure(machine, &sink, false)?.ns_per_packet();
        let naive = floor::measure(machine, &sink, true)?.ns_per_packet();
        rig.resume().await?;
        let measured = rig.measure(phase).await?;
        let cpu_ns = measured.server_cpu_ns.context("the server's CPU time")?;
        let cost = cpu_ns as f64 / measured.window.counts.delivered.max(1) as f64;
        rounds.push(Round { floor, naive, cost });
        last = Some(measured);
    }
    let last = last.context("at least one round")?;
    let fanout50 = rig.finish("One to 50", &last).await?;
    drop(sink);
    let ns = median(rounds.iter().map(|round| round.cost));

    progress.say("ten rooms of one to 50");
    let ten_rooms_load = video(Shape::Fanout, FANOUT_ROOMS, 51);
    let ten_rooms = rig::measure(
        machine,
        "One to 50, ten rooms",
        &ten_rooms_load,
        Rate::Nominal,
        phase,
        None,
    )
    .await?;

    progress.say("latency at 70 % of a core");
    let busy_load = Load {
        packets_per_frame: 3,
        ..video(Shape::Meeting, LATENCY_ROOMS, 5)
    };
    let busy = rig::measure(
        machine,
        "Meetings of five at 70 % of a core",
        &busy_load,
        Rate::Share(LATENCY_SHARE),
        2 * phase,
        None,
    )
    .await?;

    progress.say("one to 500");
    let fanout500_load = video(Shape::Fanout, 1, 501);
    let fanout500 = rig::measure(
        machine,
        "One to 500",
        &fanout500_load,
        Rate::Nominal,
        phase,
        None,
    )
    .await?;
    // Everybody receives 24 streams: three packets a frame, 860 kbit/s each, the same in the calls beside it.
    progress.say("a meeting of 25");
    let meeting_load = Load {
        packets_per_frame: 3,
        ..video(Shape::Meeting, 1, 25)
    };
    let meeting = rig::measure(
        machine,
        "A meeting of 25",
        &meeting_load,
        Rate::Nominal,
        phase,
        None,
    )
    .await?;
    progress.say("calls of two");
    let calls_load = Load {
        packets_per_frame: 3,
        ..video(Shape::Calls, 60, 2)
    };
    let rate = Rate::Fixed(meeting.rate);
    let calls = rig::measure(machine, "60 calls of two", &calls_load, rate, phase, None).await?;
    progress.end();

    let cost = |report: &Report| report.ns_per_packet.unwrap_or(f64::NAN);
    let reports = [
        fanout50,
        ten_rooms.report,
        busy.report,
        fanout500.report,
        meeting.report,
        calls.report,
    ];
    let [
        of_fanout50,
        of_ten_rooms,
        busy,
        of_fanout500,
        of_meeting,
        of_calls,
    ] = &reports;
    let void = reports.iter().flat_map(|report| {
        report
            .void
            .iter()
            .map(|reason| format!("{}: {reason}", report.title))
    });
    let figures = Figures {
        ns_per_packet: round(ns),
        limit_ns_per_packet: round(median(rounds.iter().map(|round| round.floor))),
        ratio_to_limit: round(median(rounds.iter().map(|round| round.cost / round.floor))),
        ns_per_packet_ten_rooms: round(cost(of_ten_rooms)),
        naive_ns_per_packet: round(median(rounds.iter().map(|round| round.naive))),
        naive_ratio: round(median(rounds.iter().map(|round| round.naive / round.cost))),
        packets_per_cpu_second: (1e9 / ns).round(),
        p50_us: busy.latency.p50_us,
        p99_us: busy.latency.p99_us,
        latency_server_share: round(busy.server_cpu_share.unwrap_or_default()),
        p50_us_bursts_to_50: of_fanout50.latency.p50_us,
        p99_us_bursts_to_50: of_fanout50.latency.p99_us,
        kib_per_participant: round(ten_rooms.kib_per_participant),
        kib_per_participant_idle: round(kib_idle),
        kib_per_participant_active: round(ten_rooms.kib_per_participant),
        joins_per_cpu_second: round(joins_per_cpu_second),
        meeting25_cost_ratio: round(cost(of_meeting) / cost(of_calls)),
        fanout500_cost_ratio: round(cost(of_fanout500) / cost(of_ten_rooms)),
        generator_ns_per_packet: round(of_fanout500.generator_ns_per_packet),
        rate_fanout50: round(rate_fanout50),
        rate_ten_rooms: round(ten_rooms.rate),
        rate_fanout500: round(fanout500.rate),
        rate_meeting25: round(meeting.rate),
        realtime,
        exact: reports.iter().all(|report| report.exact),
        void: void.collect(),
    };
    for report in &reports {
        println!("{}\n{}", report.title, table(report));
    }
    if let Some(path) = &machine.html {
        std::fs::write(path, page("Forwarding", &[], &reports))?;
    }
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Lets participants join and stay silent; gives back how much memory that took, KiB, and CPU time, ns.
async fn idle(machine: &MachineArgs, rooms: u32) -> anyhow::Result<(f64, u64)> {
    let load = video(Shape::Idle, rooms, 2);
    let rig = Rig::start(machine, &load, None).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kib = rig.kib_per_participant()? * f64::from(load.bots());
    Ok((kib, rig.join_cpu_ns))
}

/// Costs of a packet, ns, one after the other.
struct Round {
    floor: f64,
    naive: f64,
    cost: f64,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To three decimals, for reading.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
