//! What real calls measured, by client network and node, so that a wrong GeoIP entry or a VPN heals by itself.

use std::collections::BTreeMap;

use crate::node::NodeId;
use crate::prefix::Prefix;
use crate::request::Measurement;
use crate::units::{Millis, Share, Timestamp};

/// Bounds and decay of a [`History`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryLimits {
    /// Networks remembered; the one not used for longest gives way.
    pub prefixes: usize,
    /// Nodes remembered for each network; the one not measured for longest gives way.
    pub nodes_per_prefix: usize,
    /// Time after which a measurement weighs half.
    pub half_life: Millis,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            prefixes: 100_000,
            nodes_per_prefix: 16,
            half_life: Millis(6.0 * 3_600_000.0),
        }
    }
}

/// Round trips of real calls (ICE, RTCP) by client network and node. Memory is bounded by [`HistoryLimits`].
#[derive(Clone, Debug)]
pub struct History {
    limits: HistoryLimits,
    rows: BTreeMap<Prefix, Row>,
    by_use: BTreeMap<u64, Prefix>,
    uses: u64,
}

#[derive(Clone, Debug)]
struct Row {
    last_use: u64,
    nodes: Vec<Cell>,
}

#[derive(Clone, Debug)]
struct Cell {
    node: NodeId,
    /// Decayed number of measurements.
    weight: f64,
    mean: f64,
    variance: f64,
    loss: Option<f64>,
    at: Timestamp,
}

/// Measurements whose decayed number is below this say nothing any more.
const FORGOTTEN: f64 = 0.05;
/// Even many calls do not tell a client's delay better than this: neighbours differ.
const LEAST_DEVIATION_MS: f64 = 5.0;
/// What a first measurement is doubted by, as a share of it.
const FIRST_DEVIATION: f64 = 0.2;
/// Beyond this many measurements older ones count less, so that a changed path shows within a few calls.
const MEMORY: f64 = 8.0;

impl History {
    /// An empty table; limits of zero are taken as one.
    pub fn new(limits: HistoryLimits) -> Self {
        let limits = HistoryLimits {
            prefixes: limits.prefixes.max(1),
            nodes_per_prefix: limits.nodes_per_prefix.max(1),
            half_life: Millis(limits.half_life.0.max(1.0)),
        };
        Self {
            limits,
            rows: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// Takes in a round trip that a call measured. Values that are no delay are ignored.
    pub fn record(
        &mut self,
        prefix: Prefix,
        node: &NodeId,
        rtt: Millis,
        loss: Option<Share>,
        now: Timestamp,
    ) {
        if !(rtt.0 > 0.0 && rtt.0 < 60_000.0) {
            return;
        }
        let loss = loss.map(|l| l.0).filter(|l| (0.0..=1.0).contains(l));
        self.touch(prefix);
        let HistoryLimits {
            nodes_per_prefix,
            half_life,
            ..
        } = self.limits;
        let Some(row) = self.rows.get_mut(&prefix) else {
            return;
        };
        if let Some(cell) = row.nodes.iter_mut().find(|c| c.node == *node) {
            cell.take_in(rtt.0, loss, now, half_life);
            return;
        }
        if row.nodes.len() >= nodes_per_prefix
            && let Some(oldest) = (0..row.nodes.len()).min_by_key(|&i| row.nodes[i].at)
        {
            row.nodes.swap_remove(oldest);
        }
        row.nodes.push(Cell::new(node.clone(), rtt.0, loss, now));
    }

    /// What is remembered of a network, for [`Party::history`](crate::Party).
    pub fn recall(&mut self, prefix: Prefix, now: Timestamp) -> Vec<Measurement> {
        if !self.rows.contains_key(&prefix) {
            return Vec::new();
        }
        self.touch(prefix);
        let half_life = self.limits.half_life;
        let Some(row) = self.rows.get(&prefix) else {
            return Vec::new();
        };
        let mut known: Vec<_> = row
            .nodes
            .iter()
            .filter_map(|c| c.recall(now, half_life))
            .collect();
        known.sort_by(|a, b| a.node.cmp(&b.node));
        known
    }

    /// Networks remembered.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes the prefix the one used last, and forgets the one not used for longest if there are too many.
    fn touch(&mut self, prefix: Prefix) {
        self.uses += 1;
        let row = self.rows.entry(prefix).or_insert(Row {
            last_use: 0,
            nodes: Vec::new(),
        });
        self.by_use.remove(&row.last_use);
        row.last_use = self.uses;
        self.by_use.insert(self.uses, prefix);
        if self.rows.len() > self.limits.prefixes
            && let Some((_, unused)) = self.by_use.pop_first()
        {
            self.rows.remove(&unused);
        }
    }
}

impl Cell {
    fn new(node: NodeId, rtt: f64, loss: Option<f64>, at: Timestamp) -> Self {
        let variance = (rtt * FIRST_DEVIATION).powi(2);
        Self {
            node,
            weight: 1.0,
            mean: rtt,
            variance,
            loss,
            at,
        }
    }

    /// An exponentially weighted mean and variance (West 1979), the weight fading with time.
    fn take_in(&mut self, rtt: f64, loss: Option<f64>, now: Timestamp, half_life: Millis) {
        let old = self.faded(now, half_life).min(MEMORY);
        let gain = 1.0 / (old + 1.0);
        let surprise = rtt - self.mean;
        self.mean += gain * surprise;
        self.variance = (1.0 - gain) * (self.variance + gain * surprise * surprise);
        self.loss = match (self.loss, loss) {
            (Some(old), Some(new)) => Some(old + gain * (new - old)),
            (old, new) => new.or(old),
        };
        self.weight = old + 1.0;
        self.at = self.at.max(now);
    }

    fn recall(&self, now: Timestamp, half_life: Millis) -> Option<Measurement> {
        let weight = self.faded(now, half_life);
        (weight >= FORGOTTEN).then(|| Measurement {
            node: self.node.clone(),
            rtt: Millis(self.mean),
            // The spread among clients of the network, doubted more the fewer and older its measurements are.
            deviation: Some(Millis(
                (self.variance * (1.0 + 1.0 / weight))
                    .sqrt()
                    .max(LEAST_DEVIATION_MS),
            )),
            samples: weight.ceil() as u32,
            loss: self.loss.map(Share),
            at: self.at,
        })
    }

    fn faded(&self, now: Timestamp, half_life: Millis) -> f64 {
        self.weight * (-now.since(self.at).0 / half_life.0).exp2()
    }
}
