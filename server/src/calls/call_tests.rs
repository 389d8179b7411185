use proptest::prelude::*;

use super::super::samples::{call, fixed, party};
use super::super::{GeoIp, Planner};
use super::*;

fn here() -> Presence {
    Presence::Here {
        since_ms: 1,
        session: "PA_1".to_owned(),
    }
}

#[test]
fn a_call_is_created_then_waits_then_is_answered_then_ends() {
    let mut call = call("CL_a", 0);
    assert_eq!(call.state(), CallState::Created);
    call.parties.get_mut("yuki").unwrap().presence = here();
    assert_eq!(call.state(), CallState::Waiting);
    let aline = party("aline", Role::Agent, 0);
    call.parties.insert(aline.identity.clone(), aline);
    assert_eq!(call.state(), CallState::Answered);
    call.parties.get_mut("aline").unwrap().presence = Presence::Left { since_ms: 2 };
    assert_eq!(call.state(), CallState::Waiting);
    call.ended = Some(Ended {
        at_ms: 3,
        reason: EndReason::Finished,
    });
    assert_eq!(call.state(), CallState::Ended);
}

#[test]
fn an_agent_on_the_way_does_not_answer_for_a_shopper_who_is_not_there() {
    let mut call = call("CL_a", 0);
    let aline = party("aline", Role::Agent, 0);
    call.parties.insert(aline.identity.clone(), aline);
    assert_eq!(call.state(), CallState::Created);
}

#[test]
fn the_measured_delay_is_half_of_every_round_trip_on_the_way() {
    let mut call = call("CL_a", 0);
    let aline = party("aline", Role::Agent, 0);
    call.parties.insert(aline.identity.clone(), aline);
    let placement = Planner::new(fixed(1_000), GeoIp::default())
        .plan(&call, 1_000)
        .unwrap()
        .placement;
    call.placement = Some(Placement {
        link_rtt_ms: Some(100.0),
        ..placement
    });
    call.parties.get_mut("aline").unwrap().node = "ND_b".to_owned();
    call.parties.get_mut("yuki").unwrap().measured_rtt_ms = Some(20.0);
    assert_eq!(call.measured_ms(), None);
    call.parties.get_mut("aline").unwrap().measured_rtt_ms = Some(10.0);
    assert_eq!(call.measured_ms(), Some(65.0));
}

#[test]
fn a_copy_from_an_earlier_life_changes_nothing() {
    let mut now = call("CL_a", 0);
    now.life = 1;
    let mut earlier = call("CL_a", 0);
    earlier.ended = Some(Ended {
        at_ms: 3,
        reason: EndReason::Finished,
    });
    let before = now.clone();
    now.merge(&earlier);
    assert_eq!(now, before);
    earlier.merge(&now);
    assert_eq!(earlier, before);
}

/// A copy of one call as some node may hold it: a party's value follows from its stamp.
fn copy() -> impl Strategy<Value = Call> {
    let stamps = prop::collection::btree_map(
        prop::sample::select(vec!["yuki", "aline", "bruno"]),
        (0_u64..4, prop::sample::select(vec!["ND_a", "ND_b"])),
        0..3,
    );
    (stamps, 0_u32..2, prop::option::of(0_u64..3)).prop_map(|(stamps, life, ended)| {
        let mut copy = call("CL_a", 0);
        copy.life = life;
        copy.parties.clear();
        for (identity, (version, node)) in stamps {
            let mut one = party(identity, Role::Guest, version);
            one.node = node.to_owned();
            one.stamp = Stamp {
                version,
                node: node.to_owned(),
            };
            copy.parties.insert(identity.to_owned(), one);
        }
        copy.ended = ended.map(|at_ms| Ended {
            at_ms,
            reason: EndReason::Requested,
        });
        copy
    })
}

fn merged(copies: &[&Call]) -> Call {
    let mut all = copies[0].clone();
    copies[1..].iter().for_each(|copy| all.merge(copy));
    all
}

proptest! {
    #[test]
    fn copies_become_one_call_whatever_their_order((a, b, c) in (copy(), copy(), copy())) {
        let one = merged(&[&a, &b, &c]);
        prop_assert_eq!(&one, &merged(&[&c, &b, &a]));
        prop_assert_eq!(&one, &merged(&[&b, &a, &c, &b, &a]));
        prop_assert_eq!(&one, &merged(&[&a, &merged(&[&b, &c])]));
    }

    #[test]
    fn a_call_survives_the_journey_between_nodes(a in copy()) {
        let text = serde_json::to_string(&a).unwrap();
        prop_assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), a);
    }
}
