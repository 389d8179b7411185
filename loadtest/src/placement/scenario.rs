//! Who calls whom.

use tradewind_placement::Coordinates;

use super::data::World;
use super::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    AnyToAny,
    AgentsInHubs,
    AgentsInOneCity,
}

/// Cities with many service agents, with their countries' places in the world's list found by distance.
const HUBS: [Coordinates; 11] = [
    Coordinates {
        lat: 14.60,
        lon: 120.98,
    }, // Manila
    Coordinates {
        lat: 12.97,
        lon: 77.59,
    }, // Bangalore
    Coordinates {
        lat: 3.15,
        lon: 101.69,
    }, // Kuala Lumpur
    Coordinates {
        lat: 30.04,
        lon: 31.24,
    }, // Cairo
    Coordinates {
        lat: -33.92,
        lon: 18.42,
    }, // Cape Town
    Coordinates {
        lat: 52.23,
        lon: 21.01,
    }, // Warsaw
    Coordinates {
        lat: 38.72,
        lon: -9.14,
    }, // Lisbon
    Coordinates {
        lat: 53.35,
        lon: -6.26,
    }, // Dublin
    Coordinates {
        lat: 4.71,
        lon: -74.07,
    }, // Bogota
    Coordinates {
        lat: -23.55,
        lon: -46.64,
    }, // Sao Paulo
    Coordinates {
        lat: 32.78,
        lon: -96.80,
    }, // Dallas
];
const PARIS: Coordinates = Coordinates {
    lat: 48.85,
    lon: 2.35,
};

/// A party's country, and its place if that is a city.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) country: usize,
    pub(super) city: Option<Coordinates>,
}

impl Scenario {
    pub(super) const ALL: [Self; 3] = [Self::AnyToAny, Self::AgentsInHubs, Self::AgentsInOneCity];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AnyToAny => "any_to_any",
            Self::AgentsInHubs => "agents_in_hubs",
            Self::AgentsInOneCity => "agents_in_one_city",
        }
    }

    /// The shopper, who comes first, and the agent, of another country.
    pub(super) fn call(self, world: &World, random: &mut Random) -> [Origin; 2] {
        let agent = match self {
            Self::AnyToAny => Origin {
                country: random.weighted(&world.users),
                city: None,
            },
            Self::AgentsInHubs => {
                in_city(world, HUBS[(random.next() % HUBS.len() as u64) as usize])
            }
            Self::AgentsInOneCity => in_city(world, PARIS),
        };
        // A user of the agent's own country is drawn again; with one country in reach of all, settle for a domestic call.
        let draws = (0..64)
            .map(|_| random.weighted(&world.users))
            .find(|country| *country != agent.country);
        [
            Origin {
                country: draws.unwrap_or(agent.country),
                city: None,
            },
            agent,
        ]
    }
}

fn in_city(world: &World, city: Coordinates) -> Origin {
    let distance = |country: usize| world.countries[country].centre.distance_km(city);
    let nearest = (0..world.countries.len()).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
    Origin {
        country: nearest.unwrap_or(0),
        city: Some(city),
    }
}
