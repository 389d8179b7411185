//! Who takes over when a node dies.

use crate::candidates::Candidates;
use crate::placement::Standby;
use crate::route;
use crate::score::Nodes;
use crate::search::Choice;
use crate::units::{Millis, Points};

/// For each entry node the node that its parties do best with instead, preferably of another region.
pub(crate) fn standby(c: &Candidates, choice: &Choice) -> Vec<Standby> {
    let name = |node: usize| c.fleet.nodes()[node].id.clone();
    let entry_nodes = match choice.nodes {
        Nodes::One(a) => [Some(a), None],
        Nodes::Two(a, b, _) => [Some(a), Some(b)],
    };
    let substitute = |failed: usize| {
        let (node, mean) = best_substitute(c, choice, failed)?;
        Some(Standby {
            replaces: name(failed),
            node: name(node),
            mean_one_way: Millis(mean),
        })
    };
    entry_nodes
        .into_iter()
        .flatten()
        .filter_map(substitute)
        .collect()
}

fn best_substitute(c: &Candidates, choice: &Choice, failed: usize) -> Option<(usize, f64)> {
    let mut best: Option<(Points, u64, usize, f64)> = None;
    let mut entries = choice.entries.clone();
    for node in (0..c.seats.len()).filter(|n| *n != failed && c.allowed(*n)) {
        for (entry, chosen) in entries.iter_mut().zip(&choice.entries) {
            *entry = if *chosen == failed { node } else { *chosen };
        }
        let legs: f64 = entries
            .iter()
            .enumerate()
            .map(|(party, e)| c.legs(*e)[party].one_way)
            .sum();
        let mark = best.map_or(Points::WORST, |b| b.0);
        if arrivals(choice, &entries, node) > c.seats[node].free
            || c.bound(legs * c.legs_per_pair(), 0.0, false) > mark
        {
            continue;
        }
        let nodes = match choice.nodes.other(failed) {
            Some(other) if other != node => match route::find(c, node, other, Some(failed)) {
                Some(route) => Nodes::Two(node, other, route),
                None => continue,
            },
            _ => Nodes::One(node),
        };
        let shares_fate = c.fleet.nodes()[node].region == c.fleet.nodes()[failed].region;
        let charge = if shares_fate {
            c.policy.standby_same_region
        } else {
            Points::default()
        };
        let score = c.score(&entries, &nodes, true).total() + charge;
        let tie = c.seats[node].tie;
        if best.is_none_or(|b| (score, tie) < (b.0, b.1)) {
            best = Some((score, tie, node, c.mean_one_way(&entries, &nodes)));
        }
    }
    best.map(|(_, _, node, mean)| (node, mean))
}

/// Parties that the substitute would have to take in on top of those the choice gives it.
fn arrivals(choice: &Choice, entries: &[usize], node: usize) -> u32 {
    let count = |at: &[usize]| at.iter().filter(|e| **e == node).count() as u32;
    count(entries) - count(&choice.entries).min(count(entries))
}
