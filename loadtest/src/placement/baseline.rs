//! What others do: one central node, the first joiner's nearest, the nearest for each, the best single node.

use super::client::{Client, Probes};
use super::data::World;
use super::truth::Truth;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Baseline {
    Central,
    NearestByDistance,
    FirstJoinersNearest,
    NearestByRtt,
    BestSingle,
}

impl Baseline {
    pub(super) const ALL: [Self; 5] = [
        Self::Central,
        Self::NearestByDistance,
        Self::FirstJoinersNearest,
        Self::NearestByRtt,
        Self::BestSingle,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Central => "central_node",
            Self::NearestByDistance => "nearest_by_distance_each",
            Self::FirstJoinersNearest => "first_joiners_nearest",
            Self::NearestByRtt => "nearest_by_rtt_each",
            Self::BestSingle => "best_single_node",
        }
    }

    /// Whether it asks for delays at all.
    pub(super) fn probes(self) -> bool {
        !matches!(self, Self::Central | Self::NearestByDistance)
    }

    /// The clients' entry nodes, among those open by their reports. It does not reserve seats.
    pub(super) fn choose(
        self,
        world: &World,
        truth: &Truth,
        clients: &[Client; 2],
        probes: Probes,
        eu: bool,
    ) -> Option<[usize; 2]> {
        let least = |cost: &dyn Fn(usize) -> f64| {
            truth.open(eu).min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
        };
        let far = |node: usize, place| world.sites[node].coordinates.distance_km(place);
        let rtt = |client: usize, node: usize| clients[client].believed(probes, node);
        match self {
            Self::Central => {
                let centre = world.sites[world.central].coordinates;
                least(&|n| far(n, centre)).map(|n| [n; 2])
            }
            Self::NearestByDistance => Some([
                least(&|n| far(n, clients[0].listed))?,
                least(&|n| far(n, clients[1].listed))?,
            ]),
            Self::FirstJoinersNearest => least(&|n| rtt(0, n)).map(|n| [n; 2]),
            Self::NearestByRtt => Some([least(&|n| rtt(0, n))?, least(&|n| rtt(1, n))?]),
            Self::BestSingle => least(&|n| rtt(0, n) + rtt(1, n)).map(|n| [n; 2]),
        }
    }
}
