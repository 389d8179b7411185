//! The nodes of a fleet as one call sees them: its delays to each, their seats, their charges.

use crate::emodel::loss_impairment;
use crate::error::PlacementError;
use crate::estimate::{Estimate, estimate};
use crate::fleet::Fleet;
use crate::policy::Policy;
use crate::request::{Measurement, Party, Request};
use crate::reservations::Reservations;
use crate::rules::{Exclusion, barred, free_seats};
use crate::tie;

/// Parties placed together at most: predictions are made for every pair.
const MAX_PARTIES: usize = 256;

/// One party's leg to one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegCost {
    /// One-way delay in ms.
    pub(crate) one_way: f64,
    /// Variance of that, in ms².
    pub(crate) variance: f64,
    /// Share of packets that come too late even when repeated.
    pub(crate) unrepaired: f64,
    /// The least that this leg adds to a score beside its delay, in points of R: loss, and its node's load.
    pub(crate) least_loss: f64,
    pub(crate) least_load: f64,
}

/// A node as this call sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) barred: Option<Exclusion>,
    /// Newcomers the node can take.
    pub(crate) free: u32,
    /// With reservations; what the node is said to carry.
    pub(crate) load: f64,
    /// Load charged: the above off by this call's share of the doubt about it.
    pub(crate) charged_load: f64,
    /// Orders equals.
    pub(crate) tie: u64,
}

pub(crate) struct Candidates<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) policy: &'a Policy,
    pub(crate) request: &'a Request,
    pub(crate) seats: Vec<Seat>,
    /// Where each party is now, if that node may carry it on.
    pub(crate) current: Vec<Option<usize>>,
    /// By node, then by party.
    legs: Vec<LegCost>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(
        fleet: &'a Fleet,
        reservations: &Reservations,
        policy: &'a Policy,
        request: &'a Request,
    ) -> Result<Self, PlacementError> {
        check(request)?;
        let estimates: Vec<_> = request
            .parties
            .iter()
            .map(|p| estimate(fleet, policy, p, request.now))
            .collect();
        let seats = seats(fleet, reservations, policy, request);
        let entry = |party: &Party| {
            let node = fleet.index(party.entry.as_ref()?)?;
            seats[node].barred.is_none().then_some(node)
        };
        let current = request.parties.iter().map(entry).collect();
        let mut legs = Vec::with_capacity(fleet.nodes().len() * estimates.len());
        for node in 0..fleet.nodes().len() {
            legs.extend(
                estimates
                    .iter()
                    .map(|of_party| leg_cost(policy, &of_party[node])),
            );
        }
        let mut candidates = Self {
            fleet,
            policy,
            request,
            seats,
            current,
            legs,
        };
        candidates.add_least_costs();
        Ok(candidates)
    }

    /// Fills in what each leg adds to a score at least. Loss impairment is concave, so it lies above its chord up to
    /// the greatest loss of two legs.
    fn add_least_costs(&mut self) {
        let most = self.legs.iter().map(|l| l.unrepaired).fold(0.0, f64::max);
        let most = (2.0 * most).clamp(1e-6, 1.0);
        let slope =
            loss_impairment(most, self.policy.loss_robustness) / most * self.legs_per_pair();
        let parties = self.parties();
        for node in 0..self.seats.len() {
            let load = self.load_charge(node, 0) / parties as f64;
            for leg in &mut self.legs[node * parties..][..parties] {
                (leg.least_loss, leg.least_load) = (slope * leg.unrepaired, load);
            }
        }
    }

    /// What turns a sum over parties' legs into a mean over pairs: each pair has two legs.
    pub(crate) fn legs_per_pair(&self) -> f64 {
        match self.parties() {
            1 => 1.0,
            n => 2.0 / n as f64,
        }
    }

    pub(crate) fn parties(&self) -> usize {
        self.request.parties.len()
    }

    /// The legs of all parties to a node.
    pub(crate) fn legs(&self, node: usize) -> &[LegCost] {
        let parties = self.parties();
        &self.legs[node * parties..][..parties]
    }

    /// Whether the rules let a node carry this call, be it full or not.
    pub(crate) fn allowed(&self, node: usize) -> bool {
        self.seats[node].barred.is_none()
    }

    /// The charge for a node's load with `more` parties on it, in points of R.
    pub(crate) fn load_charge(&self, node: usize, more: u32) -> f64 {
        let size = f64::from(self.fleet.nodes()[node].capacity.parties.max(1));
        let load = (self.seats[node].charged_load + f64::from(more) / size).min(0.99);
        self.policy.load.as_r() * load / (1.0 - load)
    }

    /// What keeps newcomers off a node, if anything.
    pub(crate) fn exclusion(&self, node: usize) -> Option<Exclusion> {
        let seat = &self.seats[node];
        let full = Exclusion::Full {
            load: crate::units::Share(seat.load),
        };
        seat.barred.or_else(|| (seat.free == 0).then_some(full))
    }
}

fn leg_cost(policy: &Policy, estimate: &Estimate) -> LegCost {
    let loss = estimate.loss.unwrap_or(policy.access_loss).0;
    LegCost {
        one_way: estimate.rtt.0 / 2.0,
        variance: estimate.deviation.0.powi(2) / 4.0,
        unrepaired: unrepaired(policy, loss, estimate.rtt.0),
        least_loss: 0.0,
        least_load: 0.0,
    }
}

/// Share of a leg's packets lost for good: a repeat takes one and a half round trips and must beat the jitter buffer.
pub(crate) fn unrepaired(policy: &Policy, loss: f64, rtt: f64) -> f64 {
    loss * (1.5 * rtt / policy.jitter_buffer.0).min(1.0)
}

fn seats(
    fleet: &Fleet,
    reservations: &Reservations,
    policy: &Policy,
    request: &Request,
) -> Vec<Seat> {
    let mut reserved = vec![0; fleet.nodes().len()];
    for (node, seats) in reservations.iter() {
        if let Some(index) = fleet.index(node) {
            reserved[index] = seats;
        }
    }
    let mask = fleet.residency_mask(&request.residency);
    let seat = |(index, reserved): (usize, u32)| {
        let node = &fleet.nodes()[index];
        let tie = tie::mix(request.seed, fleet.name_hash(index));
        let age_s = request.now.since(node.reported_at).0 / 1e3;
        let doubt = policy.load_doubt.0 + policy.load_doubt_per_second.0 * age_s;
        let load = node.capacity.load(reserved);
        Seat {
            barred: barred(fleet, policy, request, mask, index),
            free: free_seats(policy, node, reserved),
            load,
            charged_load: load + doubt * tie::unit(tie),
            tie,
        }
    };
    reserved.into_iter().enumerate().map(seat).collect()
}

fn check(request: &Request) -> Result<(), PlacementError> {
    let parties = &request.parties;
    if parties.is_empty() {
        return Err(PlacementError::NoParties);
    }
    if parties.len() > MAX_PARTIES {
        return Err(PlacementError::TooManyParties(parties.len(), MAX_PARTIES));
    }
    for (i, party) in parties.iter().enumerate() {
        if parties[..i].iter().any(|other| other.id == party.id) {
            return Err(PlacementError::DuplicateParty(party.id.as_str().to_owned()));
        }
        let place = party.location.is_none_or(|l| {
            l.coordinates.is_valid() && l.accuracy_km.is_finite() && l.accuracy_km >= 0.0
        });
        if !(place && party.probes.iter().chain(&party.history).all(is_possible)) {
            return Err(PlacementError::BadNumbers(party.id.as_str().to_owned()));
        }
    }
    Ok(())
}

fn is_possible(m: &Measurement) -> bool {
    let delay = |ms: f64| (0.0..=60_000.0).contains(&ms);
    delay(m.rtt.0)
        && m.deviation.is_none_or(|d| delay(d.0))
        && m.loss.is_none_or(|l| (0.0..=1.0).contains(&l.0))
}
