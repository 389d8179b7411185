//! The warm mesh: one link to every other node, dialled again whenever it ends.
//!
//! Both nodes of a pair may dial, so that either can come back first; the node with the smaller name does so at once, the other
//! only when nothing has come for a while. Should two connections meet, both sides keep the one that the smaller name dialled.
//! A peer that has started anew says so in its hello, and its old link ends at once instead of timing out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{ClientConfig, Connection, Endpoint, Incoming};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::handle::{Command, LinkCommand};
use super::inbox::Delivery;
use super::link;
use super::relay::Peer;
use super::session::{CLOSED, PROTOCOL, Session, SessionError, establish};
use crate::id::NodeId;

/// How long the node with the greater name leaves dialling to the other.
const LEAVE_TO_OTHER: Duration = Duration::from_millis(1_500);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// How often the mesh looks for links to dial.
const LOOK: Duration = Duration::from_millis(50);
/// Commands that wait for one link.
const LINK_QUEUE: usize = 16_384;
/// Handshakes that may be under way at once.
const MAX_HANDSHAKES: usize = 64;
/// Nodes a mesh may have; a full mesh is meant for about fifty.
const MAX_NODES: usize = 256;

pub(crate) struct Mesh {
    node: NodeId,
    instance: u64,
    endpoint: Endpoint,
    client: ClientConfig,
    delivery: Arc<dyn Delivery>,
    peers: BTreeMap<NodeId, PeerState>,
    news: mpsc::Sender<News>,
    handshakes: Arc<Semaphore>,
    next_generation: u64,
}

struct PeerState {
    /// Unknown of a peer that connected before the fleet told of it.
    address: Option<SocketAddr>,
    link: Option<LinkState>,
    dialling: bool,
    dial_at: Instant,
    retry: Duration,
}

struct LinkState {
    generation: u64,
    dialled_by_us: bool,
    instance: u64,
    commands: mpsc::Sender<LinkCommand>,
    connection: Connection,
    task: JoinHandle<()>,
}

enum News {
    Dialled(NodeId, Result<Box<Session>, SessionError>),
    Accepted(Box<Session>),
    Ended(NodeId, u64),
}

impl Mesh {
    pub(crate) fn new(
        node: NodeId,
        instance: u64,
        endpoint: Endpoint,
        client: ClientConfig,
        delivery: Arc<dyn Delivery>,
    ) -> (Self, MeshInput) {
        let (news, input) = mpsc::channel(1_024);
        let mesh = Self {
            node,
            instance,
            endpoint,
            client,
            delivery,
            peers: BTreeMap::new(),
            news,
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            next_generation: 0,
        };
        (mesh, MeshInput(input))
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self, mut input: MeshInput, mut commands: mpsc::Receiver<Command>) {
        let mut look = tokio::time::interval(LOOK);
        let mut batch = Vec::with_capacity(256);
        loop {
            tokio::select! {
                taken = commands.recv_many(&mut batch, 256) => {
                    if taken == 0 || batch.iter().any(|command| matches!(command, Command::Stop)) {
                        break;
                    }
                    for command in batch.drain(..) {
                        self.obey(command);
                    }
                }
                Some(incoming) = self.endpoint.accept() => self.accept(incoming),
                Some(news) = input.0.recv() => self.on_news(news),
                _ = look.tick() => self.dial_missing(),
            }
        }
        self.endpoint.close(CLOSED, b"the node has ended");
        self.endpoint.wait_idle().await;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Link(peer, command) => {
                if let Some(link) = self
                    .peers
                    .get_mut(&peer)
                    .and_then(|peer| peer.link.as_mut())
                {
                    link.send(command);
                }
            }
            Command::SetPeers(peers) => self.set_peers(peers),
            Command::Stop => {}
            Command::Drain => {
                for link in self
                    .peers
                    .values_mut()
                    .filter_map(|peer| peer.link.as_mut())
                {
                    link.send(LinkCommand::Drain);
                }
            }
        }
    }

    fn set_peers(&mut self, peers: Vec<Peer>) {
        let wanted: BTreeMap<_, _> = peers
            .into_iter()
            .filter(|peer| peer.node != self.node)
            .take(MAX_NODES)
            .map(|peer| (peer.node, peer.address))
            .collect();
        for (node, state) in &mut self.peers {
            state.address = wanted.get(node).copied();
            if let (None, Some(link)) = (state.address, &mut state.link) {
                link.send(LinkCommand::Close("no longer a peer"));
            }
        }
        self.peers
            .retain(|_, state| state.address.is_some() || state.link.is_some());
        for (node, address) in wanted {
            let at_once = self.dials_first(&node);
            self.peers
                .entry(node)
                .or_insert_with(|| PeerState::new(Some(address), at_once));
        }
    }

    fn dial_missing(&mut self) {
        let now = Instant::now();
        for (node, state) in &mut self.peers {
            let (Some(address), None, false) = (state.address, &state.link, state.dialling) else {
                continue;
            };
            if now < state.dial_at {
                continue;
            }
            state.dialling = true;
            let (node, own, instance) = (node.clone(), self.node.clone(), self.instance);
            let (endpoint, client, news) = (
                self.endpoint.clone(),
                self.client.clone(),
                self.news.clone(),
            );
            tokio::spawn(async move {
                let session = match endpoint.connect_with(client, address, node.as_str()) {
                    Ok(connecting) => establish(connecting, &own, instance).await.map(Box::new),
                    Err(error) => Err(error.into()),
                };
                // The mesh is gone when nobody listens.
                drop(news.send(News::Dialled(node, session)).await);
            });
        }
    }

    fn accept(&mut self, incoming: Incoming) {
        let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            return;
        };
        let (own, instance, news) = (self.node.clone(), self.instance, self.news.clone());
        tokio::spawn(async move {
            match establish(async { incoming.await }, &own, instance).await {
                Ok(session) => drop(news.send(News::Accepted(Box::new(session))).await),
                Err(error) => tracing::debug!(%error, "refused a connection"),
            }
            drop(permit);
        });
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Accepted(session) => self.adopt(*session, false),
            News::Dialled(node, outcome) => {
                let Some(state) = self.peers.get_mut(&node) else {
                    return;
                };
                state.dialling = false;
                match outcome {
                    Ok(session) => self.adopt(*session, true),
                    Err(error) => {
                        tracing::info!(peer = %node, %error, "cannot reach a node");
                        state.dial_at = Instant::now() + state.retry;
                        state.retry = (state.retry * 2).min(LAST_RETRY);
                    }
                }
            }
            News::Ended(node, generation) => {
                let at_once = self.dials_first(&node);
                let Some(state) = self.peers.get_mut(&node) else {
                    return;
                };
                if state
                    .link
                    .as_ref()
                    .is_some_and(|link| link.generation == generation)
                {
                    state.link = None;
                    state.dial_at = Instant::now() + first_wait(at_once);
                }
                if state.address.is_none() && state.link.is_none() {
                    self.peers.remove(&node);
                }
            }
        }
    }

    /// A connection has found its peer: it becomes the link, unless the present link is to be kept.
    fn adopt(&mut self, session: Session, dialled_by_us: bool) {
        let peer = session.peer.clone();
        if peer == self.node || (self.peers.len() >= MAX_NODES && !self.peers.contains_key(&peer)) {
            session.connection.close(CLOSED, b"not a peer");
            return;
        }
        let by_smaller = dialled_by_us == self.dials_first(&peer);
        let state = self
            .peers
            .entry(peer.clone())
            .or_insert_with(|| PeerState::new(None, false));
        if let Some(link) = &state.link
            && link.instance == session.instance
            && link.dialled_by_us != dialled_by_us
            && !by_smaller
            && !link.task.is_finished()
        {
            session.connection.close(CLOSED, b"there is a link already");
            return;
        }
        state.retry = FIRST_RETRY;
        let before = state.link.take().map(|mut link| {
            link.send(LinkCommand::Close("replaced by a newer link"));
            link.task
        });
        self.next_generation += 1;
        let generation = self.next_generation;
        let (commands, receiver) = mpsc::channel(LINK_QUEUE);
        let (instance, connection) = (session.instance, session.connection.clone());
        let (delivery, news) = (self.delivery.clone(), self.news.clone());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // So that the old link's end is told before the new link's beginning.
                drop(before.await);
            }
            tracing::info!(%peer, round_trip = ?session.connection.rtt(), "link up");
            let reason = link::run(session, delivery, receiver).await;
            tracing::info!(%peer, reason, "link down");
            drop(news.send(News::Ended(peer, generation)).await);
        });
        state.link = Some(LinkState {
            generation,
            dialled_by_us,
            instance,
            commands,
            connection,
            task,
        });
    }

    fn dials_first(&self, peer: &NodeId) -> bool {
        self.node < *peer
    }
}

/// What the mesh's own tasks tell it.
pub(crate) struct MeshInput(mpsc::Receiver<News>);

impl PeerState {
    fn new(address: Option<SocketAddr>, at_once: bool) -> Self {
        let dial_at = Instant::now()
            + if at_once {
                Duration::ZERO
            } else {
                LEAVE_TO_OTHER
            };
        Self {
            address,
            link: None,
            dialling: false,
            dial_at,
            retry: FIRST_RETRY,
        }
    }
}

impl LinkState {
    fn send(&mut self, command: LinkCommand) {
        let reliable = !matches!(command, LinkCommand::Media { .. });
        if self.commands.try_send(command).is_err() && reliable {
            // Nothing reliable is ever left out silently: the link ends and both sides start from nothing.
            self.connection.close(PROTOCOL, b"the node is overloaded");
        }
    }
}

fn first_wait(at_once: bool) -> Duration {
    if at_once { FIRST_RETRY } else { LEAVE_TO_OTHER }
}
