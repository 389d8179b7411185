//! When to probe, and at what bitrate: at the start, when more is wanted than the estimate, and now and then while it stays so.

use super::cluster::{Cluster, Outcome};
use super::history::Sent;
use super::time::Micros;

/// The first two probes, in multiples of the first estimate.
const FIRST: [u64; 2] = [3, 6];
/// A later one, in multiples of the estimate or of what the probe before it showed.
const STEP: u64 = 2;
/// A probe that finds again what was lost is no larger than this, in multiples of the estimate.
const MAX_STEP: u64 = 3;
/// How much more than what is wanted is looked for.
const MARGIN: f64 = 1.2;
/// A probe that reached this share of its bitrate makes the next one worth sending.
const REACHED: f64 = 0.7;
/// Probes by less than this much more than the estimate are not worth sending.
const WORTHWHILE: f64 = 1.05;
const INTERVAL: Micros = Micros::from_millis(5_000);
const MAX_INTERVAL: Micros = Micros::from_millis(10_000);
/// After the estimate fell, and between probes because more is wanted.
const PAUSE: Micros = Micros::from_millis(3_000);
const DEMAND_PAUSE: Micros = Micros::from_millis(1_000);
const RETRY: Micros = Micros::from_millis(500);
/// An unanswered probe failed.
const MAX_FLIGHT: Micros = Micros::from_millis(2_000);
/// A fall to less than this share is a large one.
const LARGE_FALL: f64 = 0.66;

/// What a decision to probe rests on; bits per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) estimate: u64,
    pub(super) demand: u64,
    /// The receiver gives feedback.
    pub(super) heard: bool,
    /// Media flows.
    pub(super) live: bool,
    /// No queue builds up, and loss did not make the bitrate fall.
    pub(super) clear: bool,
}

#[derive(Debug, Default)]
pub(super) struct Prober {
    current: Option<Cluster>,
    flying: [Option<(Micros, Cluster)>; 2],
    /// Bitrates of the next two probes, and when they were decided on.
    pending: [Option<u64>; 2],
    decided: Micros,
    last_id: u8,
    begun: bool,
    /// When to look whether a probe is called for; `None` = only feedback brings it up again.
    due: Option<Micros>,
    interval: Micros,
    last_probe: Option<Micros>,
    probed_demand: u64,
    /// The estimate before a large fall.
    fallen_from: Option<u64>,
}

impl Prober {
    /// More or less is wanted.
    pub(super) fn demand_changed(&mut self, now: Micros, situation: Situation) {
        let rose = situation.demand as f64 > self.probed_demand as f64 * 1.1;
        self.probed_demand = self.probed_demand.min(situation.demand);
        if rose && situation.demand > situation.estimate {
            let soonest = self
                .last_probe
                .map_or(now, |last| now.max(last + DEMAND_PAUSE));
            self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
        }
        if situation.demand <= situation.estimate {
            self.pending = [None; 2];
        }
        self.decide(now, situation);
    }

    /// Decides on probes if they are due.
    pub(super) fn decide(&mut self, now: Micros, situation: Situation) {
        let Situation {
            estimate, demand, ..
        } = situation;
        if demand <= estimate || self.is_busy() {
            return;
        }
        if self.due.is_none() && situation.heard && situation.live {
            self.due = Some(now + RETRY);
        }
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        if !self.begun {
            self.begun = true;
            let [first, second] = FIRST.map(|times| limited(estimate * times, demand));
            let second = Some(second).filter(|second| *second > first);
            self.schedule(now, [worthwhile(first, estimate), second], demand);
        } else if !situation.live || !situation.heard {
            self.due = None;
        } else if !situation.clear {
            self.due = Some(now + RETRY);
        } else {
            let recovered = self.fallen_from.take().map_or(0, |before| before / 20 * 17);
            let target = (estimate * STEP).max(recovered.min(estimate * MAX_STEP));
            let target = worthwhile(limited(target, demand), estimate);
            self.schedule(now, [target, None], demand);
        }
    }

    fn schedule(&mut self, now: Micros, targets: [Option<u64>; 2], demand: u64) {
        self.interval = self.interval.max(INTERVAL);
        self.pending = targets;
        self.decided = now;
        self.due = Some(now + self.interval);
        self.probed_demand = demand;
    }

    /// Bytes of padding to send now.
    pub(super) fn poll(&mut self, now: Micros) -> Option<usize> {
        self.retire(now);
        if self.current.is_none() {
            let target = self.pending.iter_mut().find_map(Option::take)?;
            self.last_id = self.last_id % u8::MAX + 1;
            self.last_probe = Some(now);
            self.current = Some(Cluster::new(self.last_id, target, now));
        }
        self.current.as_mut()?.ask(now)
    }

    /// A packet leaves; gives the probe it belongs to, 0 if none.
    pub(super) fn packet_sent(&mut self, now: Micros, bytes: u16) -> u8 {
        let Some(cluster) = &mut self.current else {
            return 0;
        };
        cluster.add(bytes);
        let id = cluster.id;
        self.retire(now);
        id
    }

    /// When the next packet of a probe being sent should leave.
    pub(super) fn sending(&self) -> Option<Micros> {
        self.current.as_ref().map(Cluster::next_at)
    }

    pub(super) fn arrived(&mut self, sent: Sent, arrival: Micros, late: bool) {
        if let Some(cluster) = self.cluster(sent.cluster) {
            cluster.arrived(sent, arrival, late);
        }
    }

    pub(super) fn missing(&mut self, id: u8) {
        if let Some(cluster) = self.cluster(id) {
            cluster.missing();
        }
    }

    /// A probe that ended: its bitrate and how it went.
    pub(super) fn poll_outcome(&mut self, now: Micros) -> Option<(u64, Outcome)> {
        let ended = self.flying.iter_mut().find(|flying| {
            flying.is_some_and(|(since, cluster)| cluster.is_heard() || now - since > MAX_FLIGHT)
        })?;
        let (_, cluster) = ended.take()?;
        Some((cluster.target, cluster.outcome()))
    }

    /// Goes on after a probe that ended; `situation` has the estimate it led to.
    pub(super) fn concluded(
        &mut self,
        now: Micros,
        target: u64,
        outcome: Outcome,
        situation: Situation,
    ) {
        let Situation {
            estimate, demand, ..
        } = situation;
        match outcome {
            Outcome::Carried(carried) if carried as f64 >= REACHED * target as f64 => {
                self.interval = INTERVAL;
                if demand > estimate && situation.clear && !self.is_busy() {
                    let further = limited(carried.max(estimate) * STEP, demand);
                    self.schedule(now, [worthwhile(further, estimate), None], demand);
                }
            }
            _ => {
                self.interval = Micros(self.interval.0 * 2).min(MAX_INTERVAL);
                self.due = self.due.max(Some(now + self.interval));
            }
        }
    }

    /// The estimate fell: the path is left alone for a while.
    pub(super) fn fell(&mut self, now: Micros, from: u64, to: u64) {
        if (to as f64) < LARGE_FALL * from as f64 {
            self.fallen_from = Some(self.fallen_from.map_or(from, |before| before.max(from)));
        }
        self.pending = [None; 2];
        self.due = self.due.max(Some(now + PAUSE));
    }

    /// Nothing was heard for a while and now is: what was there before is looked for at once.
    pub(super) fn heard_again(&mut self, now: Micros) {
        // What was on its way in the silence was not to be judged.
        self.flying = [None; 2];
        self.due = Some(now);
    }

    /// When `decide` or `poll` has work; `wanting`: a probe could make a difference.
    pub(super) fn poll_timeout(&self, wanting: bool) -> Option<Micros> {
        if let Some(at) = self.sending() {
            return Some(at);
        }
        if self.pending.iter().any(Option::is_some) {
            return Some(self.decided);
        }
        self.due.filter(|_| wanting && !self.is_busy())
    }

    fn is_busy(&self) -> bool {
        self.current.is_some()
            || self.pending.iter().any(Option::is_some)
            || self.flying.iter().any(Option::is_some)
    }

    fn cluster(&mut self, id: u8) -> Option<&mut Cluster> {
        if id == 0 {
            return None;
        }
        let flying = self.flying.iter_mut().flatten().map(|(_, cluster)| cluster);
        flying
            .chain(self.current.as_mut())
            .find(|cluster| cluster.id == id)
    }

    fn retire(&mut self, now: Micros) {
        let Some(cluster) = self.current.take_if(|cluster| cluster.is_sent(now)) else {
            return;
        };
        // The older of two that fly is given up for it.
        self.flying.rotate_right(1);
        let [newest, _] = &mut self.flying;
        *newest = Some((now, cluster));
    }
}

/// Never beyond what is wanted plus a margin.
fn limited(target: u64, demand: u64) -> u64 {
    target.min((demand as f64 * MARGIN) as u64)
}

fn worthwhile(target: u64, estimate: u64) -> Option<u64> {
    Some(target).filter(|target| *target as f64 >= estimate as f64 * WORTHWHILE)
}
