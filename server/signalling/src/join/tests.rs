use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use prost::Message;
use tradewind_rtc::TrackKind;

use super::*;
use crate::convert::proto;
use crate::convert::proto::wrapped_join_request::Compression;
use crate::token::VideoGrant;

const CONNECTION: ConnectionId = ConnectionId(7);

fn claims() -> Claims {
    Claims {
        identity: "shopper-7".into(),
        name: "Aiko".into(),
        metadata: "from the token".into(),
        attributes: [("locale".to_owned(), "ja".to_owned())].into(),
        grants: VideoGrant {
            room_join: true,
            room: "order-17".into(),
            can_update_own_metadata: Some(true),
            ..VideoGrant::default()
        },
        ..Claims::default()
    }
}

fn v0(query: &str) -> Result<Connect, ConnectError> {
    connect_v0(query, &claims(), CONNECTION, &Limits::default())
}

fn v1(query: &str) -> Result<Connect, ConnectError> {
    connect_v1(query, &claims(), CONNECTION, &Limits::default())
}

fn join_of(connect: Result<Connect, ConnectError>) -> Join {
    match connect.unwrap().request {
        ConnectRequest::Join(join) => *join,
        ConnectRequest::Resume(resume) => panic!("{resume:?}"),
    }
}

fn resume_of(connect: Result<Connect, ConnectError>) -> Resume {
    match connect.unwrap().request {
        ConnectRequest::Resume(resume) => *resume,
        ConnectRequest::Join(join) => panic!("{join:?}"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn wrap(compression: Compression, join_request: Vec<u8>) -> Vec<u8> {
    let compression = compression as i32;
    proto::WrappedJoinRequest {
        compression,
        join_request,
    }
    .encode_to_vec()
}

/// As Python and browsers send it.
fn gzipped(request: &proto::JoinRequest) -> String {
    let wrapper = wrap(Compression::Gzip, gzip(&request.encode_to_vec()));
    format!(
        "access_token=x&join_request={}",
        URL_SAFE_NO_PAD.encode(wrapper)
    )
}

fn request() -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Python as i32,
            version: "1.2.1".into(),
            protocol: 18,
            client_protocol: 1,
            os: "linux".into(),
            capabilities: vec![1, 2],
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: true,
            adaptive_stream: true,
            ..Default::default()
        }),
        publisher_offer: Some(proto::SessionDescription {
            r#type: "offer".into(),
            sdp: "v=0\r\n".repeat(2000),
            ..Default::default()
        }),
        add_track_requests: vec![proto::AddTrackRequest {
            cid: "camera".into(),
            r#type: proto::TrackType::Video as i32,
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn a_bare_query_joins_with_two_connections_and_subscribes_to_everything() {
    let join = join_of(v0("access_token=x"));
    assert_eq!(
        (join.room.as_str(), join.identity.as_str()),
        ("order-17", "shopper-7")
    );
    assert_eq!(
        (join.name.as_str(), join.metadata.as_str()),
        ("Aiko", "from the token")
    );
    assert_eq!(
        (join.connection, join.peer_mode),
        (CONNECTION, PeerMode::Dual)
    );
    assert_eq!(
        (join.auto_subscribe, join.adaptive_stream, join.full_ice),
        (true, false, false)
    );
    assert_eq!(join.client.sdk, "unknown");
    assert!(join.offer.is_none() && join.add_tracks.is_empty());
}

#[test]
fn a_browser_says_who_it_is_in_its_query() {
    let connect = v0(
        "sdk=js&auto_subscribe_data_track=1&version=2.23.0&protocol=17&client_protocol=2&browser=Firefox&browser_version=140.0&os=Linux\
         &auto_subscribe=0&adaptive_stream=1&capabilities=CAP_PACKET_TRAILER,cap_new,2&brand_new=1",
    );
    assert_eq!(connect.as_ref().unwrap().settings.browser_version, "140.0");
    let join = join_of(connect);
    assert_eq!(
        join.client,
        Client {
            sdk: "js".into(),
            version: "2.23.0".into(),
            protocol: 17,
            client_protocol: 2,
            capabilities: vec![1, 2],
            browser: "firefox".into(),
            os: "Linux".into(),
        }
    );
    assert_eq!((join.auto_subscribe, join.adaptive_stream), (false, true));
    assert!(join.auto_subscribe_data_tracks);
    assert!(join.full_ice, "Firefox needs a full ICE agent");
}

#[test]
fn ios_is_the_swift_sdk_and_may_ask_for_full_ice() {
    let join = join_of(v0("sdk=ios&disable_ice_lite=true"));
    assert_eq!(join.client.sdk, "swift");
    assert!(join.full_ice);
}

#[test]
fn attributes_of_the_query_go_over_those_of_the_token() {
    let json = r#"{"locale":"fr","cart":"3","gone":""}"#;
    for encoded in [URL_SAFE.encode(json), URL_SAFE_NO_PAD.encode(json)] {
        let join = join_of(v0(&format!("attributes={encoded}")));
        let expected =
            [("cart", "3"), ("locale", "fr")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(join.attributes, BTreeMap::from(expected));
    }
    let error = v0("attributes=%25").unwrap_err();
    assert_eq!((error.status(), error), (400, ConnectError::BadAttributes));
}

#[test]
fn attributes_need_the_grant_to_update_metadata() {
    let mut claims = claims();
    claims.grants.can_update_own_metadata = None;
    let query = format!("attributes={}", URL_SAFE.encode(r#"{"a":"b"}"#));
    let error = connect_v0(&query, &claims, CONNECTION, &Limits::default()).unwrap_err();
    assert_eq!(
        (error.status(), error),
        (401, ConnectError::MetadataNotAllowed)
    );

    let query = gzipped(&proto::JoinRequest {
        metadata: "mine".into(),
        ..request()
    });
    let error = connect_v1(&query, &claims, CONNECTION, &Limits::default()).unwrap_err();
    assert_eq!(error, ConnectError::MetadataNotAllowed);
}

#[test]
fn an_empty_attribute_does_not_delete_what_the_token_says() {
    let join = join_of(v0(&format!(
        "attributes={}",
        URL_SAFE.encode(r#"{"locale":""}"#)
    )));
    assert_eq!(join.attributes, claims().attributes);
}

#[test]
fn tokens_without_the_right_claims_are_refused() {
    type Change = fn(&mut Claims);
    let cases: [(Change, u16, ConnectError); 5] = [
        (
            |claims| claims.grants.room_join = false,
            401,
            ConnectError::JoinNotAllowed,
        ),
        (
            |claims| claims.identity.clear(),
            400,
            ConnectError::NoIdentity,
        ),
        (
            |claims| claims.grants.room.clear(),
            400,
            ConnectError::NoRoom,
        ),
        (
            |claims| claims.name = "é".repeat(257),
            400,
            ConnectError::TextTooLong {
                what: "participant's name",
                limit: 256,
            },
        ),
        (
            |claims| claims.metadata = "x".repeat(512 * 1024 + 1),
            400,
            ConnectError::TooLarge {
                what: "metadata",
                limit: 512 * 1024,
            },
        ),
    ];
    for (change, status, expected) in cases {
        let mut claims = claims();
        change(&mut claims);
        let error = connect_v0("", &claims, CONNECTION, &Limits::default()).unwrap_err();
        assert_eq!((error.status(), error), (status, expected));
    }
    let mut claims = claims();
    claims.name = "é".repeat(256);
    assert!(connect_v0("", &claims, CONNECTION, &Limits::default()).is_ok());
}

#[test]
fn a_reconnect_resumes_the_session_the_query_names() {
    let resume = resume_of(v0("reconnect=1&sid=PA_000000000001&reconnect_reason=1"));
    assert_eq!(resume.participant.as_str(), "PA_000000000001");
    assert_eq!(
        (resume.room.as_str(), resume.identity.as_str()),
        ("order-17", "shopper-7")
    );
    assert_eq!(resume_of(v0("reconnect=1")).participant.as_str(), "");
    assert!(v0(&format!("reconnect=1&sid={}", "x".repeat(65))).is_err());
    join_of(v0("reconnect=0&sid=PA_000000000001"));
}

#[test]
fn python_joins_with_a_gzipped_request_that_holds_its_offer() {
    let join = join_of(v1(&gzipped(&request())));
    assert_eq!(
        (join.peer_mode, join.auto_subscribe, join.adaptive_stream),
        (PeerMode::Single, true, true)
    );
    assert_eq!(
        (join.client.sdk.as_str(), join.client.protocol),
        ("python", 18)
    );
    assert_eq!(join.client.capabilities, vec![1, 2]);
    let offer = join.offer.unwrap();
    assert_eq!((offer.id, offer.sdp.len()), (0, 10_000));
    assert_eq!(join.add_tracks[0].kind, TrackKind::Video);
}

#[test]
fn what_the_python_sdk_really_sends_is_read() {
    // Recorded from the package livekit 1.2.1 of PyPI, which falls back to the older path when told 404.
    let join = join_of(v1(include_str!("samples/python_1.2.1_v1.query")));
    let client = Client {
        sdk: "python".into(),
        version: "1.2.1".into(),
        protocol: 18,
        client_protocol: 2,
        capabilities: vec![1, 2],
        browser: String::new(),
        os: "Debian".into(),
    };
    assert_eq!(join.client, client);
    assert_eq!(
        (join.auto_subscribe, join.peer_mode),
        (true, PeerMode::Single)
    );
    assert!(!join.auto_subscribe_data_tracks, "it chooses one by one");
    let sdp = join.offer.unwrap().sdp;
    let sections = |kind: &str| sdp.matches(&format!("\r\nm={kind} ")).count();
    assert_eq!(["audio", "video", "application"].map(sections), [3, 3, 1]);

    let join = join_of(v0(include_str!("samples/python_1.2.1_v0.query")));
    assert_eq!(join.client, client);
    assert_eq!(
        (join.auto_subscribe, join.peer_mode),
        (true, PeerMode::Dual)
    );
}

#[test]
fn a_plain_request_with_or_without_padding_is_read_too() {
    let request = proto::JoinRequest {
        metadata: "mine!".into(),
        ..Default::default()
    };
    let wrapper = wrap(Compression::None, request.encode_to_vec());
    for encoded in [URL_SAFE.encode(&wrapper), URL_SAFE_NO_PAD.encode(&wrapper)] {
        for encoded in [encoded.replace('=', "%3D"), encoded] {
            let join = join_of(v1(&format!("join_request={encoded}")));
            assert_eq!(join.metadata, "mine!");
            assert!(!join.auto_subscribe, "there is no default in this form");
            assert!(join.offer.is_none());
        }
    }
}

#[test]
fn a_single_connection_client_resumes_with_its_sid() {
    let resume = resume_of(v1(&gzipped(&proto::JoinRequest {
        reconnect: true,
        participant_sid: "PA_000000000001".into(),
        sync_state: Some(proto::SyncState {
            track_sids_disabled: vec!["TR_1".into()],
            ..Default::default()
        }),
        ..Default::default()
    })));
    assert_eq!(resume.participant.as_str(), "PA_000000000001");
    assert_eq!(resume.sync_state.unwrap().disabled, vec!["TR_1".into()]);
}

#[test]
fn a_bomb_is_not_inflated_beyond_the_limit() {
    // Cut in half, so that whoever reads on to the end finds a broken stream instead of too large a one.
    let mut bomb = gzip(&vec![0; 64 * 1024 * 1024]);
    bomb.truncate(bomb.len() / 2);
    let query = format!(
        "join_request={}",
        URL_SAFE.encode(wrap(Compression::Gzip, bomb))
    );
    let error = v1(&query).unwrap_err();
    assert!(matches!(error, ConnectError::TooLarge { limit, .. } if limit == 1024 * 1024));
    assert_eq!(error.status(), 400);
}

#[test]
fn half_a_million_empty_tracks_are_refused_before_they_take_memory() {
    let empty_tracks = [0x2a, 0].repeat(500_000);
    let query = format!(
        "join_request={}",
        URL_SAFE.encode(wrap(Compression::Gzip, gzip(&empty_tracks)))
    );
    assert_eq!(
        v1(&query).unwrap_err(),
        ConnectError::BadJoinRequest("it has too many fields".into())
    );
}

#[test]
fn more_tracks_than_a_client_has_are_refused() {
    let tracks = vec![proto::AddTrackRequest::default(); 65];
    let query = gzipped(&proto::JoinRequest {
        add_track_requests: tracks,
        ..Default::default()
    });
    assert_eq!(
        v1(&query).unwrap_err(),
        ConnectError::TooManyTracks { limit: 64 }
    );
    let long = proto::AddTrackRequest {
        name: "x".repeat(257),
        ..Default::default()
    };
    let query = gzipped(&proto::JoinRequest {
        add_track_requests: vec![long],
        ..Default::default()
    });
    assert!(matches!(v1(&query), Err(ConnectError::BadTrack(_))));
}

#[test]
fn malformed_requests_say_what_is_wrong() {
    assert_eq!(
        v1("access_token=x").unwrap_err(),
        ConnectError::NoJoinRequest
    );
    for query in [
        "join_request=%21".to_owned(),
        format!("join_request={}", URL_SAFE.encode([0xff; 4])),
        format!(
            "join_request={}",
            URL_SAFE.encode(wrap(Compression::Gzip, b"no gzip".to_vec()))
        ),
        format!("join_request={}", URL_SAFE.encode([0x08, 9])),
    ] {
        let error = v1(&query).unwrap_err();
        assert!(matches!(error, ConnectError::BadJoinRequest(_)), "{error}");
        assert_eq!(error.status(), 400);
    }
}

proptest! {
    #[test]
    fn connecting_never_panics_on_any_query(query in ".{0,300}") {
        let _ = v0(&query);
        let _ = v1(&query);
    }

    #[test]
    fn connecting_never_panics_on_any_parameter(value in ".{0,100}", key in 0_usize..4) {
        let key = ["attributes", "sid", "protocol", "capabilities"][key];
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let _ = v0(&format!("{key}={encoded}&reconnect=1"));
    }

    #[test]
    fn joining_never_panics_on_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        compressed in any::<bool>(),
    ) {
        let wrapper = if compressed {
            wrap(Compression::Gzip, gzip(&bytes))
        } else {
            wrap(Compression::None, bytes.clone())
        };
        let _ = v1(&format!("join_request={}", URL_SAFE.encode(wrapper)));
        let _ = v1(&format!("join_request={}", URL_SAFE.encode(&bytes)));
    }
}
