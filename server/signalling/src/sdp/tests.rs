use std::time::Instant;

use proptest::prelude::*;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, MediaKind};
use str0m::{Candidate, Rtc, RtcConfig};
use tradewind_rtc::{ParticipantSid, ReceivedTrack, SessionDescription, TrackKind, TrackSid};

use super::*;

const SESSION: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n";

const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:v8Lx\r\n\
    a=ice-pwd:GdpW980Caww9WWsbg6jJ5pGu\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 7A:D7:C9:33:94:8D:8A:BA:10:EB:93:21:7C:B4:91:6D:40:F7:56:07:CA:9D:42:D3:80:32:2D:10:D9:AC:8E:15\r\n\
    a=setup:actpass\r\n";

const AUDIO: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n";

const VIDEO: &str = "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
    a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\n\
    a=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=rtpmap:98 VP9/90000\r\na=rtcp-fb:98 transport-cc\r\na=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack pli\r\n\
    a=fmtp:98 profile-id=0\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n\
    a=rtpmap:108 H264/90000\r\na=rtcp-fb:108 nack\r\na=rtcp-fb:108 nack pli\r\n\
    a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
    a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n";

/// What Chromium offers: sections with these mids, kinds and directions, and data channels last but for additions.
fn chromium_offer(sections: &[(&str, char, &str)]) -> String {
    let mids: Vec<&str> = sections.iter().map(|(mid, ..)| *mid).collect();
    let mut sdp = SESSION.replace(
        "a=extmap",
        &format!("a=group:BUNDLE {}\r\na=extmap", mids.join(" ")),
    );
    for (mid, kind, direction) in sections {
        let (media, attributes) = match kind {
            'a' => ("audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0", AUDIO),
            'v' => ("video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 108 109", VIDEO),
            _ => (
                "application 9 UDP/DTLS/SCTP webrtc-datachannel",
                "a=sctp-port:5000\r\na=max-message-size:262144\r\n",
            ),
        };
        sdp += &format!("m={media}\r\n{TRANSPORT}a=mid:{mid}\r\n{attributes}");
        if *kind != 'd' {
            sdp += &format!("a={direction}\r\n");
        }
        if direction.starts_with("send") {
            sdp += &format!("a=msid:- track-{mid}\r\n");
        }
        if *kind == 'v' && direction.starts_with("send") {
            sdp += "a=rid:q send\r\na=rid:h send\r\na=simulcast:send q;h\r\n";
        }
    }
    sdp
}

const JOINING: [(&str, char, &str); 7] = [
    ("0", 'a', "recvonly"),
    ("1", 'a', "recvonly"),
    ("2", 'a', "recvonly"),
    ("3", 'v', "recvonly"),
    ("4", 'v', "recvonly"),
    ("5", 'v', "recvonly"),
    ("6", 'd', ""),
];

const PUBLISHING: [(&str, char, &str); 9] = [
    JOINING[0],
    JOINING[1],
    JOINING[2],
    JOINING[3],
    JOINING[4],
    JOINING[5],
    JOINING[6],
    ("7", 'a', "sendonly"),
    ("8", 'v', "sendonly"),
];

#[expect(
    clippy::disallowed_methods,
    reason = "str0m needs a first instant; the text does not depend on it"
)]
fn server_with(change: impl FnOnce(RtcConfig) -> RtcConfig) -> Rtc {
    let mut rtc =
        change(Rtc::builder().set_rtp_mode(true).enable_opus(true, true)).build(Instant::now());
    rtc.add_local_candidate(Candidate::host("203.0.113.5:7882".parse().unwrap(), "udp").unwrap());
    rtc
}

fn server() -> Rtc {
    server_with(|config| config.set_ice_lite(true))
}

fn answer(rtc: &mut Rtc, offer: &str) -> String {
    rtc.sdp_api()
        .accept_offer(SdpOffer::from_sdp_string(offer).unwrap())
        .unwrap()
        .to_sdp_string()
}

fn description(sdp: &str, target: Target, sections: Vec<Section>) -> Description {
    Description {
        target,
        description: SessionDescription {
            sdp: sdp.to_owned(),
            id: 1,
        },
        sections,
    }
}

fn forwarding(mid: &str, track: &str) -> Section {
    Section {
        mid: mid.into(),
        kind: TrackKind::Audio,
        forwards: Some(ForwardedTrack {
            participant: ParticipantSid::from("PA_paris"),
            track: TrackSid::from(track),
            stream: None,
        }),
        receives: None,
    }
}

fn receiving(mid: &str, received: ReceivedTrack) -> Section {
    Section {
        mid: mid.into(),
        kind: TrackKind::Video,
        forwards: None,
        receives: Some(received),
    }
}

fn plain_track() -> ReceivedTrack {
    ReceivedTrack {
        track: TrackSid::from("TR_own"),
        disable_dtx: false,
        stereo: false,
        disable_red: false,
        codec: None,
    }
}

fn section_of<'a>(sdp: &'a str, mid: &str) -> Vec<&'a str> {
    let sections = split_at_media_lines(sdp);
    let found = sections
        .iter()
        .find(|text| text.contains(&format!("a=mid:{mid}\r\n")))
        .unwrap();
    found.lines().collect()
}

fn is_transport_line(line: &&str) -> bool {
    let names = [
        "ice-",
        "fingerprint",
        "setup",
        "candidate",
        "sctp",
        "max-message-size",
        "group",
        "mid",
        "extmap",
    ];
    line.strip_prefix("a=")
        .is_some_and(|attribute| names.iter().any(|name| attribute.starts_with(name)))
}

fn finish_for_chromium(sdp: &str, sections: Vec<Section>) -> String {
    finish(
        &description(sdp, Target::Publisher, sections),
        &SdpClient::default(),
    )
}

#[test]
fn sections_offered_ahead_are_inactive_until_a_track_comes() {
    let mut rtc = server();
    let written = answer(&mut rtc, &chromium_offer(&JOINING));
    assert_eq!(
        written.matches("a=sendonly").count(),
        6,
        "str0m's own text changed: {written}"
    );
    let finished = finish_for_chromium(&written, Vec::new());
    assert_eq!(finished.matches("a=inactive\r\n").count(), 6);
    for gone in ["a=sendonly", "a=msid:", "a=ssrc"] {
        assert!(!finished.contains(gone), "{gone} in {finished}");
    }
    SdpAnswer::from_sdp_string(&finished).unwrap();
}

#[test]
fn forwarded_tracks_are_named_in_each_answer_and_the_transport_stays_as_it_was() {
    let mut rtc = server();
    let first = answer(&mut rtc, &chromium_offer(&JOINING));
    let second = answer(&mut rtc, &chromium_offer(&JOINING));
    for written in [&first, &second] {
        let finished = finish_for_chromium(
            written,
            vec![forwarding("1", "TR_voice"), forwarding("4", "TR_face")],
        );
        SdpAnswer::from_sdp_string(&finished).unwrap();
        let video = section_of(&finished, "4");
        assert!(
            video.contains(&"a=msid:PA_paris|TR_face TR_face"),
            "{video:?}"
        );
        assert!(video.contains(&"a=sendonly"));
        let named = video
            .iter()
            .filter(|line| line.ends_with(" msid:PA_paris|TR_face TR_face"))
            .count();
        assert_eq!(named, 2, "the ssrc and its repair: {video:?}");
        assert!(section_of(&finished, "1").contains(&"a=msid:PA_paris|TR_voice TR_voice"));
        assert!(section_of(&finished, "3").contains(&"a=inactive"));
        let transport = |sdp: &str| {
            sdp.lines()
                .filter(is_transport_line)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(transport(&finished), transport(written));
    }
}

#[test]
fn a_publisher_is_told_how_to_encode() {
    let mut rtc = server();
    answer(&mut rtc, &chromium_offer(&JOINING));
    let written = answer(&mut rtc, &chromium_offer(&PUBLISHING));
    let stereo = ReceivedTrack {
        stereo: true,
        ..plain_track()
    };
    let vp9 = ReceivedTrack {
        codec: Some("video/VP9".into()),
        ..plain_track()
    };
    let finished = finish_for_chromium(&written, vec![receiving("7", stereo), receiving("8", vp9)]);
    SdpAnswer::from_sdp_string(&finished).unwrap();

    let audio = section_of(&finished, "7");
    assert!(
        audio[0].starts_with("m=audio 9 UDP/TLS/RTP/SAVPF 63 111"),
        "{audio:?}"
    );
    let opus = *audio
        .iter()
        .find(|line| line.starts_with("a=fmtp:111 "))
        .unwrap();
    for wish in [
        "minptime=10",
        "usedtx=1",
        ";stereo=1",
        "sprop-stereo=1",
        "maxaveragebitrate=510000",
    ] {
        assert!(opus.contains(wish), "{wish} in {opus}");
    }
    let video = section_of(&finished, "8");
    assert!(
        video[0].starts_with("m=video 9 UDP/TLS/RTP/SAVPF 98 99 96 97"),
        "{video:?}"
    );
    assert!(
        video.contains(&"a=recvonly") && video.contains(&"a=simulcast:recv q;h"),
        "{video:?}"
    );
}

#[test]
fn a_publisher_may_refuse_silence_suppression_and_redundancy() {
    let mut rtc = server();
    let written = answer(&mut rtc, &chromium_offer(&[("7", 'a', "sendonly")]));
    let plain = ReceivedTrack {
        disable_dtx: true,
        disable_red: true,
        ..plain_track()
    };
    let finished = finish_for_chromium(&written, vec![receiving("7", plain)]);
    let audio = section_of(&finished, "7");
    assert!(
        audio[0].starts_with("m=audio 9 UDP/TLS/RTP/SAVPF 111 ") && audio[0].ends_with(" 63"),
        "{audio:?}"
    );
    assert!(!finished.contains("usedtx") && !finished.contains("stereo"));
}

#[test]
fn firefox_on_linux_and_android_sees_only_the_codec_asked_for() {
    let mut rtc = server();
    let written = answer(&mut rtc, &chromium_offer(&[("8", 'v', "sendonly")]));
    let vp8 = ReceivedTrack {
        codec: Some("vp8".into()),
        ..plain_track()
    };
    let description = description(&written, Target::Publisher, vec![receiving("8", vp8)]);
    let finished_for = |os: &str| {
        finish(
            &description,
            &SdpClient {
                firefox: true,
                os: os.into(),
            },
        )
    };
    let finished = finished_for("Linux");
    SdpAnswer::from_sdp_string(&finished).unwrap();
    assert!(section_of(&finished, "8").contains(&"m=video 9 UDP/TLS/RTP/SAVPF 96 97"));
    assert!(!finished.contains("VP9") && !finished.contains(":108 "));
    assert!(finished_for("windows").contains("VP9"));
}

#[test]
fn a_server_offer_names_its_tracks_and_ends_the_rest() {
    let mut rtc = server();
    let mut change = rtc.sdp_api();
    let voice = change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
    let gone = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    change.add_channel("_reliable".into());
    let written = change.apply().unwrap().0.to_sdp_string();
    let mut section = forwarding(&voice, "TR_voice");
    section.forwards.as_mut().unwrap().stream = Some("camera".into());
    let finished = finish(
        &description(&written, Target::Subscriber, vec![section]),
        &SdpClient::default(),
    );
    SdpOffer::from_sdp_string(&finished).unwrap();
    assert!(section_of(&finished, &voice).contains(&"a=msid:PA_paris|camera TR_voice"));
    assert!(section_of(&finished, &gone).contains(&"a=inactive"));
    assert!(!finished.contains("usedtx"));
}

#[test]
fn a_stream_name_cannot_write_lines_of_its_own() {
    let mut rtc = server();
    let written = answer(&mut rtc, &chromium_offer(&JOINING));
    let mut section = forwarding("0", "TR_voice");
    section.forwards.as_mut().unwrap().stream = Some("x y\r\na=ice-pwd:stolen\u{2028}".into());
    let finished = finish_for_chromium(&written, vec![section]);
    assert!(section_of(&finished, "0").contains(&"a=msid:PA_paris|xyaice-pwdstolen TR_voice"));
    let mut section = forwarding("0", "TR_voice");
    section.forwards.as_mut().unwrap().stream = Some(" \n".into());
    assert!(
        finish_for_chromium(&written, vec![section]).contains("a=msid:PA_paris|TR_voice TR_voice")
    );
}

#[test]
fn a_client_takes_the_finished_answers_of_offer_and_new_offer() {
    let (mut client, mut server) = (
        server_with(|config| config.set_snap_enabled(true)),
        server_with(|config| config.set_snap_enabled(true)),
    );
    let mut handshakes = Vec::new();
    for (kind, track) in [
        (MediaKind::Audio, "TR_voice"),
        (MediaKind::Video, "TR_face"),
    ] {
        let mut change = client.sdp_api();
        let mid = change.add_media(kind, Direction::RecvOnly, None, None, None);
        change.add_channel("_lossy".into());
        let (offer, pending) = change.apply().unwrap();
        let written = answer(&mut server, &offer.to_sdp_string());
        let finished = finish_for_chromium(&written, vec![forwarding(&mid, track)]);
        handshakes.extend(
            finished
                .lines()
                .find(|line| line.starts_with("a=sctp-init:"))
                .map(str::to_owned),
        );
        let parsed = SdpAnswer::from_sdp_string(&finished).unwrap();
        client.sdp_api().accept_answer(pending, parsed).unwrap();
    }
    assert_eq!(handshakes.len(), 2);
    assert_eq!(handshakes[0], handshakes[1]);
}

#[test]
fn firefox_is_recognised_by_its_browser_name() {
    let client = Client {
        browser: "Firefox".into(),
        os: "android".into(),
        ..Client::default()
    };
    assert!(SdpClient::from(&client).needs_single_codec());
    assert!(
        !SdpClient::from(&Client {
            browser: "chrome".into(),
            ..client
        })
        .needs_single_codec()
    );
}

proptest! {
    #[test]
    fn finishing_twice_is_finishing_once(
        forwards in prop::collection::vec(any::<bool>(), 6),
        flags in any::<[bool; 4]>(),
        codec in prop::option::of("(vp8|VP9|video/H264|av1|)"),
        firefox in any::<bool>(),
    ) {
        let mut rtc = server();
        let written = answer(&mut rtc, &chromium_offer(&PUBLISHING));
        let [disable_dtx, stereo, disable_red, receives] = flags;
        let mut sections: Vec<Section> = (0..6)
            .filter(|index| forwards[*index])
            .map(|index| forwarding(&index.to_string(), &format!("TR_{index}")))
            .collect();
        if receives {
            let received = ReceivedTrack { disable_dtx, stereo, disable_red, codec, ..plain_track() };
            sections.push(receiving("7", received.clone()));
            sections.push(receiving("8", received));
        }
        let client = SdpClient { firefox, os: "linux".into() };
        let once = finish(&description(&written, Target::Publisher, sections.clone()), &client);
        SdpAnswer::from_sdp_string(&once).unwrap();
        let twice = finish(&description(&once, Target::Publisher, sections), &client);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_text_makes_it_panic(lines in prop::collection::vec("(m=audio |m=video |a=mid:|a=rtpmap:|a=fmtp:|a=ssrc:|)[ -~]{0,12}", 0..30)) {
        let text = lines.join("\r\n");
        let section = Section { receives: Some(plain_track()), ..forwarding("0", "TR_x") };
        finish_for_chromium(&text, vec![section]);
    }

    #[test]
    fn text_without_media_sections_stays_as_it_is(text in "[^m]*") {
        prop_assert_eq!(finish_for_chromium(&text, Vec::new()), text);
    }
}
