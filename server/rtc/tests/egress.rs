//! What leaves for a subscriber, seen on the wire: counters, retransmissions, reports, and the pair it takes.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Client, Link, World};
use tradewind_rtc::{ConnectionId, TrackKind};
use tradewind_srtp::Opener;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A shopper with camera and microphone, and an agent on `link`.
fn call(seed: u64, link: Link) -> (World, ConnectionId, ConnectionId) {
    let mut world = World::new(seed);
    let client = Client::new(&mut world, "shopper");
    let shopper = world.join(client);
    world.run_until("connected", |world| world.client(shopper).connected);
    let client = world.client(shopper);
    client.publish("camera", TrackKind::Video, &[]);
    world.run(MS(200));
    let client = world.client(shopper);
    client.publish("microphone", TrackKind::Audio, &[]);
    let client = Client::new(&mut world, "agent");
    world.network.set_link(client.address, link);
    let agent = world.join(client);
    (world, shopper, agent)
}

struct Seen {
    at: Instant,
    to: SocketAddr,
    ssrc: u32,
    payload_type: u8,
    header: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Wire {
    media: Vec<Seen>,
    /// Compound packets in the clear, and when they came.
    reports: Vec<(Instant, Vec<u8>)>,
}

/// Opens everything that reached a client. A packet index that was sealed twice would be refused as a replay.
fn open(world: &mut World, client: ConnectionId) -> Wire {
    let client = world.client(client);
    let keys = client.keys.keys().expect("connected");
    let mut opener = Opener::new(keys.profile, &keys.remote).expect("usable keys");
    let mut wire = Wire::default();
    for (at, to, datagram) in &client.datagrams {
        let mut datagram = datagram.clone();
        match datagram[..2] {
            [128..=191, 192..=223] => {
                let report = opener.open_rtcp(&mut datagram).expect("sealed once");
                wire.reports.push((*at, report.to_vec()));
            }
            [128..=191, kind] => {
                let opened = opener.open_rtp(&mut datagram).expect("sealed once");
                wire.media.push(Seen {
                    at: *at,
                    to: *to,
                    ssrc: opened.ssrc,
                    payload_type: kind & 0x7f,
                    header: datagram[..opened.header_len].to_vec(),
                    payload: datagram[opened.header_len..opened.len].to_vec(),
                });
            }
            _ => {}
        }
    }
    assert!(
        !wire.media.is_empty() && !wire.reports.is_empty(),
        "{} packets of media, {} reports",
        wire.media.len(),
        wire.reports.len()
    );
    wire
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

const OPUS: u8 = 111;
const VP8: u8 = 96;

#[test]
fn no_index_is_sealed_twice_and_no_stream_has_two_owners() {
    let lossy = Link {
        loss: 0.03,
        ..Link::default()
    };
    let (mut world, shopper, agent) = call(1, lossy);
    world.run(MS(3_000));
    // Sections come, lose their track, carry the next one, and are described anew each time.
    for round in 0..4 {
        let client = Client::new(&mut world, &format!("guest {round}"));
        let guest = world.join(client);
        world.run_until("connected", |world| world.client(guest).connected);
        world.client(guest).publish("camera", TrackKind::Video, &[]);
        world.run(MS(1_500));
        world.signal(
            guest,
            tradewind_rtc::SignalRequest::Leave {
                reason: tradewind_rtc::DisconnectReason::ClientInitiated,
            },
        );
        world.run(MS(300));
    }
    for client in [shopper, agent] {
        let wire = open(&mut world, client);
        let media: BTreeSet<u32> = wire.media.iter().map(|seen| seen.ssrc).collect();
        assert!(media.len() >= 4);
        for (_, report) in &wire.reports {
            let goodbye = report.get(9) == Some(&203);
            assert!(
                report[1] == 200 || goodbye || !media.contains(&word(report, 4)),
                "only its owner reports on a stream"
            );
        }
    }
}

#[test]
fn a_description_names_the_streams_that_are_sent() {
    let (mut world, _, agent) = call(2, Link::default());
    world.run(MS(3_000));
    let client = Client::new(&mut world, "guest");
    let guest = world.join(client);
    world.run_until("connected", |world| world.client(guest).connected);
    world.client(guest).publish("camera", TrackKind::Video, &[]);
    world.run(MS(3_000));
    let described: BTreeSet<u32> = world
        .client(agent)
        .events
        .iter()
        .rev()
        .find_map(|event| match event {
            tradewind_rtc::Event::Answer(answer) => Some(answer.description.sdp.clone()),
            _ => None,
        })
        .expect("an answer came")
        .lines()
        .filter_map(|line| {
            line.strip_prefix("a=ssrc:")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    let now = world.now;
    let wire = open(&mut world, agent);
    let sent: BTreeSet<u32> = wire
        .media
        .iter()
        .filter(|seen| now - seen.at < MS(1_000))
        .map(|seen| seen.ssrc)
        .collect();
    assert!(sent.len() >= 3, "two cameras and a microphone: {sent:?}");
    assert!(sent.is_subset(&described), "{sent:?} {described:?}");
}

#[test]
fn a_lost_packet_comes_again_on_the_resend_stream() {
    let lossy = Link {
        loss: 0.05,
        ..Link::default()
    };
    let (mut world, _, agent) = call(3, lossy);
    world.run(MS(6_000));
    let wire = open(&mut world, agent);
    let camera: Vec<&Seen> = wire
        .media
        .iter()
        .filter(|seen| seen.payload_type == VP8)
        .collect();
    let sequence = |seen: &Seen| u16::from_be_bytes([seen.header[2], seen.header[3]]);
    let original: BTreeMap<u16, &Seen> =
        camera.iter().map(|seen| (sequence(seen), *seen)).collect();
    let resent: Vec<&Seen> = wire
        .media
        .iter()
        .filter(|seen| seen.payload_type != VP8 && seen.payload_type != OPUS)
        .filter(|seen| seen.header[0] & 0x20 == 0)
        .collect();
    assert!(resent.len() > 3, "{} packets came again", resent.len());
    let mut repaired = 0;
    for again in &resent {
        assert_ne!(again.ssrc, camera[0].ssrc);
        let number = u16::from_be_bytes([again.payload[0], again.payload[1]]);
        match original.get(&number) {
            // Sent although it arrived: its report crossed the packet.
            Some(first) => assert_eq!(first.payload, again.payload[2..]),
            None => repaired += 1,
        }
    }
    assert!(repaired > 3, "{repaired} holes were filled");
}

#[test]
fn reports_tie_the_clocks_of_sound_and_picture_together() {
    let (mut world, _, agent) = call(4, Link::default());
    world.run(MS(12_000));
    let wire = open(&mut world, agent);
    for (payload_type, rate, every) in [(VP8, 90_000.0, 1.0), (OPUS, 48_000.0, 5.0)] {
        let first = wire
            .media
            .iter()
            .find(|seen| seen.payload_type == payload_type)
            .expect("media");
        let reports: Vec<_> = wire
            .reports
            .iter()
            .filter(|(_, report)| report[1] == 200 && word(report, 4) == first.ssrc)
            .collect();
        assert!(
            reports[0].0 - first.at <= MS(5),
            "the first report comes with the first packets"
        );
        assert!(reports.len() >= 2);
        for pair in reports.windows(2) {
            let ntp = |report: &[u8]| {
                f64::from(word(report, 8)) + f64::from(word(report, 12)) / 4_294_967_296.0
            };
            let (earlier, later) = (&pair[0].1, &pair[1].1);
            let apart = ntp(later) - ntp(earlier);
            assert!((apart - every).abs() < 0.1, "{apart} s between reports");
            let ticks = f64::from(word(later, 16).wrapping_sub(word(earlier, 16)));
            assert!(
                (ticks / rate - apart).abs() < 0.05,
                "{} s of media in {apart} s",
                ticks / rate
            );
            assert_eq!(earlier[29], 202, "our name follows");
        }
    }
}

#[test]
fn packets_name_their_section_until_the_receiver_knows_the_stream() {
    let (mut world, _, agent) = call(5, Link::default());
    world.run(MS(12_000));
    let wire = open(&mut world, agent);
    let sound: Vec<&Seen> = wire
        .media
        .iter()
        .filter(|seen| seen.payload_type == OPUS)
        .collect();
    let (first, last) = (sound[0], sound[sound.len() - 1]);
    assert!(
        first.header.len() > last.header.len(),
        "{} then {}",
        first.header.len(),
        last.header.len()
    );
}

#[test]
fn media_follows_when_the_client_changes_networks() {
    let (mut world, _, agent) = call(6, Link::default());
    world.run(MS(3_000));
    let (wlan, mobile) = (
        world.client(agent).address,
        SocketAddr::from(([10, 0, 2, 9], 6_000)),
    );
    world.client(agent).enter_network(mobile);
    world.run(MS(3_000));
    world.network.set_link(
        wlan,
        Link {
            cut: true,
            ..Link::default()
        },
    );
    // ICE gives the old pair up, and only then takes the other.
    world.run(MS(32_000));
    let now = world.now;
    let wire = open(&mut world, agent);
    let recent: Vec<&Seen> = wire
        .media
        .iter()
        .filter(|seen| now - seen.at < MS(1_000))
        .collect();
    assert!(recent.len() > 50, "{} packets", recent.len());
    assert!(recent.iter().all(|seen| seen.to == mobile));
}
