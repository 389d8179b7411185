//! Finds the best choice of one or two nodes without trying them all.
//!
//! First every single node; the best of them is the mark to beat. A node is a partner in a pair only if the call's
//! delay would be below the mark with this node serving the party it suits best and every other party at its own best
//! node. What is left are few nodes; pairs of them are bounded again with the link between them, and only those that
//! still might win are scored. Bounds never exceed scores, so the result is that of trying everything.

use crate::candidates::{Candidates, LegCost};
use crate::emodel::delay_impairment;
use crate::placement::Terms;
use crate::route;
use crate::score::Nodes;
use crate::tie;
use crate::units::Points;

/// Rounding of scores and sums, in points of R, in a bound's favour.
const SLACK: f64 = 1e-5;

/// What the search may choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freedom<'a> {
    /// Nodes that parties must keep; all `None` for none.
    pub(crate) pinned: &'a [Option<usize>],
    /// Whether load counts: else every node is taken to be empty.
    pub(crate) for_load: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) nodes: Nodes,
    /// By party.
    pub(crate) entries: Vec<usize>,
    pub(crate) terms: Terms,
    tie: u64,
}

/// The best of all choices, and the best with a single node.
pub(crate) struct Found {
    pub(crate) best: Choice,
    pub(crate) single: Option<Choice>,
}

/// The best choice, if any is possible.
pub(crate) fn search(c: &Candidates, freedom: Freedom) -> Option<Found> {
    let mut required: Vec<usize> = freedom.pinned.iter().flatten().copied().collect();
    required.sort_unstable();
    required.dedup();
    let mut search = Search {
        c,
        freedom,
        best: None,
        scratch: Vec::with_capacity(c.parties()),
        entries: Vec::with_capacity(c.parties()),
    };
    let mut single = None;
    match required[..] {
        [] => {
            (0..c.seats.len()).for_each(|node| search.offer_one(node));
            single = search.best.clone();
            search.pairs();
        }
        [kept] => {
            search.offer_one(kept);
            single = search.best.clone();
            (0..c.seats.len())
                .filter(|n| *n != kept)
                .for_each(|n| search.offer_two(kept, n));
        }
        [first, second] => search.offer_two(first, second),
        _ => {}
    }
    Some(Found {
        best: search.best?,
        single,
    })
}

struct Search<'a, 'c> {
    c: &'a Candidates<'c>,
    freedom: Freedom<'a>,
    best: Option<Choice>,
    /// Parties by how much better the second node of a pair suits them.
    scratch: Vec<(f64, usize)>,
    entries: Vec<usize>,
}

impl Search<'_, '_> {
    fn mark(&self) -> Points {
        self.best
            .as_ref()
            .map_or(Points::WORST, |b| b.terms.total())
    }

    /// Seats of a node: none if the rules forbid it.
    fn free(&self, node: usize) -> u32 {
        match (self.c.allowed(node), self.freedom.for_load) {
            (false, _) => 0,
            (true, true) => self.c.seats[node].free,
            (true, false) => u32::MAX,
        }
    }

    fn offer_one(&mut self, node: usize) {
        let c = self.c;
        if !c.allowed(node) {
            return;
        }
        let newcomers = c.current.iter().filter(|at| **at != Some(node)).count() as u32;
        let delays: f64 = c.legs(node).iter().map(|l| l.one_way).sum();
        let least = c.legs(node).iter().map(|l| self.least(l)).sum();
        let mean = delays * c.legs_per_pair() + c.policy.hop_delay.0;
        if newcomers > self.free(node) || c.bound(mean, least, false) > self.mark() {
            return;
        }
        self.entries.clear();
        self.entries.resize(c.parties(), node);
        self.offer(Nodes::One(node));
    }

    /// What a leg adds to a score at least, beside its delay.
    fn least(&self, leg: &LegCost) -> f64 {
        leg.least_loss
            + if self.freedom.for_load {
                leg.least_load
            } else {
                0.0
            }
    }

    /// Pairs of the nodes that could be part of a better choice than the best so far.
    fn pairs(&mut self) {
        let usable = |n: &usize| {
            self.c.allowed(*n) && (self.free(*n) > 0 || self.c.current.contains(&Some(*n)))
        };
        let nodes: Vec<usize> = (0..self.c.seats.len()).filter(usable).collect();
        match self.c.parties() {
            0 | 1 => {}
            2 => self.pairs_for_two(&nodes),
            _ => self.pairs_for_many(&nodes),
        }
    }

    /// With two parties a pair's bound is a sum of one number for each leg, so that ordered lists of legs say when to
    /// stop.
    fn pairs_for_two(&mut self, nodes: &[usize]) {
        let c = self.c;
        // The impairment is convex in the delay, so its tangent anywhere bounds it; best near where the mark is.
        let hops = 2.0 * c.policy.hop_delay.0;
        let at = c.policy.fixed_delay.0
            + self
                .best
                .as_ref()
                .map_or(0.0, |b| c.mean_one_way(&b.entries, &b.nodes));
        let slope = delay_impairment(at + 1e-3).mul_add(1e3, -1e3 * delay_impairment(at));
        let base = delay_impairment(at) + slope * (c.policy.fixed_delay.0 + hops - at);
        let sorted = |party: usize| {
            let value = |n: usize| slope * c.legs(n)[party].one_way + self.least(&c.legs(n)[party]);
            let mut legs: Vec<(f64, usize)> = nodes.iter().map(|&n| (value(n), n)).collect();
            legs.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            legs
        };
        let (first, second) = (sorted(0), sorted(1));
        let Some(&(least_second, _)) = second.first() else {
            return;
        };
        let budget = |mark: Points| (mark - c.policy.second_node).as_r() - base + SLACK;
        let mut left = budget(self.mark());
        for &(value, a) in &first {
            if value + least_second > left {
                break;
            }
            for &(other, b) in &second {
                if value + other > left {
                    break;
                }
                if a != b && value + other + slope * c.fleet.at_least_between(a, b) <= left {
                    self.offer_two(a, b);
                    left = budget(self.mark());
                }
            }
        }
    }

    fn pairs_for_many(&mut self, nodes: &[usize]) {
        let c = self.c;
        let mut nearest = vec![f64::INFINITY; c.parties()];
        for &node in nodes {
            for (near, leg) in nearest.iter_mut().zip(c.legs(node)) {
                *near = near.min(leg.one_way);
            }
        }
        let at_best: f64 = nearest.iter().sum();
        let bound = |node: usize| {
            let detour = c
                .legs(node)
                .iter()
                .zip(&nearest)
                .map(|(l, n)| l.one_way - n)
                .fold(f64::INFINITY, f64::min);
            c.bound(
                (at_best + detour) * c.legs_per_pair() + c.policy.hop_delay.0,
                0.0,
                true,
            )
        };
        let mark = self.mark();
        let mut partners: Vec<(Points, usize)> = nodes
            .iter()
            .map(|&n| (bound(n), n))
            .filter(|(b, _)| *b <= mark)
            .collect();
        partners.sort_unstable();
        for (i, &(bound, a)) in partners.iter().enumerate() {
            if bound > self.mark() {
                break;
            }
            for &(_, b) in &partners[..i] {
                self.offer_two(a, b);
            }
        }
    }

    /// Scores a pair of nodes if it might win. Parties go where their delays are least in sum.
    fn offer_two(&mut self, a: usize, b: usize) {
        let c = self.c;
        if !(c.allowed(a) && c.allowed(b)) || c.parties() < 2 {
            return;
        }
        let (mut apart, mut least) = (0.0, 0.0);
        for (on_a, on_b) in c.legs(a).iter().zip(c.legs(b)) {
            apart += on_a.one_way.min(on_b.one_way);
            least += self.least(on_a).min(self.least(on_b));
        }
        let link = c.fleet.at_least_between(a, b) * c.crossing(1);
        if c.bound(
            apart * c.legs_per_pair() + link + c.policy.hop_delay.0,
            least,
            true,
        ) > self.mark()
        {
            return;
        }
        let Some(route) = route::find(c, a, b, None) else {
            return;
        };
        let Some((on_a, mean)) = self.split(a, b, route.mean_one_way(), route.links()) else {
            return;
        };
        if c.bound(mean, least, true) > self.mark() {
            return;
        }
        self.entries.clear();
        self.entries.resize(c.parties(), b);
        for (_, party) in &self.scratch[..on_a] {
            self.entries[*party] = a;
        }
        self.offer(Nodes::Two(a, b, route));
    }

    /// How many parties of `scratch`, which it orders, go to `a` for the least mean delay, and that delay in ms.
    fn split(&mut self, a: usize, b: usize, link: f64, links: usize) -> Option<(usize, f64)> {
        let c = self.c;
        let parties = c.parties();
        let (legs_a, legs_b) = (c.legs(a), c.legs(b));
        self.scratch.clear();
        self.scratch
            .extend((0..parties).map(|p| match self.freedom.pinned[p] {
                Some(kept) if kept == a => (f64::NEG_INFINITY, p),
                Some(_) => (f64::INFINITY, p),
                None => (legs_a[p].one_way - legs_b[p].one_way, p),
            }));
        self.scratch
            .sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        let newcomer = |party: usize, node: usize| u32::from(c.current[party] != Some(node));
        let mut sum: f64 = legs_b.iter().map(|l| l.one_way).sum();
        let mut new_a = 0;
        let mut new_b: u32 = (0..parties).map(|p| newcomer(p, b)).sum();
        let (free_a, free_b) = (self.free(a), self.free(b));
        let mut best: Option<(usize, f64)> = None;
        for (taken, &(gain, party)) in self.scratch[..parties - 1].iter().enumerate() {
            if gain == f64::INFINITY {
                break;
            }
            sum += legs_a[party].one_way - legs_b[party].one_way;
            new_a += newcomer(party, a);
            new_b -= newcomer(party, b);
            if self.scratch[taken + 1].0 == f64::NEG_INFINITY || new_a > free_a || new_b > free_b {
                continue;
            }
            let crossing = c.crossing(taken + 1);
            let hops = c.policy.hop_delay.0 * (1.0 + crossing * links as f64);
            let mean = sum * c.legs_per_pair() + crossing * link + hops;
            if best.is_none_or(|(_, least)| mean < least) {
                best = Some((taken + 1, mean));
            }
        }
        best
    }

    /// Scores `entries` and keeps them if they win.
    fn offer(&mut self, nodes: Nodes) {
        let c = self.c;
        let tie = match nodes {
            Nodes::One(a) => c.seats[a].tie,
            Nodes::Two(a, b, _) => tie::mix(
                c.seats[a].tie.min(c.seats[b].tie),
                c.seats[a].tie.max(c.seats[b].tie),
            ),
        };
        let terms = c.score(&self.entries, &nodes, self.freedom.for_load);
        let wins = match &self.best {
            Some(best) => (terms.total(), tie) < (best.terms.total(), best.tie),
            None => true,
        };
        if wins {
            self.best = Some(Choice {
                nodes,
                entries: self.entries.clone(),
                terms,
                tie,
            });
        }
    }
}

impl Candidates<'_> {
    /// Share of ordered pairs with a party on either side when `on_one` parties are on one of two nodes.
    fn crossing(&self, on_one: usize) -> f64 {
        let n = self.parties();
        (2 * on_one * (n - on_one)) as f64 / (n * (n - 1)) as f64
    }
}
