//! Whole agents on loopback: real processes, a real NATS server, a delay between them, and a server that can hang.
//!
//! The NATS server is the program that `TRADEWIND_NATS_SERVER` names, or `nats-server` on the path; without either,
//! these tests say so and are skipped.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

mod delay;
mod host;

use std::time::Duration;

use host::{Agent, Nats, Server, eventually, free_port, seconds};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use tradewind_fleet::registry::{NodeEvent, Why};
use tradewind_fleet::{Fleet, FleetEvent, NodeId};

fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_measure_each_other_and_vouch_for_each_other() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let names = ["tokyo", "paris", "sydney"];
    let (mut agents, mut servers) = (Vec::new(), Vec::new());
    for name in names {
        let server = Server::start(&nats, name).await;
        // Everything that is sent to this edge is late by ten milliseconds.
        let port = free_port();
        let advertised = delay::before(port, Duration::from_millis(10)).await;
        agents.push(Agent::start(&nats, &server, name, port, Some(advertised)).await);
        servers.push(server);
    }
    let watcher = servers[0].fleet();
    for from in names {
        for to in names.iter().filter(|to| **to != from) {
            eventually("measured", || {
                watcher
                    .snapshot()
                    .paths
                    .between(&id(from), &id(to))
                    .is_some_and(|path| path.samples >= 10)
            })
            .await;
            let path = watcher
                .snapshot()
                .paths
                .between(&id(from), &id(to))
                .unwrap();
            // There by the delay, and back straight to the socket that asked; the rest is this machine's own.
            assert!(
                (10.0..40.0).contains(&path.rtt_ms),
                "{from} to {to}: {path:?}"
            );
            assert!(path.loss < 0.2, "{from} to {to}: {path:?}");
        }
    }
    for (name, agent) in names.iter().zip(&agents) {
        eventually("the fleet sees a ready edge", || {
            watcher
                .node(&id(name))
                .is_some_and(|node| node.takes_calls().is_ok())
        })
        .await;
        agent.until_ready().await;
        let metrics = agent.get("/metrics").await.unwrap();
        assert!(metrics.contains("tradewind_edge_peers 2"), "{metrics}");
        assert!(
            metrics.contains("tradewind_edge_peer_rtt_seconds"),
            "{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_the_world_does_not_reach_keeps_the_node_from_taking_calls() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (open, closed) = (
        Server::start(&nats, "open").await,
        Server::start(&nats, "closed").await,
    );
    let _open = Agent::start(&nats, &open, "open", free_port(), None).await;
    // Answers to its own probes come in as ever, but what it advertises leads nowhere.
    let nowhere = ([127, 0, 0, 1], free_port()).into();
    let agent = Agent::start(&nats, &closed, "closed", free_port(), Some(nowhere)).await;
    let watcher = closed.fleet();
    eventually("it measures", || {
        watcher
            .snapshot()
            .paths
            .between(&id("closed"), &id("open"))
            .is_some()
    })
    .await;
    agent
        .until(|text| text.contains("no other edge has reached UDP"))
        .await;
    let refused = watcher.node(&id("closed")).map(|node| node.takes_calls());
    assert!(matches!(refused, Some(Err(reason)) if reason.contains("edge not ready")));
}

/// Waits for the end of a node's registration.
async fn lost(fleet: &Fleet, name: &str, act: impl Future<Output = ()>) -> (Duration, Why) {
    let mut events = fleet.events();
    act.await;
    let began = Instant::now();
    let waiting = async {
        loop {
            if let Some(FleetEvent::Node(NodeEvent::Lost { id, why })) = events.next().await
                && id.as_str() == name
            {
                return (began.elapsed(), why);
            }
        }
    };
    timeout(seconds(20), waiting).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_withdrawn_within_a_second_and_comes_back() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (a, b) = (
        Server::start(&nats, "a").await,
        Server::start(&nats, "b").await,
    );
    let _agents = [
        Agent::start(&nats, &a, "a", free_port(), None).await,
        Agent::start(&nats, &b, "b", free_port(), None).await,
    ];
    let watcher = b.fleet();
    let takes_calls = || {
        watcher
            .node(&id("a"))
            .is_some_and(|node| node.takes_calls().is_ok())
    };
    eventually("a takes calls", takes_calls).await;

    let (after, why) = lost(&watcher, "a", async { a.hang(true) }).await;
    assert!(matches!(why, Why::Unresponsive(_)), "{why:?}");
    // A busy machine may add to the second that is promised.
    assert!(after < Duration::from_millis(1500), "{after:?}");
    tokio::time::sleep(seconds(4)).await;
    assert!(watcher.node(&id("a")).is_none(), "announced while it hangs");

    a.hang(false);
    eventually("a takes calls again", takes_calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_marks_the_node_tells_the_server_and_waits_for_the_last_participant() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let server = Server::start(&nats, "a").await;
    server.participants(2);
    let mut agent = Agent::start(&nats, &server, "a", free_port(), None).await;
    let watcher = server.fleet();
    eventually("the edge is known", || {
        watcher.snapshot().edges.contains_key(&id("a"))
    })
    .await;

    agent.terminate();
    eventually("marked", || {
        let node = watcher.node(&id("a"));
        node.is_some_and(|node| node.takes_calls() == Err("draining".to_owned()))
    })
    .await;
    eventually("the server is told", || server.drains() == 1).await;
    assert!(agent.is_running());
    server.participants(0);
    let status = timeout(seconds(15), agent.exit()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_measure_by_udp_and_browsers_by_http() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let server = Server::start(&nats, "a").await;
    let port = free_port();
    let _agent = Agent::start(&nats, &server, "a", port, None).await;

    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client
        .send_to(b"TWC1 hello", ("127.0.0.1", port))
        .await
        .unwrap();
    let mut answer = [0; 64];
    let (length, _) = timeout(seconds(5), client.recv_from(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer[..length], b"TWR1 hello");

    let probe = reqwest::get(format!("http://127.0.0.1:{port}/probe"))
        .await
        .unwrap();
    assert_eq!(probe.status(), 204);
    assert_eq!(probe.headers()["timing-allow-origin"], "*");
    assert_eq!(probe.headers()["access-control-allow-origin"], "*");
}
