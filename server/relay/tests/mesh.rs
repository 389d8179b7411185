//! Real links over real sockets, through an emulated network.
#![allow(
    clippy::disallowed_methods,
    reason = "these tests run on the real clock"
)]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Planet, flow};
use tradewind_relay::{Epoch, Event, MediaClass, NodeId, Peer, RoomKey};
use tradewind_wan::Shape;

fn near() -> Shape {
    Shape {
        delay_ms: 5.0,
        ..Shape::default()
    }
}

#[test]
fn a_packet_of_1200_bytes_crosses_from_the_first_moment() {
    let planet = Planet::new(&["paris", "tokyo"], near(), 1);
    let (paris, tokyo) = (planet.start(0, false), planet.start(1, false));
    paris.expect_up(&tokyo.name);
    let rtp = Bytes::from(vec![7; 1_200]);
    paris
        .handle()
        .send_media(
            &tokyo.name,
            MediaClass::VideoBase,
            flow(1),
            Epoch(3),
            rtp.clone(),
        )
        .unwrap();
    let packet = tokyo.expect_media();
    assert_eq!(
        (packet.flow, packet.epoch, packet.rtp),
        (flow(1), Epoch(3), rtp)
    );
    assert!(!packet.repaired);
}

#[test]
fn messages_of_a_room_arrive_in_order_through_heavy_loss() {
    let planet = Planet::new(
        &["paris", "tokyo"],
        Shape {
            loss: 0.1,
            ..near()
        },
        5,
    );
    let (paris, tokyo) = (planet.start(0, false), planet.start(1, false));
    paris.expect_up(&tokyo.name);
    let rooms = ["desk", "shop", "queue"].map(RoomKey::from);
    for number in 0..200u32 {
        for room in &rooms {
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            paris
                .handle()
                .send_room(&tokyo.name, room, payload)
                .unwrap();
        }
    }
    let mut next = [0u32; 3];
    while next != [200; 3] {
        let (room, number) = tokyo.expect("a room message", |event| match event {
            Event::Room { room, payload, .. } => {
                Some((room, u32::from_be_bytes(payload[..].try_into().unwrap())))
            }
            _ => None,
        });
        let place = rooms.iter().position(|known| *known == room).unwrap();
        assert_eq!(number, next[place]);
        next[place] += 1;
    }
}

#[test]
fn a_drain_is_told_to_the_other_node() {
    let planet = Planet::new(&["paris", "tokyo"], near(), 1);
    let (paris, tokyo) = (planet.start(0, false), planet.start(1, false));
    paris.expect_up(&tokyo.name);
    tokyo.handle().drain().unwrap();
    paris.expect("drain", |event| {
        matches!(event, Event::Draining { .. }).then_some(())
    });
}

#[test]
fn a_cut_is_noticed_within_three_seconds_and_heals_by_itself() {
    let planet = Planet::new(&["paris", "tokyo"], near(), 1);
    let (paris, tokyo) = (planet.start(0, false), planet.start(1, false));
    paris.expect_up(&tokyo.name);
    tokyo.expect_up(&paris.name);
    let set_cut = |cut| {
        planet.wan.set_cut("paris", "tokyo", cut).unwrap();
        planet.wan.set_cut("tokyo", "paris", cut).unwrap();
    };
    set_cut(true);
    let start = Instant::now();
    paris.expect_down(&tokyo.name);
    tokyo.expect_down(&paris.name);
    let noticed = start.elapsed();
    set_cut(false);
    paris.expect_up(&tokyo.name);
    tokyo.expect_up(&paris.name);
    // Half a second more than promised, for a machine that runs other tests at the same time.
    assert!(noticed < Duration::from_millis(3_500), "{noticed:?}");
}

#[test]
fn a_node_that_starts_anew_is_linked_again() {
    let planet = Planet::new(&["paris", "tokyo"], near(), 1);
    for place in [0, 1] {
        let stays = planet.start(1 - place, false);
        let leaves = planet.start(place, false);
        stays.expect_up(&leaves.name);
        let name = leaves.name.clone();
        drop(leaves);
        stays.expect_down(&name);
        let back = planet.start(place, false);
        stays.expect_up(&name);
        back.expect_up(&stays.name);
    }
}

#[test]
fn three_nodes_have_one_link_per_pair() {
    let planet = Planet::new(&["oslo", "paris", "tokyo"], near(), 1);
    let nodes: Vec<_> = (0..3).map(|place| planet.start(place, false)).collect();
    for node in &nodes {
        let mut up: Vec<NodeId> = Vec::new();
        while up.len() < 2 {
            up.push(node.expect("a link", |event| match event {
                Event::Up { peer, .. } => Some(peer),
                _ => None,
            }));
        }
        up.sort();
        up.dedup();
        assert_eq!(up.len(), 2, "{}", node.name);
    }
}

#[test]
fn a_node_with_the_certificate_of_another_is_turned_away() {
    let planet = Planet::new(&["paris", "tokyo"], near(), 1);
    let paris = planet.start(0, false);
    let imposter = planet.start_as(1, NodeId::from("oslo"));
    let peer = Peer {
        node: paris.name.clone(),
        address: planet.outside(0),
    };
    imposter.handle().set_peers(vec![peer]).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    while let Some(event) = paris.reader.next_event() {
        assert!(!matches!(event, Event::Up { .. }), "{event:?}");
    }
}

#[test]
fn a_node_of_another_authority_is_turned_away() {
    let (planet, other) = (
        Planet::new(&["paris"], near(), 1),
        Planet::new(&["oslo"], near(), 1),
    );
    let (paris, oslo) = (planet.start(0, false), other.start(0, false));
    let address = paris.relay.local_addr();
    oslo.handle()
        .set_peers(vec![Peer {
            node: paris.name.clone(),
            address,
        }])
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        (paris.reader.next_event(), oslo.reader.next_event()),
        (None, None)
    );
}
