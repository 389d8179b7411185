//! One peer connection: str0m's `Rtc` behind calls that cannot forget its drain contract.
//!
//! str0m wants every mutation followed by a drain of `poll_output` until it returns a timeout. Each method here that
//! mutates either drains itself or, where several writes of one turn belong together, marks the transport dirty so that
//! [`Transport::flush`] drains once for all. A panic inside str0m ends this transport, never the shard.
//!
//! Media does not pass str0m on its way out: the [`Egress`] writes and seals it, and `flush` hands it over.

mod build;
mod channels;
mod media;
mod negotiate;
mod path;
mod streams;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::net::{Protocol as NetProtocol, Receive};
use str0m::{Event, Input, Output, Rtc};
use tradewind_srtp::tap::KeySlot;

pub(crate) use channels::ChannelLabel;
pub(crate) use negotiate::{NegotiationError, add_channels, media_kind};

use crate::context::Context;
use crate::demux;
use crate::egress::{Egress, OutgoingPacket, Path, is_rtcp};
use crate::id::Mid;
use crate::room::TransportRef;
use crate::shard::{Protocol, Received, Transmit};
use crate::timers::TimerKey;
use channels::Channels;
use negotiate::Negotiation;

/// What str0m wants to do within this time belongs to the same turn.
const BURST_GRAIN: Duration = Duration::from_micros(50);
/// Steps of one drain. A transport that wants more gets it on the next turn.
const MAX_STEPS: usize = 96;
/// Shortest sleep.
const MIN_SLEEP: Duration = Duration::from_millis(1);

/// Why a transport is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// str0m panicked; its state cannot be trusted.
    Panicked,
    /// str0m gave up: DTLS failure, fingerprint mismatch.
    Broken,
}

/// A peer connection and what is known about it.
pub(crate) struct Transport {
    me: TransportRef,
    rtc: Box<Rtc>,
    failure: Option<Failure>,
    ice_lite: bool,
    connected: bool,
    /// str0m has something to turn into datagrams.
    dirty: bool,
    /// The transport is in the list of those to flush.
    listed: bool,
    /// When str0m wants to be woken.
    rtc_deadline: Instant,
    /// Nothing is done by time twice within a moment, whatever is asked for.
    not_before: Instant,
    keys: KeySlot,
    egress: Egress,
    /// Packets of this turn. They are sealed together at its end, while all that sealing needs is at hand.
    written: Vec<(Mid, OutgoingPacket)>,
    path: Option<Path>,
    /// SSRC of the requests by which str0m shows us the chosen pair; never one that carries media.
    pair_probe: u32,
    pair_probed: Option<Instant>,
    queued: Option<Instant>,
    negotiation: Negotiation,
    channels: Channels,
}

impl Transport {
    pub(crate) fn new(cx: &mut Context, me: TransportRef, now: Instant, full_ice: bool) -> Self {
        let (rtc, keys) = build::rtc(cx, now, full_ice);
        let mut rtc = Box::new(rtc);
        let pair_probe = *rtc.direct_api().new_ssrc();
        let mut transport = Self {
            me,
            rtc,
            failure: None,
            ice_lite: !full_ice,
            connected: false,
            dirty: false,
            listed: false,
            rtc_deadline: now,
            not_before: now,
            keys,
            egress: Egress::new(now, cx.config.initial_bandwidth),
            written: Vec::new(),
            path: None,
            pair_probe,
            pair_probed: None,
            queued: None,
            negotiation: Negotiation::default(),
            channels: Channels::default(),
        };
        transport.register_fragment(cx);
        transport
    }

    /// ICE and DTLS are up, so media and data flow.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected && self.failure.is_none()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether a STUN request carries this transport's message integrity.
    pub(crate) fn accepts(&self, now: Instant, received: &Received<'_>) -> bool {
        catch_unwind(AssertUnwindSafe(|| {
            as_receive(received)
                .is_some_and(|receive| self.rtc.accepts(&Input::Receive(now, receive)))
        }))
        .unwrap_or(false)
    }

    /// Takes a datagram; false if it was unusable.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context,
        now: Instant,
        received: &Received<'_>,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(receive) = as_receive(received) else {
            return false;
        };
        let mut accepted = true;
        self.guarded(cx, |transport, cx| {
            let is_feedback = is_rtcp(received.contents);
            if is_feedback {
                transport.seal_written(cx, now);
                let for_rtc = transport.egress.receive(cx, now, received.contents, events);
                transport.mark_written(cx);
                if !for_rtc {
                    return;
                }
            }
            // Errors concern the datagram (bad record, bad report), not the session: DTLS failures show in is_alive.
            if let Err(error) = transport.rtc.handle_input(Input::Receive(now, receive)) {
                tracing::debug!(%error, "datagram refused");
                accepted = false;
            }
            transport.drain(cx, now, events);
            transport.probe_pair(cx, now, received);
        });
        accepted
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, cx: &mut Context, now: Instant, events: &mut Vec<Event>) {
        self.guarded(cx, |transport, cx| {
            transport.not_before = now + MIN_SLEEP;
            if transport.rtc_deadline <= now {
                transport.turn(cx, now, events);
            }
            if transport
                .egress
                .poll_timeout()
                .is_some_and(|at| at <= now + BURST_GRAIN)
            {
                // Media comes before padding.
                transport.seal_written(cx, now);
                transport.egress.handle_timeout(cx, now, events);
                transport.mark_written(cx);
            }
        });
    }

    /// Turns everything written in this turn into datagrams.
    pub(crate) fn flush(&mut self, cx: &mut Context, now: Instant, events: &mut Vec<Event>) {
        self.listed = false;
        self.guarded(cx, |transport, cx| {
            if std::mem::take(&mut transport.dirty) {
                transport.turn(cx, now, events);
            }
            transport.seal_written(cx, now);
            // The first report of a stream belongs to its first packets.
            if transport.egress.poll_timeout().is_some_and(|at| at <= now) {
                transport.egress.handle_timeout(cx, now, events);
            }
            let path = transport.path;
            transport.egress.flush(cx, path);
        });
    }

    fn seal_written(&mut self, cx: &mut Context, now: Instant) {
        for (mid, packet) in self.written.drain(..) {
            self.egress.write(cx, now, mid, packet);
        }
    }

    /// When [`Self::wake`] is due.
    pub(crate) fn deadline(&self) -> Instant {
        let egress = self.egress.poll_timeout();
        let due = egress.map_or(self.rtc_deadline, |at| at.min(self.rtc_deadline));
        due.max(self.not_before)
    }

    /// Asks to be woken at the deadline. `fired` is the wake-up that just came, if any.
    pub(crate) fn schedule(&mut self, cx: &mut Context, fired: Option<Instant>) {
        if fired.is_some() && self.queued == fired {
            self.queued = None;
        }
        if self.failure.is_none() {
            let (deadline, key) = (self.deadline(), TimerKey::Transport(self.me));
            cx.timers.schedule(key, deadline, &mut self.queued);
        }
    }

    /// Forgets addresses and fragment; the transport is about to be dropped.
    pub(crate) fn retire(&mut self, cx: &mut Context, now: Instant) {
        self.guarded(cx, |transport, cx| {
            if transport.rtc.is_alive() && transport.rtc.close().is_ok() {
                transport.drain(cx, now, &mut Vec::new());
            }
        });
        if let Some(fragment) = cx.demux.remove(self.me) {
            cx.outputs
                .push_back(crate::Output::IceFragment(fragment, false));
        }
    }

    /// str0m was changed and has to be drained before the turn ends.
    fn mark_dirty(&mut self, cx: &mut Context) {
        self.dirty = true;
        self.list(cx);
    }

    /// The egress may have something to hand over when the turn ends.
    fn mark_written(&mut self, cx: &mut Context) {
        if self.egress.is_pending() {
            self.list(cx);
        }
    }

    fn list(&mut self, cx: &mut Context) {
        if !std::mem::replace(&mut self.listed, true) {
            cx.dirty.push_back(self.me);
        }
    }

    fn turn(&mut self, cx: &mut Context, now: Instant, events: &mut Vec<Event>) {
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.failure = Some(Failure::Broken);
        }
        self.drain(cx, now, events);
    }

    fn drain(&mut self, cx: &mut Context, now: Instant, events: &mut Vec<Event>) {
        for _ in 0..MAX_STEPS {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => self.transmit(cx, transmit),
                Ok(Output::Event(event)) => self.note(cx, event, events),
                Ok(Output::Timeout(at)) => {
                    if at > now + BURST_GRAIN {
                        self.rtc_deadline = at.max(now + MIN_SLEEP);
                        self.take_keys();
                        return;
                    }
                    if self.rtc.handle_input(Input::Timeout(at.max(now))).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "transport failed");
                    self.failure = Some(Failure::Broken);
                    return;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.failure.get_or_insert(Failure::Broken);
        }
        self.rtc_deadline = now + MIN_SLEEP;
        self.take_keys();
    }

    /// Gives the egress the keys once the handshake has made them.
    fn take_keys(&mut self) {
        if self.egress.has_keys() {
            return;
        }
        if let Some(keys) = self.keys.keys()
            && let Err(error) = self.egress.set_keys(keys)
        {
            tracing::warn!(%error, "keys of the handshake are unusable");
            self.failure = Some(Failure::Broken);
        }
    }

    fn note(&mut self, cx: &mut Context, event: Event, events: &mut Vec<Event>) {
        match &event {
            Event::Connected => self.connected = true,
            Event::ChannelOpen(id, label) => {
                self.channels
                    .opened(&mut self.rtc, *id, label, &mut cx.counters)
            }
            Event::ChannelClose(id) => self.channels.closed(*id),
            Event::ChannelBufferedAmountLow(id) => {
                let id = *id;
                self.channels
                    .drain_backlog(&mut self.rtc, id, &mut cx.counters);
            }
            Event::PeerStats(stats) => self.note_pair(stats),
            _ => {}
        }
        events.push(event);
    }

    fn transmit(&mut self, cx: &mut Context, transmit: str0m::net::Transmit) {
        let protocol = match transmit.proto {
            NetProtocol::Udp => Protocol::Udp,
            NetProtocol::Tcp => Protocol::Tcp,
            // No candidate of ours uses these.
            NetProtocol::SslTcp | NetProtocol::Tls => return,
        };
        let contents: Vec<u8> = transmit.contents.into();
        self.note_path(protocol, transmit.source, transmit.destination, &contents);
        if !self.ice_lite && demux::kind(&contents) == Some(demux::Kind::Stun) {
            cx.demux
                .expect_response(self.me, protocol, transmit.destination);
        }
        cx.counters.datagrams_out += 1;
        cx.counters.bytes_out += contents.len() as u64;
        cx.transmits.push_back(Transmit {
            protocol,
            source: transmit.source,
            destination: transmit.destination,
            contents,
            segment_size: None,
        });
    }

    /// Runs `step`, and gives the transport up if it panics.
    fn guarded(&mut self, cx: &mut Context, step: impl FnOnce(&mut Self, &mut Context)) {
        if self.failure.is_some() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| step(self, cx))).is_err() {
            tracing::error!("transport panicked and was ended");
            cx.counters.transport_panics += 1;
            self.failure = Some(Failure::Panicked);
        }
        self.schedule(cx, None);
    }

    /// Tells demultiplexing which local user fragment is ours; an ICE restart changes it.
    fn register_fragment(&mut self, cx: &mut Context) {
        let fragment = self.rtc.direct_api().local_ice_credentials().ufrag;
        if let Some(old) = cx.demux.set_fragment(self.me, &fragment) {
            if old == fragment {
                return;
            }
            cx.outputs.push_back(crate::Output::IceFragment(old, false));
        }
        cx.outputs
            .push_back(crate::Output::IceFragment(fragment, true));
    }
}

fn as_receive<'a>(received: &Received<'a>) -> Option<Receive<'a>> {
    let protocol = match received.protocol {
        Protocol::Udp => NetProtocol::Udp,
        Protocol::Tcp => NetProtocol::Tcp,
    };
    let (source, destination): (SocketAddr, SocketAddr) = (received.source, received.destination);
    Receive::new(protocol, source, destination, received.contents).ok()
}
