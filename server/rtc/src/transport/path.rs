//! Which pair of candidates str0m sends by, so that the egress sends by the same.
//!
//! str0m does not tell when it chooses another pair. It shows in where its own DTLS and SRTCP datagrams go, and in its
//! statistics. A subscriber only listens, so that str0m may have nothing to send for seconds: when ICE speaks from an
//! address other than the one in use, str0m is made to send a report.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::net::Protocol as NetProtocol;
use str0m::stats::PeerStats;

use super::Transport;
use crate::context::Context;
use crate::demux;
use crate::egress::Path;
use crate::shard::{Protocol, Received};

/// Between two reports that only show the pair: a client checks its spare pairs less often than it changes them.
const PROBE_EVERY: Duration = Duration::from_millis(200);

impl Transport {
    /// Learns from a datagram str0m sends, unless it is a connectivity check, which goes by any pair.
    pub(super) fn note_path(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        contents: &[u8],
    ) {
        if demux::kind(contents) != Some(demux::Kind::Stun) {
            self.set_path(protocol, source, destination);
        }
    }

    /// Learns from str0m's statistics.
    pub(super) fn note_pair(&mut self, stats: &PeerStats) {
        let Some(pair) = &stats.selected_candidate_pair else {
            return;
        };
        let protocol = match pair.protocol {
            NetProtocol::Udp => Protocol::Udp,
            NetProtocol::Tcp => Protocol::Tcp,
            NetProtocol::SslTcp | NetProtocol::Tls => return,
        };
        self.set_path(protocol, pair.local.addr, pair.remote.addr);
    }

    /// Makes str0m send something if the datagram came from ICE on a pair that is not in use.
    pub(super) fn probe_pair(&mut self, cx: &mut Context, now: Instant, received: &Received<'_>) {
        let elsewhere = self.path.is_some_and(|path| {
            path.destination != received.source || path.protocol != received.protocol
        });
        if !elsewhere
            || !self.egress.has_keys()
            || demux::kind(received.contents) != Some(demux::Kind::Stun)
            || self
                .pair_probed
                .is_some_and(|at| now.saturating_duration_since(at) < PROBE_EVERY)
        {
            return;
        }
        self.pair_probed = Some(now);
        let ssrc = self.pair_probe.into();
        // A request for a key frame of a stream that does not exist: receivers ignore it.
        self.rtc.direct_api().send_pli_feedback(ssrc, ssrc);
        self.mark_dirty(cx);
    }

    fn set_path(&mut self, protocol: Protocol, source: SocketAddr, destination: SocketAddr) {
        self.path = Some(Path {
            protocol,
            source,
            destination,
        });
    }
}
