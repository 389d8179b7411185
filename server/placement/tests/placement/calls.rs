//! Where calls go, told as stories.

use crate::common::*;
use tradewind_placement::{
    Exclusion, Health, Millis, NodeId, Placement, PlacementError, Policy, Protocols, Reason,
    Reservations, Running, Share, Timestamp, place,
};

fn entry<'a>(placement: &'a Placement, party: &str) -> &'a str {
    placement
        .entry_of(&party.into())
        .expect("every party has an entry")
        .as_str()
}

#[test]
fn tokyo_and_paris_each_enter_near_home_when_the_internet_between_them_is_poor() {
    let placement = placed(&world(), &request(vec![shopper(), agent()])).unwrap();
    assert_eq!(
        (entry(&placement, "shopper"), entry(&placement, "agent")),
        ("tokyo", "paris")
    );
    assert!(placement.is_cascaded());
    assert!(
        matches!(placement.reasons[0], Reason::SecondNode { delay_saved } if delay_saved.0 > 10.0)
    );
    let expected = 8.0 / 2.0 + 214.0 / 2.0 + 6.0 / 2.0 + 2.0 * 0.5;
    for pair in &placement.pairs {
        assert!((pair.one_way.0 - expected).abs() < 1.5, "{}", pair.one_way);
    }
}

#[test]
fn neighbours_share_one_node() {
    let parties = vec![
        party("a", &[("paris", 9.0), ("frankfurt", 14.0)]),
        party("b", &[("paris", 16.0), ("frankfurt", 8.0)]),
    ];
    let placement = placed(&world(), &request(parties)).unwrap();
    assert_eq!(placement.route.len(), 1);
    assert_eq!(placement.reasons, [Reason::OneNode]);
}

#[test]
fn traffic_that_is_dear_keeps_a_call_on_one_node() {
    let mut dear = world();
    for node in &mut dear.nodes {
        node.price_per_gb = 50.0;
    }
    let placement = placed(&dear, &request(vec![shopper(), agent()])).unwrap();
    assert!(!placement.is_cascaded());
}

#[test]
fn a_european_call_stays_in_europe_with_its_standby() {
    let mut call = request(vec![shopper(), agent()]);
    call.residency.insert("eu".to_owned());
    let placement = placed(&world(), &call).unwrap();
    let european = |n: &NodeId| ["paris", "frankfurt"].contains(&n.as_str());
    assert!(placement.route.iter().all(european));
    assert!(!placement.standby.is_empty());
    assert!(placement.standby.iter().all(|s| european(&s.node)));
    call.residency = ["mars".to_owned()].into();
    assert!(matches!(
        placed(&world(), &call),
        Err(PlacementError::ImpossibleResidency(_))
    ));
}

#[test]
fn a_cut_cable_is_passed_by_a_detour_and_the_answer_says_so() {
    let mut cut = world();
    for link in &mut cut.links {
        let ends = [link.from.as_str(), link.to.as_str()];
        link.up = !(ends.contains(&"paris") && ends.contains(&"tokyo"));
    }
    let placement = placed(&cut, &request(vec![shopper(), agent()])).unwrap();
    assert_eq!(names(&placement), ["tokyo", "singapore", "paris"]);
    assert!(placement.reasons.contains(&Reason::Detour {
        via: vec!["singapore".into()]
    }));
    change(&mut cut, "singapore", |n| n.draining = true);
    assert!(
        !names(&placed(&cut, &request(vec![shopper(), agent()])).unwrap()).contains(&"singapore")
    );
}

#[test]
fn a_lossy_cable_is_passed_by_a_detour() {
    let mut lossy = world();
    for link in &mut lossy.links {
        let ends = [link.from.as_str(), link.to.as_str()];
        if ends.contains(&"paris") && ends.contains(&"tokyo") {
            link.loss = Share(0.08);
        }
    }
    let placement = placed(&lossy, &request(vec![shopper(), agent()])).unwrap();
    assert_eq!(placement.route.len(), 3);
}

#[test]
fn nodes_of_different_versions_are_not_joined() {
    let mut upgrade = world();
    for id in ["paris", "frankfurt"] {
        change(&mut upgrade, id, |n| {
            n.protocols = Protocols {
                oldest: 3,
                newest: 4,
            }
        });
    }
    let placement = placed(&upgrade, &request(vec![shopper(), agent()])).unwrap();
    let europeans = names(&placement)
        .iter()
        .filter(|n| ["paris", "frankfurt"].contains(*n))
        .count();
    assert!(
        europeans == 0 || europeans == placement.route.len(),
        "{:?}",
        placement.route
    );
}

#[test]
fn a_full_region_spills_to_the_next_best_and_the_answer_says_so() {
    let parties = vec![
        party("a", &[("paris", 9.0), ("frankfurt", 24.0)]),
        party("b", &[("paris", 6.0), ("frankfurt", 28.0)]),
    ];
    let mut busy = world();
    change(&mut busy, "paris", |n| n.capacity.in_use = 900);
    let placement = placed(&busy, &request(parties)).unwrap();
    assert_eq!(names(&placement), ["frankfurt"]);
    let spill = placement.spill().unwrap();
    assert_eq!(spill.wanted, "paris".into());
    assert!(
        (spill.delay_cost.0 - (26.0 - 7.5)).abs() < 2.0,
        "{}",
        spill.delay_cost
    );
}

#[test]
fn a_fleet_without_room_says_what_is_missing() {
    let mut full = world();
    for node in &mut full.nodes {
        node.capacity.cpu = Share(0.95);
    }
    full.nodes[0].health = Health::Unhealthy;
    let error = placed(&full, &request(vec![shopper(), agent()])).unwrap_err();
    assert_eq!(
        error,
        PlacementError::NoCapacity("4 full, 1 unhealthy".to_owned())
    );
}

#[test]
fn a_burst_of_calls_spreads_over_equal_nodes() {
    let mut region = world();
    region.nodes = (0..4)
        .map(|i| node(&format!("tokyo-{i}"), 35.69, 139.69))
        .collect();
    region.links.clear();
    let fleet = fleet(region);
    let mut seats = Reservations::default();
    let mut calls = [0u32; 4];
    for seed in 0..1_000 {
        let mut call = request(vec![at("a", 35.0, 139.0), at("b", 34.7, 135.5)]);
        call.seed = seed;
        let placement = place(&fleet, &seats, &Policy::default(), &call).unwrap();
        let chosen = fleet
            .nodes()
            .iter()
            .position(|n| n.id == placement.route[0])
            .unwrap();
        calls[chosen] += 1;
        seats.reserve(
            seed,
            placement.entries.into_iter().map(|(_, n)| n),
            NOW,
            Millis(10_000.0),
        );
    }
    assert!(calls.iter().all(|c| (200..300).contains(c)), "{calls:?}");
}

#[test]
fn deciders_that_do_not_see_each_other_do_not_all_pick_the_same_node() {
    let mut region = world();
    region.nodes = (0..4)
        .map(|i| node(&format!("tokyo-{i}"), 35.69, 139.69))
        .collect();
    region.links.clear();
    let mut chosen = std::collections::BTreeMap::<NodeId, u32>::new();
    for seed in 0..400 {
        let mut call = request(vec![at("a", 35.0, 139.0), at("b", 34.7, 135.5)]);
        call.seed = seed;
        *chosen
            .entry(placed(&region, &call).unwrap().route[0].clone())
            .or_default() += 1;
    }
    assert!(
        chosen.len() == 4 && chosen.values().all(|c| *c > 50),
        "{chosen:?}"
    );
}

#[test]
fn a_late_joiner_finds_the_call_where_it_is() {
    let mut call = request(vec![shopper(), agent(), at("expert", 52.5, 13.4)]);
    call.running = Some(Running::default());
    call.parties[0].entry = Some("tokyo".into());
    call.parties[1].entry = Some("frankfurt".into());
    let placement = placed(&world(), &call).unwrap();
    assert_eq!(
        (entry(&placement, "shopper"), entry(&placement, "agent")),
        ("tokyo", "frankfurt")
    );
    assert_eq!(entry(&placement, "expert"), "frankfurt");
}

#[test]
fn a_running_call_moves_only_for_a_lasting_gain_and_not_again_soon() {
    let mut call = request(vec![
        party("a", &[("paris", 8.0), ("tokyo", 250.0)]),
        party("b", &[("paris", 9.0), ("tokyo", 240.0)]),
    ]);
    for party in &mut call.parties {
        party.entry = Some("tokyo".into());
    }
    call.running = Some(Running::default());
    let first = placed(&world(), &call).unwrap();
    assert_eq!(names(&first), ["tokyo"]);
    assert_eq!(first.better_since, Some(NOW));
    assert!(
        first
            .reasons
            .iter()
            .any(|r| matches!(r, Reason::Kept { delay_forgone } if delay_forgone.0 > 100.0))
    );

    let mut world = world();
    let later = Timestamp(NOW.0 + 10_000);
    world.nodes.iter_mut().for_each(|n| n.reported_at = later);
    call.now = later;
    call.running = Some(Running {
        better_since: first.better_since,
        ..Running::default()
    });
    let second = placed(&world, &call).unwrap();
    assert_eq!(names(&second), ["paris"]);
    assert!(
        second
            .reasons
            .iter()
            .any(|r| matches!(r, Reason::MovedForGain { .. }))
    );

    call.running = Some(Running {
        better_since: first.better_since,
        moved_at: Some(NOW),
        protocol: None,
    });
    assert_eq!(names(&placed(&world, &call).unwrap()), ["tokyo"]);
}

#[test]
fn a_small_gain_moves_nobody() {
    let mut call = request(vec![
        party("a", &[("paris", 8.0), ("frankfurt", 20.0)]),
        party("b", &[("paris", 9.0), ("frankfurt", 20.0)]),
    ]);
    for party in &mut call.parties {
        party.entry = Some("frankfurt".into());
    }
    call.running = Some(Running::default());
    let placement = placed(&world(), &call).unwrap();
    assert_eq!(
        (names(&placement), placement.better_since),
        (vec!["frankfurt"], None)
    );
}

#[test]
fn a_dead_node_is_left_at_once_for_its_standby() {
    let mut call = request(vec![shopper(), agent()]);
    let before = placed(&world(), &call).unwrap();
    let standby = before
        .standby
        .iter()
        .find(|s| s.replaces == "paris".into())
        .unwrap();
    assert_eq!(standby.node, "frankfurt".into());
    for (party, (_, entry)) in call.parties.iter_mut().zip(&before.entries) {
        party.entry = Some(entry.clone());
    }
    call.running = Some(Running::default());
    let mut broken = world();
    change(&mut broken, "paris", |n| n.health = Health::Unhealthy);
    let after = placed(&broken, &call).unwrap();
    assert_eq!(
        (entry(&after, "shopper"), entry(&after, "agent")),
        ("tokyo", "frankfurt")
    );
    let reason = Reason::MovedAway {
        from: "paris".into(),
        because: Some(Exclusion::Unhealthy),
    };
    assert!(after.reasons.contains(&reason));
}

#[test]
fn a_meeting_over_two_continents_gets_a_node_on_each() {
    let mut parties = vec![shopper(), agent()];
    parties.push(party(
        "b",
        &[
            ("paris", 20.0),
            ("frankfurt", 25.0),
            ("tokyo", 280.0),
            ("singapore", 190.0),
        ],
    ));
    parties.push(party(
        "c",
        &[
            ("tokyo", 12.0),
            ("singapore", 80.0),
            ("paris", 285.0),
            ("frankfurt", 290.0),
        ],
    ));
    let placement = placed(&world(), &request(parties)).unwrap();
    let entries: Vec<&str> = placement.entries.iter().map(|(_, n)| n.as_str()).collect();
    assert_eq!(entries, ["tokyo", "paris", "paris", "tokyo"]);
    assert_eq!(placement.pairs.len(), 12);
}

#[test]
fn a_shopper_alone_gets_the_node_nearest_to_him() {
    let placement = placed(&world(), &request(vec![shopper()])).unwrap();
    assert_eq!(names(&placement), ["tokyo"]);
}
