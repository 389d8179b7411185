//! Entering a NATS server that does not let everybody in.

use std::time::Duration;

use tokio::time::sleep;
use tradewind_fleet::{Fleet, FleetError, Nats, NatsSettings};

use crate::world::{World, eventually};

async fn member(settings: NatsSettings) -> Fleet {
    let backbone = Nats::connect(&settings).await.unwrap();
    Fleet::over(backbone, "test", "a".parse().unwrap(), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_password_lets_a_node_in() {
    let Some(world) = World::nats_with(&["--user", "tw", "--pass", "right"]).await else {
        return;
    };
    let with = |password: &str| NatsSettings {
        urls: vec![world.url()],
        user: Some("tw".to_owned()),
        password: Some(password.to_owned()),
        ..NatsSettings::default()
    };
    let (good, bad) = (member(with("right")).await, member(with("wrong")).await);
    eventually("in", || good.snapshot().connected).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!bad.snapshot().connected);
    let refused = bad.publish("calls", Vec::new()).await;
    assert!(matches!(refused, Err(FleetError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_token_lets_a_node_in() {
    let Some(world) = World::nats_with(&["--auth", "right"]).await else {
        return;
    };
    let with = |token: &str| NatsSettings {
        urls: vec![world.url()],
        token: Some(token.to_owned()),
        ..NatsSettings::default()
    };
    let (good, bad) = (member(with("right")).await, member(with("wrong")).await);
    eventually("in", || good.snapshot().connected).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!bad.snapshot().connected);
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_at_once() {
    let nowhere = Nats::connect(&NatsSettings::default()).await;
    assert!(matches!(
        nowhere,
        Err(FleetError::Settings { key: "nats", .. })
    ));
    let no_file = NatsSettings {
        urls: vec!["nats://127.0.0.1:4222".to_owned()],
        credentials_file: Some("/does/not/exist".into()),
        ..NatsSettings::default()
    };
    let missing = Nats::connect(&no_file).await;
    assert!(matches!(
        missing,
        Err(FleetError::Settings {
            key: "credentials_file",
            ..
        })
    ));
}
