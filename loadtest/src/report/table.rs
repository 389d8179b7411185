//! The table for people.

use std::fmt::Write;

use super::Report;

/// A run as lines of text.
pub(crate) fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<28} {value}");
    };
    let (counts, verification, latency) = (&report.counts, &report.verification, &report.latency);
    line(
        "shape",
        format!(
            "{:?}, {} rooms of {}",
            report.load.shape, report.load.rooms, report.load.participants
        ),
    );
    line("measured", format!("{:.1} s", report.seconds));
    line(
        "delivered",
        format!(
            "{:.0} packets/s, {:.1} Mbit/s",
            report.delivered_per_s, report.megabit_per_s
        ),
    );
    if let (Some(ns), Some(per_second), Some(share)) = (
        report.ns_per_packet,
        report.packets_per_cpu_second,
        report.server_cpu_share,
    ) {
        line(
            "server",
            format!(
                "{ns:.0} ns per packet, {per_second:.0} packets per CPU-second, {:.0} % of a core",
                share * 100.0
            ),
        );
        for thread in report.server_threads.iter().take(4) {
            line(
                "",
                format!("{:>6} ms in thread {}", thread.cpu_ms, thread.name),
            );
        }
    }
    if let Some((before, after)) = report.server_rss_kib {
        line(
            "server memory",
            format!("{} MiB, at the end {} MiB", before / 1_024, after / 1_024),
        );
    }
    line(
        "latency",
        format!(
            "p50 {:.0} us, p90 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, most {:.0} us",
            latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us
        ),
    );
    line(
        "generator",
        format!(
            "{:.0} ns per packet, {:.0} % of a core, frames late by p50 {:.0} us, p99 {:.0} us",
            report.generator_ns_per_packet,
            report.generator_cpu_share * 100.0,
            report.lateness_p50_us,
            report.lateness_p99_us
        ),
    );
    line(
        "missing",
        format!(
            "{} payloads; {} of {} streams silent",
            verification.missing, verification.pairs_silent, verification.pairs_expected
        ),
    );
    line(
        "duplicate, wrong, late",
        format!("{}, {}, {}", counts.duplicate, counts.wrong, counts.late),
    );
    line(
        "bad layer switches",
        format!("{} of {}", counts.bad_switches, verification.layer_switches),
    );
    line("undecipherable", counts.undecipherable.to_string());
    if verification.received_behind_bad_links > 0 {
        line(
            "behind bad links",
            format!(
                "{} received, {} lost for good, {} repaired",
                verification.received_behind_bad_links,
                verification.missing_behind_bad_links,
                counts.repaired
            ),
        );
    }
    line(
        "probes",
        format!("{} packets of padding or repetition", counts.probes),
    );
    line(
        "dropped by sockets",
        format!(
            "server {}, generator {}",
            report.server_drops, report.generator_drops
        ),
    );
    line(
        "exact",
        if report.exact {
            "yes".into()
        } else {
            "NO".into()
        },
    );
    for reason in &report.void {
        line("VOID", reason.clone());
    }
    text
}
