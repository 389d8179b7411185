//! Simulcast layers: chosen by what the subscriber wants and what its link carries, and switched without seams.

mod common;

use std::time::Duration;

use common::{Client, Link, World, any};
use tradewind_rtc::{
    ConnectionId, Event, SignalRequest, TrackKind, TrackSettings, TrackSid, VideoQuality,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A publisher of three layers and one subscriber, after two seconds.
fn call(seed: u64, link: Link) -> (World, ConnectionId, ConnectionId, TrackSid) {
    let mut world = World::new(seed);
    let client = Client::new(&mut world, "shopper");
    let shopper = world.join(client);
    world.run_until("connected", |world| world.client(shopper).connected);
    world
        .client(shopper)
        .publish("camera", TrackKind::Video, &["q", "h", "f"]);
    let client = Client::new(&mut world, "agent");
    world.network.set_link(client.address, link);
    let agent = world.join(client);
    world.run(MS(2_000));
    let track = world
        .client(agent)
        .track_of("shopper", "camera")
        .expect("published");
    (world, shopper, agent, track)
}

fn settings(track: &TrackSid, quality: VideoQuality) -> SignalRequest {
    SignalRequest::TrackSettings(TrackSettings {
        tracks: vec![track.clone()],
        disabled: false,
        quality,
        width: 0,
        height: 0,
        fps: 0,
        priority: 0,
    })
}

/// Bits per second the agent received in the next three seconds.
fn bitrate(world: &mut World, agent: ConnectionId) -> usize {
    let bytes = |world: &mut World| {
        world
            .client(agent)
            .packets
            .iter()
            .map(|p| p.payload.len())
            .sum::<usize>()
    };
    let before = bytes(world);
    world.run(MS(3_000));
    (bytes(world) - before) * 8 / 3
}

/// The picture as the agent got it: no sequence number missing or doubled, time and picture ids only go on.
fn assert_seamless(world: &mut World, agent: ConnectionId, track: &TrackSid) {
    let mut packets = world.client(agent).packets_of(track);
    packets.sort_by_key(|packet| *packet.seq_no);
    for pair in packets.windows(2) {
        assert_eq!(
            *pair[1].seq_no,
            *pair[0].seq_no + 1,
            "sequence numbers have no gap"
        );
        let step = pair[1]
            .header
            .timestamp
            .wrapping_sub(pair[0].header.timestamp);
        assert!(step < 10 * 90_000, "time goes on, not back: {step}");
        let id = |payload: &[u8]| u16::from_be_bytes([payload[2], payload[3]]) & 0x7FFF;
        let step = id(&pair[1].payload).wrapping_sub(id(&pair[0].payload)) & 0x7FFF;
        assert!(step <= 1, "picture ids are continuous: {step}");
    }
}

#[test]
fn a_subscriber_gets_the_quality_it_asks_for_without_a_seam() {
    let (mut world, _, agent, track) = call(1, Link::default());
    let high = bitrate(&mut world, agent);
    world.signal(agent, settings(&track, VideoQuality::Low));
    world.run(MS(1_000));
    let low = bitrate(&mut world, agent);
    world.signal(agent, settings(&track, VideoQuality::High));
    world.run(MS(1_000));
    let again = bitrate(&mut world, agent);
    assert!(low * 8 < high, "low {low}, high {high}");
    assert!(again * 10 > high * 8, "again {again}, high {high}");
    assert_seamless(&mut world, agent, &track);
}

#[test]
fn a_disabled_track_pauses_and_comes_back_with_a_key_frame() {
    let (mut world, _, agent, track) = call(2, Link::default());
    let SignalRequest::TrackSettings(mut off) = settings(&track, VideoQuality::High) else {
        unreachable!()
    };
    off.disabled = true;
    world.signal(agent, SignalRequest::TrackSettings(off));
    world.run(MS(200));
    assert_eq!(bitrate(&mut world, agent), 0);
    let before = world.client(agent).packets.len();
    world.signal(agent, settings(&track, VideoQuality::High));
    world.run(MS(1_000));
    let first = world.client(agent).packets[before].clone();
    assert_eq!(first.payload[4] & 1, 0, "a key frame comes first");
    assert_seamless(&mut world, agent, &track);
}

#[test]
fn the_publisher_learns_which_layers_nobody_wants() {
    let (mut world, shopper, agent, track) = call(3, Link::default());
    world.signal(agent, settings(&track, VideoQuality::Low));
    world.run(MS(1_000));
    let told = |event: &Event, top: VideoQuality| match event {
        Event::SubscribedQuality { codecs, .. } => codecs.iter().all(|codec| {
            codec
                .qualities
                .iter()
                .all(|(quality, on)| *on == (*quality <= top))
        }),
        _ => false,
    };
    assert!(
        !any(&world.client(shopper).events, |event| told(
            event,
            VideoQuality::Low
        )),
        "not at once"
    );
    world.run(MS(6_000));
    assert!(
        any(&world.client(shopper).events, |event| told(
            event,
            VideoQuality::Low
        )),
        "after a while"
    );
    world.signal(agent, settings(&track, VideoQuality::High));
    assert!(
        any(&world.client(shopper).events, |event| told(
            event,
            VideoQuality::High
        )),
        "more is told at once"
    );
}

#[test]
fn layers_fall_with_the_link_and_climb_again() {
    let (mut world, _, agent, track) = call(4, Link::default());
    world.run(MS(3_000));
    let wide = bitrate(&mut world, agent);
    let address = world.client(agent).address;
    world.network.set_link(
        address,
        Link {
            down_bitrate: 600_000,
            ..Link::default()
        },
    );
    world.run(MS(8_000));
    let narrow = bitrate(&mut world, agent);
    world.network.set_link(address, Link::default());
    world.run(MS(20_000));
    let again = bitrate(&mut world, agent);
    assert!(narrow < 600_000, "narrow {narrow}");
    assert!(narrow > 50_000, "the picture does not stop: {narrow}");
    assert!(again * 10 > wide * 7, "wide {wide}, again {again}");
    assert!(!world.client(agent).packets_of(&track).is_empty());
}

#[test]
fn what_gets_lost_is_sent_again() {
    let lossy = Link {
        loss: 0.02,
        ..Link::default()
    };
    let (mut world, _, agent, track) = call(5, lossy);
    world.run(MS(10_000));
    let mut sequences: Vec<u64> = world
        .client(agent)
        .packets_of(&track)
        .iter()
        .map(|packet| *packet.seq_no)
        .collect();
    sequences.sort_unstable();
    let span = sequences[sequences.len() - 1] - sequences[0] + 1;
    let missing = span as usize - sequences.len();
    assert!(
        missing * 200 < span as usize,
        "{missing} of {span} packets never came"
    );
}

#[test]
fn a_subscriber_on_a_bad_link_does_not_slow_another() {
    let bad = Link {
        loss: 0.1,
        down_bitrate: 300_000,
        delay: MS(150),
        cut: false,
    };
    let (mut world, _, agent, _) = call(6, bad);
    let client = Client::new(&mut world, "good");
    let good = world.join(client);
    world.run(MS(5_000));
    let (fast, slow) = (bitrate(&mut world, good), bitrate(&mut world, agent));
    assert!(fast > 1_000_000, "good {fast}, bad {slow}");
}
