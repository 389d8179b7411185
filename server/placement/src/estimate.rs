//! What is believed about the round trip between a party and each node, from all that is known of the party.
//!
//! A distance gives a first belief for every node. Measurements (probes, history) tell how much slower or faster this
//! party's last mile is than usual, which shifts the belief for all nodes, and they correct the nodes measured, the
//! more the less noisy they are (Bayesian shrinkage). So one lucky probe does not win a call for a node.

use serde::{Deserialize, Serialize};

use crate::fleet::Fleet;
use crate::policy::Policy;
use crate::request::{LocationSource, Measurement, Party};
use crate::units::{Direction, Millis, Share, Timestamp};

/// Kilometres of great circle that a round trip of one ms can span at most, through straight fibre.
const FIBRE_KM_PER_MS_RTT: f64 = 102.1;
const LEAST_RTT_MS: f64 = 0.2;
/// No measurement is trusted further than this.
const LEAST_DEVIATION_MS: f64 = 0.5;

/// Where an estimate mainly comes from, most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Probe,
    History,
    GeoIp,
    StatedRegion,
    /// Distance from the node that answers the party fastest: no place is known, or measurements disprove it.
    FastestNode,
    /// Nothing is known.
    Unknown,
}

/// A believed round trip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub rtt: Millis,
    /// Standard deviation of the belief.
    pub deviation: Millis,
    pub loss: Option<Share>,
    pub source: Source,
    /// Of the newest measurement behind it.
    pub age: Option<Millis>,
    pub samples: u32,
}

/// A measurement together with how far to trust it.
struct Evidence {
    node: usize,
    rtt: f64,
    /// Standard deviation in proportion to the true round trip, and on top of that in ms.
    relative: f64,
    absolute: f64,
    loss: Option<Share>,
    source: Source,
    age: Millis,
    samples: u32,
}

impl Evidence {
    /// Variance in ms². Taken from the mean of what was measured and what was expected: noise taken from the
    /// measurement alone would trust those most that are too short by chance.
    fn variance(&self, expected: f64) -> f64 {
        (self.relative * (self.rtt + expected) / 2.0).powi(2) + self.absolute.powi(2)
    }
}

struct Place {
    direction: Direction,
    accuracy_km: f64,
    source: Source,
}

/// The round trips between a party and all nodes, by node index.
pub(crate) fn estimate(
    fleet: &Fleet,
    policy: &Policy,
    party: &Party,
    now: Timestamp,
) -> Vec<Estimate> {
    let evidence = gather(fleet, policy, party, now);
    let place = locate(fleet, party, &evidence);
    let mut estimates = priors(fleet, policy, place.as_ref());
    let Some((offset, offset_variance)) = last_mile(policy, &estimates, &evidence) else {
        return estimates;
    };
    for (node, estimate) in estimates.iter_mut().enumerate() {
        let least = place.as_ref().map_or(0.0, |p| fibre_limit(fleet, p, node));
        estimate.rtt = Millis((estimate.rtt.0 + offset).max(least).max(LEAST_RTT_MS));
    }
    for e in evidence {
        let estimate = &mut estimates[e.node];
        let before = estimate.deviation.0.powi(2);
        let gain = before / (before + e.variance(estimate.rtt.0));
        let Evidence {
            rtt,
            loss,
            source,
            age,
            samples,
            ..
        } = e;
        let measured_before = estimate.source <= Source::History;
        *estimate = Estimate {
            rtt: Millis((estimate.rtt.0 + gain * (rtt - estimate.rtt.0)).max(LEAST_RTT_MS)),
            deviation: Millis((before * (1.0 - gain)).sqrt()),
            loss: estimate.loss.or(loss),
            source: estimate.source.min(source),
            age: Some(
                estimate
                    .age
                    .map_or(age, |a| if a.0 < age.0 { a } else { age }),
            ),
            samples: if measured_before {
                estimate.samples + samples
            } else {
                samples
            },
        };
    }
    for estimate in estimates.iter_mut().filter(|e| e.source > Source::History) {
        estimate.deviation = Millis((estimate.deviation.0.powi(2) + offset_variance).sqrt());
    }
    estimates
}

/// Usable measurements, the more trusted source first.
fn gather(fleet: &Fleet, policy: &Policy, party: &Party, now: Timestamp) -> Vec<Evidence> {
    let mut evidence = Vec::with_capacity(party.probes.len() + party.history.len());
    let mut add = |m: &Measurement, source, rtt: f64, relative: f64, absolute: f64| {
        if let Some(node) = fleet.index(&m.node) {
            let (age, absolute) = (now.since(m.at), absolute.max(LEAST_DEVIATION_MS));
            evidence.push(Evidence {
                node,
                rtt,
                relative,
                absolute,
                loss: m.loss,
                source,
                age,
                samples: m.samples,
            });
        }
    };
    for probe in party
        .probes
        .iter()
        .filter(|p| now.since(p.at).0 <= policy.probe_lifetime.0)
    {
        if let Some(deviation) = probe.deviation {
            add(probe, Source::Probe, probe.rtt.0, 0.0, deviation.0);
            continue;
        }
        let samples = f64::from(probe.samples.max(1));
        // The least of n queueing delays is an nth of the mean one, and doubted as much; the rest averages out.
        let queueing = policy.probe_jitter.0 / samples;
        let rtt = (probe.rtt.0 - queueing).max(LEAST_RTT_MS);
        add(
            probe,
            Source::Probe,
            rtt,
            policy.probe_noise.0 / samples.sqrt(),
            queueing,
        );
    }
    for past in &party.history {
        match past.deviation {
            Some(deviation) => add(past, Source::History, past.rtt.0, 0.0, deviation.0),
            None => add(past, Source::History, past.rtt.0, policy.probe_noise.0, 0.0),
        }
    }
    evidence
}

/// Where the party is: the place given, unless light could not have come back from there in the time measured.
fn locate(fleet: &Fleet, party: &Party, evidence: &[Evidence]) -> Option<Place> {
    let given = party.location.map(|l| Place {
        direction: l.coordinates.direction(),
        accuracy_km: l.accuracy_km,
        source: match l.source {
            LocationSource::GeoIp => Source::GeoIp,
            LocationSource::StatedRegion => Source::StatedRegion,
        },
    });
    let fastest = evidence
        .iter()
        .min_by(|a, b| a.rtt.total_cmp(&b.rtt).then(a.node.cmp(&b.node)));
    let at_fastest = || {
        fastest.map(|e| Place {
            direction: *fleet.direction(e.node),
            accuracy_km: e.rtt * FIBRE_KM_PER_MS_RTT / 4.0,
            source: Source::FastestNode,
        })
    };
    match given {
        Some(place) => {
            // Noise may make a true delay look this much too short.
            let possible = |e: &Evidence| {
                let least = fibre_limit(fleet, &place, e.node);
                e.rtt + 2.0 * e.variance(least).sqrt() >= least
            };
            if evidence.iter().all(possible) {
                Some(place)
            } else {
                at_fastest()
            }
        }
        None => at_fastest(),
    }
}

fn fibre_limit(fleet: &Fleet, place: &Place, node: usize) -> f64 {
    (place.direction.distance_km(fleet.direction(node)) - place.accuracy_km).max(0.0)
        / FIBRE_KM_PER_MS_RTT
}

fn priors(fleet: &Fleet, policy: &Policy, place: Option<&Place>) -> Vec<Estimate> {
    let prior = |node| {
        let (rtt, variance, source) = match place {
            Some(place) => {
                let rtt = policy.prior_base.0
                    + policy.prior_per_km.0 * place.direction.distance_km(fleet.direction(node));
                let variance = (policy.prior_noise.0 * rtt).powi(2)
                    + policy.prior_floor.0.powi(2)
                    + (policy.prior_per_km.0 * place.accuracy_km).powi(2);
                (rtt, variance, place.source)
            }
            None => (
                policy.unknown_rtt.0,
                policy.unknown_rtt.0.powi(2) / 4.0,
                Source::Unknown,
            ),
        };
        let deviation = Millis(variance.sqrt());
        Estimate {
            rtt: Millis(rtt),
            deviation,
            loss: None,
            source,
            age: None,
            samples: 0,
        }
    };
    (0..fleet.nodes().len()).map(prior).collect()
}

/// How much slower than the prior the party's measurements are on the whole, and the variance of that; `None` without
/// measurements.
fn last_mile(policy: &Policy, priors: &[Estimate], evidence: &[Evidence]) -> Option<(f64, f64)> {
    if evidence.is_empty() {
        return None;
    }
    // Starts from the belief that this party is like any other.
    let mut weights = 1.0 / policy.access_spread.0.powi(2);
    let mut sum = 0.0;
    for e in evidence {
        let prior = &priors[e.node];
        let weight = 1.0 / (e.variance(prior.rtt.0) + prior.deviation.0.powi(2));
        weights += weight;
        sum += weight * (e.rtt - prior.rtt.0);
    }
    Some((sum / weights, 1.0 / weights))
}
