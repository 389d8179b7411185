use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tradewind_fleet::directory::RoomEvent;
use tradewind_fleet::{Events, Fleet, FleetEvent, RoomName, RoomSpec};

use crate::world::{World, acquainted, eventually};

/// The next event that `pick` wants.
async fn event<T>(events: &mut Events, pick: impl Fn(FleetEvent) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(picked) = events.next().await.and_then(&pick) {
                return picked;
            }
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap()
}

async fn disconnected(fleets: &[&Fleet]) {
    for fleet in fleets {
        eventually("the outage is noticed", || !fleet.snapshot().connected).await;
    }
}

pub(crate) async fn rooms_go_on_and_are_announced_again(mut world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let shared: RoomName = "shared".parse().unwrap();
    let spec = RoomSpec::new(shared.clone(), "RM_1");
    a.open_room(spec.clone()).await.unwrap();
    eventually("b knows of the room", || b.room(&shared).is_some()).await;

    let (mut at_a, mut at_b) = (a.events(), b.events());
    world.kill().await;
    disconnected(&[&a, &b]).await;
    event(&mut at_a, |event| {
        (event == FleetEvent::Disconnected).then_some(())
    })
    .await;
    event(&mut at_b, |event| {
        (event == FleetEvent::Disconnected).then_some(())
    })
    .await;

    // Long enough for everyone to be stale, were silence judged now.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(a.snapshot().nodes.len(), 2);
    assert!(a.room(&shared).is_some());
    let asked = Instant::now();
    let joined = b.open_room(spec).await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(500));
    assert_eq!((joined.confirmed, joined.entry.home.as_str()), (false, "a"));

    world.bring_back(true);
    event(&mut at_a, |event| {
        (event == FleetEvent::Reconnected).then_some(())
    })
    .await;
    eventually("a knows that b has joined", || {
        a.room(&shared)
            .is_some_and(|room| room.replicas.len() == 2 && room.sid == "RM_1")
    })
    .await;
    acquainted(&[&a, &b]).await;
}

pub(crate) async fn a_room_that_both_sides_opened_is_one_room_afterwards(mut world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    world.kill().await;
    disconnected(&[&a, &b]).await;
    let name: RoomName = "rival".parse().unwrap();
    let by_a = a
        .open_room(RoomSpec::new(name.clone(), "RM_a"))
        .await
        .unwrap();
    let by_b = b
        .open_room(RoomSpec::new(name.clone(), "RM_b"))
        .await
        .unwrap();
    assert!(!by_a.confirmed && !by_b.confirmed);

    let (mut at_a, mut at_b) = (a.events(), b.events());
    world.bring_back(true);
    let superseded = |event| match event {
        FleetEvent::Room(RoomEvent::Superseded { lost_sid, winner }) => {
            Some((lost_sid, winner.sid.clone()))
        }
        _ => None,
    };
    // Whoever came first has won: exactly one side is told to let its participants go.
    let (loser, winner) = tokio::select! {
        told = event(&mut at_a, superseded) => told,
        told = event(&mut at_b, superseded) => told,
    };
    let sids = BTreeSet::from([loser.as_str(), winner.as_str()]);
    assert_eq!(sids, BTreeSet::from(["RM_a", "RM_b"]));
    let lost_side = if loser == "RM_a" { &a } else { &b };
    for fleet in [&a, &b] {
        eventually("one room", || {
            fleet.room(&name).is_some_and(|room| room.sid == winner)
        })
        .await;
    }
    let again = lost_side
        .open_room(RoomSpec::new(name, "RM_c"))
        .await
        .unwrap();
    assert_eq!(again.entry.sid, winner);
    assert_eq!(again.entry.replicas.len(), 2);
}

pub(crate) async fn a_backbone_without_its_disk_learns_everything_anew(mut world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let names: Vec<RoomName> = (0..20)
        .map(|n| format!("room {n}").parse().unwrap())
        .collect();
    for name in &names {
        a.open_room(RoomSpec::new(name.clone(), "RM_1"))
            .await
            .unwrap();
        b.open_room(RoomSpec::new(name.clone(), "RM_1"))
            .await
            .unwrap();
    }
    world.kill().await;
    disconnected(&[&a, &b]).await;
    world.bring_back(false);
    let late = world.server("c").await;
    for name in &names {
        eventually("the newcomer knows the room", || {
            late.room(name)
                .is_some_and(|room| room.replicas.len() == 2 && room.home == *a.me())
        })
        .await;
    }
    assert_eq!(late.rooms().len(), names.len());
}
