//! The TCP side: connections to a node's `outside` address reach its `inside` address later, slower, or not while cut.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use crate::net::{Direction, Net};

const CHUNK: usize = 16 * 1024;
/// Chunks of one connection that may be under way at once.
const UNDER_WAY: usize = 256;
const MAX_CONNECTIONS: usize = 2_048;
/// How often a stream looks whether its cut link has healed.
const CUT_CHECK: Duration = Duration::from_millis(20);

/// Opens the listeners of every node and serves them on the current runtime.
pub(crate) async fn listen(net: &Arc<Net>) -> Result<()> {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for (node, place) in net.topology.nodes.iter().enumerate() {
        for &port in &place.tcp {
            let outside = SocketAddr::new(place.outside, port);
            let inside = SocketAddr::new(place.inside, port);
            let listener = TcpListener::bind(outside)
                .await
                .with_context(|| format!("listen on {outside} for {}", place.name))?;
            tokio::spawn(accept(
                net.clone(),
                listener,
                node,
                inside,
                connections.clone(),
            ));
        }
    }
    Ok(())
}

async fn accept(
    net: Arc<Net>,
    listener: TcpListener,
    node: usize,
    inside: SocketAddr,
    connections: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let Ok((client, from)) = listener.accept().await else {
            tokio::time::sleep(CUT_CHECK).await;
            continue;
        };
        let net = net.clone();
        tokio::spawn(async move {
            // Either side may end a connection at any time; both ends see that themselves.
            drop(carry(&net, client, from, node, inside).await);
            drop(permit);
        });
    }
}

async fn carry(
    net: &Arc<Net>,
    client: TcpStream,
    from: SocketAddr,
    node: usize,
    inside: SocketAddr,
) -> Result<()> {
    let sender = net
        .topology
        .nodes
        .iter()
        .position(|place| place.inside == from.ip());
    let there = sender.map(|sender| (sender, node));
    let back = sender.map(|sender| (node, sender));
    if let (Some(there), Some(back)) = (there, back) {
        // The kernel has answered the handshake already: its round trip is made up for here.
        tokio::time::sleep(net.delay(there) + net.delay(back)).await;
    }
    let source = match sender {
        Some(sender) => net.topology.nodes[sender].outside,
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let socket = if source.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(source, 0))?;
    let server = socket.connect(inside).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(
        pump(net, there, client_read, server_write),
        pump(net, back, server_read, client_write),
    );
    Ok(())
}

async fn pump(
    net: &Net,
    direction: Option<Direction>,
    mut read: OwnedReadHalf,
    write: OwnedWriteHalf,
) {
    let (under_way, arriving) = mpsc::channel(UNDER_WAY);
    let reading = async {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = read.read(&mut chunk).await {
            let at = match direction {
                Some(direction) => arrival(net, direction, count).await,
                None => Instant::now(),
            };
            if under_way.send((at, chunk[..count].to_vec())).await.is_err() {
                break;
            }
        }
        drop(under_way);
    };
    tokio::join!(reading, deliver(arriving, write));
}

async fn arrival(net: &Net, direction: Direction, bytes: usize) -> Instant {
    tokio::time::sleep(net.stream_wait(direction)).await;
    loop {
        match net.stream(direction, bytes) {
            Some(at) => return at,
            None => tokio::time::sleep(CUT_CHECK).await,
        }
    }
}

async fn deliver(mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>, mut write: OwnedWriteHalf) {
    while let Some((at, chunk)) = arriving.recv().await {
        tokio::time::sleep_until(at.into()).await;
        if write.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // The sender has finished: pass that on.
    drop(write.shutdown().await);
}
