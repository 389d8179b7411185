//! A client: a str0m peer in single mode that publishes made-up media and records what it receives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event as RtcEvent, Input, Output, Rtc};
use tradewind_rtc::{
    AddTrack, Client as ClientInfo, Command, ConnectionId, Event, Identity, Join, Joined,
    ParticipantInfo, PeerMode, Permission, Section, SessionDescription, SignalRequest, TrackKind,
    TrackSid, TrackSource, VideoLayer, VideoQuality,
};
use tradewind_srtp::tap::{self, KeySlot};

use super::Network;

pub struct Client {
    pub connection: ConnectionId,
    pub identity: Identity,
    pub permission: Permission,
    pub auto_subscribe: bool,
    pub auto_subscribe_data_tracks: bool,
    pub address: SocketAddr,
    /// A second network the client is in.
    pub other_address: Option<SocketAddr>,
    /// Of the handshake, to look into datagrams.
    pub keys: KeySlot,
    /// What arrived, when and at which address.
    pub datagrams: Vec<(Instant, SocketAddr, Vec<u8>)>,
    pub rtc: Rtc,
    pub events: Vec<Event>,
    pub closed: bool,
    pub joined: Option<Joined>,
    pub participants: BTreeMap<String, Arc<ParticipantInfo>>,
    /// Sections of the last answer.
    pub sections: Vec<Section>,
    pub packets: Vec<Arc<RtpPacket>>,
    pub messages: Vec<String>,
    /// Packets of data tracks.
    pub data_packets: Vec<Vec<u8>>,
    pub published: BTreeMap<String, TrackSid>,
    pub connected: bool,
    pub commands: Vec<Command>,
    pub channels: BTreeMap<String, ChannelId>,
    pub key_frame_requests: Vec<(Mid, Option<Rid>)>,
    pub media: Vec<Outgoing>,
    pending: Option<SdpPendingOffer>,
    offer_again: bool,
    offer_id: u32,
    deadline: Instant,
    waiting: Vec<str0m::net::Transmit>,
}

/// Made-up media of one published encoding.
pub struct Outgoing {
    pub mid: Mid,
    pub rid: Option<Rid>,
    pub kind: TrackKind,
    pub paused: bool,
    pub frame_bytes: usize,
    pub key_frame_wanted: bool,
    next_at: Instant,
    sequence: u64,
    timestamp: u32,
    picture_id: u16,
}

impl Client {
    pub fn new(world: &mut super::World, identity: &str) -> Self {
        let id = world.next_id();
        let address = SocketAddr::from(([10, 0, 1, id as u8], 5_000));
        let (mut rtc, keys) = tap::tapped(|| {
            Rtc::builder()
                .set_rtp_mode(true)
                .set_crypto_provider(Arc::new(tap::provider()))
                .build(world.now)
        });
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("valid candidate"));
        let mut client = Self {
            connection: ConnectionId(id),
            identity: identity.into(),
            permission: Permission::default(),
            auto_subscribe: true,
            auto_subscribe_data_tracks: false,
            address,
            other_address: None,
            keys,
            datagrams: Vec::new(),
            rtc,
            events: Vec::new(),
            closed: false,
            joined: None,
            participants: BTreeMap::new(),
            sections: Vec::new(),
            packets: Vec::new(),
            messages: Vec::new(),
            data_packets: Vec::new(),
            published: BTreeMap::new(),
            connected: false,
            commands: Vec::new(),
            channels: BTreeMap::new(),
            key_frame_requests: Vec::new(),
            media: Vec::new(),
            pending: None,
            offer_again: false,
            offer_id: 0,
            deadline: world.now,
            waiting: Vec::new(),
        };
        client.drain(world.now, &mut Network::new(1));
        client
    }

    /// The join, with a first offer of receive-only sections and channels, as SDKs send it.
    pub fn join_command(&self) -> Command {
        Command::Join(Box::new(Join {
            connection: self.connection,
            room: "shop".into(),
            room_config: None,
            identity: self.identity.clone(),
            name: self.identity.to_string(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            permission: self.permission.clone(),
            kind: 0,
            kind_details: Vec::new(),
            client: ClientInfo {
                sdk: "test".into(),
                protocol: 17,
                ..Default::default()
            },
            peer_mode: PeerMode::Single,
            auto_subscribe: self.auto_subscribe,
            auto_subscribe_data_tracks: self.auto_subscribe_data_tracks,
            adaptive_stream: false,
            full_ice: false,
            offer: None,
            add_tracks: Vec::new(),
        }))
    }

    /// Announces a track and offers a section for it.
    pub fn publish(&mut self, cid: &str, kind: TrackKind, rids: &[&str]) {
        let layer = |(index, rid): (usize, &&str)| VideoLayer {
            quality: VideoQuality::ALL[index.min(2)],
            width: 320 << index,
            height: 180 << index,
            bitrate: 150_000 << (2 * index),
            spatial_layer: index as i32,
            rid: (*rid).to_owned(),
            ssrc: 0,
            repair_ssrc: 0,
        };
        let source = match kind {
            TrackKind::Audio => TrackSource::Microphone,
            TrackKind::Video => TrackSource::Camera,
        };
        let add = AddTrack {
            cid: cid.into(),
            sid: None,
            name: cid.into(),
            kind,
            source,
            width: 1280,
            height: 720,
            muted: false,
            disable_dtx: false,
            stereo: false,
            disable_red: true,
            layers: rids.iter().enumerate().map(layer).collect(),
            codecs: Vec::new(),
            encryption: 0,
            stream: String::new(),
            audio_features: Vec::new(),
            backup_codec_policy: 0,
            packet_trailer_features: Vec::new(),
        };
        self.request(SignalRequest::AddTrack(Box::new(add)));
        let simulcast = (!rids.is_empty()).then(|| Simulcast {
            send: rids.iter().map(|rid| SimulcastLayer::new(rid)).collect(),
            recv: Vec::new(),
        });
        let (kind_of_media, cid) = (media_kind(kind), cid.to_owned());
        let mid = self.offer(move |api| {
            api.add_media(
                kind_of_media,
                Direction::SendOnly,
                Some("stream".into()),
                Some(cid),
                simulcast,
            )
        });
        let rids: Vec<Option<Rid>> = if rids.is_empty() {
            vec![None]
        } else {
            rids.iter().map(|rid| Some((*rid).into())).collect()
        };
        for (index, rid) in rids.into_iter().enumerate() {
            self.media.push(Outgoing {
                mid,
                rid,
                kind,
                paused: false,
                frame_bytes: if kind == TrackKind::Audio {
                    80
                } else {
                    400 << (2 * index)
                },
                key_frame_wanted: true,
                next_at: self.deadline,
                sequence: 1_000 * (index as u64 + 1),
                timestamp: 90_000 * (index as u32 + 7),
                picture_id: 100 * (index as u16 + 1),
            });
        }
    }

    /// Whether no offer waits for its answer, so that the next one can be made.
    pub fn may_offer(&self) -> bool {
        self.pending.is_none()
    }

    pub fn request(&mut self, request: SignalRequest) {
        self.commands.push(Command::Signal {
            connection: self.connection,
            request: Box::new(request),
        });
    }

    pub fn send_data(&mut self, channel: &str, message: &str) {
        self.send_bytes(channel, message.as_bytes());
    }

    pub fn send_bytes(&mut self, channel: &str, message: &[u8]) {
        let id = self.channels[channel];
        let written = self
            .rtc
            .channel(id)
            .expect("open")
            .write(true, message)
            .expect("alive");
        assert!(written, "the channel takes the message");
    }

    /// False if the channel has no room at present.
    pub fn try_send(&mut self, channel: &str, message: &str) -> bool {
        let id = self.channels[channel];
        let mut channel = self.rtc.channel(id).expect("open");
        channel.write(true, message.as_bytes()).expect("alive")
    }

    /// Packets received on the section that carries `track`.
    pub fn packets_of(&mut self, track: &TrackSid) -> Vec<Arc<RtpPacket>> {
        let Some(mid) = self
            .sections
            .iter()
            .find(|section| {
                section
                    .forwards
                    .as_ref()
                    .is_some_and(|forwarded| forwarded.track == *track)
            })
            .map(|section| section.mid)
        else {
            return Vec::new();
        };
        // A section that carried another track before has had another SSRC then.
        let mut api = self.rtc.direct_api();
        let on_section: Vec<_> = self
            .packets
            .iter()
            .map(|packet| packet.header.ssrc)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .filter(|ssrc| {
                api.stream_rx(ssrc)
                    .is_some_and(|stream| stream.mid() == mid)
            })
            .collect();
        self.packets
            .iter()
            .filter(|packet| on_section.contains(&packet.header.ssrc))
            .cloned()
            .collect()
    }

    /// How many packets came of a track another participant publishes.
    pub fn received(&mut self, identity: &str, name: &str) -> usize {
        self.track_of(identity, name)
            .map_or(0, |track| self.packets_of(&track).len())
    }

    /// The track another participant publishes under a name.
    pub fn track_of(&self, identity: &str, name: &str) -> Option<TrackSid> {
        let participant = self
            .participants
            .values()
            .find(|p| p.identity.as_str() == identity && p.disconnect_reason.is_none())?;
        participant
            .tracks
            .iter()
            .find(|track| track.name == name)
            .map(|track| track.sid.clone())
    }

    /// Tracks the last answer forwards, as `identity/name`.
    pub fn forwarded(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .sections
            .iter()
            .filter_map(|section| section.forwards.as_ref())
            .filter_map(|forwarded| {
                let participant = self
                    .participants
                    .values()
                    .find(|p| p.sid == forwarded.participant)?;
                let track = participant
                    .tracks
                    .iter()
                    .find(|track| track.sid == forwarded.track)?;
                Some(format!("{}/{}", participant.identity, track.name))
            })
            .collect();
        names.sort();
        names
    }

    pub fn event(&mut self, now: Instant, event: Event) {
        match &event {
            Event::Joined(joined) => {
                self.joined = Some((**joined).clone());
                for other in &joined.others {
                    self.participants
                        .insert(other.sid.to_string(), other.clone());
                }
                self.first_offer();
            }
            Event::Answer(answer) if answer.description.id == self.offer_id => {
                let text =
                    SdpAnswer::from_sdp_string(&answer.description.sdp).expect("the answer parses");
                let pending = self.pending.take().expect("an offer is open");
                self.rtc
                    .sdp_api()
                    .accept_answer(pending, text)
                    .expect("the answer fits");
                self.sections.clone_from(&answer.sections);
                if std::mem::take(&mut self.offer_again) {
                    self.reoffer(0, 0);
                }
            }
            Event::MediaSectionsRequirement { audios, videos } => {
                if self.pending.is_some() {
                    self.offer_again = true;
                } else {
                    self.reoffer(*audios, *videos);
                }
            }
            Event::TrackPublished { cid, track } => {
                self.published.insert(cid.clone(), track.sid.clone());
            }
            Event::Participants(updates) => {
                for update in updates {
                    let known = self.participants.get(update.sid.as_str());
                    if let Some(known) = known {
                        assert!(known.version <= update.version, "versions never go back");
                    }
                    self.participants
                        .insert(update.sid.to_string(), update.clone());
                }
            }
            _ => {}
        }
        self.events.push(event);
        self.deadline = now;
    }

    fn first_offer(&mut self) {
        self.offer(|api| {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                for _ in 0..3 {
                    api.add_media(kind, Direction::RecvOnly, None, None, None);
                }
            }
            api.add_channel_with_config(ChannelConfig {
                label: "_reliable".into(),
                ..Default::default()
            });
            for label in ["_lossy", "_data_track"] {
                api.add_channel_with_config(ChannelConfig {
                    label: label.into(),
                    ordered: false,
                    reliability: Reliability::MaxRetransmits { retransmits: 0 },
                    ..Default::default()
                });
            }
        });
    }

    fn reoffer(&mut self, audios: u32, videos: u32) {
        self.offer(|api| {
            for _ in 0..audios {
                api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            }
            for _ in 0..videos {
                api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
            }
            // str0m offers only what changes; a restart makes it offer what is there already.
            if audios + videos == 0 {
                api.ice_restart(true);
            }
        });
    }

    fn offer<T>(&mut self, change: impl FnOnce(&mut str0m::change::SdpApi<'_>) -> T) -> T {
        let mut api = self.rtc.sdp_api();
        let changed = change(&mut api);
        let (offer, pending) = api.apply().expect("something changed");
        self.pending = Some(pending);
        self.offer_id += 1;
        let description = SessionDescription {
            sdp: offer.to_sdp_string(),
            id: self.offer_id,
        };
        self.request(SignalRequest::Offer(description));
        changed
    }

    pub fn next_wake(&self) -> Instant {
        self.media
            .iter()
            .filter(|media| !media.paused)
            .map(|media| media.next_at)
            .chain([self.deadline])
            .min()
            .expect("one")
    }

    /// Joins a second network.
    pub fn enter_network(&mut self, address: SocketAddr) {
        self.other_address = Some(address);
        self.rtc
            .add_local_candidate(Candidate::host(address, "udp").expect("valid candidate"));
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, contents: &[u8]) {
        // A client that was told to go hears no more.
        if self.closed {
            return;
        }
        self.datagrams.push((now, to, contents.to_vec()));
        let receive = Receive::new(Protocol::Udp, from, to, contents)
            .expect("the server sends valid datagrams");
        self.rtc
            .handle_input(Input::Receive(now, receive))
            .expect("the server sends usable datagrams");
        self.poll(now, &mut None);
    }

    pub fn step(&mut self, now: Instant) {
        if self.connected {
            for index in 0..self.media.len() {
                while !self.media[index].paused && self.media[index].next_at <= now {
                    self.send_frame(now, index);
                }
            }
        }
        for media in &mut self.media {
            media.next_at = media.next_at.max(now);
        }
        self.rtc.handle_input(Input::Timeout(now)).expect("alive");
    }

    fn send_frame(&mut self, now: Instant, index: usize) {
        let media = &mut self.media[index];
        let audio = media.kind == TrackKind::Audio;
        media.next_at += Duration::from_millis(if audio { 20 } else { 33 });
        media.timestamp = media
            .timestamp
            .wrapping_add(if audio { 960 } else { 3_000 });
        media.picture_id = (media.picture_id + 1) & 0x7FFF;
        let key = std::mem::take(&mut media.key_frame_wanted);
        let bytes = if key {
            media.frame_bytes * 4
        } else {
            media.frame_bytes
        };
        let packets = bytes.div_ceil(1_000);
        for packet in 0..packets {
            media.sequence += 1;
            let payload = if audio {
                vec![0x78; bytes]
            } else {
                vp8_payload(media.picture_id, key, packet == 0, bytes.div_ceil(packets))
            };
            let extensions = ExtensionValues {
                audio_level: audio.then_some(-20),
                voice_activity: audio.then_some(true),
                ..Default::default()
            };
            let mut api = self.rtc.direct_api();
            let Some(stream) = api.stream_tx_by_mid(media.mid, media.rid) else {
                return;
            };
            let write = RtpWrite::new(
                if audio { 111.into() } else { 96.into() },
                media.sequence.into(),
                media.timestamp,
                now,
                payload,
            )
            .marker(!audio && packet + 1 == packets)
            .ext_vals(extensions)
            .nackable(!audio);
            stream.write_rtp(write);
        }
    }

    pub fn drain(&mut self, now: Instant, network: &mut Network) {
        self.poll(now, &mut Some(network));
    }

    fn poll(&mut self, now: Instant, network: &mut Option<&mut Network>) {
        // Datagrams that come up while one is received wait in str0m's output until the next drain with a network.
        let mut held = Vec::new();
        loop {
            match self.rtc.poll_output().expect("alive") {
                Output::Timeout(at) => {
                    self.deadline = at.max(now + Duration::from_millis(1));
                    break;
                }
                Output::Transmit(transmit) => held.push(transmit),
                Output::Event(event) => self.rtc_event(event),
            }
        }
        self.waiting.append(&mut held);
        if let Some(network) = network {
            for transmit in self.waiting.drain(..) {
                network.send(
                    now,
                    transmit.source,
                    transmit.destination,
                    transmit.contents.into(),
                );
            }
        }
    }

    fn rtc_event(&mut self, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.connected = true,
            RtcEvent::RtpPacket(packet) => self.packets.push(Arc::new(packet)),
            RtcEvent::ChannelOpen(id, label) => {
                self.channels.insert(label, id);
            }
            RtcEvent::ChannelData(data) if self.channels.get("_data_track") == Some(&data.id) => {
                self.data_packets.push(data.data);
            }
            RtcEvent::ChannelData(data) => self
                .messages
                .push(String::from_utf8(data.data).expect("text")),
            RtcEvent::KeyframeRequest(request) => {
                self.key_frame_requests.push((request.mid, request.rid));
                for media in &mut self.media {
                    if media.mid == request.mid
                        && (media.rid == request.rid || request.rid.is_none())
                    {
                        media.key_frame_wanted = true;
                    }
                }
            }
            _ => {}
        }
    }
}

fn media_kind(kind: TrackKind) -> MediaKind {
    match kind {
        TrackKind::Audio => MediaKind::Audio,
        TrackKind::Video => MediaKind::Video,
    }
}

/// A VP8 payload: descriptor with a 15-bit picture id (RFC 7741 section 4.2), then the frame header's key-frame bit.
fn vp8_payload(picture_id: u16, key: bool, first: bool, bytes: usize) -> Vec<u8> {
    let start = if first { 0x10 } else { 0 };
    let id = 0x8000 | picture_id;
    let mut payload = vec![
        0x80 | start,
        0x80,
        (id >> 8) as u8,
        id as u8,
        if key { 0x00 } else { 0x01 },
    ];
    payload.resize(bytes.max(16), 0xAB);
    payload
}
