//! The node as its HTTP services see it: rooms by name, whatever shard they live on.

mod connection;
mod directory;
mod drain;
mod notices;
mod options;
mod rooms;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tradewind_fleet::Fleet;
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, ConnectionId, Counters, DisconnectReason,
    RoomConfig, RoomEvent, RoomName, RoundTrip, Shard, ShardConfig,
};
use tradewind_signalling::data::DataPacketCodec;

use self::directory::Directory;
use self::drain::DrainState;
use self::notices::Followers;
use crate::clock::unix_ms;
use crate::cluster::{Cluster, Links};
use crate::config::Settings;
use crate::shard::{Input, ShardHandle};
use crate::socket::admission::Admission;
use crate::socket::tcp::{Fragments, IceTcp};
use crate::socket::{Candidates, SocketCounters, UdpPort, is_local};

pub(crate) use connection::Connection;
pub(crate) use directory::RoomClaim;
pub(crate) use drain::DrainStatus;
pub(crate) use options::NodeOptions;

/// How long a shard may take to answer. It answers within a turn unless it is overloaded.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long clients have to take their farewell when the node shuts down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle to the shards of this node; cheap to clone. The shards stop when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

/// A handle that does not keep the node running.
pub(crate) struct WeakNode(Weak<Inner>);

struct Inner {
    shards: Arc<[ShardHandle]>,
    /// Set once the node has joined its fleet.
    cluster: Arc<OnceLock<Cluster>>,
    links: Arc<OnceLock<Arc<Links>>>,
    room_defaults: RoomConfig,
    /// Participants the node takes.
    capacity: u32,
    /// Rooms appear when somebody joins them.
    auto_create: bool,
    directory: Directory,
    followers: Arc<Followers>,
    udp_candidates: Vec<Vec<SocketAddr>>,
    tcp_candidates: Vec<SocketAddr>,
    next_connection: AtomicU64,
    shutting_down: AtomicBool,
    drain: DrainState,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: Vec<AbortHandle>,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "cannot bind UDP {address}: {source}. Choose another rtc.udp_port or rtc.bind, or stop what uses the port"
    )]
    Udp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "cannot bind ICE/TCP {address}: {source}. Choose another rtc.tcp_port (0 = off), or stop what uses the port"
    )]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "the UDP ports of {shards} media threads from {first} on exceed 65535: lower rtc.udp_port or rtc.shards"
    )]
    PortRange { first: u16, shards: u16 },
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    #[error("cannot start a media thread: {0}")]
    Thread(io::Error),
}

/// Why a call to the node failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error(transparent)]
    Refused(#[from] AdminError),
    /// The shard did not take or answer the call in time.
    #[error("the node is overloaded: try again in a moment")]
    Overloaded,
    #[error("the node is shutting down")]
    ShuttingDown,
    /// Sessions are being led to other nodes.
    #[error("the node is draining: connect again to reach another one")]
    Draining,
}

impl Node {
    /// Binds the sockets and starts the media threads. Needs a tokio runtime.
    ///
    /// # Errors
    /// A socket or thread is not to be had.
    pub(crate) async fn start(options: NodeOptions) -> Result<Self, StartError> {
        let (notices, notice_queue) = mpsc::unbounded_channel();
        let directory = Directory::new(notices.clone(), options.spread_room_after);
        let fragments = Fragments::default();
        let followers = Arc::new(Followers::default());
        let cluster = Arc::new(OnceLock::new());
        let links = Arc::new(OnceLock::new());

        let listener = match options.tcp {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|source| StartError::Tcp { address, source })?,
            ),
            None => None,
        };
        let tcp_port = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
            .map(|local| local.port());
        let advertise_tcp = if tcp_port.is_some() {
            options.advertise.as_slice()
        } else {
            &[]
        };
        let tcp_candidates = Candidates::new(advertise_tcp, tcp_port.unwrap_or(0), is_local);

        // Every socket is bound before the first thread starts, so that a failure leaves nothing behind.
        let sockets = bind_shards(&options)?;
        let mut threads = StopOnDrop(Vec::new());
        let mut udp_candidates = Vec::new();
        for (index, socket) in sockets.into_iter().enumerate() {
            let port = socket.local_addr().map_err(StartError::Thread)?.port();
            let candidates = Candidates::new(&options.advertise, port, is_local);
            udp_candidates.push(candidates.addresses());
            let config = ShardConfig {
                udp_candidates: candidates.addresses(),
                tcp_candidates: tcp_candidates.addresses(),
                ..options.shard.clone()
            };
            let seed = getrandom::u64().map_err(StartError::Randomness)?;
            let shard = Shard::new(
                config,
                Instant::now(),
                unix_ms(),
                seed,
                Box::new(DataPacketCodec),
            );
            let port = UdpPort::new(socket, candidates).map_err(StartError::Thread)?;
            threads.0.push(
                crate::shard::start(
                    index,
                    shard,
                    port,
                    notices.clone(),
                    links.clone(),
                    options.realtime,
                )
                .map_err(StartError::Thread)?,
            );
        }
        let (shards, threads): (Vec<_>, Vec<_>) =
            std::mem::take(&mut threads.0).into_iter().unzip();
        let shards: Arc<[ShardHandle]> = shards.into();

        let notice_task = tokio::spawn({
            let (directory, fragments, followers, cluster) = (
                directory.clone(),
                fragments.clone(),
                followers.clone(),
                cluster.clone(),
            );
            async move { notices::run(notice_queue, directory, fragments, &followers, &cluster).await }
        });
        let mut tasks = vec![notice_task.abort_handle()];
        if let Some(listener) = listener {
            let ice_tcp = IceTcp {
                fragments,
                shards: shards.clone(),
                candidates: tcp_candidates.clone(),
                admission: Admission::new(
                    options.max_tcp_connections,
                    options.max_tcp_connections_per_address,
                ),
            };
            tasks.push(tokio::spawn(ice_tcp.serve(listener)).abort_handle());
        }
        let node = Self(Arc::new(Inner {
            capacity: options
                .shard
                .max_participants
                .saturating_mul(options.shards.into()),
            auto_create: options.shard.auto_create_rooms,
            room_defaults: options.shard.room_defaults,
            shards,
            cluster,
            links,
            directory,
            followers,
            udp_candidates,
            tcp_candidates: tcp_candidates.addresses(),
            next_connection: AtomicU64::new(1),
            shutting_down: AtomicBool::new(false),
            drain: DrainState::default(),
            threads: Mutex::new(threads),
            tasks,
        }));
        tracing::info!(udp = ?node.udp_candidates(), tcp = ?node.tcp_candidates(), "clients reach media at");
        Ok(node)
    }

    /// A number for a new signalling connection.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.0.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// A queue that from now on receives every room event, in order per room. Events are dropped and counted, never
    /// waited for, if its reader falls `capacity` behind.
    pub(crate) fn room_events(&self, capacity: usize) -> mpsc::Receiver<RoomEvent> {
        self.0.followers.follow(capacity)
    }

    /// Room events dropped since their readers fell behind.
    pub(crate) fn room_events_dropped(&self) -> u64 {
        self.0.followers.dropped()
    }

    /// Counters of each shard that answers.
    pub(crate) async fn counters(&self) -> Vec<Counters> {
        let mut counters = Vec::new();
        for shard in self.0.shards.iter() {
            if let Ok(AdminReply::Counters(of_shard)) =
                self.ask(shard, AdminRequest::Counters, None).await
            {
                counters.push(*of_shard);
            }
        }
        counters
    }

    /// Round trips that the transports of all participants have measured, of each shard that answers.
    pub(crate) async fn round_trips(&self) -> Vec<RoundTrip> {
        let mut round_trips = Vec::new();
        for shard in self.0.shards.iter() {
            if let Ok(AdminReply::RoundTrips(of_shard)) =
                self.ask(shard, AdminRequest::RoundTrips, None).await
            {
                round_trips.extend(of_shard);
            }
        }
        round_trips
    }

    /// Socket counters of each shard that answers.
    pub(crate) async fn socket_counters(&self) -> Vec<SocketCounters> {
        let mut counters = Vec::new();
        for shard in self.0.shards.iter() {
            let (reply, answer) = oneshot::channel();
            if shard.send(Input::SocketCounters { reply }).await.is_ok()
                && let Ok(Ok(of_shard)) = tokio::time::timeout(REPLY_TIMEOUT, answer).await
            {
                counters.push(of_shard);
            }
        }
        counters
    }

    /// Addresses clients reach each shard at over UDP.
    pub(crate) fn udp_candidates(&self) -> &[Vec<SocketAddr>] {
        &self.0.udp_candidates
    }

    /// Addresses clients reach this node at over ICE/TCP.
    pub(crate) fn tcp_candidates(&self) -> &[SocketAddr] {
        &self.0.tcp_candidates
    }

    /// Whether the node takes calls; if not, why.
    ///
    /// # Errors
    /// The reason, for `/readyz`.
    pub(crate) fn ready(&self) -> Result<(), String> {
        self.check_open().map_err(|error| error.to_string())?;
        self.0.shards.iter().try_for_each(ShardHandle::ready)
    }

    /// Ends every session, gives clients up to 2 s to hear of it, and stops the media threads.
    pub(crate) async fn shutdown(&self) {
        self.0.shutting_down.store(true, Ordering::Release);
        if let Some(cluster) = self.0.cluster.get() {
            cluster.leave().await;
        }
        for shard in self.0.shards.iter() {
            // A shard that takes no command any more has nobody left to tell.
            let _ = shard
                .send(Input::Command(Command::Shutdown {
                    reason: DisconnectReason::ServerShutdown,
                }))
                .await;
        }
        let drained = async {
            // The first turn after the command must have been seen too.
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let connections: u64 = self.0.shards.iter().map(ShardHandle::connections).sum();
                if connections == 0 && self.0.directory.len() == 0 {
                    break;
                }
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("some sessions had not ended when the node shut down");
        }
        self.0.stop();
        let threads = std::mem::take(
            &mut *self
                .0
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()))
        });
        if tokio::time::timeout(DRAIN_TIMEOUT, joined).await.is_err() {
            tracing::error!("a media thread did not stop");
        }
        self.0.followers.close();
    }

    async fn connect(
        &self,
        shard: usize,
        connection: ConnectionId,
        command: Command,
        claim: Option<RoomClaim>,
    ) -> Result<Connection, NodeError> {
        let shard = self.shard(shard)?.clone();
        let (sender, events) = mpsc::channel(connection::EVENTS_QUEUED);
        shard
            .send(Input::Connect {
                connection,
                command,
                events: sender,
                claim,
            })
            .await?;
        Ok(Connection {
            id: connection,
            shard,
            events,
        })
    }

    /// Joins the fleet that the settings name.
    ///
    /// # Errors
    /// The settings of the fleet or of the links cannot be used.
    pub(crate) async fn join_fleet(&self, settings: &Settings) -> anyhow::Result<()> {
        let cluster = Cluster::start(settings, self).await?;
        // Set before the cluster: whoever hears of a room can then send into it.
        let _ = self.0.links.set(cluster.links());
        let _ = self.0.cluster.set(cluster);
        Ok(())
    }

    /// What the fleet knows; `None` before this node has joined it.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        self.0.cluster.get().map(Cluster::fleet)
    }

    pub(crate) fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.0))
    }

    pub(crate) fn shards(&self) -> Arc<[ShardHandle]> {
        self.0.shards.clone()
    }

    /// What rooms are like whose creator does not say otherwise.
    pub(crate) fn room_defaults(&self) -> RoomConfig {
        self.0.room_defaults.clone()
    }

    /// Participants the node takes.
    pub(crate) fn capacity(&self) -> u32 {
        self.0.capacity
    }

    pub(crate) fn room_count(&self) -> usize {
        self.0.directory.len()
    }

    async fn ask(
        &self,
        shard: &ShardHandle,
        request: AdminRequest,
        claim: Option<RoomClaim>,
    ) -> Result<AdminReply, NodeError> {
        let (reply, answer) = oneshot::channel();
        shard
            .send(Input::Admin {
                request: Box::new(request),
                reply,
                claim,
            })
            .await?;
        match tokio::time::timeout(REPLY_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) => Err(NodeError::ShuttingDown),
            Err(_) => Err(NodeError::Overloaded),
        }
    }

    fn shard(&self, index: usize) -> Result<&ShardHandle, NodeError> {
        self.0.shards.get(index).ok_or(NodeError::ShuttingDown)
    }

    fn check_open(&self) -> Result<(), NodeError> {
        self.check_running()?;
        if self.0.drain.is_on() {
            return Err(NodeError::Draining);
        }
        Ok(())
    }

    fn check_running(&self) -> Result<(), NodeError> {
        if self.0.shutting_down.load(Ordering::Acquire) {
            Err(NodeError::ShuttingDown)
        } else {
            Ok(())
        }
    }
}

impl WeakNode {
    /// `None` once the node has ended.
    pub(crate) fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

/// The room a call is about.
fn room_of(request: &AdminRequest) -> Option<&RoomName> {
    match request {
        AdminRequest::ListRooms { .. } | AdminRequest::Counters | AdminRequest::RoundTrips => None,
        AdminRequest::SendData(message) => Some(&message.room),
        AdminRequest::CreateRoom { room, .. }
        | AdminRequest::DeleteRoom { room }
        | AdminRequest::ListParticipants { room }
        | AdminRequest::GetParticipant { room, .. }
        | AdminRequest::RemoveParticipant { room, .. }
        | AdminRequest::MuteTrack { room, .. }
        | AdminRequest::UpdateParticipant { room, .. }
        | AdminRequest::UpdateSubscriptions { room, .. }
        | AdminRequest::UpdateRoomMetadata { room, .. } => Some(room),
    }
}

impl Inner {
    fn stop(&self) {
        self.shards.iter().for_each(ShardHandle::stop);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Threads of a start that may still fail.
struct StopOnDrop(Vec<(ShardHandle, JoinHandle<()>)>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(|(shard, _)| shard.stop());
    }
}

fn bind_shards(options: &NodeOptions) -> Result<Vec<std::net::UdpSocket>, StartError> {
    let first = options.udp.port();
    let out_of_range = || StartError::PortRange {
        first,
        shards: options.shards,
    };
    (0..options.shards)
        .map(|index| {
            let port = if first == 0 {
                0
            } else {
                first.checked_add(index).ok_or_else(out_of_range)?
            };
            let address = SocketAddr::new(options.udp.ip(), port);
            UdpPort::bind(address).map_err(|source| StartError::Udp { address, source })
        })
        .collect()
}
