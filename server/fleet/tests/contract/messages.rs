use std::time::Duration;

use tokio::time::timeout;
use tradewind_fleet::FleetError;

use crate::world::{World, acquainted};

const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn a_request_reaches_its_node_and_no_other(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let mut requests = b.serve("rooms").await.unwrap();
    let serving = tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let mut answer = request.body.clone();
        answer.reverse();
        request.answer(answer).await.unwrap();
        // The second stays without an answer.
        requests.next().await
    });
    // A subscription takes a moment to reach a server.
    let mut answer = a.request(b.me(), "rooms", b"abc".to_vec(), PATIENCE).await;
    for _ in 0..50 {
        if answer != Err(FleetError::NoSuchNode("b".to_owned())) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = a.request(b.me(), "rooms", b"abc".to_vec(), PATIENCE).await;
    }
    assert_eq!(answer, Ok(b"cba".to_vec()));

    let patience = Duration::from_millis(300);
    let unanswered = a.request(b.me(), "rooms", Vec::new(), patience).await;
    assert_eq!(unanswered, Err(FleetError::TimedOut(patience)));
    let nobody = a.request(b.me(), "tea", Vec::new(), PATIENCE).await;
    assert_eq!(nobody, Err(FleetError::NoSuchNode("b".to_owned())));
    assert!(serving.await.unwrap().is_some());

    let large = a.request(b.me(), "rooms", vec![0; 300_000], PATIENCE).await;
    assert!(matches!(large, Err(FleetError::TooLarge { .. })));
}

pub(crate) async fn a_topic_reaches_everyone(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    acquainted(&[&a, &b]).await;
    let (mut at_a, mut at_b) = (
        a.subscribe("calls").await.unwrap(),
        b.subscribe("calls").await.unwrap(),
    );
    // A subscription takes a moment to reach a server; a request and its refusal follow it there.
    for fleet in [&a, &b] {
        let _ = fleet
            .request(fleet.me(), "none", Vec::new(), PATIENCE)
            .await;
    }
    a.publish("calls", b"one".to_vec()).await.unwrap();
    a.publish("calls", b"two".to_vec()).await.unwrap();
    for messages in [&mut at_a, &mut at_b] {
        for expected in ["one", "two"] {
            let message = timeout(PATIENCE, messages.next()).await.unwrap();
            assert_eq!(message.as_deref(), Some(expected.as_bytes()));
        }
    }
    assert!(a.publish("no.such", Vec::new()).await.is_err());
}
