//! What a choice of nodes is worth: impairment of the conversation on the R scale, plus charges.

use crate::candidates::Candidates;
use crate::emodel::{delay_impairment, expected_delay_impairment, loss_impairment};
use crate::placement::Terms;
use crate::route::Route;
use crate::units::Points;

/// Rounding of five terms and a bound, each by half a millionth, in the bound's favour.
const ROUNDING: Points = Points(5);

/// One or two nodes, with the way between two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nodes {
    One(usize),
    Two(usize, usize, Route),
}

impl Nodes {
    pub(crate) fn contains(&self, node: usize) -> bool {
        match *self {
            Self::One(a) => a == node,
            Self::Two(a, b, _) => a == node || b == node,
        }
    }

    /// The other entry node, if there is one.
    pub(crate) fn other(&self, node: usize) -> Option<usize> {
        match *self {
            Self::Two(a, b, _) => Some(if a == node { b } else { a }),
            Self::One(_) => None,
        }
    }
}

/// What a pair of parties gets from one to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// Network and nodes, in ms.
    pub(crate) one_way: f64,
    pub(crate) deviation: f64,
    pub(crate) unrepaired: f64,
}

impl Candidates<'_> {
    /// What party `to` gets of party `from`, each entering at the given node.
    pub(crate) fn pair(&self, from: (usize, usize), to: (usize, usize), nodes: &Nodes) -> Pair {
        let (first, second) = (&self.legs(from.1)[from.0], &self.legs(to.1)[to.0]);
        let (between, unrepaired, hops) = match nodes {
            Nodes::Two(a, _, route) if from.1 != to.1 => {
                let hops = route.links() + 1;
                if from.1 == *a {
                    (route.forth, route.unrepaired_forth, hops)
                } else {
                    (route.back, route.unrepaired_back, hops)
                }
            }
            _ => (0.0, 0.0, 1),
        };
        Pair {
            one_way: first.one_way
                + between
                + second.one_way
                + self.policy.hop_delay.0 * hops as f64,
            deviation: (first.variance + second.variance).sqrt(),
            unrepaired: (first.unrepaired + unrepaired + second.unrepaired).min(1.0),
        }
    }

    /// Every ordered pair of parties. One party alone is heard at its node.
    fn for_each_pair(&self, entries: &[usize], nodes: &Nodes, mut visit: impl FnMut(Pair)) {
        if let [entry] = entries {
            let leg = self.legs(*entry)[0];
            visit(Pair {
                one_way: leg.one_way + self.policy.hop_delay.0,
                deviation: leg.variance.sqrt(),
                unrepaired: leg.unrepaired,
            });
        }
        for (s, &at_s) in entries.iter().enumerate() {
            for (t, &at_t) in entries.iter().enumerate().filter(|(t, _)| *t != s) {
                visit(self.pair((s, at_s), (t, at_t), nodes));
            }
        }
    }

    /// Mean one-way delay of all pairs in ms.
    pub(crate) fn mean_one_way(&self, entries: &[usize], nodes: &Nodes) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        self.for_each_pair(entries, nodes, |p| {
            sum += p.one_way;
            pairs += 1.0;
        });
        sum / pairs
    }

    /// The score of a choice. With `for_load` false, as if every node were empty.
    pub(crate) fn score(&self, entries: &[usize], nodes: &Nodes, for_load: bool) -> Terms {
        let policy = self.policy;
        let (mut delay, mut loss, mut pairs) = (0.0, 0.0, 0.0);
        let mut worst = (0.0, 0.0);
        self.for_each_pair(entries, nodes, |p| {
            let of_delay = expected_delay_impairment(policy.fixed_delay.0 + p.one_way, p.deviation);
            let of_loss = loss_impairment(p.unrepaired, policy.loss_robustness);
            delay += of_delay;
            loss += of_loss;
            pairs += 1.0;
            if of_delay + of_loss > worst.0 + worst.1 {
                worst = (of_delay, of_loss);
            }
        });
        let weigh = |sum: f64, worst: f64| {
            Points::from_r((sum / pairs + policy.worst_pair * worst) / (1.0 + policy.worst_pair))
        };
        Terms {
            delay: weigh(delay, worst.0),
            loss: weigh(loss, worst.1),
            load: if for_load {
                self.load_term(entries, nodes)
            } else {
                Points::default()
            },
            relay: self.relay_term(entries, nodes),
            moves: self.moves_term(entries),
        }
    }

    fn load_term(&self, entries: &[usize], nodes: &Nodes) -> Points {
        let of_node = |node: usize| {
            let parties = entries.iter().filter(|e| **e == node).count() as f64;
            self.load_charge(node, self.newcomers(entries, node)) * parties / entries.len() as f64
        };
        Points::from_r(match nodes {
            Nodes::One(a) => of_node(*a),
            Nodes::Two(a, b, route) => {
                of_node(*a) + of_node(*b) + route.via().map(|n| self.load_charge(n, 0)).sum::<f64>()
            }
        })
    }

    fn relay_term(&self, entries: &[usize], nodes: &Nodes) -> Points {
        let Nodes::Two(_, _, route) = nodes else {
            return Points::default();
        };
        let price = |node: usize| self.fleet.nodes()[node].price_per_gb;
        let first_copies: f64 = entries.iter().map(|&e| price(e)).sum();
        let inner: f64 = route.via().map(price).sum();
        let hourly =
            self.policy.gigabytes_per_party_hour * (first_copies + inner * entries.len() as f64);
        let second_nodes = self.policy.second_node.as_r() * route.links() as f64;
        Points::from_r(second_nodes + self.policy.currency.as_r() * hourly)
    }

    fn moves_term(&self, entries: &[usize]) -> Points {
        let moved = entries
            .iter()
            .zip(&self.current)
            .filter(|(e, c)| c.is_some_and(|c| c != **e))
            .count();
        Points::from_r(self.policy.moved_party.as_r() * moved as f64)
    }

    /// Parties that would enter a node and are not there now.
    pub(crate) fn newcomers(&self, entries: &[usize], node: usize) -> u32 {
        entries
            .iter()
            .zip(&self.current)
            .filter(|(e, c)| **e == node && **c != Some(node))
            .count() as u32
    }

    /// A score that no choice with this mean one-way delay in ms, these other least costs in points of R, and a second
    /// node if `cascaded`, can be below.
    ///
    /// The impairment is convex in the delay, so its mean over pairs is at least the impairment at the mean delay, and
    /// the worst pair's is at least the mean; charges are never negative.
    pub(crate) fn bound(&self, mean_one_way: f64, least: f64, cascaded: bool) -> Points {
        let charge = if cascaded {
            self.policy.second_node
        } else {
            Points::default()
        };
        let impairment = delay_impairment(self.policy.fixed_delay.0 + mean_one_way);
        Points::from_r(impairment + least) + charge - ROUNDING
    }
}
