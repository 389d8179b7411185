//! A shard in memory with one publisher and its subscribers, driven in virtual time; only the shard's work is measured.

#[path = "../../tests/common/mod.rs"]
mod scenario;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use scenario::{Client, Link, SERVER, World};
use tradewind_rtc::{ConnectionId, Protocol, Received, Shard, TrackKind, Transmit};

const STEP: Duration = Duration::from_millis(3);
/// A frame of ten packets.
const FRAME_BYTES: usize = 10_000;
/// Estimates and caches reach their usual size in this time.
const WARM_UP: Duration = Duration::from_secs(1);

pub(crate) struct Rig {
    world: World,
    /// Real time that the shard took.
    pub spent: Duration,
    /// Datagrams to subscribers that are as long as media.
    pub forwarded: u64,
}

impl Rig {
    /// One publisher, so many subscribers, everything connected and warm.
    pub(crate) fn new(subscribers: usize) -> Self {
        let mut world = World::new(1);
        let publisher = join(&mut world, "publisher");
        for number in 0..subscribers {
            join(&mut world, &format!("subscriber {number}"));
        }
        world.run_until("everybody is connected", |world| {
            world.clients.values().all(|client| client.connected)
        });
        // Media that are due before their client is connected would hold virtual time still.
        world
            .client(publisher)
            .publish("camera", TrackKind::Video, &[]);
        for media in &mut world.client(publisher).media {
            media.frame_bytes = FRAME_BYTES;
        }
        let mut rig = Self {
            world,
            spent: Duration::ZERO,
            forwarded: 0,
        };
        rig.world.run(Duration::from_millis(200));
        rig.advance(WARM_UP);
        rig
    }

    /// Lets virtual time pass, and adds up what the shard did in it.
    pub(crate) fn advance(&mut self, time: Duration) {
        let world = &mut self.world;
        let end = world.now + time;
        let mut arrivals: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        let mut transmits = Vec::new();
        while world.now < end {
            world.now += STEP;
            while let Some((from, to, contents)) = world.network.arrive(world.now) {
                if to == SocketAddr::from(SERVER) {
                    arrivals.push((from, contents));
                } else if let Some(client) = world
                    .clients
                    .values_mut()
                    .find(|client| client.address == to)
                {
                    client.receive(world.now, from, to, &contents);
                }
            }
            let before = Instant::now();
            measured_turn(&mut world.shard, world.now, &arrivals, &mut transmits);
            self.spent += before.elapsed();
            arrivals.clear();
            while world.shard.poll_output().is_some() {}
            for transmit in transmits.drain(..) {
                for datagram in transmit.datagrams() {
                    self.forwarded += u64::from(datagram.len() > 900);
                    world.network.send(
                        world.now,
                        transmit.source,
                        transmit.destination,
                        datagram.to_vec(),
                    );
                }
                world.shard.recycle(transmit.contents);
            }
            for client in world.clients.values_mut() {
                client.step(world.now);
                client.drain(world.now, &mut world.network);
                client.commands.clear();
            }
        }
    }
}

/// One turn of a shard, as its thread drives it. Not inlined, so that tools find it by name.
#[inline(never)]
fn measured_turn(
    shard: &mut Shard,
    now: Instant,
    arrivals: &[(SocketAddr, Vec<u8>)],
    transmits: &mut Vec<Transmit>,
) {
    for (source, contents) in arrivals {
        let received = Received {
            protocol: Protocol::Udp,
            source: *source,
            destination: SocketAddr::from(SERVER),
            contents,
        };
        shard.handle_datagram(now, received);
    }
    if shard.poll_timeout().is_some_and(|(at, _)| at <= now) {
        shard.handle_timeout(now);
    }
    shard.finish_turn(now);
    while let Some(transmit) = shard.poll_transmit() {
        transmits.push(black_box(transmit));
    }
}

fn join(world: &mut World, identity: &str) -> ConnectionId {
    let client = Client::new(world, identity);
    let link = Link {
        delay: STEP,
        ..Link::default()
    };
    world.network.set_link(client.address, link);
    world.join(client)
}
