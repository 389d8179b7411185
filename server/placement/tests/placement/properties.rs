//! What holds for every fleet and every call.

use proptest::prelude::*;
use tradewind_placement::{
    Capacity, Coordinates, Explanation, Fleet, Health, Link, Measurement, Millis, Node, NodeId,
    Party, Placement, Points, Policy, Protocols, Request, Reservations, Running, Share, Snapshot,
    Timestamp, explain, place,
};

use crate::common::{NOW, at};

const TAGS: [&str; 3] = ["eu", "us", "jp"];

fn any_node(index: usize) -> impl Strategy<Value = Node> {
    let state = (
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.15),
        0u64..20_000,
    );
    let capacity = (0u32..40, 0u32..40, 0.0..1.1f64, 0.0..1.1f64);
    let rules = (
        prop::collection::btree_set(prop::sample::select(&TAGS[..]), 0..3),
        1u16..4,
        0u16..3,
        0.0..2.0f64,
    );
    (-90.0..90.0f64, -180.0..180.0f64, state, capacity, rules).prop_map(
        move |(lat, lon, state, capacity, rules)| Node {
            id: format!("node-{index:02}").into(),
            region: format!("region-{}", index / 3),
            coordinates: Coordinates { lat, lon },
            health: if state.0 {
                Health::Healthy
            } else {
                Health::Unhealthy
            },
            draining: state.1,
            capacity: Capacity {
                parties: capacity.0,
                in_use: capacity.1,
                cpu: Share(capacity.2),
                egress: Share(capacity.3),
            },
            residency: rules.0.into_iter().map(str::to_owned).collect(),
            protocols: Protocols {
                oldest: rules.1,
                newest: rules.1 + rules.2,
            },
            price_per_gb: rules.3,
            reported_at: Timestamp(NOW.0 - state.2),
        },
    )
}

fn any_links(nodes: &[Node]) -> impl Strategy<Value = Vec<Link>> + use<> {
    let ids: Vec<_> = nodes.iter().map(|n| n.id.clone()).collect();
    let pairs: Vec<_> = ids
        .iter()
        .flat_map(|from| ids.iter().map(move |to| (from.clone(), to.clone())))
        .filter(|(from, to)| from != to)
        .collect();
    let state = (1.0..300.0f64, 0.0..0.1f64, prop::bool::weighted(0.7));
    prop::collection::vec(state, pairs.len()).prop_map(move |states| {
        let link = |((from, to), (rtt, loss, up)): ((NodeId, NodeId), (f64, f64, bool))| Link {
            from,
            to,
            rtt: Millis(rtt),
            loss: Share(loss * loss),
            up,
            measured_at: NOW,
        };
        pairs.iter().cloned().zip(states).map(link).collect()
    })
}

fn any_fleet(nodes: std::ops::Range<usize>) -> impl Strategy<Value = Snapshot> {
    let nodes = nodes.prop_flat_map(|count| (0..count).map(any_node).collect::<Vec<_>>());
    nodes.prop_flat_map(|nodes| {
        let links = any_links(&nodes);
        links.prop_map(move |links| Snapshot {
            nodes: nodes.clone(),
            links,
            taken_at: NOW,
        })
    })
}

/// A party at a random place with probes to some nodes, and perhaps on a node already.
fn any_party(index: usize) -> impl Strategy<Value = Party> {
    let probes =
        prop::collection::btree_map(0usize..14, (1.0..400.0f64, 0.0..0.05f64, 1u32..4), 0..10);
    let entry = prop::option::weighted(0.3, 0usize..14);
    (
        -90.0..90.0f64,
        -180.0..180.0f64,
        prop::bool::ANY,
        probes,
        entry,
    )
        .prop_map(move |(lat, lon, located, probes, entry)| {
            let mut party = at(&format!("party-{index}"), lat, lon);
            if !located {
                party.location = None;
            }
            let probe = |(node, (rtt, loss, samples)): (usize, (f64, f64, u32))| Measurement {
                node: format!("node-{node:02}").into(),
                rtt: Millis(rtt),
                deviation: None,
                samples,
                loss: Some(Share(loss)),
                at: NOW,
            };
            party.probes = probes.into_iter().map(probe).collect();
            party.entry = entry.map(|node| format!("node-{node:02}").into());
            party
        })
}

fn any_request(parties: std::ops::Range<usize>) -> impl Strategy<Value = Request> {
    let parties = parties.prop_flat_map(|count| (0..count).map(any_party).collect::<Vec<_>>());
    let residency = prop::collection::btree_set(prop::sample::select(&TAGS[..]), 0..2);
    let running = prop::option::of((prop::bool::ANY, prop::option::weighted(0.3, 1u16..4)));
    (parties, residency, running, any::<u64>()).prop_map(
        |(mut parties, residency, running, seed)| {
            if running.is_none() {
                parties.iter_mut().for_each(|p| p.entry = None);
            }
            Request {
                parties,
                residency: residency.into_iter().map(str::to_owned).collect(),
                running: running.map(|(held, protocol)| Running {
                    better_since: held.then_some(Timestamp(0)),
                    moved_at: None,
                    protocol,
                }),
                now: NOW,
                seed,
            }
        },
    )
}

fn on(snapshot: Snapshot, policy: &Policy, request: &Request) -> Option<Placement> {
    place(
        &Fleet::new(snapshot, policy).expect("set up by the test"),
        &Reservations::default(),
        policy,
        request,
    )
    .ok()
}

fn explained(snapshot: Snapshot, request: &Request) -> Option<Explanation> {
    let policy = Policy::default();
    explain(
        &Fleet::new(snapshot, &policy).expect("set up by the test"),
        &Reservations::default(),
        &policy,
        request,
    )
    .ok()
}

/// Whether the rules let a node carry the call, told independently of the engine.
fn may_carry(node: &Node, request: &Request, policy: &Policy) -> bool {
    let lawful = request.residency.is_empty() || !request.residency.is_disjoint(&node.residency);
    let fresh = request.now.0 - node.reported_at.0 <= policy.report_timeout.0 as u64;
    let version = request.running.and_then(|r| r.protocol);
    let speaks = version.is_none_or(|v| node.protocols.oldest <= v && v <= node.protocols.newest);
    lawful && fresh && speaks && node.health == Health::Healthy && !node.draining
}

/// The node's load with this many more parties, told independently of the engine.
fn load_with(node: &Node, more: u32) -> f64 {
    let size = f64::from(node.capacity.parties);
    (f64::from(node.capacity.in_use) / size)
        .max(node.capacity.cpu.0)
        .max(node.capacity.egress.0)
        + f64::from(more) / size
}

fn carries_only_allowed_nodes(
    snapshot: &Snapshot,
    request: &Request,
    placement: &Placement,
) -> Result<(), TestCaseError> {
    let policy = Policy::default();
    let node = |id: &NodeId| {
        snapshot
            .nodes
            .iter()
            .find(|n| n.id == *id)
            .expect("set up by the test")
    };
    let limit = policy.hard_load.0 + 1e-6;
    for id in placement
        .route
        .iter()
        .chain(placement.standby.iter().map(|s| &s.node))
    {
        prop_assert!(
            may_carry(node(id), request, &policy),
            "{id} may not carry the call"
        );
    }
    let versions = placement.route.iter().map(|id| node(id).protocols);
    prop_assert!(versions.into_iter().all(|p| p.includes(placement.protocol)));
    for id in &placement.route {
        let entering = request
            .parties
            .iter()
            .zip(&placement.entries)
            .filter(|(_, (_, entry))| entry == id);
        let newcomers = entering
            .clone()
            .filter(|(party, _)| party.entry.as_ref() != Some(id))
            .count() as u32;
        if entering.count() == 0 || newcomers > 0 {
            prop_assert!(load_with(node(id), newcomers) <= limit, "{id} is full");
        }
    }
    for standby in &placement.standby {
        let arriving = placement
            .entries
            .iter()
            .filter(|(_, entry)| *entry == standby.replaces)
            .count() as u32;
        prop_assert!(
            load_with(node(&standby.node), arriving) <= limit,
            "standby {} is full",
            standby.node
        );
    }
    prop_assert!(placement.route.len() <= 4, "more than three hops");
    for hop in placement.route.windows(2) {
        for (from, to) in [(&hop[0], &hop[1]), (&hop[1], &hop[0])] {
            let up = snapshot
                .links
                .iter()
                .any(|l| l.from == *from && l.to == *to && l.up);
            prop_assert!(up, "{from} to {to} is down");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_forbidden_full_draining_sick_or_incompatible_node_carries_a_call(
        snapshot in any_fleet(0..14),
        request in any_request(1..6),
    ) {
        if let Some(placement) = on(snapshot.clone(), &Policy::default(), &request) {
            carries_only_allowed_nodes(&snapshot, &request, &placement)?;
            let entries: Vec<_> = placement.entries.iter().map(|(party, _)| party).collect();
            prop_assert_eq!(entries, request.parties.iter().map(|p| &p.id).collect::<Vec<_>>());
            let ends = [placement.route.first(), placement.route.last()];
            prop_assert!(placement.entries.iter().all(|(_, entry)| ends.contains(&Some(entry))));
        }
    }

    #[test]
    fn the_order_of_nodes_and_links_changes_nothing(
        snapshot in any_fleet(0..12),
        request in any_request(1..5),
        turns in any::<prop::sample::Index>(),
    ) {
        let mut turned = snapshot.clone();
        if !turned.nodes.is_empty() {
            let by = turns.index(turned.nodes.len());
            turned.nodes.rotate_left(by);
            turned.nodes.reverse();
            turned.links.reverse();
        }
        let policy = Policy::default();
        let placement = on(snapshot.clone(), &policy, &request);
        prop_assert_eq!(&placement, &on(snapshot.clone(), &policy, &request));
        prop_assert_eq!(&placement, &on(turned.clone(), &policy, &request));
        prop_assert_eq!(explained(snapshot, &request), explained(turned, &request));
    }

    #[test]
    fn another_node_never_makes_the_score_worse(
        snapshot in any_fleet(1..12),
        request in any_request(1..5),
        removed in any::<prop::sample::Index>(),
    ) {
        let request = as_new(request);
        if let Some(less) = on(without(&snapshot, removed), &Policy::default(), &request) {
            let more = on(snapshot, &Policy::default(), &request).expect("set up by the test");
            prop_assert!(more.score() <= less.score(), "{} > {}", more.score(), less.score());
        }
    }

    #[test]
    fn another_node_never_makes_the_conversation_worse_if_traffic_is_free(
        snapshot in any_fleet(1..12),
        request in any_request(1..5),
        removed in any::<prop::sample::Index>(),
    ) {
        let free = Policy {
            second_node: Points(0),
            currency: Points(0),
            load: Points(0),
            moved_party: Points(0),
            ..Policy::default()
        };
        let request = as_new(request);
        if let Some(less) = on(without(&snapshot, removed), &free, &request) {
            let more = on(snapshot, &free, &request).expect("set up by the test");
            prop_assert!(more.terms.impairment() <= less.terms.impairment());
        }
    }

    #[test]
    fn an_explanation_tells_of_every_node_and_its_terms_add_up(
        snapshot in any_fleet(0..14),
        request in any_request(1..6),
    ) {
        let nodes = snapshot.nodes.len();
        if let Some(explanation) = explained(snapshot.clone(), &request) {
            let placement = &explanation.placement;
            let sum: i64 = placement.terms.by_name().into_iter().map(|(_, points)| points.0).sum();
            prop_assert_eq!(explanation.score.0, sum);
            prop_assert_eq!(Some(placement.clone()), on(snapshot, &Policy::default(), &request));
            prop_assert_eq!(explanation.candidates.len(), nodes);
            for candidate in &explanation.candidates {
                prop_assert_eq!(candidate.legs.len(), request.parties.len());
                prop_assert!(candidate.chosen || candidate.best.is_none() || candidate.excluded.is_none());
                if let Some(best) = candidate.best && request.running.is_none() && request.parties.len() == 2 {
                    prop_assert!(best.total() >= explanation.score, "{} was passed over", candidate.node);
                }
            }
        }
    }

    #[test]
    fn pruning_finds_what_trying_everything_finds(
        snapshot in any_fleet(1..9),
        request in any_request(2..3),
    ) {
        let request = as_new(request);
        let mut snapshot = snapshot;
        // Without bad links no third node plays a part.
        snapshot.links.iter_mut().for_each(|l| (l.up, l.loss) = (true, Share(0.01)));
        let found = on(snapshot.clone(), &Policy::default(), &request).map(|p| p.score());
        prop_assert_eq!(found, best_of_all_subsets(&snapshot, &request));
    }
}

/// The request as if the call did not run yet.
fn as_new(mut request: Request) -> Request {
    request.running = None;
    request.parties.iter_mut().for_each(|p| p.entry = None);
    request
}

/// A snapshot that lacks one node as a candidate and as a stop on a detour: it is unhealthy there. The measurements
/// stay, since they tell of the parties.
fn without(snapshot: &Snapshot, removed: prop::sample::Index) -> Snapshot {
    let mut less = snapshot.clone();
    let index = removed.index(less.nodes.len());
    less.nodes[index].health = Health::Unhealthy;
    less
}

/// The best score over all fleets with one or two healthy nodes.
fn best_of_all_subsets(snapshot: &Snapshot, request: &Request) -> Option<Points> {
    let count = snapshot.nodes.len();
    let pairs = (0..count).flat_map(|a| (a..count).map(move |b| [a, b]));
    let score = |keep: [usize; 2]| {
        let mut narrow = snapshot.clone();
        for (index, node) in narrow.nodes.iter_mut().enumerate() {
            if !keep.contains(&index) {
                node.health = Health::Unhealthy;
            }
        }
        on(narrow, &Policy::default(), request).map(|p| p.score())
    };
    pairs.filter_map(score).min()
}
