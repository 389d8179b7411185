//! What a scenario is judged by, and a table of all of them.

use super::world::{Sample, World, mean, variation};
use super::{scenario, stress};

pub(super) const SEEDS: [u64; 3] = [1, 2, 3];

/// Figures of a stretch of time; shares are of the capacity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    name: &'static str,
    /// Seconds until 80 % of the capacity are delivered.
    pub(super) to_80_percent: f64,
    /// What passes the bottleneck, probes left out.
    pub(super) share: f64,
    pub(super) estimate: f64,
    pub(super) least_estimate: f64,
    /// Of the estimate: standard deviation over mean.
    pub(super) variation: f64,
    /// Milliseconds.
    pub(super) queueing_p95: f64,
    /// Share of what was sent in all.
    padding: f64,
}

impl Figures {
    /// `since`: when the clock starts; `from` to `to`: the steady stretch, in seconds.
    pub(super) fn of(
        name: &'static str,
        world: &World,
        capacity: u64,
        since: f64,
        from: f64,
        to: f64,
    ) -> Self {
        let capacity = capacity as f64;
        let steady = world.between(from, to);
        let estimate = |sample: &Sample| sample.estimate;
        let sent: u64 = world
            .samples
            .iter()
            .map(|sample| sample.delivered / 80)
            .sum();
        Self {
            name,
            to_80_percent: world.time_to_deliver(since, 0.8 * capacity),
            share: mean(&steady, |sample| sample.media) / capacity,
            estimate: mean(&steady, estimate) / capacity,
            least_estimate: steady.iter().map(estimate).min().unwrap() as f64 / capacity,
            variation: variation(&steady, estimate),
            queueing_p95: world.queueing_p95(from, to),
            padding: world.padding_sent as f64 / sent as f64,
        }
    }
}

/// The worst of each figure; the estimate is worst when it is highest.
pub(super) fn worst(runs: impl IntoIterator<Item = Figures>) -> Figures {
    runs.into_iter()
        .reduce(|one, other| Figures {
            name: one.name,
            to_80_percent: one.to_80_percent.max(other.to_80_percent),
            share: one.share.min(other.share),
            estimate: one.estimate.max(other.estimate),
            least_estimate: one.least_estimate.min(other.least_estimate),
            variation: one.variation.max(other.variation),
            queueing_p95: one.queueing_p95.max(other.queueing_p95),
            padding: one.padding.max(other.padding),
        })
        .unwrap()
}

/// `cargo test -p tradewind-rtc --lib congestion::tests::figures -- --ignored --nocapture`
#[test]
#[ignore = "prints the figures of all scenarios, each of which is a test of its own"]
fn all_scenarios_in_a_table() {
    let rows = [
        worst(SEEDS.map(scenario::wide_link)),
        worst(SEEDS.map(scenario::very_wide_link)),
        worst(SEEDS.map(scenario::narrow_link)),
        worst(SEEDS.map(scenario::step_down)),
        worst(SEEDS.map(scenario::step_up)),
        worst(SEEDS.map(scenario::lowered_demand)),
        worst(SEEDS.map(scenario::limited_sender)),
        worst(SEEDS.map(scenario::limited_sender_on_a_falling_link)),
        worst(SEEDS.map(scenario::limited_sender_with_jitter)),
        worst(SEEDS.map(stress::two_percent)),
        worst(SEEDS.map(stress::ten_percent)),
        worst(SEEDS.map(stress::bursts)),
        worst(SEEDS.map(stress::shallow_queue)),
        worst(SEEDS.map(stress::far_away)),
        worst(SEEDS.map(stress::farther)),
        worst(SEEDS.map(stress::reordering)),
        worst(SEEDS.map(stress::jitter)),
        worst(SEEDS.map(stress::key_frames)),
        worst(SEEDS.map(|seed| stress::silence(seed).1)),
    ];
    println!(
        "| worst of three seeds | s to 80 % | media share | estimate | least | variation | queue p95 ms | padding |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        println!(
            "| {} | {:.1} | {:.2} | {:.2} | {:.2} | {:.3} | {:.0} | {:.1} % |",
            row.name,
            row.to_80_percent,
            row.share,
            row.estimate,
            row.least_estimate,
            row.variation,
            row.queueing_p95,
            row.padding * 100.0
        );
    }
}
