//! The calls of one epoch, placed by every policy.

use std::time::Instant;

use tradewind_placement::{Fleet, Millis, NodeId, Placement, Policy, Request, Reservations, place};

use super::baseline::Baseline;
use super::client::{Client, Probes};
use super::data::World;
use super::random::Random;
use super::report::{Key, Outcome, Tallies};
use super::scenario::Scenario;
use super::truth::{EU_SHARE, NOW, Truth};

/// Calls that compete for the seats of one state of the fleet.
pub(super) const CALLS_PER_EPOCH: u64 = 500;
const FIBRE_KM_PER_MS_ONE_WAY: f64 = 204.2;
/// Longer than an epoch: nobody arrives or leaves in it.
const SEAT_LIFETIME: Millis = Millis(60_000.0);

/// One call, as every policy gets it.
struct Call {
    clients: [Client; 2],
    eu: bool,
    fibre_ms: f64,
    oracle_ms: f64,
    seed: u64,
}

pub(super) fn run(
    world: &World,
    scenario: Scenario,
    probed: usize,
    seed: u64,
    epoch: u64,
    calls: u64,
    tallies: &mut Tallies,
) -> anyhow::Result<()> {
    let mut random = Random::new(seed, epoch * 3 + scenario as u64);
    let policy = Policy::default();
    let truth = Truth::new(world, &policy, &mut random);
    let calls: Vec<Call> = (0..calls)
        .filter_map(|_| call(world, scenario, &truth, &mut random, tallies))
        .collect();
    let fleet = Fleet::new(truth.snapshot.clone(), &policy)?;
    for probes in [Probes::True, Probes::Noisy, Probes::NoisyThree] {
        ours(
            world, &truth, &fleet, &policy, &calls, probes, probed, tallies,
        );
        for baseline in Baseline::ALL
            .into_iter()
            .filter(|b| b.probes() || probes == Probes::True)
        {
            theirs(world, &truth, baseline, &calls, probes, tallies);
        }
    }
    Ok(())
}

/// Draws a call; `None`, counted, if no node can carry it.
fn call(
    world: &World,
    scenario: Scenario,
    truth: &Truth,
    random: &mut Random,
    tallies: &mut Tallies,
) -> Option<Call> {
    let origins = scenario.call(world, random);
    let clients = origins.map(|origin| Client::new(world, origin, random));
    let eu = random.chance(EU_SHARE);
    let seed = random.next();
    let Some(oracle_ms) = truth.oracle(&clients, eu) else {
        tallies.impossible += 1;
        return None;
    };
    let fibre_ms = clients[0].place.distance_km(clients[1].place) / FIBRE_KM_PER_MS_ONE_WAY;
    Some(Call {
        clients,
        eu,
        fibre_ms,
        oracle_ms,
        seed,
    })
}

/// Seats that a policy has given away in this epoch.
struct Seats(Vec<u32>);

impl Seats {
    /// Takes seats; says whether all were there.
    fn take(&mut self, truth: &Truth, nodes: [usize; 2]) -> bool {
        for node in nodes {
            self.0[node] += 1;
        }
        nodes.iter().all(|n| self.0[*n] <= truth.free[*n])
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the whole of an epoch comes together here"
)]
fn ours(
    world: &World,
    truth: &Truth,
    fleet: &Fleet,
    policy: &Policy,
    calls: &[Call],
    probes: Probes,
    probed: usize,
    tallies: &mut Tallies,
) {
    let names: Vec<NodeId> = truth.snapshot.nodes.iter().map(|n| n.id.clone()).collect();
    let mut reservations = Reservations::default();
    let mut seats = Seats(vec![0; names.len()]);
    let key = Key {
        policy: "tradewind",
        probes: Some(probes),
    };
    for (call, id) in calls.iter().zip(0..) {
        let [shopper, agent] = &call.clients;
        let request = Request {
            parties: vec![
                shopper.party("shopper", world, &names, probes, probed, NOW),
                agent.party("agent", world, &names, probes, probed, NOW),
            ],
            residency: if call.eu {
                ["eu".to_owned()].into()
            } else {
                Default::default()
            },
            running: None,
            now: NOW,
            seed: call.seed,
        };
        let started = Instant::now();
        let answer = place(fleet, &reservations, policy, &request);
        tallies.busy.add(started.elapsed());
        let Ok(placement) = answer else {
            // Every seat that the oracle counted on may be gone by now.
            tallies.of(key).refused += 1;
            continue;
        };
        let broken = violations(truth, &placement, call, &mut seats);
        let delay_ms = truth.delay_of(&placement, &call.clients);
        tallies.of(key).add(&Outcome {
            delay_ms: delay_ms.unwrap_or(f64::MAX),
            oracle_ms: call.oracle_ms,
            fibre_ms: call.fibre_ms,
            two_nodes: placement.is_cascaded(),
            violations: broken + u64::from(delay_ms.is_none()),
        });
        reservations.reserve(
            id,
            placement.entries.into_iter().map(|(_, node)| node),
            NOW,
            SEAT_LIFETIME,
        );
    }
}

/// Rules that an answer breaks.
fn violations(truth: &Truth, placement: &Placement, call: &Call, seats: &mut Seats) -> u64 {
    let standby = placement.standby.iter().map(|s| s.node.clone());
    let lawful = truth.lets(placement.route.iter().cloned().chain(standby), call.eu);
    let index = |party: usize| {
        placement
            .entries
            .get(party)
            .and_then(|(_, node)| truth.index(node))
    };
    let seated = match (index(0), index(1)) {
        (Some(a), Some(b)) => seats.take(truth, [a, b]),
        _ => false,
    };
    u64::from(!lawful) + u64::from(!seated)
}

fn theirs(
    world: &World,
    truth: &Truth,
    baseline: Baseline,
    calls: &[Call],
    probes: Probes,
    tallies: &mut Tallies,
) {
    let key = Key {
        policy: baseline.name(),
        probes: baseline.probes().then_some(probes),
    };
    let mut seats = Seats(vec![0; truth.free.len()]);
    for call in calls {
        let chosen = baseline.choose(world, truth, &call.clients, probes, call.eu);
        let delay = |at: [usize; 2]| (at, truth.delay(&call.clients, at, call.eu));
        // Two nodes that no way joins carry no call.
        let Some((at, delay_ms)) = chosen.map(delay).filter(|(_, ms)| ms.is_finite()) else {
            tallies.of(key).refused += 1;
            continue;
        };
        tallies.of(key).add(&Outcome {
            delay_ms,
            oracle_ms: call.oracle_ms,
            fibre_ms: call.fibre_ms,
            two_nodes: at[0] != at[1],
            violations: u64::from(!seats.take(truth, at)),
        });
    }
}
