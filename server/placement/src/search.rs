//! Finds the best choice of one or two nodes without trying them all.
//!
//! First every single node; the best of them is the mark to beat. A node is a partner in a pair only if the call's
//! delay would be below the mark with this node serving the party it suits best and every other party at its own best
//! node. What is left are few nodes; pairs of them are bounded again with the link between them, and only those that
//! still might win are scored. Bounds never exceed scores, so the result is that of trying everything.

use crate::candidates::Candidates;
use crate::placement::Terms;
use crate::route;
use crate::score::Nodes;
use crate::tie;
use crate::units::Points;

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
        let mean = c.legs(node).iter().map(|l| l.one_way).sum::<f64>() * c.legs_per_pair()
            + c.policy.hop_delay.0;
        if newcomers > self.free(node) || c.bound(mean, false) > self.mark() {
            return;
        }
        self.offer(Nodes::One(node), |_| node);
    }

    /// Pairs of the nodes that could be part of a better choice than the best so far.
    fn pairs(&mut self) {
        let c = self.c;
        if c.parties() < 2 {
            return;
        }
        let nodes: Vec<usize> = (0..c.seats.len())
            .filter(|&n| self.free(n) > 0 || c.current.contains(&Some(n)))
            .collect();
        let mut nearest = vec![f64::INFINITY; c.parties()];
        for &node in nodes.iter().filter(|n| c.allowed(**n)) {
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
                (at_best + detour) * c.legs_per_pair()
                    + 2.0 * c.policy.hop_delay.0 * c.least_crossing(),
                true,
            )
        };
        let mark = self.mark();
        let mut partners: Vec<(Points, usize)> = nodes
            .into_iter()
            .filter(|n| c.allowed(*n))
            .map(|n| (bound(n), n))
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
        let apart: f64 = c
            .legs(a)
            .iter()
            .zip(c.legs(b))
            .map(|(x, y)| x.one_way.min(y.one_way))
            .sum();
        let direct = c.fleet.link(a, b);
        let link = c.least_crossing() * 2.0 * c.policy.hop_delay.0;
        if c.bound(apart * c.legs_per_pair() + link, true) > self.mark() {
            return;
        }
        // Two parties always cross a good direct link; a detour is only ever tried when it is bad.
        let back = c.fleet.link(b, a);
        let good =
            |l: crate::fleet::Cell| l.is_up() && f64::from(l.loss) < c.policy.bad_link_loss.0;
        if good(direct) && good(back) {
            let between = f64::from(direct.rtt + back.rtt) / 4.0 * c.least_crossing() + link;
            if c.bound(apart * c.legs_per_pair() + between, true) > self.mark() {
                return;
            }
        }
        let Some(route) = route::find(c, a, b, None) else {
            return;
        };
        let Some((on_a, mean)) = self.split(a, b, route.mean_one_way(), route.links()) else {
            return;
        };
        if c.bound(mean, true) > self.mark() {
            return;
        }
        let first: Vec<usize> = self.scratch[..on_a]
            .iter()
            .map(|(_, party)| *party)
            .collect();
        self.offer(Nodes::Two(a, b, route), |party| {
            if first.contains(&party) { a } else { b }
        });
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

    fn offer(&mut self, nodes: Nodes, entry: impl Fn(usize) -> usize) {
        let c = self.c;
        let tie = match nodes {
            Nodes::One(a) => c.seats[a].tie,
            Nodes::Two(a, b, _) => tie::mix(
                c.seats[a].tie.min(c.seats[b].tie),
                c.seats[a].tie.max(c.seats[b].tie),
            ),
        };
        let entries: Vec<usize> = (0..c.parties()).map(entry).collect();
        let terms = c.score(&entries, &nodes, self.freedom.for_load);
        let wins = match &self.best {
            Some(best) => (terms.total(), tie) < (best.terms.total(), best.tie),
            None => true,
        };
        if wins {
            self.best = Some(Choice {
                nodes,
                entries,
                terms,
                tie,
            });
        }
    }
}

impl Candidates<'_> {
    /// What turns a sum over parties' legs into a mean over pairs: each pair has two legs.
    pub(crate) fn legs_per_pair(&self) -> f64 {
        match self.parties() {
            1 => 1.0,
            n => 2.0 / n as f64,
        }
    }

    /// Share of ordered pairs with a party on either side when `on_one` parties are on one of two nodes.
    fn crossing(&self, on_one: usize) -> f64 {
        let n = self.parties();
        (2 * on_one * (n - on_one)) as f64 / (n * (n - 1)) as f64
    }

    /// The least such share if both nodes are used.
    fn least_crossing(&self) -> f64 {
        self.crossing(1)
    }
}
