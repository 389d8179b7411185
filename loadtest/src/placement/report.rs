//! Sums over calls, and the lines printed.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Busy;
use super::client::Probes;
use super::scenario::Scenario;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) policy: &'static str,
    /// None for policies that do not measure.
    pub(super) probes: Option<Probes>,
}

/// How one call fared.
pub(super) struct Outcome {
    pub(super) delay_ms: f64,
    pub(super) oracle_ms: f64,
    pub(super) fibre_ms: f64,
    pub(super) two_nodes: bool,
    pub(super) violations: u64,
}

/// Sums over the calls of one policy; delays in whole µs, so that they add up alike in any order.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    calls: u64,
    delays_us: Histogram<u64>,
    delay_us: i64,
    regret_us: i64,
    fibre_us: i64,
    two_nodes: u64,
    violations: u64,
    pub(super) refused: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            calls: 0,
            // Three digits from 1 µs to the minute that delays are cut off at.
            delays_us: Histogram::new_with_bounds(1, 60_000_000, 3)
                .unwrap_or_else(|_| unreachable!("these bounds are allowed")),
            delay_us: 0,
            regret_us: 0,
            fibre_us: 0,
            two_nodes: 0,
            violations: 0,
            refused: 0,
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.calls += 1;
        self.violations += outcome.violations;
        self.two_nodes += u64::from(outcome.two_nodes);
        let us = |ms: f64| (ms.min(60_000.0) * 1e3).round() as i64;
        self.delay_us += us(outcome.delay_ms);
        self.regret_us += us(outcome.delay_ms) - us(outcome.oracle_ms);
        self.fibre_us += us(outcome.fibre_ms);
        self.delays_us
            .saturating_record(us(outcome.delay_ms) as u64);
    }

    fn mean(&self, sum_us: i64) -> f64 {
        sum_us as f64 / 1e3 / self.calls.max(1) as f64
    }

    fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.calls += other.calls;
        self.delays_us.add(&other.delays_us)?;
        self.delay_us += other.delay_us;
        self.regret_us += other.regret_us;
        self.fibre_us += other.fibre_us;
        self.two_nodes += other.two_nodes;
        self.violations += other.violations;
        self.refused += other.refused;
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    by_key: BTreeMap<Key, Tally>,
    /// Calls that no node could carry, whatever the policy.
    pub(super) impossible: u64,
    /// Time in our decisions.
    pub(super) busy: Busy,
}

impl Busy {
    pub(super) fn add(&mut self, time: Duration) {
        self.times += 1;
        self.total += time;
    }
}

impl Tallies {
    pub(super) fn of(&mut self, key: Key) -> &mut Tally {
        self.by_key.entry(key).or_insert_with(Tally::new)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Tally)> {
        self.by_key.iter()
    }

    pub(super) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        for (key, tally) in other.by_key {
            self.of(key).merge(&tally)?;
        }
        self.impossible += other.impossible;
        self.busy.times += other.busy.times;
        self.busy.total += other.busy.total;
        Ok(())
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The JSON line of one policy in one scenario.
pub(super) fn line(world: &str, scenario: Scenario, key: Key, tally: &Tally) -> Value {
    let percentile = |q| rounded(tally.delays_us.value_at_quantile(q) as f64 / 1e3);
    json!({
        "world": world,
        "scenario": scenario.name(),
        "policy": key.policy,
        "probes": probes(key),
        "calls": tally.calls,
        "mean_ms": rounded(tally.mean(tally.delay_us)),
        "p50_ms": percentile(0.5),
        "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99),
        "ratio_to_fibre": rounded(tally.delay_us as f64 / tally.fibre_us.max(1) as f64),
        "two_node_share": rounded(tally.two_nodes as f64 / tally.calls.max(1) as f64),
        "regret_ms": rounded(tally.mean(tally.regret_us)),
        "violations": tally.violations,
        "refused": tally.refused,
    })
}

fn probes(key: Key) -> &'static str {
    match key.probes {
        None => "none",
        Some(Probes::True) => "true",
        Some(Probes::Noisy) => "noisy",
        Some(Probes::NoisyThree) => "noisy_three",
    }
}

/// The figures that count, over all worlds and scenarios.
#[derive(Debug, Default)]
pub(super) struct Summary {
    placements: u64,
    violations: u64,
    refused: u64,
    impossible: u64,
    regret_true: f64,
    regret_noisy: f64,
    regret_noisy_three: f64,
    two_node_share: f64,
    gain_over_first_joiner: Vec<(String, f64)>,
    busy: Busy,
}

impl Summary {
    pub(super) fn add(&mut self, world: &str, scenario: Scenario, tallies: &Tallies) {
        self.impossible += tallies.impossible;
        self.busy.times += tallies.busy.times;
        self.busy.total += tallies.busy.total;
        for (key, tally) in tallies.iter().filter(|(key, _)| key.is_ours()) {
            self.placements += tally.calls;
            self.violations += tally.violations;
            self.refused += tally.refused;
            let regret = tally.mean(tally.regret_us);
            let most = match key.probes {
                Some(Probes::Noisy) => &mut self.regret_noisy,
                Some(Probes::NoisyThree) => &mut self.regret_noisy_three,
                Some(Probes::True) | None => &mut self.regret_true,
            };
            *most = most.max(regret);
            self.two_node_share = self
                .two_node_share
                .max(tally.two_nodes as f64 / tally.calls.max(1) as f64);
            let first = Key {
                policy: "first_joiners_nearest",
                probes: key.probes,
            };
            if let (Scenario::AnyToAny, Some(first)) = (scenario, tallies.by_key.get(&first)) {
                let gain = first.mean(first.delay_us) - tally.mean(tally.delay_us);
                self.gain_over_first_joiner
                    .push((format!("{world}, {} probes", probes(*key)), rounded(gain)));
            }
        }
    }

    /// The last line. "Worst" is over worlds and scenarios.
    pub(super) fn line(&self, run_time: Duration) -> Value {
        let busy = self.busy.total.as_secs_f64().max(1e-9);
        json!({
            "summary": "placement",
            "note": "with modelled last mile",
            "placements": self.placements,
            "violations": self.violations,
            "refused": self.refused,
            "impossible_calls": self.impossible,
            "worst_regret_true_ms": rounded(self.regret_true),
            "worst_regret_noisy_ms": rounded(self.regret_noisy),
            "worst_regret_noisy_three_ms": rounded(self.regret_noisy_three),
            "worst_two_node_share": rounded(self.two_node_share),
            "gain_over_first_joiner_any_to_any_ms": self.gain_over_first_joiner.iter().cloned().collect::<BTreeMap<_, _>>(),
            "mean_decision_us": rounded(busy * 1e6 / self.busy.times.max(1) as f64),
            "decisions_per_second_per_thread": (self.busy.times as f64 / busy).round(),
            "run_seconds": rounded(run_time.as_secs_f64()),
        })
    }
}
