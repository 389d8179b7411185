//! What is believed of clients' delays: trust, noise, wrong places, history.

use std::net::IpAddr;

use crate::common::*;
use tradewind_placement::{
    Estimate, Explanation, History, HistoryLimits, Millis, Policy, Prefix, Request, Reservations,
    Source, Timestamp, explain,
};

fn explained(request: &Request) -> Explanation {
    explain(
        &fleet(world()),
        &Reservations::default(),
        &Policy::default(),
        request,
    )
    .expect("set up by the test")
}

fn belief(explanation: &Explanation, node: &str) -> Estimate {
    let candidate = explanation
        .candidates
        .iter()
        .find(|c| c.node == node.into())
        .expect("set up by the test");
    candidate.legs[0].estimate
}

fn prefix(address: &str) -> Prefix {
    address
        .parse::<IpAddr>()
        .expect("set up by the test")
        .into()
}

#[test]
fn probes_outrank_history_and_history_outranks_geoip() {
    let mut client = at("a", 48.8, 2.3);
    client.probes = vec![probe("paris", 30.0)];
    client.history = vec![probe("paris", 60.0), probe("frankfurt", 70.0)];
    let explanation = explained(&request(vec![client]));
    assert_eq!(belief(&explanation, "paris").source, Source::Probe);
    assert_eq!(belief(&explanation, "frankfurt").source, Source::History);
    assert_eq!(belief(&explanation, "tokyo").source, Source::GeoIp);
}

#[test]
fn one_lucky_probe_is_not_taken_at_its_word() {
    let mut client = at("a", 48.8, 2.3);
    let mut lucky = probe("tokyo", 120.0);
    (lucky.deviation, lucky.samples) = (None, 1);
    client.probes = vec![lucky];
    let believed = belief(&explained(&request(vec![client])), "tokyo").rtt.0;
    assert!((121.0..190.0).contains(&believed), "{believed}");
}

#[test]
fn a_slow_last_mile_seen_at_one_node_is_expected_at_all() {
    let fast = explained(&request(vec![at("a", 48.8, 2.3)]));
    let mut client = at("a", 48.8, 2.3);
    client.probes = vec![probe("paris", 132.0), probe("frankfurt", 140.0)];
    let slow = explained(&request(vec![client]));
    assert!(belief(&slow, "tokyo").rtt.0 > belief(&fast, "tokyo").rtt.0 + 40.0);
}

#[test]
fn a_client_that_answers_faster_than_light_could_is_not_where_geoip_puts_it() {
    let mut client = at("behind a VPN", 48.8, 2.3);
    client.probes = vec![probe("tokyo", 9.0)];
    let explanation = explained(&request(vec![client]));
    assert_eq!(
        belief(&explanation, "singapore").source,
        Source::FastestNode
    );
    assert!(belief(&explanation, "paris").rtt.0 > belief(&explanation, "singapore").rtt.0);
    assert_eq!(names(&explanation.placement), ["tokyo"]);
}

#[test]
fn a_wrong_geoip_entry_heals_after_a_few_calls() {
    let mut history = History::new(HistoryLimits::default());
    let network = prefix("203.0.113.9");
    for call in 0..5 {
        history.record(
            network,
            &"tokyo".into(),
            Millis(12.0),
            None,
            Timestamp(NOW.0 - 1_000 * call),
        );
        history.record(
            network,
            &"paris".into(),
            Millis(260.0),
            None,
            Timestamp(NOW.0 - 1_000 * call),
        );
    }
    let mut client = at("in Tokyo, listed in Paris", 48.8, 2.3);
    assert_eq!(
        names(&explained(&request(vec![client.clone()])).placement),
        ["paris"]
    );
    client.history = history.recall(prefix("203.0.113.77"), NOW);
    assert_eq!(
        names(&explained(&request(vec![client])).placement),
        ["tokyo"]
    );
}

#[test]
fn history_follows_a_changed_path_and_forgets_old_ones() {
    let mut history = History::new(HistoryLimits::default());
    let network = prefix("2001:db8:1::1");
    let node = "paris".into();
    for _ in 0..100 {
        history.record(network, &node, Millis(40.0), None, NOW);
    }
    for _ in 0..20 {
        history.record(network, &node, Millis(90.0), None, NOW);
    }
    let now = &history.recall(prefix("2001:db8:1:ffff::2"), NOW)[0];
    assert!((now.rtt.0 - 90.0).abs() < 6.0, "{}", now.rtt);
    let day = Timestamp(NOW.0 + 24 * 3_600_000);
    let deviation_then = history.recall(network, day)[0]
        .deviation
        .expect("set up by the test");
    assert!(deviation_then.0 > now.deviation.expect("set up by the test").0);
    assert!(
        history
            .recall(network, Timestamp(NOW.0 + 100 * 24 * 3_600_000))
            .is_empty()
    );
}

#[test]
fn history_keeps_within_its_bounds_and_drops_what_was_not_used_for_longest() {
    let limits = HistoryLimits {
        prefixes: 100,
        nodes_per_prefix: 2,
        ..HistoryLimits::default()
    };
    let mut history = History::new(limits);
    let kept = prefix("10.0.0.1");
    for i in 0..1_000u64 {
        let network = prefix(&format!("10.{}.{}.1", 1 + i / 256, i % 256));
        let at = Timestamp(NOW.0 + i);
        history.record(network, &"paris".into(), Millis(20.0), None, at);
        for node in ["paris", "tokyo", "singapore"] {
            history.record(kept, &node.into(), Millis(20.0), None, Timestamp(at.0 + 1));
        }
    }
    assert_eq!(history.len(), 100);
    assert_eq!(history.recall(kept, NOW).len(), 2);
    assert!(history.recall(prefix("10.1.0.1"), NOW).is_empty());
}

#[test]
fn the_text_names_nodes_rules_sources_and_the_sum() {
    let mut call = request(vec![shopper(), at("agent", 48.8, 2.3)]);
    call.residency.insert("eu".to_owned());
    let explanation = explained(&call);
    let text = explanation.to_string();
    for part in [
        "outside the call's residency",
        "by the client's probes",
        "by distance from its GeoIP location",
        "Score",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.contains(&explanation.score.to_string()));
}
