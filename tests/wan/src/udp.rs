//! The UDP side: one thread receives in batches and decides, another sends what is due.
//!
//! A datagram to a node's `outside` address comes from another node, known by its `inside` address. It is delivered from a
//! socket on the sender's `outside` address, one per sender socket, so that answers find their way back through the same link.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::{Direction, Net};

const WAKER: Token = Token(usize::MAX);
const BATCH: usize = 16;
const BUFFER: usize = 65_536;
/// Sender sockets that may be open through the emulator at once.
const MAX_SESSIONS: usize = 4_096;
const SESSION_IDLE: Duration = Duration::from_secs(120);

/// The two threads; they end when this is dropped.
pub(crate) struct UdpThreads {
    net: Arc<Net>,
    waker: Waker,
    threads: Vec<JoinHandle<()>>,
}

impl UdpThreads {
    pub(crate) fn start(net: Arc<Net>) -> Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut receiver = Receiver {
            net: net.clone(),
            poll,
            ports: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next: 0,
        };
        for (index, node) in net.topology.nodes.iter().enumerate() {
            for &port in &node.udp {
                receiver.listen(index, port)?;
            }
        }
        let sending = net.clone();
        let threads = vec![
            thread::Builder::new()
                .name("wan-receive".into())
                .spawn(move || receiver.run())?,
            thread::Builder::new()
                .name("wan-send".into())
                .spawn(move || send_due(&sending))?,
        ];
        Ok(Self {
            net,
            waker,
            threads,
        })
    }
}

impl Drop for UdpThreads {
    fn drop(&mut self) {
        self.net.stop();
        // A failed wake leaves only the end of the process to stop the thread.
        if self.waker.wake().is_ok() {
            for thread in self.threads.drain(..) {
                drop(thread.join());
            }
        }
    }
}

fn send_due(net: &Net) {
    let mut due = Vec::new();
    while net.wait_due(&mut due) {
        for datagram in due.drain(..) {
            // A full or closed receiver loses the datagram, as on any network.
            drop(datagram.socket.send_to(&datagram.payload, datagram.to));
        }
    }
}

struct Receiver {
    net: Arc<Net>,
    poll: Poll,
    ports: BTreeMap<usize, Port>,
    sessions: BTreeMap<(usize, SocketAddr), usize>,
    next: usize,
}

/// A socket of the emulator.
struct Port {
    polled: mio::net::UdpSocket,
    sending: Arc<UdpSocket>,
    batches: UdpSocketState,
    role: Role,
}

#[derive(Clone, Copy)]
enum Role {
    /// Listens at `outside` of `node`; delivers to its `inside`.
    Outside { node: usize, inside: SocketAddr },
    /// Stands for the sender `client` towards one outside port; carries answers back.
    Session {
        port: usize,
        client: SocketAddr,
        back: Option<Direction>,
        server: SocketAddr,
        used: Instant,
    },
}

impl Receiver {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut storage = vec![0; BATCH * BUFFER];
        loop {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return;
            }
            for event in &events {
                if event.token() == WAKER {
                    return;
                }
                self.read(event.token().0, &mut storage);
            }
        }
    }

    fn listen(&mut self, node: usize, port: u16) -> Result<()> {
        let place = &self.net.topology.nodes[node];
        let outside = SocketAddr::new(place.outside, port);
        let inside = SocketAddr::new(place.inside, port);
        self.add(outside, Role::Outside { node, inside })
            .with_context(|| {
                format!(
                    "listen on {outside} for {}",
                    self.net.topology.nodes[node].name
                )
            })?;
        Ok(())
    }

    fn add(&mut self, address: SocketAddr, role: Role) -> io::Result<usize> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_send_buffer_size(4 << 20)?;
        socket.bind(&address.into())?;
        let sending = Arc::new(UdpSocket::from(socket));
        let mut polled = mio::net::UdpSocket::from_std(sending.try_clone()?);
        let batches = UdpSocketState::new(UdpSockRef::from(&polled))?;
        let token = self.next;
        self.poll
            .registry()
            .register(&mut polled, Token(token), Interest::READABLE)?;
        self.next += 1;
        self.ports.insert(
            token,
            Port {
                polled,
                sending,
                batches,
                role,
            },
        );
        Ok(token)
    }

    fn read(&mut self, token: usize, storage: &mut [u8]) {
        let mut meta = [RecvMeta::default(); BATCH];
        loop {
            let Some(port) = self.ports.get(&token) else {
                return;
            };
            let received = {
                let mut buffers: Vec<_> = storage.chunks_mut(BUFFER).map(IoSliceMut::new).collect();
                port.batches
                    .recv(UdpSockRef::from(&port.polled), &mut buffers, &mut meta)
            };
            let count = match received {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier send: the next read goes on.
                Err(_) => continue,
            };
            for (meta, buffer) in meta.iter().zip(storage.chunks(BUFFER)).take(count) {
                for payload in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    self.forward(token, meta.addr, payload);
                }
            }
        }
    }

    fn forward(&mut self, token: usize, from: SocketAddr, payload: &[u8]) {
        let Some(role) = self.ports.get(&token).map(|port| port.role) else {
            return;
        };
        match role {
            Role::Outside { node, inside } => {
                let sender = self
                    .net
                    .topology
                    .nodes
                    .iter()
                    .position(|n| n.inside == from.ip());
                let Some(session) = self.session(token, from, sender, node, inside) else {
                    return;
                };
                let there = sender.map(|sender| (sender, node));
                self.net.datagram(there, &session, inside, payload);
            }
            Role::Session {
                port,
                client,
                back,
                server,
                ..
            } if from == server => {
                if let Some(outside) = self.ports.get(&port) {
                    self.net.datagram(back, &outside.sending, client, payload);
                }
            }
            Role::Session { .. } => {}
        }
    }

    fn session(
        &mut self,
        port: usize,
        client: SocketAddr,
        sender: Option<usize>,
        node: usize,
        server: SocketAddr,
    ) -> Option<Arc<UdpSocket>> {
        let now = Instant::now();
        if let Some(open) = self.sessions.get(&(port, client))
            && let Some(open) = self.ports.get_mut(open)
        {
            if let Role::Session { used, .. } = &mut open.role {
                *used = now;
            }
            return Some(open.sending.clone());
        }
        if self.sessions.len() >= MAX_SESSIONS {
            self.close_idle(now);
            if self.sessions.len() >= MAX_SESSIONS {
                return None;
            }
        }
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = sender.map_or(loopback, |sender| self.net.topology.nodes[sender].outside);
        let back = sender.map(|sender| (node, sender));
        let role = Role::Session {
            port,
            client,
            back,
            server,
            used: now,
        };
        let token = self.add(SocketAddr::new(source, 0), role).ok()?;
        self.sessions.insert((port, client), token);
        self.ports.get(&token).map(|port| port.sending.clone())
    }

    fn close_idle(&mut self, now: Instant) {
        let ports = &mut self.ports;
        self.sessions.retain(|_, token| {
            let idle = ports.get(token).is_none_or(
                |port| matches!(port.role, Role::Session { used, .. } if now - used > SESSION_IDLE),
            );
            if idle {
                ports.remove(token);
            }
            !idle
        });
    }
}
