//! What a run gave: figures, a table for people, one line for machines, a page.

mod page;
mod table;

use hdrhistogram::Histogram;
use serde::Serialize;

pub(crate) use self::page::{Curve, page};
pub(crate) use self::table::table;
use crate::engine::Verification;
use crate::plan::Load;
use crate::process::{self, ThreadTime};
use crate::session::{Ended, Measured};
use crate::tally::Counts;

/// A run in which frames left later than this (99th percentile) measured the generator, us.
const MAX_LATENESS_US: f64 = 10_000.0;
/// A run in which the wall clock was moved by more is void, ns.
const MAX_CLOCK_MOVE_NS: u64 = 2_000_000;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) load: Load,
    pub(crate) seconds: f64,
    pub(crate) participants: u32,
    pub(crate) delivered_per_s: f64,
    pub(crate) megabit_per_s: f64,
    /// CPU time of the server per delivered packet, all its threads, ns.
    pub(crate) ns_per_packet: Option<f64>,
    pub(crate) packets_per_cpu_second: Option<f64>,
    /// Of one core.
    pub(crate) server_cpu_share: Option<f64>,
    pub(crate) server_threads: Vec<ThreadTime>,
    pub(crate) server_rss_kib: Option<(u64, u64)>,
    pub(crate) generator_cpu_share: f64,
    pub(crate) generator_ns_per_packet: f64,
    pub(crate) latency: Latency,
    /// How late frames left the generator, us.
    pub(crate) lateness_p50_us: f64,
    pub(crate) lateness_p99_us: f64,
    pub(crate) counts: Counts,
    pub(crate) verification: Verification,
    pub(crate) generator_drops: u64,
    pub(crate) server_drops: u64,
    /// Every payload came once, whole and to the right receivers, and the generator kept up.
    pub(crate) exact: bool,
    /// Why nothing can be concluded from the run.
    pub(crate) void: Vec<String>,
}

/// From a bot's send call to the arrival at another bot's socket, us.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// Latency at each percentile from 0 to 100, for drawing.
    #[serde(skip)]
    pub(crate) percentiles_us: Vec<f64>,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0),
            percentiles_us: (0..=100)
                .map(|percent| at(f64::from(percent) / 100.0))
                .collect(),
        }
    }
}

impl Report {
    pub(crate) fn new(title: &str, load: &Load, measured: &Measured, ended: &Ended) -> Self {
        let counts = &measured.window.counts;
        let delivered = counts.delivered.max(1) as f64;
        let ns_per_packet = measured.server_cpu_ns.map(|ns| ns as f64 / delivered);
        let (before, after) = (measured.before.as_ref(), measured.after.as_ref());
        let lateness = Latency::of(&measured.window.lateness);
        let verification = ended.verification.clone();
        let mut void = Vec::new();
        if lateness.p99_us > MAX_LATENESS_US {
            void.push(format!(
                "the generator lagged: 1 % of frames left more than {:.1} ms late",
                lateness.p99_us / 1_000.0
            ));
        }
        if ended.generator_drops > 0 {
            void.push(format!(
                "the generator's sockets dropped {} datagrams it did not read in time",
                ended.generator_drops
            ));
        }
        if ended.view.counts.send_failures > 0 {
            void.push(format!(
                "the kernel refused {} sends of the generator",
                ended.view.counts.send_failures
            ));
        }
        if ended.clock_moved_ns > MAX_CLOCK_MOVE_NS {
            void.push(format!(
                "the wall clock was moved by {} us",
                ended.clock_moved_ns / 1_000
            ));
        }
        let faults = &ended.view.counts;
        let faultless =
            faults.duplicate + faults.wrong + faults.bad_switches + faults.undecipherable == 0
                && verification.missing + verification.pairs_silent == 0
                && ended.view.failed == 0;
        Self {
            title: title.into(),
            load: load.clone(),
            seconds: measured.seconds,
            participants: ended.view.connected,
            delivered_per_s: counts.delivered as f64 / measured.seconds,
            megabit_per_s: counts.delivered_bytes as f64 * 8.0 / 1e6 / measured.seconds,
            ns_per_packet,
            packets_per_cpu_second: ns_per_packet.map(|ns| 1e9 / ns),
            server_cpu_share: measured
                .server_cpu_ns
                .map(|ns| ns as f64 / 1e9 / measured.seconds),
            server_threads: before
                .zip(after)
                .map(|(before, after)| process::thread_times(before, after))
                .unwrap_or_default(),
            server_rss_kib: before
                .zip(after)
                .map(|(before, after)| (before.rss_kib, after.rss_kib)),
            generator_cpu_share: measured.generator_cpu_ns as f64 / 1e9 / measured.seconds,
            generator_ns_per_packet: measured.generator_cpu_ns as f64 / delivered,
            latency: Latency::of(&measured.window.latency),
            lateness_p50_us: lateness.p50_us,
            lateness_p99_us: lateness.p99_us,
            counts: Counts {
                delivered: counts.delivered,
                delivered_bytes: counts.delivered_bytes,
                sent: counts.sent,
                sent_bytes: counts.sent_bytes,
                ..faults.clone()
            },
            verification,
            generator_drops: ended.generator_drops,
            server_drops: ended.server_drops,
            exact: faultless && void.is_empty(),
            void,
        }
    }
}
