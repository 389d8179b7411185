//! Asks the placement engine where a call goes, with all that is known of its parties, and learns from calls that run.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tradewind_placement::{
    CandidateReport, Coordinates, Explanation, History, HistoryLimits, Location, LocationSource,
    Measurement, Millis, NodeId, PartyId, PlacementError, Policy, Prefix, Request, Reservations,
    Running, Timestamp, explain,
};

use super::call::{Call, Party, Placement, Presence, Stamp, UnixMs};
use super::geo::GeoIp;
use super::nodes::{Nodes, View};

/// How long a seat is kept for a party on its way, milliseconds: until the node's own report counts it.
const SEAT_MS: f64 = 10_000.0;
/// Error of a region's coordinates as the place of a party, kilometres: regions are as large as countries.
const REGION_ACCURACY_KM: f64 = 500.0;

/// Candidates that may carry a call, and as many excluded ones, that its explanation keeps.
const CANDIDATES_KEPT: usize = 10;

/// Finds nodes for calls.
pub(crate) struct Planner {
    nodes: Arc<dyn Nodes>,
    policy: Policy,
    geo: GeoIp,
    history: Mutex<History>,
    seats: Mutex<Reservations>,
}

/// Where a call goes.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) placement: Placement,
    /// By identity.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    node: String,
    predicted_rtt_ms: Option<f64>,
}

/// Why there is no place for a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("no node is in the region {region}: choose one of {known}, or leave it out")]
    UnknownRegion { region: String, known: String },
    #[error("{0}")]
    ImpossibleResidency(String),
    #[error("{0}")]
    NoCapacity(String),
    #[error("{0}")]
    NoUsableNode(String),
    #[error("{0}")]
    Invalid(String),
}

impl Planner {
    pub(crate) fn new(nodes: Arc<dyn Nodes>, geo: GeoIp) -> Self {
        Self {
            nodes,
            policy: Policy::default(),
            geo,
            history: Mutex::new(History::new(HistoryLimits::default())),
            seats: Mutex::default(),
        }
    }

    /// The fleet as this node knows it now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.nodes.view()
    }

    /// Where an address probably is, in degrees north and east.
    pub(crate) fn place_of(&self, address: IpAddr) -> Option<(f64, f64)> {
        self.geo.locate(address).map(|found| found.place)
    }

    /// Notes where `party` probably is, if anything tells.
    pub(crate) fn locate(&self, party: &mut Party) {
        let found = party.address.and_then(|address| self.geo.locate(address));
        let region = || self.view().region(&party.region).map(|at| (at.lat, at.lon));
        party.place = found.map(|found| found.place).or_else(|| {
            let stated = !party.region.is_empty();
            stated.then(region).flatten()
        });
    }

    /// Finds nodes for those of the call's parties who are not in the room yet. Those who are stay where they are.
    ///
    /// # Errors
    /// No node may carry the call, or what is said of a party cannot be.
    pub(crate) fn plan(&self, call: &Call, now_ms: UnixMs) -> Result<Plan, PlanError> {
        let view = self.view();
        let now = Timestamp(now_ms);
        let request = self.request(call, &view, now)?;
        let mut seats = unpoisoned(&self.seats);
        seats.expire(now);
        let mut explanation = explain(view.fleet(), &seats, &self.policy, &request)?;
        let placed = &explanation.placement;
        let newcomers = request.parties.iter().filter(|party| party.entry.is_none());
        let promised: Vec<NodeId> = newcomers
            .filter_map(|party| placed.entry_of(&party.id).cloned())
            .collect();
        seats.reserve(request.seed, promised, now, Millis(SEAT_MS));
        drop(seats);

        let entries = placed.entries.iter().map(|(party, node)| {
            let entry = Entry {
                node: node.to_string(),
                predicted_rtt_ms: leg(&explanation, party, node),
            };
            (party.to_string(), entry)
        });
        let entries = entries.collect();
        let placement = Placement {
            nodes: placed.route.iter().map(NodeId::to_string).collect(),
            standby: placed
                .standby
                .iter()
                .map(|by| by.node.to_string())
                .collect(),
            predicted_ms: (request.parties.len() > 1).then_some(placed.mean_one_way.0),
            link_rtt_ms: view.route_rtt_ms(&placed.route),
            stamp: Stamp::default(),
            explanation: {
                shorten(&mut explanation.candidates);
                Box::new(explanation)
            },
        };
        Ok(Plan { placement, entries })
    }

    /// Keeps seats for the parties on their way to a call that another node has placed.
    pub(crate) fn expect(&self, call: &Call, now_ms: UnixMs) {
        let is_coming = |party: &&Party| matches!(party.presence, Presence::Expected { .. });
        let coming = call.parties.values().filter(is_coming);
        let promised: Vec<NodeId> = coming
            .map(|party| NodeId::from(party.node.as_str()))
            .collect();
        let now = Timestamp(now_ms);
        let mut seats = unpoisoned(&self.seats);
        seats.expire(now);
        seats.reserve(seed(&call.id), promised, now, Millis(SEAT_MS));
    }

    /// Learns the round trip between an address and a node from a call that runs.
    pub(crate) fn learn(&self, address: IpAddr, node: &str, rtt_ms: f64, now_ms: UnixMs) {
        if !tells_a_place(&address) {
            return;
        }
        unpoisoned(&self.history).record(
            Prefix::from(address),
            &NodeId::from(node),
            Millis(rtt_ms),
            None,
            Timestamp(now_ms),
        );
    }

    fn request(&self, call: &Call, view: &View, now: Timestamp) -> Result<Request, PlanError> {
        let mut parties = Vec::new();
        for party in call.parties.values() {
            if !matches!(party.presence, Presence::Left { .. }) {
                parties.push(self.party(party, view, now)?);
            }
        }
        let is_running = parties.iter().any(|party| party.entry.is_some());
        let residency = Some(call.details.residency.clone()).filter(|zone| !zone.is_empty());
        Ok(Request {
            parties,
            residency: residency.into_iter().collect(),
            running: is_running.then(Running::default),
            now,
            seed: seed(&call.id),
        })
    }

    fn party(
        &self,
        party: &Party,
        view: &View,
        now: Timestamp,
    ) -> Result<tradewind_placement::Party, PlanError> {
        let probes = party.probes.iter().map(|(node, probe)| Measurement {
            node: NodeId::from(node.as_str()),
            rtt: Millis(probe.rtt_ms),
            deviation: None,
            samples: probe.samples,
            loss: None,
            at: Timestamp(probe.at_ms),
        });
        let history = party.address.map(|address| {
            let mut history = unpoisoned(&self.history);
            history.recall(Prefix::from(address), now)
        });
        Ok(tradewind_placement::Party {
            id: PartyId::from(party.identity.as_str()),
            probes: probes.collect(),
            history: history.unwrap_or_default(),
            location: self.location(party, view)?,
            entry: party
                .presence
                .is_here()
                .then(|| NodeId::from(party.node.as_str())),
        })
    }

    fn location(&self, party: &Party, view: &View) -> Result<Option<Location>, PlanError> {
        let stated = if party.region.is_empty() {
            None
        } else {
            let coordinates = view.region(&party.region);
            Some(coordinates.ok_or_else(|| PlanError::UnknownRegion {
                region: party.region.clone(),
                known: view.regions().into_iter().collect::<Vec<_>>().join(", "),
            })?)
        };
        let found = party.address.and_then(|address| self.geo.locate(address));
        let found = found.map(|found| Location {
            coordinates: Coordinates {
                lat: found.place.0,
                lon: found.place.1,
            },
            accuracy_km: found.accuracy_km,
            source: LocationSource::GeoIp,
        });
        Ok(found.or_else(|| {
            stated.map(|coordinates| Location {
                coordinates,
                accuracy_km: REGION_ACCURACY_KM,
                source: LocationSource::StatedRegion,
            })
        }))
    }
}

impl Plan {
    /// Notes the node of a party that is to come.
    pub(crate) fn send(&self, party: &mut Party) {
        if let Some(entry) = self.entries.get(&party.identity) {
            party.node.clone_from(&entry.node);
            party.predicted_rtt_ms = entry.predicted_rtt_ms;
        }
    }
}

impl From<PlacementError> for PlanError {
    fn from(error: PlacementError) -> Self {
        let text = error.to_string();
        match error {
            PlacementError::ImpossibleResidency(_) => Self::ImpossibleResidency(text),
            PlacementError::NoCapacity(_) => Self::NoCapacity(text),
            PlacementError::NoUsableNode(_) => Self::NoUsableNode(text),
            PlacementError::NoParties
            | PlacementError::TooManyParties(..)
            | PlacementError::DuplicateParty(_)
            | PlacementError::BadNumbers(_) => Self::Invalid(text),
        }
    }
}

/// Whether clients of one prefix are near each other: addresses that every network has say nothing of where it is.
fn tells_a_place(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

/// Round trip between a party and a node that was believed, milliseconds.
fn leg(explanation: &Explanation, party: &PartyId, node: &NodeId) -> Option<f64> {
    let mut candidates = explanation.candidates.iter();
    let report = candidates.find(|report| report.node == *node)?;
    let leg = report.legs.iter().find(|leg| leg.party == *party)?;
    Some(leg.estimate.rtt.0)
}

/// Keeps the best candidates and some of those excluded: every node holds the explanation of every call.
fn shorten(candidates: &mut Vec<CandidateReport>) {
    let (mut allowed, mut excluded) = (0, 0);
    candidates.retain(|report| {
        let count = if report.excluded.is_some() {
            &mut excluded
        } else {
            &mut allowed
        };
        *count += 1;
        report.chosen || *count <= CANDIDATES_KEPT
    });
}

/// The same number for the same call on every node of one version.
fn seed(call: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.hash(&mut hasher);
    hasher.finish()
}

/// A panic between two changes leaves the tables whole: each change is one call.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
