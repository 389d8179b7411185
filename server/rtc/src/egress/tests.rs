//! The egress on its own: who waits, what is bounded, and what it does with bad input.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use str0m::Event;
use tradewind_srtp::{KeyingMaterial, Opener, Profile, Sealer};

use super::header::ExtensionIds;
use super::*;
use crate::config::ShardConfig;
use crate::context::Context;
use crate::data::{DataCodec, DataError, DataSender, StampedMessage};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SOUND: u32 = 11;
const PICTURE: u32 = 22;
const RESENT: u32 = 23;

struct NoData;

impl DataCodec for NoData {
    fn stamp(&self, _: &[u8], _: DataSender<'_>) -> Result<StampedMessage, DataError> {
        Err(DataError::Malformed)
    }
}

/// An egress with one audio and one video stream, and the other end of its path.
struct World {
    cx: Context,
    now: Instant,
    egress: Egress,
    client: Sealer,
    opener: Opener,
    sequence: u64,
}

impl World {
    fn new(bandwidth: u64) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock"
        )]
        let now = Instant::now();
        let crypto = Arc::new(tradewind_srtp::tap::provider());
        let certificate = crypto.dtls_provider.generate_certificate().unwrap();
        let cx = Context::new(
            ShardConfig::default(),
            now,
            1_760_000_000_000,
            7,
            Box::new(NoData),
            crypto,
            certificate,
        );
        let profile = Profile::AeadAes128Gcm;
        let keys = KeyingMaterial::from_exporter(profile, &[5; 56], false).unwrap();
        let mut egress = Egress::new(now, bandwidth);
        egress.set_keys(&keys).unwrap();
        let mut ids = ExtensionIds::default();
        ids.transport_sequence = 3;
        let section = |mid: &str, kind, ssrc, resend_ssrc| Section {
            mid: mid.into(),
            kind,
            ssrc,
            resend_ssrc,
            ids,
            cname: "us".into(),
        };
        let types = [(111, None, 48_000), (96, Some(97), 90_000)];
        egress.adopt(
            vec![
                section("a", TrackKind::Audio, SOUND, None),
                section("v", TrackKind::Video, PICTURE, Some(RESENT)),
            ],
            types
                .map(|(number, resend, clock_rate)| PayloadType {
                    number,
                    resend,
                    clock_rate,
                })
                .to_vec(),
        );
        Self {
            cx,
            now,
            egress,
            client: Sealer::new(profile, &keys.remote).unwrap(),
            opener: Opener::new(profile, &keys.local).unwrap(),
            sequence: 0,
        }
    }

    fn write(&mut self, mid: &str, bytes: usize) {
        self.sequence += 1;
        self.write_as(mid, self.sequence, bytes);
    }

    fn write_as(&mut self, mid: &str, sequence: u64, bytes: usize) {
        let packet = OutgoingPacket {
            payload_type: if mid == "a" { 111 } else { 96 },
            sequence,
            keep: mid == "v",
            media: Arc::new(OutgoingMedia {
                captured: self.now,
                values: HeaderValues::default(),
                payload: vec![1; bytes].into(),
            }),
            ..header::padding(sequence as u32 * 100, self.now)
        };
        self.egress
            .write(&mut self.cx, self.now, mid.into(), packet);
    }

    /// SSRC and payload bytes of the media that leaves now.
    fn sent(&mut self) -> Vec<(u32, usize)> {
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        let path = Path {
            protocol: Protocol::Udp,
            source: address,
            destination: address,
        };
        self.egress.flush(&mut self.cx, Some(path));
        let mut sent = Vec::new();
        while let Some(transmit) = self.cx.transmits.pop_front() {
            for datagram in transmit.datagrams() {
                let mut datagram = datagram.to_vec();
                if is_rtcp(&datagram) {
                    self.opener.open_rtcp(&mut datagram).unwrap();
                } else {
                    let opened = self.opener.open_rtp(&mut datagram).unwrap();
                    sent.push((opened.ssrc, opened.len - opened.header_len));
                }
            }
            self.cx.buffers.put(transmit.contents);
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.egress.poll_timeout().is_some_and(|at| at <= self.now) {
            self.egress
                .handle_timeout(&mut self.cx, self.now, &mut Vec::new());
        }
    }

    fn report(&mut self, mut packet: Vec<u8>) -> Vec<Event> {
        let mut events = Vec::new();
        self.client.seal_rtcp(&mut packet, 0).unwrap();
        self.egress
            .receive(&mut self.cx, self.now, &packet, &mut events);
        events
    }

    fn nack(&mut self, sequence: u16) {
        let mut packet = vec![0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, PICTURE as u8];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        self.report(packet);
    }
}

#[test]
fn sound_passes_the_picture_that_waits() {
    let mut world = World::new(300_000);
    for _ in 0..200 {
        world.write("v", 1_100);
    }
    let at_once = world.sent().len();
    assert!((16..200).contains(&at_once), "{at_once} packets at once");
    world.write("a", 80);
    assert_eq!(world.sent(), [(SOUND, 80)]);
    let mut later = 0;
    for _ in 0..400 {
        world.pass(MS(1));
        later += world.sent().len();
    }
    assert!(later > 0 && later < 40, "{later} packets in 400 ms");
    world.pass(MS(200));
    assert!(world.egress.queue.is_empty(), "an old picture is dropped");
}

#[test]
fn what_waits_is_bounded() {
    let mut world = World::new(300_000);
    for _ in 0..5_000 {
        world.write("v", 1_100);
    }
    let dropped = world.cx.counters.dropped[DropReason::PacingQueueFull as usize];
    assert!(dropped > 4_000, "{dropped}");
}

#[test]
fn a_subscriber_that_never_reports_gets_sound_and_some_picture() {
    let mut world = World::new(2_000_000);
    let (mut sound, mut picture) = (0, 0);
    for tick in 0..10_000u64 {
        if tick % 20 == 0 {
            world.write("a", 80);
        }
        if tick % 10 == 0 {
            world.write("v", 1_100);
        }
        world.pass(MS(1));
        for (ssrc, _) in world.sent() {
            *(if ssrc == SOUND {
                &mut sound
            } else {
                &mut picture
            }) += 1;
        }
    }
    assert_eq!(sound, 500, "all sound leaves");
    assert!(picture > 10, "{picture} packets of the picture");
}

#[test]
fn a_number_is_written_once() {
    let mut world = World::new(2_000_000);
    for sequence in [5, 6, 5, 4, 6, 4] {
        world.write_as("v", sequence, 100);
    }
    assert_eq!(world.sent().len(), 3);
    assert_eq!(world.cx.counters.dropped[DropReason::Repeated as usize], 3);
}

#[test]
fn a_missing_packet_is_sent_again_once_per_round_trip_within_a_share() {
    let mut world = World::new(10_000_000);
    for _ in 0..10 {
        world.write("v", 1_000);
    }
    world.sent();
    world.nack(4);
    assert_eq!(world.sent(), [(RESENT, 1_002)]);
    world.nack(4);
    assert_eq!(world.sent(), []);
    world.nack(400);
    assert_eq!(world.sent(), []);
    // A receiver that asks without end gets a burst, then no more than its share.
    let mut resent = 0;
    for round in 0..400 {
        world.pass(MS(120));
        world.write("v", 1_000);
        world.nack(10 + round);
        world.nack(9 + round);
        resent += world
            .sent()
            .iter()
            .filter(|(ssrc, _)| *ssrc == RESENT)
            .count();
    }
    assert!((100..300).contains(&resent), "{resent}");
}

#[test]
fn a_renewed_section_starts_anew_and_old_packets_are_forgotten() {
    let mut world = World::new(300_000);
    for _ in 0..200 {
        world.write("v", 1_100);
    }
    world.sent();
    world.egress.renew(&mut world.cx, "v".into(), 32, 33);
    world.pass(MS(300));
    assert!(world.sent().iter().all(|(ssrc, _)| *ssrc != PICTURE));
    world.write_as("v", 1, 500);
    world.pass(MS(300));
    assert_eq!(world.sent().first(), Some(&(32, 500)));
}

#[test]
fn a_receiver_that_cannot_decode_is_heard() {
    let mut world = World::new(2_000_000);
    let events = world.report(vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, PICTURE as u8]);
    assert!(
        matches!(&events[..], [Event::KeyframeRequest(request)] if request.mid == "v".into()),
        "{events:?}"
    );
    assert!(
        world
            .report(vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 99])
            .is_empty()
    );
}

#[test]
fn a_probe_sends_as_much_as_the_estimator_asks_for() {
    let mut world = World::new(2_000_000);
    world.egress.set_demand(world.now, 8_000_000);
    let mut probing = 0;
    for _ in 0..50 {
        // Small packets, so that padding has to make up the bytes.
        world.write("v", 120);
        world.pass(MS(2));
        let sent = world.sent();
        let resent = sent.iter().filter(|(ssrc, _)| *ssrc == RESENT);
        probing += resent.map(|(_, bytes)| bytes).sum::<usize>();
    }
    // 15 ms at three and at almost five times the first guess.
    assert!(probing > 15_000, "{probing} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn feedback_of_any_bytes_never_panics_and_is_bounded(
        reports in prop::collection::vec((0u8..=31, 200u8..=207, prop::collection::vec(any::<u8>(), 0..120)), 1..20),
    ) {
        let mut world = World::new(1_000_000);
        for _ in 0..20 {
            world.write("v", 1_000);
        }
        world.sent();
        for (count, kind, mut body) in reports {
            body.resize(body.len().next_multiple_of(4).max(8), 0);
            if let Some(media) = body.get_mut(4..8) {
                media.copy_from_slice(&PICTURE.to_be_bytes());
            }
            let mut packet = vec![0x80 | count, kind];
            packet.extend_from_slice(&((body.len() / 4) as u16).to_be_bytes());
            packet.extend_from_slice(&body);
            world.report(packet);
            world.pass(MS(5));
            prop_assert!(world.sent().len() <= 256);
        }
    }
}
