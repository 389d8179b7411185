//! The UDP socket of one bot: batches out (GSO) and in (recvmmsg, GRO), with the kernel's receive times.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

/// Bytes asked of the kernel for each direction: a burst of several hundred full packets.
const BUFFER_BYTES: usize = 2 << 20;
/// Messages of one receive call; one holds up to 64 datagrams.
pub(crate) const MESSAGES: usize = 8;
const MESSAGE_BYTES: usize = 65_536;

/// Memory that the sockets of one thread share for receiving.
pub(crate) struct ReceiveBuffers {
    memory: Vec<Vec<u8>>,
    metas: [RecvMeta; MESSAGES],
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        Self {
            memory: vec![vec![0; MESSAGE_BYTES]; MESSAGES],
            metas: [RecvMeta::default(); MESSAGES],
        }
    }
}

pub(crate) struct Socket {
    pub(crate) io: UdpSocket,
    state: UdpSocketState,
    pub(crate) local: SocketAddr,
}

impl Socket {
    /// Binds a port of the system's choice.
    pub(crate) fn bind(ip: IpAddr) -> io::Result<Self> {
        let io = std::net::UdpSocket::bind((ip, 0))?;
        io.set_nonblocking(true)?;
        let local = io.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        state.set_recv_buffer_size(UdpSockRef::from(&io), BUFFER_BYTES)?;
        state.set_send_buffer_size(UdpSockRef::from(&io), BUFFER_BYTES)?;
        Ok(Self {
            io: UdpSocket::from_std(io),
            state,
            local,
        })
    }

    /// Sends datagrams of `size` bytes each, the last perhaps shorter.
    pub(crate) fn send(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        size: usize,
    ) -> io::Result<()> {
        let most = self.state.max_gso_segments().max(1) * size.max(1);
        for contents in contents.chunks(most.min(65_000 / size.max(1) * size.max(1)).max(1)) {
            let transmit = Transmit {
                destination,
                ecn: None,
                contents,
                segment_size: (contents.len() > size).then_some(size),
                src_ip: None,
            };
            self.state.try_send(UdpSockRef::from(&self.io), &transmit)?;
        }
        Ok(())
    }

    /// Receives what there is, up to one batch; `each` gets source, time of arrival in ns since the epoch if the kernel
    /// tells it, and datagram. True if there may be more.
    pub(crate) fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut each: impl FnMut(SocketAddr, Option<u64>, &mut [u8]),
    ) -> bool {
        let ReceiveBuffers { memory, metas } = buffers;
        let mut slices = memory.iter_mut().map(|memory| io::IoSliceMut::new(memory));
        let mut slices: [io::IoSliceMut<'_>; MESSAGES] = std::array::from_fn(|_| {
            slices
                .next()
                .unwrap_or_else(|| io::IoSliceMut::new(&mut []))
        });
        let Ok(count) = self
            .state
            .recv(UdpSockRef::from(&self.io), &mut slices, metas)
        else {
            return false;
        };
        for (memory, meta) in slices.iter_mut().zip(metas.iter()).take(count) {
            let at_ns = meta.timestamp.map(|at| at.as_nanos() as u64);
            let Some(joined) = memory.get_mut(..meta.len) else {
                continue;
            };
            for datagram in joined.chunks_mut(meta.stride.max(1)) {
                each(meta.addr, at_ns, datagram);
            }
        }
        count == MESSAGES
    }
}
