use tradewind_fleet::Hub;

use super::super::view::tests::{eventually, member};
use super::*;
use crate::calls::GeoIp;
use crate::calls::call::{EndReason, Presence, Role};
use crate::calls::planner::PlanError;
use crate::calls::samples::{call, fixed, party};
use crate::clock::unix_ms;

/// What one node knows of calls.
struct Member {
    switchboard: Arc<Switchboard>,
    planner: Arc<Planner>,
    claims: Claims,
    stop: CancellationToken,
}

impl Member {
    fn new(hub: &Hub, name: &str) -> Self {
        let fleet = member(hub, name);
        let stop = CancellationToken::new();
        let switchboard = Arc::new(Switchboard::new(name, stop.clone()));
        let planner = Arc::new(Planner::new(fixed(unix_ms()), GeoIp::default()));
        let sharing = Sharing::new(fleet.clone(), switchboard.clone(), planner.clone());
        tokio::spawn(sharing.run(stop.clone()));
        Self {
            switchboard,
            planner,
            claims: Claims::new(fleet),
            stop,
        }
    }

    async fn hears_of(&self, id: &str) -> Arc<Call> {
        eventually("the call is known", || self.switchboard.get(id).is_some()).await;
        self.switchboard.get(id).unwrap()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A call of Yuki's that may lie in Europe alone, made and placed on `node`.
fn european(node: &Member, name: &str, id: &str) -> Result<Call, PlanError> {
    let mut call = call(id, unix_ms());
    call.home = name.to_owned();
    call.details.residency = "eu".to_owned();
    let plan = node.planner.plan(&call, unix_ms())?;
    call.parties.values_mut().for_each(|party| plan.send(party));
    call.placement = Some(plan.placement);
    Ok(call)
}

/// From now on messages of one reach the other.
async fn acquainted(a: &Member, b: &Member) {
    for (from, to, home) in [(a, b, "tokyo"), (b, a, "paris")] {
        let id = format!("CL_{home}");
        let mut hello = call(&id, unix_ms());
        hello.home = home.to_owned();
        from.switchboard.create(hello).unwrap();
        to.hears_of(&id).await;
    }
}

#[tokio::test]
async fn a_call_created_on_one_node_is_shown_and_ended_by_another() {
    let hub = Hub::new();
    let (tokyo, paris) = (Member::new(&hub, "tokyo"), Member::new(&hub, "paris"));
    acquainted(&tokyo, &paris).await;
    let made = european(&tokyo, "tokyo", "CL_a").unwrap();
    tokyo.switchboard.create(made).unwrap();
    let shown = paris.hears_of("CL_a").await;
    assert_eq!(shown, tokyo.switchboard.get("CL_a").unwrap());
    assert!(shown.placement.is_some(), "it came with its explanation");

    let aline = party("aline", Role::Agent, unix_ms());
    paris.switchboard.add_party("CL_a", aline, None).unwrap();
    tokyo.switchboard.measured("CL_a", "yuki", 12.0);
    let same = || tokyo.switchboard.get("CL_a") == paris.switchboard.get("CL_a");
    let both = || {
        let call = tokyo.switchboard.get("CL_a").unwrap();
        call.parties.len() == 2 && same()
    };
    eventually("both hold the same", both).await;
    let call = paris.switchboard.get("CL_a").unwrap();
    assert_eq!(call.parties["yuki"].measured_rtt_ms, Some(12.0));
    assert!(
        call.placement.is_some(),
        "changes without it leave it alone"
    );

    paris.switchboard.end("CL_a").unwrap();
    let ended = || tokyo.switchboard.get("CL_a").unwrap().ended.clone();
    eventually("the end is told", || {
        ended().is_some_and(|ended| ended.reason == EndReason::Requested)
    })
    .await;
}

#[tokio::test]
async fn a_node_that_comes_later_learns_what_is_going_on() {
    let hub = Hub::new();
    let tokyo = Member::new(&hub, "tokyo");
    for number in 0..250 {
        let mut call = call(&format!("CL_{number}"), unix_ms());
        call.home = "tokyo".to_owned();
        tokyo.switchboard.create(call).unwrap();
    }
    // Long after everybody has been told.
    sleep(Duration::from_millis(200)).await;
    let paris = Member::new(&hub, "paris");
    eventually("all are known", || paris.switchboard.calls().len() == 250).await;
}

#[tokio::test]
async fn what_happened_during_an_outage_is_known_after_it() {
    let hub = Hub::new();
    let (tokyo, paris) = (Member::new(&hub, "tokyo"), Member::new(&hub, "paris"));
    acquainted(&tokyo, &paris).await;
    hub.go_down();
    let mut made = call("CL_a", unix_ms());
    made.home = "tokyo".to_owned();
    tokyo.switchboard.create(made).unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(paris.switchboard.get("CL_a").is_none());
    hub.come_back();
    paris.hears_of("CL_a").await;
}

#[tokio::test]
async fn the_same_idempotency_key_on_two_nodes_gives_one_call() {
    let hub = Hub::new();
    let (tokyo, paris) = (Member::new(&hub, "tokyo"), Member::new(&hub, "paris"));
    acquainted(&tokyo, &paris).await;
    let from_tokyo = european(&tokyo, "tokyo", "CL_a").unwrap();
    let from_paris = european(&paris, "paris", "CL_a").unwrap();
    // Neither has heard of the other's yet.
    let (first, second) = tokio::join!(
        tokyo.claims.claim(&from_tokyo),
        paris.claims.claim(&from_paris)
    );
    let known = match (first, second) {
        (None, Some(known)) => (known, from_tokyo),
        (Some(known), None) => (known, from_paris),
        both => panic!("exactly one is the first: {both:?}"),
    };
    assert_eq!(known.0, known.1, "the second gets the call of the first");
}

#[tokio::test]
async fn without_the_registry_a_request_is_not_held_up() {
    let hub = Hub::new();
    let tokyo = Member::new(&hub, "tokyo");
    hub.go_down();
    eventually("the cut is seen", || {
        !tokyo.claims.fleet.snapshot().connected
    })
    .await;
    let before = std::time::Instant::now();
    assert!(tokyo.claims.claim(&call("CL_a", unix_ms())).await.is_none());
    assert!(before.elapsed() < CLAIMING);
}

#[tokio::test]
async fn seats_that_another_node_has_promised_are_taken() {
    let hub = Hub::new();
    let (tokyo, paris) = (Member::new(&hub, "tokyo"), Member::new(&hub, "paris"));
    acquainted(&tokyo, &paris).await;
    // Nine of the ten seats in Europe may be taken.
    for number in 0..9 {
        let made = european(&tokyo, "tokyo", &format!("CL_{number}")).unwrap();
        tokyo.switchboard.create(made).unwrap();
    }
    paris.hears_of("CL_8").await;
    let refused = || european(&paris, "paris", "CL_late");
    eventually("the seats are known", || {
        matches!(refused(), Err(PlanError::NoCapacity(_)))
    })
    .await;
}

#[tokio::test]
async fn those_who_were_on_a_dead_node_have_left_whoever_made_the_call() {
    let hub = Hub::new();
    let (tokyo, paris) = (Member::new(&hub, "tokyo"), Member::new(&hub, "paris"));
    acquainted(&tokyo, &paris).await;
    for (id, home) in [("CL_a", "tokyo"), ("CL_b", "paris")] {
        let mut made = call(id, unix_ms());
        made.home = home.to_owned();
        let yuki = made.parties.get_mut("yuki").unwrap();
        yuki.node = "tokyo".to_owned();
        yuki.presence = Presence::Here {
            since_ms: unix_ms(),
            session: "PA_y".to_owned(),
        };
        tokyo.switchboard.create(made).unwrap();
        paris.hears_of(id).await;
    }
    eventually("they know each other", || {
        paris.claims.fleet.snapshot().nodes.len() == 2
    })
    .await;
    // Alive, it would insist that she is there.
    tokyo.stop.cancel();
    tokyo.claims.fleet.leave().await;
    for id in ["CL_a", "CL_b"] {
        let presence = || {
            paris.switchboard.get(id).unwrap().parties["yuki"]
                .presence
                .clone()
        };
        eventually("she has left", || {
            matches!(presence(), Presence::Left { .. })
        })
        .await;
    }
}
