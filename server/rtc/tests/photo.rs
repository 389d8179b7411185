//! A product photo crosses a call: all of it arrives, in order, and the sound goes on.

mod common;

use std::time::Duration;

use common::{Client, Link, World};
use tradewind_rtc::{ConnectionId, TrackKind};

const CHUNK: usize = 15_000;

struct Crossing {
    received: usize,
    in_order: bool,
    took: Duration,
    /// Longest time between two packets of sound.
    longest_gap: Duration,
}

fn send_photo(seed: u64, link: Link, chunks: usize) -> Crossing {
    let mut world = World::new(seed);
    let join = |world: &mut World, name: &str, link: Link| -> ConnectionId {
        let client = Client::new(world, name);
        world.network.set_link(client.address, link);
        let connection = world.join(client);
        world.run_until("channels", |world| {
            world.client(connection).channels.len() == 3
        });
        connection
    };
    let shopper = join(&mut world, "shopper", Link::default());
    let agent = join(&mut world, "agent", link);
    world
        .client(shopper)
        .publish("microphone", TrackKind::Audio, &[]);
    world.run(Duration::from_secs(1));
    world.client(agent).packets.clear();

    let (start, mut sent) = (world.now, 0);
    let body = "x".repeat(CHUNK);
    while world.client(agent).messages.len() < chunks && world.now - start < Duration::from_secs(60)
    {
        while sent < chunks
            && world
                .client(shopper)
                .try_send("_reliable", &format!("|{}|{sent} {body}", sent + 1))
        {
            sent += 1;
        }
        world.run(Duration::from_millis(5));
    }
    let client = world.client(agent);
    let mut arrivals: Vec<_> = client
        .packets
        .iter()
        .map(|packet| packet.timestamp)
        .collect();
    arrivals.sort_unstable();
    let numbers = client.messages.iter().enumerate();
    Crossing {
        received: client.messages.len(),
        in_order: numbers
            .into_iter()
            .all(|(at, text)| text.starts_with(&format!("shopper: {at} "))),
        took: world.now - start,
        longest_gap: arrivals
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(Duration::MAX),
    }
}

#[test]
fn ten_megabytes_cross_a_fast_link_without_a_stutter() {
    let crossing = send_photo(1, Link::default(), 670);
    assert_eq!(crossing.received, 670);
    assert!(crossing.in_order);
    assert!(
        crossing.longest_gap <= Duration::from_millis(60),
        "{:?}",
        crossing.longest_gap
    );
    assert!(
        crossing.took < Duration::from_secs(10),
        "{:?}",
        crossing.took
    );
}

#[test]
fn a_receiver_slower_than_the_sender_gets_everything_in_order() {
    let link = Link {
        down_bitrate: 8_000_000,
        ..Link::default()
    };
    let crossing = send_photo(2, link, 200);
    assert_eq!(crossing.received, 200);
    assert!(crossing.in_order);
    assert!(
        crossing.longest_gap <= Duration::from_millis(400),
        "{:?}",
        crossing.longest_gap
    );
}
