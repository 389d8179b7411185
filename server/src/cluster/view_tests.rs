use std::net::{IpAddr, Ipv4Addr};

use tradewind_fleet::{Hub, Load, NodeRecord, Vector};

use super::*;
use crate::calls::call::{Call, Probe, Role};
use crate::calls::samples::{call, party};
use crate::calls::{GeoIp, Planner};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that takes calls, and says so each time it is asked to.
pub(in crate::cluster) fn member(hub: &Hub, name: &str) -> Fleet {
    let fleet = Fleet::over(hub.member(), "test", name.parse().unwrap(), 1);
    fleet.announce(record(name)).unwrap();
    fleet
}

fn record(name: &str) -> NodeRecord {
    let version = Version::parse("1.2.0").unwrap();
    let mut record = NodeRecord::new(name.parse().unwrap(), version, 1);
    (record.ready, record.reason) = (true, None);
    record.region = name.parse().ok();
    record.addresses.client_urls = vec![format!("wss://{name}.example.com")];
    record.load = Load {
        participants: 3,
        capacity: 100,
        ..Load::default()
    };
    record
}

pub(in crate::cluster) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn names(view: &View) -> Vec<String> {
    let nodes = view.fleet().nodes().iter();
    nodes.map(|node| node.id.to_string()).collect()
}

/// Yuki, a few milliseconds from both nodes, and nearest to `node`.
fn near(node: &str) -> Call {
    let mut call = call("CL_a", unix_ms());
    let mut yuki = party("yuki", Role::Shopper, unix_ms());
    for name in ["tokyo", "paris"] {
        let probe = Probe {
            rtt_ms: if name == node { 5.0 } else { 25.0 },
            samples: 5,
            at_ms: unix_ms(),
        };
        yuki.probes.insert(name.to_owned(), probe);
    }
    call.parties.insert("yuki".to_owned(), yuki);
    call
}

#[tokio::test]
async fn the_view_names_every_node_with_its_address_load_and_links() {
    let hub = Hub::new();
    let (tokyo, paris) = (member(&hub, "tokyo"), member(&hub, "paris"));
    let agent = Fleet::agent(hub.member(), "test", "paris".parse().unwrap(), 1);
    let mut edge = tradewind_fleet::EdgeRecord {
        node: "paris".parse().unwrap(),
        udp_probe: Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 1).into()),
        http_probe: Some("https://paris.example.com:9791/probe".to_owned()),
        pressure: Default::default(),
        draining: false,
        ready: true,
        reason: None,
    };
    edge.pressure.cpu_busy = 1.0;
    agent.announce_edge(edge).unwrap();
    let measured = PathQuality {
        rtt_ms: 214.0,
        loss: 0.01,
        samples: 10,
        ..PathQuality::default()
    };
    let vector = Vector {
        from: "paris".parse().unwrap(),
        to: [("tokyo".parse().unwrap(), measured)].into(),
    };
    agent.publish_vector(vector).unwrap();
    let nodes = FleetNodes::new(tokyo);
    eventually("the view is whole", || {
        let view = nodes.view();
        view.links().len() == 2 && names(&view) == ["paris", "tokyo"]
    })
    .await;
    let view = nodes.view();
    assert_eq!(view.url("paris"), Some("https://paris.example.com"));
    let probe = view.probe_url("paris");
    assert_eq!(probe, Some("https://paris.example.com:9791/probe"));
    assert_eq!(view.probe_url("tokyo"), None);
    let route = ["tokyo", "paris"].map(NodeId::from);
    assert_eq!(view.route_rtt_ms(&route), Some(214.0));
    let paris_node = view.fleet().node(&"paris".into()).unwrap();
    assert_eq!(paris_node.capacity.in_use, 3);
    assert_eq!(paris_node.health, Health::Healthy);
    assert!(
        paris_node.capacity.cpu.0 < Policy::default().hard_load.0,
        "a busy host is not a full one"
    );
    drop(paris);
}

#[tokio::test]
async fn a_dead_node_is_never_in_an_answer() {
    let hub = Hub::new();
    let (tokyo, paris) = (member(&hub, "tokyo"), member(&hub, "paris"));
    let nodes = Arc::new(FleetNodes::new(tokyo));
    eventually("both are seen", || nodes.view().fleet().nodes().len() == 2).await;
    let planner = Planner::new(nodes.clone(), GeoIp::default());
    let placed = |call: &Call| planner.plan(call, unix_ms()).unwrap().placement;
    assert_eq!(placed(&near("paris")).nodes, ["paris"]);
    assert_eq!(placed(&near("paris")).standby, ["tokyo"]);

    paris.leave().await;
    eventually("the death is seen", || names(&nodes.view()) == ["tokyo"]).await;
    let placement = placed(&near("paris"));
    assert_eq!(placement.nodes, ["tokyo"]);
    assert!(placement.standby.is_empty());
}

#[tokio::test]
async fn a_node_that_is_cut_off_still_takes_calls_itself() {
    let hub = Hub::new();
    let backbone = hub.member();
    let tokyo = Fleet::over(backbone.clone(), "test", "tokyo".parse().unwrap(), 1);
    tokyo.announce(record("tokyo")).unwrap();
    let nodes = FleetNodes::new(tokyo.clone());
    eventually("tokyo is seen", || nodes.view().fleet().nodes().len() == 1).await;
    backbone.cut();
    eventually("the cut is seen", || !tokyo.snapshot().connected).await;
    tokio::time::sleep(LIFETIME).await;
    let view = nodes.view();
    let own = view.fleet().node(&"tokyo".into()).unwrap();
    assert!(unix_ms() - own.reported_at.0 < 5_000);
}

#[test]
fn neighbouring_releases_share_a_protocol_and_others_do_not() {
    let of = |text: &str| protocols(Version::parse(text).unwrap());
    let shared = |a: &str, b: &str| of(a).shared_with(of(b)).is_some();
    assert!(shared("1.2.0", "1.2.9") && shared("1.2.0", "1.3.0") && shared("1.3.0", "1.2.0"));
    assert!(!shared("1.2.0", "1.4.0") && !shared("1.0.0", "2.0.0"));
    assert!(!shared("1.65535.0", "2.0.0"));
}

#[test]
fn no_place_or_share_of_a_peer_is_believed_that_cannot_be() {
    let told = |latitude, longitude| tradewind_fleet::Coordinates {
        latitude,
        longitude,
    };
    assert_eq!(coordinates(Some(told(f64::NAN, 0.0))).lat, 0.0);
    assert_eq!(coordinates(Some(told(48.9, 2_000.0))).lat, 0.0);
    assert_eq!(coordinates(Some(told(48.9, 2.4))).lon, 2.4);
    assert_eq!((share(f64::NAN), share(-1.0), share(7.0)), (0.0, 0.0, 1.0));
}
