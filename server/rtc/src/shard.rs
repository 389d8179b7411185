//! All rooms of one thread.

use std::net::SocketAddr;
use std::time::Instant;

use crate::command::Command;
use crate::config::ShardConfig;
use crate::counters::Counters;
use crate::data::DataCodec;
use crate::event::Output;

/// Transport protocol of a datagram. ICE/TCP frames are datagrams too, once unframed (RFC 4571).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub protocol: Protocol,
    pub source: SocketAddr,
    /// The candidate address it came to: one of `udp_candidates` or `tcp_candidates`.
    pub destination: SocketAddr,
    pub contents: &'a [u8],
}

/// A datagram to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub protocol: Protocol,
    /// The candidate address to send from.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
}

/// Why a shard wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    Transport,
    Room,
}

/// The rooms of one thread: commands, datagrams and time in; datagrams, outputs and the next deadline out.
///
/// Order of use, once per turn of the owning thread, with one `now` for the whole turn:
/// 1. any number of [`Self::handle_command`], [`Self::handle_datagram`], and [`Self::handle_timeout`] when due,
/// 2. [`Self::finish_turn`],
/// 3. [`Self::poll_transmit`] and [`Self::poll_output`] until `None`,
/// 4. sleep until [`Self::poll_timeout`] or input.
pub struct Shard {
    _private: (),
}

impl Shard {
    /// `unix_ms` is the wall-clock time of `start`; `seed` makes identifiers unpredictable to others and
    /// equal seeds give equal identifiers.
    pub fn new(
        _config: ShardConfig,
        _start: Instant,
        _unix_ms: u64,
        _seed: u64,
        _codec: Box<dyn DataCodec>,
    ) -> Self {
        Self { _private: () }
    }

    /// Takes a command.
    pub fn handle_command(&mut self, _now: Instant, _command: Command) {}

    /// Takes a datagram from a socket.
    pub fn handle_datagram(&mut self, _now: Instant, _datagram: Received<'_>) {}

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Turns what the turn wrote into datagrams.
    pub fn finish_turn(&mut self, _now: Instant) {}

    /// Next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// Next message for the rest of the node.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        None
    }

    /// A copy of the counters.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }
}
