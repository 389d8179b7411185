use tradewind_fleet::RoomSpec;

use crate::world::{World, acquainted, eventually};

pub(crate) async fn two_nodes_that_open_a_room_at_once_share_it(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    for number in 0..10 {
        let name: tradewind_fleet::RoomName = format!("order {number} ☕").parse().unwrap();
        let (by_a, by_b) = tokio::join!(
            a.open_room(RoomSpec::new(name.clone(), "RM_a")),
            b.open_room(RoomSpec::new(name.clone(), "RM_b")),
        );
        let (by_a, by_b) = (by_a.unwrap(), by_b.unwrap());
        assert!(by_a.confirmed && by_b.confirmed);
        assert_eq!(
            (&by_a.entry.sid, &by_a.entry.home),
            (&by_b.entry.sid, &by_b.entry.home)
        );
        for fleet in [&a, &b] {
            eventually("both replicas known", || {
                fleet
                    .room(&name)
                    .is_some_and(|room| room.replicas.len() == 2)
            })
            .await;
        }
    }
    assert_eq!(a.rooms().len(), 10);
}

pub(crate) async fn a_room_outlives_its_home(world: World) {
    let servers = [
        world.server("a").await,
        world.server("b").await,
        world.server("c").await,
    ];
    let [a, b, c] = &servers;
    acquainted(&[a, b, c]).await;
    let name: tradewind_fleet::RoomName = "till".parse().unwrap();
    let spec = RoomSpec::new(name.clone(), "RM_1");
    for fleet in &servers {
        fleet.open_room(spec.clone()).await.unwrap();
    }
    assert_eq!(c.room(&name).unwrap().home, *a.me());

    a.leave().await;
    eventually("b is the home", || {
        c.room(&name).is_some_and(|room| {
            room.home == *b.me() && room.epoch == 2 && !room.replicas.contains(a.me())
        })
    })
    .await;
    b.close_room(name.clone()).unwrap();
    eventually("c is the home", || {
        b.room(&name)
            .is_some_and(|room| room.home == *c.me() && room.epoch == 3)
    })
    .await;
    c.close_room(name.clone()).unwrap();
    eventually("the room is gone", || {
        b.room(&name).is_none() && c.room(&name).is_none()
    })
    .await;

    let again = b.open_room(RoomSpec::new(name, "RM_2")).await.unwrap();
    assert_eq!((again.entry.sid.as_str(), again.confirmed), ("RM_2", true));
}

pub(crate) async fn metadata_reach_every_replica(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let name: tradewind_fleet::RoomName = "till".parse().unwrap();
    a.open_room(RoomSpec::new(name.clone(), "RM_1"))
        .await
        .unwrap();
    b.open_room(RoomSpec::new(name.clone(), "RM_1"))
        .await
        .unwrap();
    let metadata = serde_json::json!({"language": "ja"});
    b.set_room_metadata(name.clone(), metadata.clone()).unwrap();
    eventually("a has the metadata", || {
        a.room(&name).is_some_and(|room| room.metadata == metadata)
    })
    .await;
}
