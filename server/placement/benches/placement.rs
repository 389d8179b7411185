//! Time to place a call of two parties, from probes to the answer, by fleet size.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tradewind_placement::{
    Capacity, Coordinates, Fleet, Health, Link, Location, LocationSource, Measurement, Millis,
    Node, Party, Policy, Protocols, Request, Reservations, Share, Snapshot, Timestamp, explain,
    place,
};

const NOW: Timestamp = Timestamp(1_000_000);

/// Evenly spread places (Fibonacci lattice).
fn place_on_earth(index: usize, count: usize) -> Coordinates {
    let lat = (1.0 - 2.0 * (index as f64 + 0.5) / count as f64)
        .asin()
        .to_degrees();
    let lon = (index as f64 * 137.508) % 360.0 - 180.0;
    Coordinates { lat, lon }
}

fn fleet(count: usize) -> Fleet {
    let node = |index| Node {
        id: format!("node-{index:03}").into(),
        region: format!("region-{}", index / 4),
        coordinates: place_on_earth(index, count),
        health: Health::Healthy,
        draining: false,
        capacity: Capacity {
            parties: 1_000,
            in_use: (index * 37 % 900) as u32,
            cpu: Share(0.2),
            egress: Share(0.2),
        },
        residency: BTreeSet::new(),
        protocols: Protocols {
            oldest: 1,
            newest: 1,
        },
        price_per_gb: 0.02,
        reported_at: NOW,
    };
    let nodes: Vec<Node> = (0..count).map(node).collect();
    let links = nodes
        .iter()
        .flat_map(|from| nodes.iter().map(move |to| (from, to)))
        .filter(|(from, to)| from.id != to.id)
        .map(|(from, to)| Link {
            from: from.id.clone(),
            to: to.id.clone(),
            rtt: Millis(1.0 + from.coordinates.distance_km(to.coordinates) / 102.1 * 1.7),
            loss: Share(0.0),
            up: true,
            measured_at: NOW,
        })
        .collect();
    Fleet::new(
        Snapshot {
            nodes,
            links,
            taken_at: NOW,
        },
        &Policy::default(),
    )
    .unwrap_or_else(|e| panic!("{e}"))
}

/// Two parties with five probes each, at places that change from call to call.
fn request(fleet: &Fleet, call: usize) -> Request {
    let party = |name: &str, at: usize| {
        let coordinates = place_on_earth(at % 997, 997);
        let mut near: Vec<_> = fleet.nodes().iter().collect();
        near.sort_by(|a, b| {
            a.coordinates
                .distance_km(coordinates)
                .total_cmp(&b.coordinates.distance_km(coordinates))
        });
        let probe = |node: &&Node| Measurement {
            node: node.id.clone(),
            rtt: Millis(25.0 + 0.02 * node.coordinates.distance_km(coordinates)),
            deviation: None,
            samples: 3,
            loss: None,
            at: NOW,
        };
        Party {
            id: name.into(),
            probes: near.iter().take(5).map(probe).collect(),
            history: Vec::new(),
            location: Some(Location {
                coordinates,
                accuracy_km: 50.0,
                source: LocationSource::GeoIp,
            }),
            entry: None,
        }
    };
    Request {
        parties: vec![
            party("shopper", call * 131),
            party("agent", call * 577 + 300),
        ],
        residency: BTreeSet::new(),
        running: None,
        now: NOW,
        seed: call as u64,
    }
}

fn benches(criterion: &mut Criterion) {
    let (policy, seats) = (Policy::default(), Reservations::default());
    let mut group = criterion.benchmark_group("two parties");
    for count in [16, 50, 500] {
        let fleet = fleet(count);
        let requests: Vec<_> = (0..200).map(|call| request(&fleet, call)).collect();
        group.bench_function(BenchmarkId::new("place", count), |bench| {
            let mut calls = requests.iter().cycle();
            bench.iter(|| {
                black_box(
                    calls
                        .next()
                        .map(|call| place(&fleet, &seats, &policy, call)),
                )
            });
        });
        group.bench_function(BenchmarkId::new("explain", count), |bench| {
            let mut calls = requests.iter().cycle();
            bench.iter(|| {
                black_box(
                    calls
                        .next()
                        .map(|call| explain(&fleet, &seats, &policy, call)),
                )
            });
        });
    }
    group.finish();
}

criterion_group!(placement, benches);
criterion_main!(placement);
