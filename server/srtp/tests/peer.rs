//! Packets of ours against those of str0m, with keys from a handshake between two of its peers.
#![allow(clippy::unwrap_used, reason = "a test ends where something goes wrong")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tradewind_srtp::{KeyingMaterial, Opener, Sealer, tap};

struct Peer {
    rtc: Rtc,
    address: SocketAddr,
    sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
}

impl Peer {
    fn new(rtc: Rtc, port: u16) -> Self {
        let address = SocketAddr::from(([10, 0, 0, 1], port));
        let mut peer = Self {
            rtc,
            address,
            sent: Vec::new(),
            events: Vec::new(),
        };
        peer.rtc
            .add_local_candidate(Candidate::host(address, "udp").unwrap());
        peer
    }

    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => return at,
                Output::Transmit(sent) => {
                    self.sent
                        .push((sent.source, sent.destination, sent.contents.to_vec()))
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, contents: &[u8]) {
        let receive = Receive::new(Protocol::Udp, from, self.address, contents).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
        self.drain();
    }
}

/// Runs both for a while in virtual time; gives back what the second sent.
fn run(now: &mut Instant, time: Duration, first: &mut Peer, second: &mut Peer) -> Vec<Vec<u8>> {
    let end = *now + time;
    let mut seen = Vec::new();
    while *now < end {
        for at_first in [true, false] {
            let (from, to) = if at_first {
                (&mut *first, &mut *second)
            } else {
                (&mut *second, &mut *first)
            };
            from.rtc.handle_input(Input::Timeout(*now)).unwrap();
            from.drain();
            for (source, _, contents) in from.sent.drain(..) {
                to.receive(*now, source, &contents);
                if !at_first {
                    seen.push(contents);
                }
            }
        }
        *now += Duration::from_millis(5);
    }
    seen
}

fn connected() -> (Instant, Peer, Peer, KeyingMaterial, Mid) {
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made from the clock; only its distance matters"
    )]
    let mut now = Instant::now();
    let provider = Arc::new(tap::provider());
    let (rtc, slot) = tap::tapped(|| {
        Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(provider)
            .build(now)
    });
    let mut ours = Peer::new(rtc, 1_000);
    let mut theirs = Peer::new(Rtc::builder().set_rtp_mode(true).build(now), 2_000);
    assert!(slot.keys().is_none());
    let mut api = ours.rtc.sdp_api();
    let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    let answer = theirs.rtc.sdp_api().accept_offer(offer).unwrap();
    ours.rtc.sdp_api().accept_answer(pending, answer).unwrap();
    run(&mut now, Duration::from_secs(2), &mut ours, &mut theirs);
    let keys = slot.keys().expect("the handshake gave keys").clone();
    (now, ours, theirs, keys, mid)
}

#[test]
fn str0m_opens_what_we_seal() {
    let (now, mut ours, mut theirs, keys, mid) = connected();
    let ssrc = *ours
        .rtc
        .direct_api()
        .stream_tx_by_mid(mid, None)
        .unwrap()
        .ssrc();
    ours.rtc.direct_api().remove_stream_tx(ssrc.into());
    let mut sealer = Sealer::new(keys.profile, &keys.local).unwrap();
    for sequence in 1..=10u16 {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(b"sound");
        sealer
            .seal_rtp(&mut packet, 0, u64::from(sequence))
            .unwrap();
        theirs.receive(now, ours.address, &packet);
    }
    let payloads: Vec<_> = theirs
        .events
        .iter()
        .filter_map(|event| match event {
            Event::RtpPacket(packet) => Some(packet.payload.to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(payloads, vec![b"sound".to_vec(); 10]);

    // A sender report of ours, as str0m reads it.
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(&ssrc.to_be_bytes());
    report.extend_from_slice(&[0xe0, 0, 0, 0, 0, 0, 0, 0]);
    report.extend_from_slice(&[0; 12]);
    sealer.seal_rtcp(&mut report, 0).unwrap();
    theirs.receive(now, ours.address, &report);
    assert!(
        theirs
            .events
            .iter()
            .any(|event| matches!(event, Event::SenderFeedback(_)))
    );
}

#[test]
fn we_open_what_str0m_seals() {
    let (mut now, mut ours, mut theirs, keys, mid) = connected();
    let mut api = theirs.rtc.direct_api();
    let stream = api.stream_tx_by_mid(mid, None).unwrap();
    for sequence in 65_530..65_540u64 {
        let payload: Arc<[u8]> = Arc::from(&b"sound"[..]);
        let pt: Pt = 111.into();
        stream.write_rtp(RtpWrite::new(pt, sequence.into(), 0, now, payload));
    }
    let seen = run(&mut now, Duration::from_secs(6), &mut ours, &mut theirs);
    let mut opener = Opener::new(keys.profile, &keys.remote).unwrap();
    let (mut media, mut reports) = (Vec::new(), 0);
    for mut packet in seen {
        match packet[..2] {
            [128..=191, 192..=223] => {
                opener.open_rtcp(&mut packet).unwrap();
                reports += 1;
            }
            [128..=191, _] => {
                let opened = opener.open_rtp(&mut packet).unwrap();
                media.push((opened.index, packet[opened.header_len..opened.len].to_vec()));
            }
            _ => {}
        }
    }
    let expected: Vec<_> = (65_530..65_540).map(|at| (at, b"sound".to_vec())).collect();
    assert_eq!(media, expected);
    assert!(reports > 0);
}
