//! Cost and latency against what grows: calls, subscribers, tracks, packet sizes, bad links.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::MachineArgs;
use super::rig::{self, Rate, video};
use super::server::{run_ahead, stay_on_core};
use crate::bot::link::LinkSpec;
use crate::plan::{Load, Shape};
use crate::report::{Curve, Report, page};
use crate::run::Progress;
use crate::session::BadLinks;

#[derive(Args)]
pub(crate) struct CurvesArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Where to write the figures, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Participants at most; each takes memory of the server and of the generator.
    #[arg(long, default_value_t = 2_000)]
    most: u32,
    /// Seconds measured at each point.
    #[arg(long, default_value_t = 4)]
    phase: u64,
}

/// One curve to measure.
struct Series {
    title: &'static str,
    across: &'static str,
    points: Vec<Point>,
}

struct Point {
    across: f64,
    load: Load,
    bad: Option<BadLinks>,
}

#[derive(Serialize)]
struct Measured {
    series: &'static str,
    across: f64,
    rate: f64,
    kib_per_participant: f64,
    report: Report,
}

pub(crate) async fn run(args: CurvesArgs) -> anyhow::Result<()> {
    let machine = &args.machine;
    stay_on_core(machine.generator_core, machine.nice)?;
    run_ahead(machine);
    let mut progress = Progress::default();
    let (mut all, mut curves, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for series in series(args.most) {
        let (mut cost, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
        for point in series.points {
            let title = format!("{}: {}", series.title, point.across);
            progress.say(&title);
            let time = Duration::from_secs(args.phase);
            let outcome =
                rig::measure(machine, &title, &point.load, Rate::Nominal, time, point.bad)
                    .await
                    .with_context(|| title.clone())?;
            let report = outcome.report;
            cost.push((point.across, report.ns_per_packet.unwrap_or_default()));
            p50.push((point.across, report.latency.p50_us));
            p99.push((point.across, report.latency.p99_us));
            reports.push(report.clone());
            all.push(Measured {
                series: series.title,
                across: point.across,
                rate: outcome.rate,
                kib_per_participant: outcome.kib_per_participant,
                report,
            });
        }
        for (what, up, points) in [
            ("cost", "ns per packet", cost),
            ("p50", "us", p50),
            ("p99", "us", p99),
        ] {
            let title = format!("{}: {what}", series.title);
            curves.push(Curve {
                title,
                across: series.across.into(),
                up: up.into(),
                points,
            });
        }
    }
    progress.end();
    println!(
        "{:<22} {:>8} {:>10} {:>12} {:>10} {:>10} {:>8} {:>6}",
        "", "", "ns/packet", "packets/s", "p50 us", "p99 us", "KiB each", "exact"
    );
    for one in &all {
        let report = &one.report;
        println!(
            "{:<22} {:>8} {:>10.0} {:>12.0} {:>10.0} {:>10.0} {:>8.0} {:>6}",
            one.series,
            one.across,
            report.ns_per_packet.unwrap_or_default(),
            report.delivered_per_s,
            report.latency.p50_us,
            report.latency.p99_us,
            one.kib_per_participant,
            if report.exact { "yes" } else { "NO" }
        );
    }
    if let Some(path) = &machine.html {
        std::fs::write(path, page("Cost curves", &curves, &reports))?;
    }
    let json = serde_json::to_string(&all)?;
    match &args.json {
        Some(path) => std::fs::write(path, json)?,
        None => println!("{json}"),
    }
    Ok(())
}

fn series(most: u32) -> Vec<Series> {
    let point = |across: u32, load| Point {
        across: across.into(),
        load,
        bad: None,
    };
    let calls = [1, 5, 20, 100, 300, 1_000]
        .into_iter()
        .filter(|calls| calls * 2 <= most);
    let subscribers = [1, 5, 20, 50, 100, 200, 500]
        .into_iter()
        .filter(|subscribers| subscribers < &most);
    let tracks = [1, 2, 5, 10, 25, 50, 100];
    let sizes = [100, 300, 600, 900, 1_200];
    let bad = [0, 5, 10, 20, 50];
    vec![
        Series {
            title: "calls of two",
            across: "calls",
            points: calls
                .map(|calls| point(calls, video(Shape::Calls, calls, 2)))
                .collect(),
        },
        Series {
            title: "subscribers",
            across: "subscribers of one sender",
            points: subscribers
                .map(|count| point(count, video(Shape::Fanout, 1, count + 1)))
                .collect(),
        },
        Series {
            title: "tracks",
            across: "tracks of one sender to four subscribers",
            // The same number of packets in all: more tracks, fewer frames each.
            points: tracks
                .map(|count| {
                    let fps = (60 / count).max(1);
                    point(
                        count,
                        Load {
                            video_tracks: count,
                            fps,
                            ..video(Shape::Fanout, 2, 5)
                        },
                    )
                })
                .into(),
        },
        Series {
            title: "packet size",
            across: "bytes of payload",
            points: sizes
                .map(|bytes| {
                    point(
                        bytes,
                        Load {
                            packet_bytes: bytes as usize,
                            ..video(Shape::Fanout, 2, 51)
                        },
                    )
                })
                .into(),
        },
        Series {
            title: "bad links",
            across: "% of subscribers that lose 2 % and have 50 ms",
            points: bad
                .map(|percent| Point {
                    across: percent.into(),
                    load: video(Shape::Fanout, 1, 101),
                    bad: (percent > 0).then(|| BadLinks {
                        share: f64::from(percent) / 100.0,
                        link: LinkSpec {
                            loss: 0.02,
                            delay: Duration::from_millis(50),
                        },
                    }),
                })
                .into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::series;

    #[test]
    fn no_point_has_more_participants_than_allowed() {
        for most in [100, 600, 2_000] {
            assert!(
                series(most)
                    .iter()
                    .flat_map(|series| &series.points)
                    .all(|point| point.load.bots() <= most.max(102))
            );
        }
    }
}
