//! A client: its true delays, and what the engine is told of it.

use tradewind_placement::{
    Coordinates, Location, LocationSource, Measurement, Millis, NodeId, Party, Timestamp,
};

use super::data::World;
use super::random::Random;
use super::scenario::Origin;

/// Medians of what a last mile adds to the one-way delay in ms: fibre, cable, 4G, 5G.
const LAST_MILES_MS: [f64; 4] = [3.5, 11.0, 25.0, 11.0];
const LAST_MILE_SIGMA: f64 = 0.5;
/// How far from its country's centre or its city's a client lives, in degrees.
const SPREAD_COUNTRY: f64 = 3.0;
const SPREAD_CITY: f64 = 0.2;
/// GeoIP: usual error in degrees, and share of addresses listed in quite another place.
const GEOIP_ERROR: f64 = 1.0;
const GEOIP_WRONG: f64 = 0.02;
const GEOIP_ACCURACY_KM: f64 = 200.0;
/// A probe's noise: standard deviation of the logarithm, and mean queueing in ms.
const PROBE_SIGMA: f64 = 0.2;
const PROBE_QUEUEING_MS: f64 = 5.0;

/// What the engine is told: true delays, or what probes would tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Probes {
    True,
    Noisy,
    /// Three probes to each node.
    NoisyThree,
}

pub(super) struct Client {
    pub(super) place: Coordinates,
    /// Where GeoIP says it is.
    pub(super) listed: Coordinates,
    /// True round trips in ms, by node.
    pub(super) rtt: Vec<f64>,
    /// What three probes to each node say.
    probed: Vec<[f64; 3]>,
}

impl Client {
    pub(super) fn new(world: &World, origin: Origin, random: &mut Random) -> Self {
        let country = &world.countries[origin.country];
        let (centre, spread) = match origin.city {
            Some(city) => (city, SPREAD_CITY),
            None => (country.centre, SPREAD_COUNTRY),
        };
        let place = near(centre, spread, random);
        let listed = if random.chance(GEOIP_WRONG) {
            world.countries[random.weighted(&world.users)].centre
        } else {
            near(place, GEOIP_ERROR, random)
        };
        let median = LAST_MILES_MS[(random.next() % 4) as usize];
        let last_mile = 2.0 * random.lognormal(median, LAST_MILE_SIGMA);
        let sites = world.sites.iter().enumerate();
        let rtt: Vec<f64> = sites
            .map(|(node, site)| country.rtt(place, node, site) + last_mile)
            .collect();
        let mut probe = |rtt: f64| {
            rtt * random.lognormal(1.0, PROBE_SIGMA) + random.exponential(PROBE_QUEUEING_MS)
        };
        let probed = rtt
            .iter()
            .map(|&rtt| [probe(rtt), probe(rtt), probe(rtt)])
            .collect();
        Self {
            place,
            listed,
            rtt,
            probed,
        }
    }

    /// What this client's measurements say of a node in ms.
    pub(super) fn believed(&self, probes: Probes, node: usize) -> f64 {
        let [first, second, third] = self.probed[node];
        match probes {
            Probes::True => self.rtt[node],
            Probes::Noisy => first,
            Probes::NoisyThree => (first + second + third) / 3.0,
        }
    }

    /// The client as a party with probes to the `probed` nodes nearest to its listed place, 0 for all.
    pub(super) fn party(
        &self,
        id: &str,
        world: &World,
        names: &[NodeId],
        probes: Probes,
        probed: usize,
        now: Timestamp,
    ) -> Party {
        let mut nodes: Vec<usize> = (0..names.len()).collect();
        if probed > 0 && probed < nodes.len() {
            let far = |node: &usize| world.sites[*node].coordinates.distance_km(self.listed);
            nodes.sort_by(|a, b| far(a).total_cmp(&far(b)));
            nodes.truncate(probed);
        }
        let measurement = |node: usize, rtt: f64| Measurement {
            node: names[node].clone(),
            rtt: Millis(rtt),
            deviation: (probes == Probes::True).then_some(Millis(0.5)),
            samples: 1,
            loss: None,
            at: now,
        };
        let samples = |node: usize| match probes {
            Probes::True => std::slice::from_ref(&self.rtt[node]),
            Probes::Noisy => &self.probed[node][..1],
            Probes::NoisyThree => &self.probed[node][..],
        };
        let of_node = |node: usize| samples(node).iter().map(move |rtt| measurement(node, *rtt));
        Party {
            id: id.into(),
            probes: nodes.into_iter().flat_map(of_node).collect(),
            history: Vec::new(),
            location: Some(Location {
                coordinates: self.listed,
                accuracy_km: GEOIP_ACCURACY_KM,
                source: LocationSource::GeoIp,
            }),
            entry: None,
        }
    }
}

fn near(centre: Coordinates, spread: f64, random: &mut Random) -> Coordinates {
    let lat = (centre.lat + spread * random.normal()).clamp(-85.0, 85.0);
    let lon = (centre.lon + spread * random.normal() + 540.0).rem_euclid(360.0) - 180.0;
    Coordinates { lat, lon }
}
