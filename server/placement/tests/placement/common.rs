//! Fleets, parties and requests for tests.

use std::collections::BTreeSet;

use tradewind_placement::{
    Capacity, Coordinates, Fleet, Health, Link, Location, LocationSource, Measurement, Millis,
    Node, NodeId, Party, Placement, PlacementError, Policy, Protocols, Request, Reservations,
    Share, Snapshot, Timestamp, place,
};

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

pub(crate) fn node(id: &str, lat: f64, lon: f64) -> Node {
    Node {
        id: id.into(),
        region: id.to_owned(),
        coordinates: Coordinates { lat, lon },
        health: Health::Healthy,
        draining: false,
        capacity: Capacity {
            parties: 1_000,
            in_use: 0,
            cpu: Share(0.0),
            egress: Share(0.0),
        },
        residency: BTreeSet::new(),
        protocols: Protocols {
            oldest: 1,
            newest: 2,
        },
        price_per_gb: 0.02,
        reported_at: NOW,
    }
}

pub(crate) fn link(from: &str, to: &str, rtt: f64) -> [Link; 2] {
    let one = |from: &str, to: &str| Link {
        from: from.into(),
        to: to.into(),
        rtt: Millis(rtt),
        loss: Share(0.0),
        up: true,
        measured_at: NOW,
    };
    [one(from, to), one(to, from)]
}

pub(crate) fn probe(node: &str, rtt: f64) -> Measurement {
    Measurement {
        node: node.into(),
        rtt: Millis(rtt),
        deviation: Some(Millis(0.5)),
        samples: 3,
        loss: None,
        at: NOW,
    }
}

pub(crate) fn party(id: &str, probes: &[(&str, f64)]) -> Party {
    Party {
        id: id.into(),
        probes: probes.iter().map(|(node, rtt)| probe(node, *rtt)).collect(),
        history: Vec::new(),
        location: None,
        entry: None,
    }
}

pub(crate) fn at(id: &str, lat: f64, lon: f64) -> Party {
    let coordinates = Coordinates { lat, lon };
    let location = Some(Location {
        coordinates,
        accuracy_km: 20.0,
        source: LocationSource::GeoIp,
    });
    Party {
        location,
        ..party(id, &[])
    }
}

pub(crate) fn request(parties: Vec<Party>) -> Request {
    Request {
        parties,
        residency: BTreeSet::new(),
        running: None,
        now: NOW,
        seed: 7,
    }
}

/// Paris, Frankfurt, Tokyo, Singapore and Washington with real delays between them (Azure medians, rounded).
pub(crate) fn world() -> Snapshot {
    let mut nodes = vec![
        node("paris", 48.85, 2.35),
        node("frankfurt", 50.11, 8.68),
        node("tokyo", 35.69, 139.69),
        node("singapore", 1.29, 103.85),
        node("washington", 38.9, -77.04),
    ];
    for node in &mut nodes[..2] {
        node.residency.insert("eu".to_owned());
    }
    let links = [
        ("paris", "frankfurt", 10.0),
        ("paris", "tokyo", 214.0),
        ("paris", "singapore", 148.0),
        ("paris", "washington", 80.0),
        ("frankfurt", "tokyo", 222.0),
        ("frankfurt", "singapore", 155.0),
        ("frankfurt", "washington", 92.0),
        ("tokyo", "singapore", 72.0),
        ("tokyo", "washington", 155.0),
        ("singapore", "washington", 220.0),
    ];
    let links = links
        .iter()
        .flat_map(|(a, b, rtt)| link(a, b, *rtt))
        .collect();
    Snapshot {
        nodes,
        links,
        taken_at: NOW,
    }
}

/// A shopper in Tokyo whose internet path to Europe is poor.
pub(crate) fn shopper() -> Party {
    party(
        "shopper",
        &[
            ("tokyo", 8.0),
            ("singapore", 95.0),
            ("paris", 290.0),
            ("frankfurt", 295.0),
            ("washington", 190.0),
        ],
    )
}

/// An agent in Paris, likewise.
pub(crate) fn agent() -> Party {
    party(
        "agent",
        &[
            ("paris", 6.0),
            ("frankfurt", 16.0),
            ("tokyo", 290.0),
            ("singapore", 210.0),
            ("washington", 95.0),
        ],
    )
}

pub(crate) fn change(snapshot: &mut Snapshot, id: &str, change: impl FnOnce(&mut Node)) {
    change(
        snapshot
            .nodes
            .iter_mut()
            .find(|n| n.id == NodeId::from(id))
            .expect("set up by the test"),
    );
}

pub(crate) fn fleet(snapshot: Snapshot) -> Fleet {
    Fleet::new(snapshot, &Policy::default()).expect("set up by the test")
}

pub(crate) fn placed(snapshot: &Snapshot, request: &Request) -> Result<Placement, PlacementError> {
    place(
        &fleet(snapshot.clone()),
        &Reservations::default(),
        &Policy::default(),
        request,
    )
}

pub(crate) fn names(placement: &Placement) -> Vec<&str> {
    placement.route.iter().map(NodeId::as_str).collect()
}
