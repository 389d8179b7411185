use proptest::prelude::*;
use proto::signal_request::Message as Request;
use tradewind_rtc::{
    ChannelState, DisconnectReason, Scenario, SessionDescription, SignalRequest, Target,
    TrackPermission, TrackSettings, UpdateMetadata, VideoQuality,
};

use super::*;

fn receive(session: &mut Session, request: Request) -> Result<Vec<Incoming>, SignalError> {
    session.receive(FrameRef::Binary(&binary(request)), NOW)
}

/// What the room gets.
fn request(request: Request) -> SignalRequest {
    let mut incoming = receive(&mut dual(17), request).unwrap();
    match (incoming.pop(), incoming.len()) {
        (Some(Incoming::Request(request)), 0) => request,
        other => panic!("{other:?}"),
    }
}

/// What the client gets back at once.
fn reply(request: Request) -> Response {
    let incoming = receive(&mut dual(17), request).unwrap();
    match incoming.as_slice() {
        [Incoming::Reply(frame)] => response(frame),
        other => panic!("{other:?}"),
    }
}

fn refusal(asked: Request) -> proto::RequestResponse {
    match reply(asked) {
        Response::RequestResponse(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_forms_of_ping_are_answered_in_kind() {
    assert_eq!(reply(Request::Ping(5)), Response::Pong(NOW as i64));

    let ping = proto::Ping {
        timestamp: 41,
        rtt: 17,
    };
    let incoming = receive(&mut dual(17), Request::PingReq(ping)).unwrap();
    let [
        Incoming::Reply(frame),
        Incoming::Request(SignalRequest::RoundTrip { ms: 17 }),
    ] = incoming.as_slice()
    else {
        panic!("{incoming:?}");
    };
    let pong = proto::Pong {
        last_ping_timestamp: 41,
        timestamp: NOW as i64,
    };
    assert_eq!(response(frame), Response::PongResp(pong));

    let first = proto::Ping {
        timestamp: 41,
        rtt: 0,
    };
    assert!(matches!(
        reply(Request::PingReq(first)),
        Response::PongResp(_)
    ));
}

#[test]
fn descriptions_keep_their_number() {
    let description = proto::SessionDescription {
        r#type: "offer".into(),
        sdp: "v=0\r\n".into(),
        id: 9,
        ..Default::default()
    };
    let expected = SessionDescription {
        sdp: "v=0\r\n".into(),
        id: 9,
    };
    let offer = request(Request::Offer(description.clone()));
    assert!(matches!(offer, SignalRequest::Offer(offer) if offer == expected));
    let answer = request(Request::Answer(description));
    assert!(matches!(answer, SignalRequest::Answer(answer) if answer == expected));
}

#[test]
fn a_description_larger_than_any_real_one_ends_the_connection() {
    let sdp = "v".repeat(1024 * 1024 + 1);
    let offer = proto::SessionDescription {
        sdp,
        ..Default::default()
    };
    let error = receive(&mut dual(17), Request::Offer(offer)).unwrap_err();
    assert_eq!(
        error,
        SignalError::SdpTooLarge {
            bytes: 1_048_577,
            limit: 1_048_576
        }
    );
}

#[test]
fn candidates_are_for_the_publisher_where_there_is_only_one_connection() {
    let trickle = Request::Trickle(proto::TrickleRequest {
        candidate_init: r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 5 typ host"}"#.into(),
        target: proto::SignalTarget::Subscriber as i32,
        r#final: false,
    });
    for (mut session, expected) in [
        (dual(17), Target::Subscriber),
        (single(), Target::Publisher),
    ] {
        let incoming = receive(&mut session, trickle.clone()).unwrap();
        let [Incoming::Request(SignalRequest::Trickle { target, candidate })] = incoming.as_slice()
        else {
            panic!("{incoming:?}");
        };
        assert_eq!(*target, expected);
        assert_eq!(candidate, "candidate:1 1 udp 1 192.0.2.1 5 typ host");
    }
}

#[test]
fn an_announced_track_reaches_the_room() {
    let track = proto::AddTrackRequest {
        cid: "mic".into(),
        ..Default::default()
    };
    let track = request(Request::AddTrack(track));
    assert!(matches!(track, SignalRequest::AddTrack(track) if track.cid == "mic"));
}

#[test]
fn a_track_out_of_bounds_is_refused_and_the_connection_lives_on() {
    let track = proto::AddTrackRequest {
        cid: "mic".into(),
        name: "x".repeat(257),
        ..Default::default()
    };
    let response = refusal(Request::AddTrack(track.clone()));
    assert_eq!(
        response.reason(),
        proto::request_response::Reason::LimitExceeded
    );
    assert_eq!(
        response.request,
        Some(proto::request_response::Request::AddTrack(track))
    );

    let data = proto::AddTrackRequest {
        r#type: proto::TrackType::Data as i32,
        ..Default::default()
    };
    let response = refusal(Request::AddTrack(data));
    assert_eq!(
        response.reason(),
        proto::request_response::Reason::UnsupportedType
    );
}

#[test]
fn what_the_server_does_not_offer_is_refused_where_clients_wait() {
    let store = proto::StoreDataBlobRequest {
        request_id: 8,
        ..Default::default()
    };
    let get = proto::GetDataBlobRequest {
        request_id: 8,
        ..Default::default()
    };
    for asked in [
        Request::StoreDataBlobRequest(store),
        Request::GetDataBlobRequest(get),
    ] {
        let response = refusal(asked);
        assert_eq!(
            response.reason(),
            proto::request_response::Reason::NotAllowed
        );
        assert_eq!(response.request_id, 8);
    }
}

fn data_subscription(sid: &str) -> proto::UpdateDataSubscription {
    let update = proto::update_data_subscription::Update {
        track_sid: sid.into(),
        subscribe: true,
        ..Default::default()
    };
    proto::UpdateDataSubscription {
        updates: vec![update],
    }
}

#[test]
fn data_tracks_are_announced_chosen_and_ended() {
    let track = proto::PublishDataTrackRequest {
        pub_handle: 3,
        name: "sensor".into(),
        ..Default::default()
    };
    let announced = request(Request::PublishDataTrackRequest(track));
    assert!(matches!(announced, SignalRequest::PublishDataTrack(t) if t.name == "sensor"));
    let track = proto::UnpublishDataTrackRequest { pub_handle: 3 };
    let ended = request(Request::UnpublishDataTrackRequest(track));
    assert!(matches!(ended, SignalRequest::UnpublishDataTrack { handle } if handle.get() == 3));
    let chosen = request(Request::UpdateDataSubscription(data_subscription("DTR_1")));
    assert!(matches!(chosen, SignalRequest::DataSubscription(c) if c == [("DTR_1".into(), true)]));
    let endless = Request::UpdateDataSubscription(data_subscription(&"x".repeat(65)));
    let error = receive(&mut dual(17), endless).unwrap_err();
    assert_eq!(error, SignalError::SidTooLong);
}

#[test]
fn a_data_track_out_of_bounds_is_refused_with_its_reason() {
    use proto::data_track_frame_encoding::Value as FrameValue;
    use proto::request_response::Reason;
    let sound = proto::PublishDataTrackRequest {
        pub_handle: 3,
        name: "é".repeat(256),
        ..Default::default()
    };
    request(Request::PublishDataTrackRequest(sound.clone()));
    let renamed = |name: String| proto::PublishDataTrackRequest {
        name,
        ..sound.clone()
    };
    let renumbered = |pub_handle| proto::PublishDataTrackRequest {
        pub_handle,
        ..sound.clone()
    };
    let encoded = proto::PublishDataTrackRequest {
        frame_encoding: Some(proto::DataTrackFrameEncoding {
            value: Some(FrameValue::Custom("x".repeat(33))),
        }),
        ..sound.clone()
    };
    let unnamed_schema = proto::PublishDataTrackRequest {
        schema: Some(proto::DataTrackSchemaId::default()),
        ..sound.clone()
    };
    for (track, reason) in [
        (renamed(String::new()), Reason::InvalidName),
        (renamed("x".repeat(257)), Reason::InvalidName),
        (renumbered(0), Reason::InvalidHandle),
        (renumbered(65_536), Reason::InvalidHandle),
        (encoded, Reason::InvalidRequest),
        (unnamed_schema, Reason::InvalidRequest),
    ] {
        let response = refusal(Request::PublishDataTrackRequest(track.clone()));
        assert_eq!(response.reason(), reason);
        let echoed = proto::request_response::Request::PublishDataTrack(track);
        assert_eq!(response.request, Some(echoed));
    }
    let nowhere = proto::UnpublishDataTrackRequest { pub_handle: 0 };
    let response = refusal(Request::UnpublishDataTrackRequest(nowhere));
    assert_eq!(response.reason(), Reason::InvalidHandle);
}

#[test]
#[expect(deprecated)]
fn what_nobody_waits_for_is_ignored() {
    let mut session = dual(17);
    for ignored in [
        Request::UpdateLayers(proto::UpdateVideoLayers::default()),
        Request::Simulate(proto::SimulateScenario::default()),
    ] {
        assert!(receive(&mut session, ignored).unwrap().is_empty());
    }
    // Field 200 with one byte: a message from the future.
    let unknown = [0xc2, 0x0c, 1, 0];
    assert!(
        session
            .receive(FrameRef::Binary(&unknown), NOW)
            .unwrap()
            .is_empty()
    );
    assert!(
        session
            .receive(FrameRef::Text(r#"{"future":{"a":1}}"#), NOW)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_subscription_names_tracks_in_two_ways() {
    let subscription = request(Request::Subscription(proto::UpdateSubscription {
        track_sids: vec!["TR_1".into()],
        subscribe: true,
        participant_tracks: vec![proto::ParticipantTracks {
            participant_sid: "PA_1".into(),
            track_sids: vec!["TR_2".into()],
        }],
    }));
    let SignalRequest::Subscription {
        tracks,
        subscribe: true,
    } = subscription
    else {
        panic!("{subscription:?}");
    };
    assert_eq!(tracks, ["TR_1".into(), "TR_2".into()]);
}

#[test]
fn quality_off_pauses_a_track() {
    let settings = proto::UpdateTrackSettings {
        track_sids: vec!["TR_1".into()],
        quality: proto::VideoQuality::Off as i32,
        width: 640,
        height: 360,
        fps: 15,
        priority: 2,
        ..Default::default()
    };
    let SignalRequest::TrackSettings(read) = request(Request::TrackSetting(settings)) else {
        panic!();
    };
    let expected = TrackSettings {
        tracks: vec!["TR_1".into()],
        disabled: true,
        quality: VideoQuality::High,
        width: 640,
        height: 360,
        fps: 15,
        priority: 2,
    };
    assert_eq!(read, expected);
}

#[test]
fn a_publisher_says_who_may_subscribe_by_sid_or_identity() {
    let permission = proto::SubscriptionPermission {
        all_participants: false,
        track_permissions: vec![proto::TrackPermission {
            participant_identity: "agent".into(),
            track_sids: vec!["TR_1".into()],
            ..Default::default()
        }],
    };
    let read = request(Request::SubscriptionPermission(permission));
    let SignalRequest::SubscriptionPermission(read) = read else {
        panic!("{read:?}")
    };
    let expected = TrackPermission {
        participant: None,
        identity: Some("agent".into()),
        all_tracks: false,
        tracks: vec!["TR_1".into()],
    };
    assert_eq!(read.tracks, [expected]);
}

#[test]
fn a_resuming_client_tells_its_picture_of_the_session() {
    let published = proto::TrackPublishedResponse {
        cid: "mic".into(),
        track: Some(proto::TrackInfo {
            sid: "TR_1".into(),
            ..Default::default()
        }),
    };
    let channel = |id, target| proto::DataChannelInfo {
        label: "_reliable".into(),
        id,
        target,
    };
    let state = request(Request::SyncState(proto::SyncState {
        subscription: Some(proto::UpdateSubscription {
            track_sids: vec!["TR_2".into()],
            ..Default::default()
        }),
        publish_tracks: vec![published],
        data_channels: vec![channel(1, 1), channel(70_000, 0)],
        track_sids_disabled: vec!["TR_3".into()],
        datachannel_receive_states: vec![proto::DataChannelReceiveState {
            publisher_sid: "PA_2".into(),
            last_seq: 12,
        }],
        publish_data_tracks: vec![proto::PublishDataTrackResponse {
            info: Some(proto::DataTrackInfo {
                sid: "DTR_1".into(),
                ..Default::default()
            }),
        }],
        data_subscription: Some(data_subscription("DTR_2")),
        ..Default::default()
    }));
    let SignalRequest::SyncState(state) = state else {
        panic!("{state:?}")
    };
    assert_eq!(state.published, [("mic".to_owned(), "TR_1".into())]);
    assert_eq!(state.subscription, Some((vec!["TR_2".into()], false)));
    assert_eq!(state.disabled, ["TR_3".into()]);
    let kept = ChannelState {
        label: "_reliable".into(),
        id: 1,
        target: Target::Subscriber,
    };
    assert_eq!(state.channels, [kept]);
    assert_eq!(state.received, [("PA_2".into(), 12)]);
    assert_eq!(state.published_data, ["DTR_1".into()]);
    assert_eq!(state.data_subscription, [("DTR_2".into(), true)]);
}

#[test]
fn the_rest_reaches_the_room_as_it_was_said() {
    let mute = request(Request::Mute(proto::MuteTrackRequest {
        sid: "TR_1".into(),
        muted: true,
    }));
    assert!(matches!(mute, SignalRequest::Mute { track, muted: true } if track.as_str() == "TR_1"));

    let update = proto::UpdateParticipantMetadata {
        name: "Aiko".into(),
        request_id: 4,
        ..Default::default()
    };
    let update = request(Request::UpdateMetadata(update));
    let expected = UpdateMetadata {
        request_id: 4,
        name: Some("Aiko".into()),
        ..Default::default()
    };
    assert!(matches!(update, SignalRequest::UpdateMetadata(update) if update == expected));

    let audio = proto::UpdateLocalAudioTrack {
        track_sid: "TR_1".into(),
        features: vec![3],
    };
    let audio = request(Request::UpdateAudioTrack(audio));
    assert!(matches!(audio, SignalRequest::UpdateAudioTrack { features, .. } if features == [3]));

    let video = proto::UpdateLocalVideoTrack {
        track_sid: "TR_1".into(),
        width: 640,
        height: 360,
    };
    let video = request(Request::UpdateVideoTrack(video));
    assert!(matches!(
        video,
        SignalRequest::UpdateVideoTrack {
            width: 640,
            height: 360,
            ..
        }
    ));

    let leave = proto::LeaveRequest {
        reason: 1,
        ..Default::default()
    };
    let leave = request(Request::Leave(leave));
    assert!(matches!(
        leave,
        SignalRequest::Leave {
            reason: DisconnectReason::ClientInitiated
        }
    ));

    let scenario = proto::simulate_scenario::Scenario::SubscriberBandwidth(250_000);
    let simulate = request(Request::Simulate(proto::SimulateScenario {
        scenario: Some(scenario),
    }));
    let SignalRequest::Simulate(scenario) = simulate else {
        panic!("{simulate:?}")
    };
    assert_eq!(scenario, Scenario::SubscriberBandwidth { bitrate: 250_000 });
}

#[test]
fn messages_over_the_limits_end_the_connection() {
    let mut session = dual(17);
    let large = vec![0; 2 * 1024 * 1024 + 1];
    let error = session.receive(FrameRef::Binary(&large), NOW).unwrap_err();
    assert!(matches!(
        error,
        SignalError::MessageTooLarge {
            limit: 2_097_152,
            ..
        }
    ));

    let layers = vec![proto::VideoLayer::default(); 20_000];
    let track = proto::AddTrackRequest {
        layers,
        ..Default::default()
    };
    let error = receive(&mut session, Request::AddTrack(track)).unwrap_err();
    assert_eq!(error, SignalError::TooManyFields { limit: 20_000 });

    let layers = "{},".repeat(20_000);
    let json = format!(r#"{{"addTrack":{{"layers":[{layers}{{}}]}}}}"#);
    let error = session.receive(FrameRef::Text(&json), NOW).unwrap_err();
    assert_eq!(error, SignalError::TooManyFields { limit: 20_000 });

    let mute = proto::MuteTrackRequest {
        sid: "T".repeat(65),
        muted: true,
    };
    assert_eq!(
        receive(&mut session, Request::Mute(mute)).unwrap_err(),
        SignalError::SidTooLong
    );
}

#[test]
fn malformed_messages_say_what_is_wrong() {
    let mut session = dual(17);
    for frame in [
        FrameRef::Binary(&[0x0a, 5, 1]),
        FrameRef::Text("{"),
        FrameRef::Text(r#"{"offer":{"sdp":5}}"#),
    ] {
        let error = session.receive(frame, NOW).unwrap_err();
        assert!(matches!(error, SignalError::Malformed(_)), "{error}");
    }
}

#[test]
fn an_error_does_not_repeat_the_whole_message() {
    let json = format!(r#"{{"addTrack":{{"type":"{}"}}}}"#, "x".repeat(100_000));
    let error = dual(17).receive(FrameRef::Text(&json), NOW).unwrap_err();
    assert!(error.to_string().len() < 300);
}

#[test]
fn json_is_read_in_both_spellings() {
    let mut session = dual(17);
    for json in [
        r#"{"addTrack":{"cid":"mic","type":"AUDIO","source":"MICROPHONE","disableDtx":true}}"#,
        r#"{"add_track":{"cid":"mic","type":"AUDIO","source":"MICROPHONE","disable_dtx":true}}"#,
    ] {
        let incoming = session.receive(FrameRef::Text(json), NOW).unwrap();
        let [Incoming::Request(SignalRequest::AddTrack(track))] = incoming.as_slice() else {
            panic!("{incoming:?}");
        };
        assert!(track.cid == "mic" && track.disable_dtx);
    }
}

proptest! {
    #[test]
    fn receiving_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = dual(17).receive(FrameRef::Binary(&bytes), NOW);
    }

    #[test]
    fn receiving_never_panics_on_any_fields(
        tag in 1_u8..24,
        payload in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut message = Vec::new();
        prost::encoding::encode_key(u32::from(tag), prost::encoding::WireType::LengthDelimited, &mut message);
        prost::encoding::encode_varint(payload.len() as u64, &mut message);
        message.extend(payload);
        let _ = dual(17).receive(FrameRef::Binary(&message), NOW);
    }

    #[test]
    fn receiving_never_panics_on_any_text(text in r#"[\{\}\[\]":,a-z0-9 ]{0,200}"#, init in ".{0,100}") {
        let _ = dual(17).receive(FrameRef::Text(&text), NOW);
        let trickle = proto::TrickleRequest { candidate_init: init, ..Default::default() };
        let _ = receive(&mut dual(17), Request::Trickle(trickle));
    }
}
