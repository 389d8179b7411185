//! Nodes with an emulated network between them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each user of this module needs a part of it"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use tradewind_relay::congestion::RateLimits;
use tradewind_relay::{
    Event, FlowId, Inbox, InboxReader, MediaPacket, NodeId, Peer, Relay, RelayConfig, RelayHandle,
    create_test_ca,
};
use tradewind_wan::{Node, Shape, Topology, Wan};

pub const PATIENCE: Duration = Duration::from_secs(15);

/// Some nodes, their certificates, and the network between them.
pub struct Planet {
    pub wan: Wan,
    folder: PathBuf,
    network: u8,
    port: u16,
    names: Vec<NodeId>,
}

impl Planet {
    pub fn new(names: &[&str], shape: Shape, seed: u64) -> Self {
        static NETWORK: AtomicU8 = AtomicU8::new(1);
        let network = NETWORK.fetch_add(1, Ordering::Relaxed);
        // Several test processes may run on one machine.
        let port = 20_000 + (std::process::id() % 20_000) as u16;
        let nodes = names.iter().enumerate().map(|(place, name)| Node {
            name: (*name).to_owned(),
            region: None,
            inside: address(network, 0, place),
            outside: address(network, 1, place),
            udp: vec![port],
            tcp: Vec::new(),
        });
        let topology = Topology {
            seed,
            every_link: shape,
            nodes: nodes.collect(),
            ..Topology::default()
        };
        let wan = Wan::start(topology).expect("the emulated network starts");
        let names: Vec<_> = names.iter().map(|name| NodeId::from(*name)).collect();
        let folder =
            std::env::temp_dir().join(format!("tradewind-relay-{}-{network}", std::process::id()));
        create_test_ca(&folder, &names).expect("a test authority is made");
        Self {
            wan,
            folder,
            network,
            port,
            names,
        }
    }

    /// Starts a node that knows all others behind the emulated network, or straight when `direct`.
    pub fn start(&self, place: usize, direct: bool) -> Running {
        let running = self.start_as(place, self.names[place].clone());
        let side = u8::from(!direct);
        let peers = self.names.iter().enumerate().map(|(other, name)| Peer {
            node: name.clone(),
            address: SocketAddr::new(address(self.network, side, other), self.port),
        });
        running
            .handle()
            .set_peers(peers.collect())
            .expect("peers are taken");
        running
    }

    /// Starts a node with the certificate of one place that says it is `name`.
    pub fn start_as(&self, place: usize, name: NodeId) -> Running {
        let (wake, woken) = sync_channel(1);
        // A full channel means the reader is woken already.
        let (inbox, reader) = Inbox::new(65_536, move || {
            let _ = wake.try_send(());
        });
        let certified = &self.names[place];
        let config = RelayConfig {
            node: name.clone(),
            bind: SocketAddr::new(address(self.network, 0, place), self.port),
            certificate_file: self.folder.join(format!("{certified}.crt")),
            key_file: self.folder.join(format!("{certified}.key")),
            ca_file: self.folder.join("ca.crt"),
            limits: RateLimits::default(),
        };
        let relay = Relay::start(config, Arc::new(inbox)).expect("the relay starts");
        Running {
            relay,
            name,
            reader,
            woken,
        }
    }

    /// Where a node is seen by the others.
    pub fn outside(&self, place: usize) -> SocketAddr {
        SocketAddr::new(address(self.network, 1, place), self.port)
    }
}

impl Drop for Planet {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn address(network: u8, side: u8, place: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 40 + network, side, 1 + place as u8))
}

/// A node at work.
pub struct Running {
    pub relay: Relay,
    pub name: NodeId,
    pub reader: InboxReader,
    woken: Receiver<()>,
}

impl Running {
    pub fn handle(&self) -> &RelayHandle {
        self.relay.handle()
    }

    /// Waits until something may have arrived.
    pub fn wait(&self, at_most: Duration) {
        let _ = self.woken.recv_timeout(at_most);
        self.reader.rearm();
    }

    /// The first event for which `wanted` gives something; earlier ones are dropped.
    pub fn expect<T>(&self, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            while let Some(event) = self.reader.next_event() {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
            self.wait(Duration::from_millis(20));
        }
        panic!("{}: {what} did not come", self.name);
    }

    pub fn expect_up(&self, other: &NodeId) {
        self.expect("a link", |event| match event {
            Event::Up { peer, .. } if peer == *other => Some(()),
            _ => None,
        });
    }

    pub fn expect_down(&self, other: &NodeId) -> String {
        self.expect("the end of a link", |event| match event {
            Event::Down { peer, reason } if peer == *other => Some(reason),
            _ => None,
        })
    }

    pub fn expect_media(&self) -> MediaPacket {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some((_, packet)) = self.reader.next_media() {
                return packet;
            }
            self.wait(Duration::from_millis(20));
        }
        panic!("{}: no media came", self.name);
    }
}

pub fn flow(number: u32) -> FlowId {
    FlowId::new(number).expect("a flow number")
}
