//! The UDP sockets: one that the world probes, and one to knock from that has sent nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::codec::{FleetKey, Kind, MAX_DATAGRAM, Probe};
use super::echo::Echo;
use tradewind_fleet::NodeId;

/// Both sockets, and what they answer by themselves.
pub(crate) struct ProbeSocket {
    public: UdpSocket,
    knocking: UdpSocket,
    key: FleetKey,
    me: NodeId,
    echo: Echo,
    buffer: Vec<u8>,
}

/// What has come in and concerns the measurement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A peer has answered ping `number`; `seen_as` is where it saw it come from.
    Pong {
        from: NodeId,
        number: u64,
        seen_as: Option<SocketAddr>,
    },
    Knock {
        from: NodeId,
        secret: u64,
    },
    /// Answered, or none of ours.
    Nothing,
}

impl ProbeSocket {
    /// Binds both sockets, the second one to any port.
    ///
    /// # Errors
    /// The address is in use or not of this host.
    pub(crate) async fn bind(
        address: SocketAddr,
        key: FleetKey,
        me: NodeId,
    ) -> std::io::Result<Self> {
        let any: IpAddr = match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => ip.into(),
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(Self {
            public: UdpSocket::bind(address).await?,
            knocking: UdpSocket::bind((any, 0)).await?,
            key,
            me,
            echo: Echo::default(),
            buffer: vec![0; MAX_DATAGRAM],
        })
    }

    pub(crate) fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    pub(crate) fn ping(&self, to: SocketAddr, number: u64, now: Duration) {
        let time = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.send(Kind::Ping, to, number, time, None);
    }

    /// Asks a peer to knock at `at`.
    pub(crate) fn ask_for_knock(&self, to: SocketAddr, secret: u64, at: SocketAddr) {
        self.send(Kind::KnockPlease, to, secret, 0, Some(at));
    }

    /// Waits for the next datagram and answers it if it only wants an answer. May be cancelled.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) async fn receive(
        &mut self,
        now: impl Fn() -> Duration,
    ) -> std::io::Result<Incoming> {
        let (length, from) = match self.public.recv_from(&mut self.buffer).await {
            Ok(received) => received,
            // An ICMP message about an earlier datagram of ours says nothing about this socket.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Ok(Incoming::Nothing);
            }
            Err(error) => return Err(error),
        };
        let datagram = self.buffer.get(..length).unwrap_or_default();
        if let Some(answer) = self.echo.answer(now(), from.ip(), datagram) {
            // A full send buffer drops the answer, as the network might.
            let _ = self.public.try_send_to(&answer, from);
            return Ok(Incoming::Nothing);
        }
        let Some(probe) = self.key.open(datagram) else {
            return Ok(Incoming::Nothing);
        };
        Ok(match probe.kind {
            Kind::Ping => {
                self.send(Kind::Pong, from, probe.number, probe.time, Some(from));
                Incoming::Nothing
            }
            Kind::Pong => Incoming::Pong {
                from: probe.from,
                number: probe.number,
                seen_as: probe.address,
            },
            Kind::KnockPlease => {
                if let Some(address) = probe.address {
                    self.knock(address, probe.number);
                }
                Incoming::Nothing
            }
            Kind::Knock => Incoming::Knock {
                from: probe.from,
                secret: probe.number,
            },
        })
    }

    fn knock(&self, at: SocketAddr, secret: u64) {
        let datagram = self.key.seal(&Probe {
            kind: Kind::Knock,
            from: self.me.clone(),
            number: secret,
            time: 0,
            address: None,
        });
        let _ = self.knocking.try_send_to(&datagram, at);
    }

    fn send(
        &self,
        kind: Kind,
        to: SocketAddr,
        number: u64,
        time: u64,
        address: Option<SocketAddr>,
    ) {
        let datagram = self.key.seal(&Probe {
            kind,
            from: self.me.clone(),
            number,
            time,
            address,
        });
        // What cannot be sent now counts as lost, which is what the peer sees too.
        let _ = self.public.try_send_to(&datagram, to);
    }
}
