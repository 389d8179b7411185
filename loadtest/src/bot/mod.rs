//! One bot: a client with a peer connection.
//!
//! str0m does ICE, DTLS, SCTP and SDP. Media go past it: they are sealed and opened here with the keys of its handshake,
//! so that the generator costs little beside the server.

mod encoding;
mod feedback;
pub(crate) mod link;
mod media;
mod messages;
mod negotiation;
mod socket;
mod stream;
mod terms;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use livekit_protocol as proto;
use mio::{Interest, Registry, Token};
use proto::signal_request::Message as Request;
use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use thiserror::Error;
use tradewind_srtp::tap::{self, KeySlot};
use tradewind_srtp::{Opener, Sealer};

use self::encoding::{Encoding, Ssrcs};
use self::link::{Link, LinkSpec};
pub(crate) use self::negotiation::add_track_requests;
use self::negotiation::{Negotiation, NegotiationError};
pub(crate) use self::socket::{ReceiveBuffers, Socket};
use self::stream::Stream;
use self::terms::Terms;
use crate::ledger::Account;
use crate::plan::{Messages, Track};
use crate::tally::Tally;
use crate::wire::transport_cc::Arrivals;

/// What a bot is to do.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) room: u32,
    pub(crate) tracks: Vec<Track>,
    pub(crate) messages: Option<Messages>,
    pub(crate) link: Option<LinkSpec>,
}

#[derive(Debug, Error)]
pub(crate) enum BotError {
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    #[error("the peer connection failed: {0}")]
    Rtc(#[from] str0m::RtcError),
    #[error("no socket: {0}: raise the limit of open files (ulimit -n)")]
    Socket(#[from] std::io::Error),
    #[error("no offer could be made")]
    NoOffer,
    #[error("the keys of the handshake cannot be used: {0}")]
    Keys(#[from] tradewind_srtp::KeyError),
}

/// What all bots of a thread share.
pub(crate) struct Shared {
    pub(crate) tally: Tally,
    /// Room of each bot, by number.
    pub(crate) rooms: Vec<u32>,
    pub(crate) rtc: RtcConfig,
    /// For packets on their way out.
    pub(crate) scratch: Vec<u8>,
}

pub(crate) type ByNumber<T> = HashMap<u32, T, BuildHasherDefault<NumberHasher>>;

/// SSRCs and sources are spread well enough by a multiplication (Fibonacci hashing).
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

pub(crate) struct Bot {
    number: u32,
    pub(crate) spec: Spec,
    pub(crate) socket: Rc<Socket>,
    remote: Option<SocketAddr>,
    rtc: Rtc,
    /// When str0m wants to be woken.
    pub(crate) wakes_at: Instant,
    keys: KeySlot,
    negotiation: Negotiation,
    answered: bool,
    early_candidates: Vec<Candidate>,
    terms: Terms,
    sealer: Option<Sealer>,
    opener: Option<Opener>,
    pub(crate) encodings: Vec<Encoding>,
    transport_sequence: u16,
    streams: ByNumber<Stream>,
    pub(crate) accounts: ByNumber<Account>,
    arrivals: Arrivals,
    pub(crate) link: Option<Link>,
    channels: BTreeMap<String, ChannelId>,
    messages_sent: u32,
    /// Media can flow.
    pub(crate) connected: bool,
    pub(crate) failed: Option<String>,
}

impl Bot {
    /// A bot and its first offer. Its socket's events carry its number.
    pub(crate) fn new(
        number: u32,
        spec: Spec,
        ip: std::net::IpAddr,
        now: Instant,
        registry: &Registry,
        shared: &Shared,
    ) -> Result<(Self, proto::SessionDescription), BotError> {
        let mut socket = Socket::bind(ip)?;
        registry.register(&mut socket.io, Token(number as usize), Interest::READABLE)?;
        let (mut rtc, keys) = tap::tapped(|| shared.rtc.clone().build(now));
        let candidate = Candidate::host(socket.local, "udp").map_err(str0m::RtcError::from)?;
        rtc.add_local_candidate(candidate);
        let mut negotiation = Negotiation::default();
        let offer = negotiation
            .first_offer(&mut rtc, &spec.tracks)
            .ok_or(BotError::NoOffer)?;
        let bot = Self {
            number,
            link: spec.link.map(|link| Link::new(link, u64::from(number) + 1)),
            spec,
            socket: Rc::new(socket),
            remote: None,
            rtc,
            wakes_at: now,
            keys,
            negotiation,
            answered: false,
            early_candidates: Vec::new(),
            terms: Terms::default(),
            sealer: None,
            opener: None,
            encodings: Vec::new(),
            transport_sequence: 0,
            streams: ByNumber::default(),
            accounts: ByNumber::default(),
            arrivals: Arrivals::default(),
            channels: BTreeMap::new(),
            messages_sent: 0,
            connected: false,
            failed: None,
        };
        Ok((bot, offer))
    }

    /// Takes an answer; gives back the next offer if one is due.
    pub(crate) fn answer(
        &mut self,
        answer: &proto::SessionDescription,
    ) -> Result<Option<Request>, BotError> {
        let Some((terms, next)) = self.negotiation.answer(&mut self.rtc, answer)? else {
            return Ok(None);
        };
        if !self.answered {
            self.answered = true;
            self.terms = terms;
            for candidate in std::mem::take(&mut self.early_candidates) {
                self.rtc.add_remote_candidate(candidate);
            }
            self.make_encodings();
        }
        Ok(next)
    }

    /// The server wants more receiving sections.
    pub(crate) fn add_sections(&mut self, audios: u32, videos: u32) -> Option<Request> {
        self.negotiation.add_sections(&mut self.rtc, audios, videos)
    }

    /// A candidate of the server's, as SDKs write them in JSON.
    pub(crate) fn candidate(&mut self, init: &str) {
        let text = serde_json::from_str::<serde_json::Value>(init).ok();
        let candidate = text.as_ref().and_then(|init| init["candidate"].as_str());
        let Some(Ok(candidate)) = candidate.map(Candidate::from_sdp_string) else {
            return;
        };
        if self.answered {
            self.rtc.add_remote_candidate(candidate);
        } else {
            self.early_candidates.push(candidate);
        }
    }

    /// Port of the server's that media go to.
    pub(crate) fn remote_port(&self) -> Option<u16> {
        self.remote.map(|remote| remote.port())
    }

    /// Takes STUN or DTLS.
    fn take_rtc(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.socket.local, datagram) else {
            return;
        };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, receive)) {
            self.fail(&error);
        }
    }

    /// Wakes str0m and sends what it has. True once, when the connection is up.
    pub(crate) fn drive(&mut self, now: Instant, shared: &mut Shared) -> bool {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            self.fail(&error);
        }
        self.drain(now, shared)
    }

    fn drain(&mut self, now: Instant, shared: &mut Shared) -> bool {
        let was_connected = self.connected;
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.wakes_at = at.max(now);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let kind = transmit.contents.first().copied().unwrap_or_default();
                    // str0m does not own the counters of SRTP here, so that what it seals must not leave.
                    if (128..192).contains(&kind) {
                        continue;
                    }
                    if (20..64).contains(&kind) {
                        self.remote = Some(transmit.destination);
                    }
                    let contents = &transmit.contents;
                    if self
                        .socket
                        .send(transmit.destination, contents, contents.len())
                        .is_err()
                    {
                        shared.tally.counts.send_failures += 1;
                    }
                }
                Ok(Output::Event(event)) => self.event(event, shared),
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            }
        }
        self.connected && !was_connected
    }

    fn event(&mut self, event: Event, shared: &mut Shared) {
        match event {
            Event::Connected => {
                if let Err(error) = self.take_keys() {
                    self.fail(&error);
                }
            }
            Event::ChannelOpen(id, label) => {
                self.channels.insert(label, id);
            }
            Event::ChannelData(data) => self.message(&data.data, shared),
            _ => {}
        }
    }

    fn take_keys(&mut self) -> Result<(), BotError> {
        if let Some(keys) = self.keys.keys() {
            self.sealer = Some(Sealer::new(keys.profile, &keys.local)?);
            self.opener = Some(Opener::new(keys.profile, &keys.remote)?);
            self.connected = true;
        }
        Ok(())
    }

    fn make_encodings(&mut self) {
        for (place, (track, mid)) in self
            .spec
            .tracks
            .iter()
            .zip(&self.negotiation.published)
            .enumerate()
        {
            for (index, layer) in track.layers.iter().enumerate() {
                let rid = layer.rid.map(Into::into);
                let mut api = self.rtc.direct_api();
                let Some(stream) = api.stream_tx_by_mid(*mid, rid) else {
                    self.failed = Some("the server did not take a published track".into());
                    continue;
                };
                let ssrcs = Ssrcs {
                    media: *stream.ssrc(),
                    repair: stream.rtx().map(|ssrc| *ssrc),
                };
                let source = source_of(self.number, place);
                let encoding = Encoding::new(
                    source,
                    index as u8,
                    *layer,
                    track.video,
                    ssrcs,
                    mid.to_string(),
                );
                self.encodings.push(encoding);
            }
        }
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        self.failed.get_or_insert_with(|| error.to_string());
    }
}

/// Number of a track of a bot, for stamps; at most 255 tracks each.
pub(crate) fn source_of(bot: u32, track: usize) -> u32 {
    bot << 8 | (track as u32 & 0xFF)
}

/// The bot that a source belongs to.
pub(crate) fn bot_of(source: u32) -> u32 {
    source >> 8
}
