//! A UDP proxy that holds every datagram back for a while, and lets answers pass.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

/// A port that leads to `port` with a delay; answers go back by the same way, without.
pub(crate) async fn before(port: u16, delay: Duration) -> SocketAddr {
    let outside = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = outside.local_addr().unwrap();
    tokio::spawn(async move {
        // One socket a sender, so that answers find their way.
        let mut inside: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = outside.recv_from(&mut buffer).await {
            if let Entry::Vacant(place) = inside.entry(from) {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                socket.connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                let socket = Arc::new(socket);
                tokio::spawn(answer(Arc::clone(&socket), Arc::clone(&outside), from));
                place.insert(socket);
            }
            let socket = Arc::clone(&inside[&from]);
            let datagram = buffer[..length].to_vec();
            tokio::spawn(async move {
                sleep(delay).await;
                let _ = socket.send(&datagram).await;
            });
        }
    });
    address
}

async fn answer(inside: Arc<UdpSocket>, outside: Arc<UdpSocket>, to: SocketAddr) {
    let mut buffer = [0; 2048];
    loop {
        // The edge may not listen yet: its refusals end nothing.
        if let Ok(length) = inside.recv(&mut buffer).await {
            let _ = outside.send_to(&buffer[..length], to).await;
        }
    }
}
