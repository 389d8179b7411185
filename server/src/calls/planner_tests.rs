use super::super::call::{Probe, Role};
use super::super::samples::{call, fixed, party};
use super::*;

const NOW: UnixMs = 1_000_000;

fn planner() -> Planner {
    Planner::new(fixed(NOW), GeoIp::default())
}

fn probed(identity: &str, role: Role, rtts: &[(&str, f64)]) -> Party {
    let probe = |rtt_ms| Probe {
        rtt_ms,
        samples: 5,
        at_ms: NOW,
    };
    let probes = rtts
        .iter()
        .map(|(node, rtt)| ((*node).to_owned(), probe(*rtt)));
    Party {
        probes: probes.collect(),
        ..party(identity, role, NOW)
    }
}

/// Yuki near Tokyo and Aline near Paris.
fn far_apart() -> Call {
    let mut call = call("CL_a", NOW);
    let yuki = probed("yuki", Role::Shopper, &[("tokyo", 8.0), ("paris", 240.0)]);
    let aline = probed("aline", Role::Agent, &[("tokyo", 240.0), ("paris", 8.0)]);
    call.parties = [yuki, aline]
        .map(|party| (party.identity.clone(), party))
        .into();
    call
}

#[test]
fn each_party_gets_a_node_and_the_call_a_standby_and_a_prediction() {
    let plan = planner().plan(&far_apart(), NOW).unwrap();
    let mut yuki = party("yuki", Role::Shopper, NOW);
    plan.send(&mut yuki);
    assert!(["tokyo", "paris"].contains(&yuki.node.as_str()));
    assert!(yuki.predicted_rtt_ms.is_some_and(|rtt| rtt > 0.0));
    let placement = plan.placement;
    assert!(!placement.standby.is_empty());
    assert!(placement.predicted_ms.is_some_and(|delay| delay > 50.0));
    let text = placement.explanation.to_string();
    assert!(text.contains("yuki") && text.contains("tokyo"), "{text}");
}

#[test]
fn the_explanation_survives_the_journey_between_nodes() {
    let mut placed = far_apart();
    placed.placement = Some(planner().plan(&far_apart(), NOW).unwrap().placement);
    let text = serde_json::to_string(&placed).unwrap();
    let copy: Call = serde_json::from_str(&text).unwrap();
    let explained = |call: &Call| call.placement.as_ref().unwrap().explanation.to_string();
    assert_eq!(explained(&copy), explained(&placed));
    assert_eq!(copy.parties, placed.parties);
}

#[test]
fn a_residency_is_kept_and_an_impossible_one_is_told() {
    let mut call = far_apart();
    call.details.residency = "eu".to_owned();
    assert_eq!(
        planner().plan(&call, NOW).unwrap().placement.nodes,
        ["paris"]
    );
    call.details.residency = "moon".to_owned();
    let refused = planner().plan(&call, NOW).unwrap_err();
    assert!(
        matches!(refused, PlanError::ImpossibleResidency(_)),
        "{refused}"
    );
}

#[test]
fn a_stated_region_tells_where_somebody_is_and_an_unknown_one_is_refused() {
    let planner = planner();
    let mut call = call("CL_a", NOW);
    call.parties.get_mut("yuki").unwrap().region = "asia".to_owned();
    let plan = planner.plan(&call, NOW).unwrap();
    assert_eq!(plan.placement.nodes, ["tokyo"]);
    call.parties.get_mut("yuki").unwrap().region = "atlantis".to_owned();
    let refused = planner.plan(&call, NOW).unwrap_err().to_string();
    assert!(refused.contains("asia, europe"), "{refused}");
}

#[test]
fn what_calls_measured_corrects_a_wrong_belief() {
    let planner = planner();
    let address: IpAddr = "203.0.113.7".parse().unwrap();
    let mut call = call("CL_a", NOW);
    let yuki = call.parties.get_mut("yuki").unwrap();
    yuki.address = Some("203.0.113.99".parse().unwrap());
    // Said to be in Asia, and really behind a tunnel to Europe.
    yuki.region = "asia".to_owned();
    assert_eq!(planner.plan(&call, NOW).unwrap().placement.nodes, ["tokyo"]);
    for _ in 0..5 {
        planner.learn(address, "tokyo", 250.0, NOW);
        planner.learn(address, "paris", 12.0, NOW);
    }
    assert_eq!(planner.plan(&call, NOW).unwrap().placement.nodes, ["paris"]);
}

#[test]
fn seats_are_kept_for_those_on_their_way_and_then_given_up() {
    let planner = Planner::new(fixed(NOW), GeoIp::default());
    let in_europe = |id: &str| {
        let mut call = call(id, NOW);
        call.details.residency = "eu".to_owned();
        call
    };
    let plan = |id: &str, now| planner.plan(&in_europe(id), now).map(drop);
    // Nine of ten seats may be taken.
    for number in 0..9 {
        assert!(plan(&format!("CL_{number}"), NOW).is_ok());
    }
    let refused = plan("CL_late", NOW).unwrap_err();
    assert!(matches!(refused, PlanError::NoCapacity(_)), "{refused}");
    assert!(plan("CL_late", NOW + SEAT_MS as u64 - 1).is_err());
    assert!(plan("CL_late", NOW + SEAT_MS as u64).is_ok());
}
