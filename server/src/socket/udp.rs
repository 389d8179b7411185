//! A shard's UDP socket: reads and writes many datagrams per system call, and tells candidate addresses apart.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;
use tradewind_rtc::Transmit;

use super::batch::Batch;
use super::{Candidates, SocketCounters};

/// Kernel buffers: a quarter of a second at 100 Mbit/s, so that a busy turn loses nothing.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that may wait for room in the kernel's send buffer. More would only arrive too late.
const MAX_BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// Messages read at once, each of which may hold the datagrams of a whole frame. What they cause is sent before the next
/// are read, so that the first of them does not wait for many.
const MESSAGES: usize = 8;

/// Largest datagram read, where the kernel does not join several.
const MAX_DATAGRAM: usize = 2_048;

/// One bound UDP socket and what waits to be sent from it.
pub(crate) struct UdpPort {
    pub(crate) socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    candidates: Candidates,
    receive_buffer: Vec<u8>,
    /// Bytes of `receive_buffer` for each of the messages read at once.
    slice_bytes: usize,
    open_batch: Option<Batch>,
    backlog: VecDeque<Batch>,
    backlog_bytes: usize,
}

/// Whether a read found the socket empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    MayHaveMore,
    Empty,
}

impl UdpPort {
    /// Binds `bind`; `[::]` takes IPv4 too.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub(crate) fn bind(bind: SocketAddr) -> io::Result<std::net::UdpSocket> {
        let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
        if bind.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES)?;
        socket.set_send_buffer_size(KERNEL_BUFFER_BYTES)?;
        warn_of_small_buffers(socket.recv_buffer_size()?, socket.send_buffer_size()?);
        socket.bind(&bind.into())?;
        Ok(socket.into())
    }

    /// Wraps a socket of [`Self::bind`].
    ///
    /// # Errors
    /// The kernel does not support a needed socket option.
    pub(crate) fn new(socket: std::net::UdpSocket, candidates: Candidates) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let slice_bytes = if state.gro_segments() > 1 {
            65_536
        } else {
            MAX_DATAGRAM
        };
        Ok(Self {
            socket: UdpSocket::from_std(socket),
            state,
            local,
            candidates,
            receive_buffer: vec![0; slice_bytes * MESSAGES],
            slice_bytes,
            open_batch: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
        })
    }

    /// Reads one batch and passes on each datagram with its source and the candidate address it came to.
    pub(crate) fn receive(
        &mut self,
        counters: &mut SocketCounters,
        mut each: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> Readiness {
        let mut metas = [RecvMeta::default(); MESSAGES];
        let mut chunks = self.receive_buffer.chunks_exact_mut(self.slice_bytes);
        let mut slices: [IoSliceMut<'_>; MESSAGES] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = match self
            .state
            .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
        {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Readiness::Empty,
            Err(_) => {
                counters.udp_in_failed += 1;
                return Readiness::Empty;
            }
        };
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            let destination = self
                .candidates
                .reached_at(meta.dst_ip.unwrap_or(self.local.ip()));
            let joined = slice.get(..meta.len).unwrap_or_default();
            let (Some(destination), 1..) = (destination, joined.len()) else {
                counters.udp_in_discarded += 1;
                continue;
            };
            let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            for datagram in joined.chunks(meta.stride.max(1)) {
                counters.udp_in += 1;
                each(source, destination, datagram);
            }
        }
        // A call that brought less than it could has emptied the socket; what comes later is announced anew.
        if count < MESSAGES {
            Readiness::Empty
        } else {
            Readiness::MayHaveMore
        }
    }

    /// Sends the datagrams, at the latest with the next [`Self::flush`]. Those for one destination keep their order.
    /// Gives back memory that is of no more use here.
    pub(crate) fn send(
        &mut self,
        transmit: Transmit,
        counters: &mut SocketCounters,
    ) -> Option<Vec<u8>> {
        let max_segments = self.state.max_gso_segments();
        let appended = self
            .open_batch
            .as_mut()
            .is_some_and(|batch| batch.append(&transmit, max_segments));
        if appended {
            return Some(transmit.contents);
        }
        let spent = self.flush(counters);
        self.open_batch = Some(Batch::of(transmit));
        spent
    }

    /// Hands what [`Self::send`] holds back to the kernel. Gives back its memory.
    pub(crate) fn flush(&mut self, counters: &mut SocketCounters) -> Option<Vec<u8>> {
        let mut batch = self.open_batch.take()?;
        if batch.contents.is_empty()
            || (self.backlog.is_empty() && self.try_send(&mut batch, counters))
        {
            return Some(batch.contents);
        }
        self.keep(batch, counters);
        None
    }

    /// Sends what waited for room in the kernel's buffer, as far as there is room now.
    pub(crate) fn send_backlog(&mut self, counters: &mut SocketCounters) {
        while let Some(mut batch) = self.backlog.pop_front() {
            let bytes = batch.contents.len();
            if !self.try_send(&mut batch, counters) {
                self.backlog_bytes -= bytes - batch.contents.len();
                self.backlog.push_front(batch);
                return;
            }
            self.backlog_bytes -= bytes;
        }
    }

    /// Whether datagrams wait for room in the kernel's buffer.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn keep(&mut self, batch: Batch, counters: &mut SocketCounters) {
        if self.backlog_bytes + batch.contents.len() > MAX_BACKLOG_BYTES {
            counters.udp_out_dropped += batch.datagrams() as u64;
            return;
        }
        self.backlog_bytes += batch.contents.len();
        self.backlog.push_back(batch);
    }

    /// False if the kernel's buffer is full; then the batch holds what is left. Any other failure loses datagrams, as a
    /// network may.
    fn try_send(&self, batch: &mut Batch, counters: &mut SocketCounters) -> bool {
        let mut sent = 0;
        while let Some(rest) = batch.contents.get(sent..).filter(|rest| !rest.is_empty()) {
            let segment = batch.segment.max(1);
            let most = self.state.max_gso_segments().max(1) * segment;
            let part = rest.get(..most).unwrap_or(rest);
            let datagrams = part.len().div_ceil(segment);
            match self.send_once(batch, part, (datagrams > 1).then_some(segment)) {
                Ok(()) => {
                    counters.udp_sends += 1;
                    counters.udp_out += datagrams as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    batch.contents.drain(..sent);
                    return false;
                }
                // The network interface turned out not to segment: from now on datagrams leave one by one.
                Err(_) if datagrams > 1 && self.state.max_gso_segments() == 1 => continue,
                Err(_) => counters.udp_out_failed += datagrams as u64,
            }
            sent += part.len();
        }
        true
    }

    fn send_once(
        &self,
        batch: &Batch,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let src_ip = match self.local.ip().is_unspecified() {
            true => self
                .candidates
                .local_source(batch.source)
                .map(|ip| self.in_family(ip)),
            false => None,
        };
        let destination = SocketAddr::new(
            self.in_family(batch.destination.ip()),
            batch.destination.port(),
        );
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents,
            segment_size,
            src_ip,
        };
        self.state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// An IPv4 address as an IPv6 socket writes it.
    fn in_family(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) if self.local.is_ipv6() => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        }
    }
}

fn warn_of_small_buffers(receive: usize, send: usize) {
    static ONCE: Once = Once::new();
    // The kernel reports twice what it grants for data.
    let (receive, send) = (receive / 2, send / 2);
    if receive < KERNEL_BUFFER_BYTES || send < KERNEL_BUFFER_BYTES {
        ONCE.call_once(|| {
            warn!(
                receive,
                send,
                wanted = KERNEL_BUFFER_BYTES,
                "small UDP buffers lose packets in bursts: raise sysctl net.core.rmem_max and net.core.wmem_max"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn port(bind: &str, advertise: &str) -> (UdpPort, SocketAddr) {
        let socket = UdpPort::bind(bind.parse().unwrap()).unwrap();
        let number = socket.local_addr().unwrap().port();
        let candidates = Candidates::new(
            &[advertise.parse().unwrap()],
            number,
            super::super::is_local,
        );
        let address = candidates.addresses()[0];
        (UdpPort::new(socket, candidates).unwrap(), address)
    }

    fn receive_all(port: &mut UdpPort, wanted: usize) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut counters = SocketCounters::default();
        let mut received = Vec::new();
        for _ in 0..200 {
            port.receive(&mut counters, |source, destination, datagram| {
                received.push((source, destination, datagram.to_vec()));
            });
            if received.len() >= wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        received
    }

    fn transmit(source: SocketAddr, destination: SocketAddr, contents: Vec<u8>) -> Transmit {
        Transmit {
            protocol: tradewind_rtc::Protocol::Udp,
            source,
            destination,
            contents,
            segment_size: None,
        }
    }

    #[test]
    fn a_batch_arrives_whole_and_in_order_over_either_socket_family() {
        for bind in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
            let (mut sender, from) = port(bind, "127.0.0.1");
            let (mut receiver, to) = port(bind, "127.0.0.1");
            let mut counters = SocketCounters::default();
            let sizes = [1200, 1200, 1200, 300, 40, 1200];
            for (index, size) in sizes.into_iter().enumerate() {
                sender.send(transmit(from, to, vec![index as u8; size]), &mut counters);
            }
            sender.flush(&mut counters);
            sender.flush(&mut counters);
            let received = receive_all(&mut receiver, sizes.len());
            assert_eq!(counters.udp_out, 6);
            assert!(counters.udp_sends < 6 || sender.state.max_gso_segments() == 1);
            let seen: Vec<_> = received
                .iter()
                .map(|(_, _, datagram)| (datagram[0], datagram.len()))
                .collect();
            assert_eq!(
                seen,
                [
                    (0, 1200),
                    (1, 1200),
                    (2, 1200),
                    (3, 300),
                    (4, 40),
                    (5, 1200)
                ]
            );
            assert!(
                received
                    .iter()
                    .all(|(source, destination, _)| (*source, *destination) == (from, to)),
                "{bind}"
            );
        }
    }

    #[test]
    fn datagrams_of_one_buffer_arrive_one_by_one_however_many_the_kernel_segments() {
        let (mut sender, from) = port("127.0.0.1:0", "127.0.0.1");
        let (mut receiver, to) = port("127.0.0.1:0", "127.0.0.1");
        let mut counters = SocketCounters::default();
        let contents: Vec<u8> = (0..70u8).flat_map(|at| [at; 100]).collect();
        let several = Transmit {
            segment_size: Some(100),
            ..transmit(from, to, contents[..6_950].to_vec())
        };
        assert!(sender.send(several, &mut counters).is_none());
        let spent = sender.send(transmit(from, to, vec![99; 200]), &mut counters);
        assert_eq!(spent.map(|memory| memory.len()), Some(6_950));
        sender.flush(&mut counters);
        let received = receive_all(&mut receiver, 71);
        let seen: Vec<_> = received
            .iter()
            .map(|(_, _, datagram)| (datagram[0], datagram.len()))
            .collect();
        let mut expected: Vec<_> = (0..69).map(|at| (at, 100)).collect();
        expected.extend([(69, 50), (99, 200)]);
        assert_eq!(seen, expected);
        assert_eq!(counters.udp_out, 71);
    }

    #[test]
    fn behind_address_translation_the_advertised_candidate_is_reported() {
        let (mut receiver, public) = port("0.0.0.0:0", "192.0.2.7");
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .send_to(b"hello", ("127.0.0.1", public.port()))
            .unwrap();
        client.send_to(b"", ("127.0.0.1", public.port())).unwrap();
        let received = receive_all(&mut receiver, 1);
        assert_eq!(
            received,
            [(client.local_addr().unwrap(), public, b"hello".to_vec())]
        );
        let mut counters = SocketCounters::default();
        receiver.send(
            transmit(public, client.local_addr().unwrap(), b"reply".to_vec()),
            &mut counters,
        );
        receiver.flush(&mut counters);
        let mut buffer = [0; 16];
        client
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    }

    #[test]
    fn the_backlog_keeps_order_and_has_a_bound() {
        let (mut sender, from) = port("127.0.0.1:0", "127.0.0.1");
        let (mut receiver, to) = port("127.0.0.1:0", "127.0.0.1");
        let mut counters = SocketCounters::default();
        // As if the kernel had no room for the first batch.
        sender.keep(Batch::of(transmit(from, to, vec![1; 100])), &mut counters);
        sender.send(transmit(from, to, vec![2; 100]), &mut counters);
        sender.flush(&mut counters);
        assert!(sender.is_blocked() && counters.udp_out == 0);
        sender.send_backlog(&mut counters);
        assert!(!sender.is_blocked() && sender.backlog_bytes == 0);
        let first_bytes: Vec<_> = receive_all(&mut receiver, 2)
            .iter()
            .map(|(_, _, datagram)| datagram[0])
            .collect();
        assert_eq!(first_bytes, [1, 2]);
        for _ in 0..=MAX_BACKLOG_BYTES / 1000 {
            sender.keep(Batch::of(transmit(from, to, vec![3; 1000])), &mut counters);
        }
        assert!(sender.backlog_bytes <= MAX_BACKLOG_BYTES && counters.udp_out_dropped == 1);
    }
}
