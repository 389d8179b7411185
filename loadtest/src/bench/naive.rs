//! The floor of a server that drains the WebRTC library and calls `send_to` once for every packet.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use str0m::bwe::Bitrate;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tradewind_srtp::tap;

use super::floor::Frames;

/// High enough that the pacer holds nothing back.
const ESTIMATE: Bitrate = Bitrate::mbps(100);
const HANDSHAKE_STEPS: usize = 2_000;
const HANDSHAKE_STEP: Duration = Duration::from_millis(1);

pub(super) struct Naive {
    socket: UdpSocket,
    lanes: Vec<Lane>,
}

struct Lane {
    destination: SocketAddr,
    rtc: Rtc,
    mid: Mid,
    sequence: u64,
}

impl Naive {
    /// Makes one connected peer for each destination; their handshakes stay in memory.
    pub(super) fn connect(destinations: &[SocketAddr]) -> anyhow::Result<Self> {
        let lanes = destinations
            .iter()
            .map(|destination| connect(*destination))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            socket: UdpSocket::bind("127.0.0.1:0")?,
            lanes,
        })
    }
}

impl Frames for Naive {
    fn send_frame(&mut self, packets: usize, payload: &Arc<[u8]>) -> anyhow::Result<u64> {
        let mut sent = 0;
        for lane in &mut self.lanes {
            for packet in 0..packets {
                let now = Instant::now();
                let timestamp = (lane.sequence as u32).wrapping_mul(300);
                let write = RtpWrite::new(
                    96.into(),
                    lane.sequence.into(),
                    timestamp,
                    now,
                    payload.clone(),
                )
                .marker(packet + 1 == packets)
                .nackable(true);
                lane.sequence += 1;
                let mut api = lane.rtc.direct_api();
                api.stream_tx_by_mid(lane.mid, None)
                    .context("the negotiated stream")?
                    .write_rtp(write);
                lane.rtc.handle_input(Input::Timeout(now))?;
                loop {
                    match lane.rtc.poll_output()? {
                        Output::Transmit(transmit) => {
                            self.socket.send_to(&transmit.contents, lane.destination)?;
                            let media = transmit.contents.len() > payload.len();
                            sent += u64::from(media);
                        }
                        Output::Timeout(_) => break,
                        Output::Event(_) => {}
                    }
                }
            }
        }
        Ok(sent)
    }
}

/// A sending peer that has shaken hands with a receiving one.
fn connect(destination: SocketAddr) -> anyhow::Result<Lane> {
    let now = Instant::now();
    let addresses = [
        SocketAddr::from(([127, 0, 0, 1], 1_111)),
        SocketAddr::from(([127, 0, 0, 1], 2_222)),
    ];
    let config = || {
        RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_vp8(true)
            .set_stats_interval(None)
            .set_crypto_provider(Arc::new(tap::provider()))
    };
    let mut peers = [
        config().enable_bwe(Some(ESTIMATE)).build(now),
        config().build(now),
    ];
    for (peer, address) in peers.iter_mut().zip(addresses) {
        peer.add_local_candidate(Candidate::host(address, "udp")?);
    }
    let mut api = peers[0].sdp_api();
    let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = api.apply().context("an offer")?;
    let answer = peers[1].sdp_api().accept_offer(offer)?;
    peers[0].sdp_api().accept_answer(pending, answer)?;
    let mut connected = 0;
    let mut under_way = VecDeque::new();
    for _ in 0..HANDSHAKE_STEPS {
        let now = Instant::now();
        for (from, peer) in peers.iter_mut().enumerate() {
            peer.handle_input(Input::Timeout(now))?;
            drain(peer, 1 - from, &mut under_way, &mut connected)?;
        }
        while let Some((to, transmit)) = under_way.pop_front() {
            let receive = Receive::new(
                Protocol::Udp,
                transmit.source,
                addresses[to],
                &transmit.contents,
            )?;
            peers[to].handle_input(Input::Receive(now, receive))?;
            drain(&mut peers[to], 1 - to, &mut under_way, &mut connected)?;
        }
        if connected == peers.len() {
            let [rtc, _] = peers;
            return Ok(Lane {
                destination,
                rtc,
                mid,
                sequence: 1,
            });
        }
        thread::sleep(HANDSHAKE_STEP);
    }
    bail!("the peers of the floor do not connect")
}

fn drain(
    peer: &mut Rtc,
    to: usize,
    under_way: &mut VecDeque<(usize, Transmit)>,
    connected: &mut usize,
) -> anyhow::Result<()> {
    loop {
        match peer.poll_output()? {
            Output::Transmit(transmit) => under_way.push_back((to, transmit)),
            Output::Event(Event::Connected) => *connected += 1,
            Output::Event(_) => {}
            Output::Timeout(_) => return Ok(()),
        }
    }
}
