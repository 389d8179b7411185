//! Sockets that carry media: batched UDP for each shard, and ICE/TCP for clients without UDP.

pub(crate) mod admission;
mod batch;
mod candidates;
mod counters;
mod framing;
mod stun;
pub(crate) mod tcp;
mod udp;

pub(crate) use candidates::{Candidates, is_local};
pub(crate) use counters::SocketCounters;
pub(crate) use udp::{Readiness, UdpPort};
