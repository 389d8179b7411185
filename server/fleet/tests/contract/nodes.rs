use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tradewind_fleet::registry::{NodeEvent, Why};
use tradewind_fleet::{Events, FleetEvent, PathQuality, Vector};

use crate::world::{World, acquainted, eventually};

async fn lost(events: &mut Events) -> (String, Why) {
    let waiting = async {
        loop {
            if let Some(FleetEvent::Node(NodeEvent::Lost { id, why })) = events.next().await {
                return (id.to_string(), why);
            }
        }
    };
    timeout(Duration::from_secs(10), waiting).await.unwrap()
}

pub(crate) async fn nodes_find_each_other_and_see_each_other_leave(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;

    let mut record = a.node(a.me()).unwrap().record.clone();
    record.draining = true;
    a.announce(record).unwrap();
    eventually("b sees a drain", || {
        b.node(a.me())
            .is_some_and(|view| view.takes_calls().is_err())
    })
    .await;

    let mut events = b.events();
    a.leave().await;
    assert_eq!(lost(&mut events).await, ("a".to_owned(), Why::Left));
    assert!(b.node(a.me()).is_none());
}

pub(crate) async fn a_node_that_does_not_answer_is_withdrawn_and_restored(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    let agent = world.agent("a").await;
    acquainted(&[&a, &b]).await;
    eventually("the agent sees its server", || agent.node(a.me()).is_some()).await;
    let epoch = b.node(a.me()).unwrap().epoch;

    let mut events = b.events();
    let withdrawn_at = Instant::now();
    agent.withdraw(a.me().clone(), "healthz timed out").unwrap();
    let (id, why) = lost(&mut events).await;
    assert_eq!(id, "a");
    assert_eq!(why, Why::Unresponsive("healthz timed out".to_owned()));
    assert!(withdrawn_at.elapsed() < Duration::from_secs(1));

    for _ in 0..4 {
        sleep(Duration::from_millis(500)).await;
        assert!(b.node(a.me()).is_none(), "announced in spite of its agent");
        agent.withdraw(a.me().clone(), "healthz timed out").unwrap();
    }
    agent.restore(a.me().clone()).unwrap();
    eventually("a is back", || b.node(a.me()).is_some()).await;
    assert!(b.node(a.me()).unwrap().epoch > epoch);
}

pub(crate) async fn measurements_reach_everyone(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let quality = PathQuality {
        rtt_ms: 107.5,
        jitter_ms: 1.25,
        loss: 0.01,
        samples: 60,
    };
    let to = BTreeMap::from([(b.me().clone(), quality)]);
    a.publish_vector(Vector {
        from: a.me().clone(),
        to,
    })
    .unwrap();
    eventually("b knows the way", || {
        b.snapshot().paths.between(b.me(), a.me()) == Some(quality)
    })
    .await;
}
