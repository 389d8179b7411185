//! The relay's thread and its beginning and end.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::sync::mpsc;

use super::handle::RelayHandle;
use super::inbox::Delivery;
use super::mesh::Mesh;
use super::tls::{self, TlsError};
use crate::congestion::RateLimits;
use crate::id::NodeId;

/// Commands that wait for the relay's thread.
const COMMAND_QUEUE: usize = 32_768;
/// Asked of the kernel; it may give less (`net.core.rmem_max`).
const SOCKET_BUFFER: usize = 8 << 20;

/// What a relay needs to start.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// This node; its certificate has to carry the name.
    pub node: NodeId,
    /// UDP address for links of both directions.
    pub bind: SocketAddr,
    /// This node's certificate chain (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
    /// The authority of all nodes' certificates (PEM).
    pub ca_file: PathBuf,
    /// Bounds of each link's rate.
    pub limits: RateLimits,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub node: NodeId,
    /// Where its relay is reached.
    pub address: SocketAddr,
}

/// The relay cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be used.
    #[error("cannot use {address} for the relay: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        cause: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the relay's thread: {0}")]
    Thread(io::Error),
}

/// A running relay; its links end when it is dropped.
pub struct Relay {
    handle: RelayHandle,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens the socket and starts the relay's thread, which also calls `delivery`.
    ///
    /// # Errors
    /// [`StartError`] says which file or address is wrong.
    pub fn start(config: RelayConfig, delivery: Arc<dyn Delivery>) -> Result<Self, StartError> {
        let tls = tls::load(
            &config.certificate_file,
            &config.key_file,
            &config.ca_file,
            config.limits,
        )?;
        let bind = |cause| StartError::Bind {
            address: config.bind,
            cause,
        };
        let socket = open_socket(config.bind).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let endpoint = {
            let _inside = runtime.enter();
            Endpoint::new(
                EndpointConfig::default(),
                Some(tls.server),
                socket,
                Arc::new(TokioRuntime),
            )
            .map_err(bind)?
        };
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (mesh, input) = Mesh::new(config.node, instance(), endpoint, tls.client, delivery);
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || runtime.block_on(mesh.run(input, receiver)))
            .map_err(StartError::Thread)?;
        Ok(Self {
            handle: RelayHandle::new(commands),
            address,
            thread: Some(thread),
        })
    }

    /// Speaks to the relay from any thread.
    pub fn handle(&self) -> &RelayHandle {
        &self.handle
    }

    /// The UDP address in use.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // An overloaded relay that does not take the word ends with the process.
        if self.handle.stop().is_ok()
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

fn open_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Tells one start of this node from the next.
fn instance() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos() as u64
}
