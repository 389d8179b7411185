//! The true state of the fleet in one epoch, the rules told independently of the engine, and the oracle.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use tradewind_placement::{
    Capacity, Health, Link, Millis, Node, NodeId, Placement, Policy, Protocols, Share, Snapshot,
    Timestamp,
};

use super::client::Client;
use super::data::World;
use super::random::Random;

pub(super) const NOW: Timestamp = Timestamp(1_000_000_000);
/// Share of calls that must stay in the European Union.
pub(super) const EU_SHARE: f64 = 0.05;

/// The fleet of one epoch.
pub(super) struct Truth {
    pub(super) snapshot: Snapshot,
    policy: Policy,
    /// Round trips of links that are up, by source and destination.
    links: Vec<Vec<Option<f64>>>,
    /// Least one-way delays over at most three links in ms, nodes' own delays included: for any call, for EU calls.
    routes: [Vec<Vec<f64>>; 2],
    /// Nodes that may carry a call, capacity aside.
    may_carry: [Vec<bool>; 2],
    /// Newcomers each node can take by its report.
    pub(super) free: Vec<u32>,
}

impl Truth {
    pub(super) fn new(world: &World, policy: &Policy, random: &mut Random) -> Self {
        let hour = random.between(0.0, 24.0);
        let nodes: Vec<Node> = world
            .sites
            .iter()
            .map(|site| node(site, hour, random))
            .collect();
        let mut links = vec![vec![None; nodes.len()]; nodes.len()];
        let mut measured = Vec::new();
        for a in 0..nodes.len() {
            for b in 0..a {
                let (down, lossy) = (random.chance(0.03), random.chance(0.02));
                for (from, to) in [(a, b), (b, a)] {
                    let Some(rtt) = world.links[from][to] else {
                        continue;
                    };
                    links[from][to] = (!down).then_some(rtt);
                    measured.push(Link {
                        from: nodes[from].id.clone(),
                        to: nodes[to].id.clone(),
                        rtt: Millis(rtt),
                        loss: Share(if lossy { 0.05 } else { 0.0005 }),
                        up: !down,
                        measured_at: NOW,
                    });
                }
            }
        }
        let may_carry = [false, true].map(|eu| {
            nodes
                .iter()
                .map(|n| lawful(n, eu) && able(n, policy))
                .collect::<Vec<_>>()
        });
        let routes = [0, 1].map(|eu| routes(&nodes, &links, &may_carry[eu], policy.hop_delay.0));
        let free = nodes.iter().map(|n| seats(n, policy)).collect();
        let snapshot = Snapshot {
            nodes,
            links: measured,
            taken_at: NOW,
        };
        Self {
            snapshot,
            policy: policy.clone(),
            links,
            routes,
            may_carry,
            free,
        }
    }

    /// Nodes that may carry a call and have two seats by their report.
    pub(super) fn open(&self, eu: bool) -> impl Iterator<Item = usize> + Clone + '_ {
        let carries = &self.may_carry[usize::from(eu)];
        (0..self.free.len()).filter(|n| carries[*n] && self.free[*n] >= 2)
    }

    /// True mean one-way delay in ms of two clients on these nodes by the fastest way between them.
    pub(super) fn delay(&self, clients: &[Client; 2], at: [usize; 2], eu: bool) -> f64 {
        let legs = (clients[0].rtt[at[0]] + clients[1].rtt[at[1]]) / 2.0;
        let between = if at[0] == at[1] {
            self.policy.hop_delay.0
        } else {
            self.routes[usize::from(eu)][at[0]][at[1]]
        };
        legs + between
    }

    /// The least true delay in ms that any one or two nodes can give.
    pub(super) fn oracle(&self, clients: &[Client; 2], eu: bool) -> Option<f64> {
        let carries = &self.may_carry[usize::from(eu)];
        let nodes = (0..self.free.len()).filter(|n| carries[*n]);
        let seated = |a: usize, b: usize| {
            if a == b {
                self.free[a] >= 2
            } else {
                self.free[a].min(self.free[b]) >= 1
            }
        };
        nodes
            .clone()
            .flat_map(|a| nodes.clone().map(move |b| (a, b)))
            .filter(|(a, b)| seated(*a, *b))
            .map(|(a, b)| self.delay(clients, [a, b], eu))
            .min_by(f64::total_cmp)
    }

    /// True mean one-way delay of the engine's answer in ms along its own route; `None` if a link of it is down.
    pub(super) fn delay_of(&self, placement: &Placement, clients: &[Client; 2]) -> Option<f64> {
        let stops: Vec<usize> = placement
            .route
            .iter()
            .map(|id| self.index(id))
            .collect::<Option<_>>()?;
        let mut delay = self.policy.hop_delay.0 * stops.len() as f64;
        for hop in stops.windows(2) {
            delay += (self.links[hop[0]][hop[1]]? + self.links[hop[1]][hop[0]]?) / 4.0;
        }
        for (client, (_, entry)) in clients.iter().zip(&placement.entries) {
            delay += client.rtt[self.index(entry)?] / 2.0;
        }
        Some(delay)
    }

    /// Whether the rules let all these nodes carry a call.
    pub(super) fn lets(&self, nodes: impl IntoIterator<Item = NodeId>, eu: bool) -> bool {
        nodes.into_iter().all(|id| {
            self.index(&id)
                .is_some_and(|n| self.may_carry[usize::from(eu)][n])
        })
    }

    pub(super) fn index(&self, id: &NodeId) -> Option<usize> {
        self.snapshot.nodes.iter().position(|n| n.id == *id)
    }
}

fn node(site: &super::data::Site, hour: f64, random: &mut Random) -> Node {
    // Busiest in the local afternoon.
    let local = hour + site.coordinates.lon / 15.0;
    let busy = 0.5 + 0.5 * ((local - 15.0) / 24.0 * TAU).cos();
    let load =
        0.2 + 0.4 * busy + random.between(0.0, 0.2) + if random.chance(0.05) { 0.3 } else { 0.0 };
    let parties = 1_000 + (random.unit() * 3_000.0) as u32;
    let old = random.chance(0.03);
    Node {
        id: site.city.as_str().into(),
        region: site.city.clone(),
        coordinates: site.coordinates,
        health: if random.chance(0.03) {
            Health::Unhealthy
        } else {
            Health::Healthy
        },
        draining: random.chance(0.03),
        capacity: Capacity {
            parties,
            in_use: (load * f64::from(parties)) as u32,
            cpu: Share(load * random.between(0.5, 1.0)),
            egress: Share(load * random.between(0.5, 1.0)),
        },
        residency: if site.in_eu {
            BTreeSet::from(["eu".to_owned()])
        } else {
            BTreeSet::new()
        },
        protocols: if old {
            Protocols {
                oldest: 1,
                newest: 1,
            }
        } else {
            Protocols {
                oldest: 2,
                newest: 3,
            }
        },
        price_per_gb: 0.02,
        reported_at: Timestamp(
            NOW.0
                - if random.chance(0.02) {
                    60_000
                } else {
                    random.between(0.0, 2_000.0) as u64
                },
        ),
    }
}

fn lawful(node: &Node, eu: bool) -> bool {
    !eu || node.residency.contains("eu")
}

fn able(node: &Node, policy: &Policy) -> bool {
    let age = (NOW.0 - node.reported_at.0) as f64;
    node.health == Health::Healthy && !node.draining && age <= policy.report_timeout.0
}

fn seats(node: &Node, policy: &Policy) -> u32 {
    let size = f64::from(node.capacity.parties);
    let load = (f64::from(node.capacity.in_use) / size)
        .max(node.capacity.cpu.0)
        .max(node.capacity.egress.0);
    ((policy.hard_load.0 - load) * size + 1e-6).max(0.0) as u32
}

fn routes(
    nodes: &[Node],
    links: &[Vec<Option<f64>>],
    may_carry: &[bool],
    hop_delay: f64,
) -> Vec<Vec<f64>> {
    let count = nodes.len();
    let direct = |a: usize, b: usize| {
        let speak = nodes[a].protocols.shared_with(nodes[b].protocols).is_some();
        let usable = a != b && may_carry[a] && may_carry[b] && speak;
        let both = links[a][b].zip(links[b][a]).filter(|_| usable);
        both.map_or(f64::INFINITY, |(forth, back)| {
            (forth + back) / 4.0 + hop_delay
        })
    };
    let one: Vec<Vec<f64>> = (0..count)
        .map(|a| (0..count).map(|b| direct(a, b)).collect())
        .collect();
    let longer = |ways: &Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let best = |a: usize, b: usize| {
            (0..count)
                .map(|x| ways[a][x] + one[x][b])
                .fold(ways[a][b], f64::min)
        };
        (0..count)
            .map(|a| (0..count).map(|b| best(a, b)).collect())
            .collect()
    };
    // Each link's delay includes that of the node at its end; the first node's comes on top.
    let three = longer(&longer(&one));
    three
        .into_iter()
        .map(|row| row.into_iter().map(|way| way + hop_delay).collect())
        .collect()
}
