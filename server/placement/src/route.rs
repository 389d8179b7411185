//! The way between two nodes: the direct link, or a detour around a bad one.

use crate::candidates::{Candidates, unrepaired};
use crate::node::Protocols;

/// Links of a detour at most; a packet's header names the nodes between.
const MAX_VIA: usize = 2;
/// Neighbours of each end tried as the two inner nodes of a detour.
const NEIGHBOURS: usize = 12;

/// A way between two nodes, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    via: [u16; MAX_VIA],
    vias: u8,
    /// One-way delays in ms, without the nodes' own.
    pub(crate) forth: f64,
    pub(crate) back: f64,
    /// Shares of packets lost for good.
    pub(crate) unrepaired_forth: f64,
    pub(crate) unrepaired_back: f64,
    /// The newest version that all nodes on it speak.
    pub(crate) protocol: u16,
    weight: f64,
}

impl Route {
    /// The nodes between the ends, in order.
    pub(crate) fn via(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.via[..usize::from(self.vias)]
            .iter()
            .map(|&n| usize::from(n))
    }

    pub(crate) fn links(&self) -> usize {
        usize::from(self.vias) + 1
    }

    pub(crate) fn mean_one_way(&self) -> f64 {
        (self.forth + self.back) / 2.0
    }
}

/// The best way between two nodes that this call may use, never through `without`.
pub(crate) fn find(c: &Candidates, a: usize, b: usize, without: Option<usize>) -> Option<Route> {
    let direct = path(c, &[a, b]);
    let bad = c.policy.bad_link_loss.0;
    let good = |from, to| f64::from(c.fleet.link(from, to).loss) < bad;
    if direct.is_some() && good(a, b) && good(b, a) {
        return direct;
    }
    let detour = |x: &usize| *x != a && *x != b && Some(*x) != without && c.exclusion(*x).is_none();
    let mut best = direct;
    let mut offer = |nodes: &[usize]| {
        if let Some(route) = path(c, nodes)
            && best.is_none_or(|b| route.weight < b.weight)
        {
            best = Some(route);
        }
    };
    for x in (0..c.seats.len()).filter(detour) {
        offer(&[a, x, b]);
    }
    let (near_a, near_b) = (neighbours(c, a, detour), neighbours(c, b, detour));
    for &x in &near_a {
        for &y in near_b.iter().filter(|y| **y != x) {
            offer(&[a, x, y, b]);
        }
    }
    best
}

/// The nodes with the best links to a node, few enough to try in pairs.
fn neighbours(c: &Candidates, a: usize, eligible: impl Fn(&usize) -> bool) -> Vec<usize> {
    let mut near: Vec<_> = (0..c.seats.len())
        .filter(eligible)
        .filter_map(|x| Some((link_weight(c, a, x)? + link_weight(c, x, a)?, x)))
        .collect();
    if near.len() > NEIGHBOURS {
        near.select_nth_unstable_by(NEIGHBOURS, |p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
        near.truncate(NEIGHBOURS);
    }
    near.sort_unstable_by_key(|(_, x)| *x);
    near.into_iter().map(|(_, x)| x).collect()
}

fn link_weight(c: &Candidates, from: usize, to: usize) -> Option<f64> {
    let link = c.fleet.link(from, to);
    link.is_up()
        .then(|| f64::from(link.rtt) / 2.0 + c.policy.route_loss.0 * f64::from(link.loss))
}

/// The route through these nodes, if every link is up both ways and all speak a common version.
fn path(c: &Candidates, nodes: &[usize]) -> Option<Route> {
    let mut route = Route {
        via: [0; MAX_VIA],
        vias: (nodes.len() - 2) as u8,
        forth: 0.0,
        back: 0.0,
        unrepaired_forth: 0.0,
        unrepaired_back: 0.0,
        protocol: 0,
        weight: c.policy.hop_delay.0 * nodes.len() as f64,
    };
    for hop in nodes.windows(2) {
        let (forth, back) = (c.fleet.link(hop[0], hop[1]), c.fleet.link(hop[1], hop[0]));
        route.weight += (link_weight(c, hop[0], hop[1])? + link_weight(c, hop[1], hop[0])?) / 2.0;
        route.forth += f64::from(forth.rtt) / 2.0;
        route.back += f64::from(back.rtt) / 2.0;
        route.unrepaired_forth += unrepaired(c.policy, f64::from(forth.loss), f64::from(forth.rtt));
        route.unrepaired_back += unrepaired(c.policy, f64::from(back.loss), f64::from(back.rtt));
    }
    let shared = nodes.iter().try_fold(Protocols::ANY, |shared, &n| {
        shared.shared_with(c.fleet.nodes()[n].protocols)
    })?;
    route.protocol = shared.newest;
    for (slot, &node) in route.via.iter_mut().zip(&nodes[1..nodes.len() - 1]) {
        *slot = node as u16;
    }
    Some(route)
}
