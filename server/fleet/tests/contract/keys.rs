use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use tradewind_fleet::backbone::Watched;
use tradewind_fleet::{Bucket, FleetError, Value};

use crate::world::World;

const CALLS: Bucket = Bucket {
    name: "calls",
    max_age: Duration::from_secs(3600),
};

pub(crate) async fn a_key_is_replaced_only_by_who_has_read_it_last(world: World) {
    let (a, b) = (world.server("a").await, world.server("b").await);
    let conflict = Err(FleetError::Conflict("CA_1".to_owned()));
    let nothing = Value {
        body: None,
        revision: 0,
    };
    assert_eq!(a.get(CALLS, "CA_1").await, Ok(nothing));

    let first = a.put(CALLS, "CA_1", b"one".to_vec(), 0).await.unwrap();
    assert_eq!(b.put(CALLS, "CA_1", b"two".to_vec(), 0).await, conflict);
    let read = b.get(CALLS, "CA_1").await.unwrap();
    assert_eq!(
        (read.body.as_deref(), read.revision),
        (Some(&b"one"[..]), first)
    );

    let second = b.put(CALLS, "CA_1", b"two".to_vec(), first).await.unwrap();
    assert_eq!(a.delete(CALLS, "CA_1", first).await, conflict);
    let deleted = a.delete(CALLS, "CA_1", second).await.unwrap();
    let read = b.get(CALLS, "CA_1").await.unwrap();
    assert_eq!((read.body, read.revision), (None, deleted));
    b.put(CALLS, "CA_1", b"anew".to_vec(), deleted)
        .await
        .unwrap();

    assert!(matches!(
        a.get(CALLS, "no key").await,
        Err(FleetError::Name { .. })
    ));
}

pub(crate) async fn a_watch_tells_what_is_there_and_then_what_changes(world: World) {
    let a = world.server("a").await;
    let mut empty = a.watch(CALLS).await.unwrap();
    assert_eq!(
        timeout(Duration::from_secs(5), empty.next()).await,
        Ok(Some(Watched::Listed))
    );

    let first = a.put(CALLS, "x", b"1".to_vec(), 0).await.unwrap();
    a.put(CALLS, "y", b"2".to_vec(), 0).await.unwrap();
    let mut watch = a.watch(CALLS).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(
            timeout(Duration::from_secs(5), watch.next())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert_eq!(told.last(), Some(&Watched::Listed));
    let deleted = a.delete(CALLS, "x", first).await.unwrap();
    let news = timeout(Duration::from_secs(5), watch.next()).await.unwrap();
    let gone = Value {
        body: None,
        revision: deleted,
    };
    assert_eq!(
        news,
        Some(Watched::Key {
            key: "x".to_owned(),
            value: gone
        })
    );
}
