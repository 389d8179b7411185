//! A wide-area network in userland, between sockets on one machine.
//!
//! Every node of the emulated planet has two loopback addresses. Its processes bind to `inside`; everybody else reaches them
//! at `outside`, where the emulator listens on the same ports. A datagram or TCP connection from one node's `inside` to
//! another's `outside` passes the link between the two, with its delay, jitter, loss, reordering and bottleneck; its receiver
//! sees it come from the sender's `outside`. Senders that are no node (a browser on 127.0.0.1) pass unhindered.
//!
//! Losses follow from a seed and the packet's number on its link. Departures are timed to about 0.1 ms on an idle machine.
//! Links are changed, cut, healed and read while the emulator runs, by [`Wan`]'s methods or over the control socket.

mod control;
mod net;
mod path;
mod random;
mod tcp;
mod topology;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;

pub use path::{Fate, Path, PathStats, Shape};
pub use random::Random;
pub use topology::{Link, Node, Topology};

/// A running emulator; it ends when dropped.
pub struct Wan {
    net: Arc<net::Net>,
    control: SocketAddr,
    _udp: udp::UdpThreads,
    _tcp: Runtime,
}

impl Wan {
    /// Opens every socket of the planet.
    ///
    /// # Errors
    /// When the topology names what does not exist, or an address cannot be bound.
    pub fn start(topology: Topology) -> Result<Self> {
        let net = Arc::new(net::Net::new(topology)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("wan-tcp")
            .enable_all()
            .build()?;
        let control = runtime.block_on(async {
            tcp::listen(&net).await?;
            control::listen(&net).await
        })?;
        let udp = udp::UdpThreads::start(net.clone())?;
        Ok(Self {
            net,
            control,
            _udp: udp,
            _tcp: runtime,
        })
    }

    /// Where commands are taken.
    pub fn control_addr(&self) -> SocketAddr {
        self.control
    }

    /// Changes one direction for packets from now on.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn set_shape(&self, from: &str, to: &str, shape: Shape) -> Result<()> {
        self.net.set_shape(from, to, shape)
    }

    /// Cuts or heals one direction.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn set_cut(&self, from: &str, to: &str, cut: bool) -> Result<()> {
        self.net.set_cut(from, to, cut)
    }

    /// Counts of one direction since the start.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn stats(&self, from: &str, to: &str) -> Result<PathStats> {
        Ok(self.net.stats(from, to)?.1)
    }
}
