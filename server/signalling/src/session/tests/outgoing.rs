use std::collections::BTreeMap;

use tradewind_rtc::{
    AddTrack, ConnectionQuality, DataTrackHandle, DataTrackInfo, Description, DisconnectReason,
    ForwardedDataTrack, ForwardedTrack, JoinRefusal, Joined, LeaveAction, ParticipantInfo,
    ParticipantState, Permission, PublishDataTrack, QualityReport, RefusalReason, RefusedRequest,
    RoomConfig, RoomInfo, Section, SessionDescription, Speaker, StreamState, SubscribedCodec,
    SubscriptionError, Target, TrackKind, UpdateMetadata, VideoQuality,
};

use super::*;
use crate::convert::add_track_from;

/// The one message an event becomes.
fn sent(session: &mut Session, event: Event) -> Response {
    match session.send(event).as_slice() {
        [frame] => response(frame),
        other => panic!("{other:?}"),
    }
}

fn room() -> RoomInfo {
    RoomInfo {
        sid: "RM_1".into(),
        name: "order-17".into(),
        config: RoomConfig::default(),
        created_at_ms: NOW,
        num_participants: 2,
        num_publishers: 1,
    }
}

fn participant(sid: &str, state: ParticipantState) -> Arc<ParticipantInfo> {
    Arc::new(ParticipantInfo {
        sid: sid.into(),
        identity: sid.to_lowercase().into(),
        name: String::new(),
        state,
        metadata: String::new(),
        attributes: BTreeMap::new(),
        permission: Permission::default(),
        joined_at_ms: NOW,
        version: 1,
        is_publisher: false,
        kind: 0,
        kind_details: vec![],
        client_protocol: 0,
        capabilities: vec![],
        tracks: vec![],
        data_tracks: vec![],
        disconnect_reason: None,
    })
}

fn joined() -> Event {
    Event::Joined(Box::new(Joined {
        room: room(),
        participant: participant("PA_1", ParticipantState::Joining),
        others: vec![participant("PA_2", ParticipantState::Active)],
        subscriber_primary: true,
    }))
}

fn join_response(session: &mut Session) -> proto::JoinResponse {
    match sent(session, joined()) {
        Response::Join(join) => join,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_join_response_holds_what_every_client_needs() {
    let join = join_response(&mut dual(17));
    assert_eq!(join.room.unwrap().sid, "RM_1");
    assert_eq!(join.participant.unwrap().sid, "PA_1");
    assert_eq!(join.other_participants[0].sid, "PA_2");
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert!(join.subscriber_primary && join.fast_publish);
    assert_eq!(
        join.ice_servers[0].urls,
        ["turn:turn.example:3478?transport=udp"]
    );
    let mimes: Vec<_> = join
        .enabled_publish_codecs
        .iter()
        .map(|codec| &*codec.mime)
        .collect();
    assert_eq!(
        mimes,
        [
            "audio/opus",
            "video/VP8",
            "video/H264",
            "video/VP9",
            "video/AV1"
        ]
    );
    assert_eq!(join.client_configuration, None);

    let info = join.server_info.unwrap();
    assert_eq!(
        (info.edition(), info.protocol),
        (proto::server_info::Edition::Standard, 17)
    );
    assert_eq!(
        (&*info.version, &*join.server_version),
        ("1.13.5", "1.13.5")
    );
    assert_eq!(
        (&*info.region, &*info.node_id, info.agent_protocol),
        ("tokyo", "ND_1", 1)
    );
}

#[test]
fn who_may_not_publish_is_not_told_to_prepare_for_it() {
    let mut joined = joined();
    if let Event::Joined(joined) = &mut joined {
        Arc::make_mut(&mut joined.participant)
            .permission
            .can_publish = false;
    }
    let Response::Join(join) = sent(&mut dual(17), joined) else {
        panic!()
    };
    assert!(!join.fast_publish);
}

#[test]
fn browsers_are_told_which_codecs_go_wrong_in_them() {
    for (query, both_ways, publish) in [
        (
            "browser=Safari&browser_version=17.4",
            vec!["video/AV1"],
            vec![],
        ),
        (
            "browser=Safari&browser_version=18.3.0",
            vec!["video/AV1"],
            vec![],
        ),
        (
            "browser=Safari&browser_version=18.3.1",
            vec!["video/AV1"],
            vec!["video/VP9"],
        ),
        (
            "browser=Safari&browser_version=26",
            vec!["video/AV1"],
            vec!["video/VP9"],
        ),
        ("browser=Firefox&os=Linux", vec![], vec!["video/H264"]),
    ] {
        let configuration = join_response(&mut session(query)).client_configuration;
        let disabled = configuration.unwrap().disabled_codecs.unwrap();
        let mimes = |codecs: Vec<proto::Codec>| -> Vec<String> {
            codecs.into_iter().map(|codec| codec.mime).collect()
        };
        assert_eq!(mimes(disabled.codecs), both_ways, "{query}");
        assert_eq!(mimes(disabled.publish), publish, "{query}");
    }
    for query in ["browser=Firefox&os=Windows", "browser=Chrome", "sdk=python"] {
        assert_eq!(
            join_response(&mut session(query)).client_configuration,
            None,
            "{query}"
        );
    }
}

#[test]
fn a_resumed_client_gets_servers_and_the_last_message_seen() {
    let response = sent(
        &mut dual(17),
        Event::Resumed {
            last_message_seq: 12,
        },
    );
    let Response::Reconnect(reconnect) = response else {
        panic!("{response:?}")
    };
    assert_eq!(reconnect.last_message_seq, 12);
    assert_eq!(reconnect.ice_servers[0].credential, "c");
    assert_eq!(reconnect.server_info.unwrap().protocol, 17);
}

#[test]
fn old_clients_do_not_hear_of_those_who_left_before_the_list_of_those_present() {
    let left = || Event::Participants(vec![participant("PA_3", ParticipantState::Disconnected)]);
    let present = || {
        Event::Participants(vec![
            participant("PA_4", ParticipantState::Disconnected),
            participant("PA_1", ParticipantState::Active),
        ])
    };
    let told = |session: &mut Session, event| match session.send(event).as_slice() {
        [] => 0,
        [frame] => match response(frame) {
            Response::Update(update) => update.participants.len(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let mut old = session("protocol=8&reconnect=1&sid=PA_1");
    assert_eq!(
        [left(), present(), left()].map(|event| told(&mut old, event)),
        [0, 1, 1]
    );
    let mut new = session("protocol=9&reconnect=1&sid=PA_1");
    assert_eq!(
        [left(), present(), left()].map(|event| told(&mut new, event)),
        [1, 2, 1]
    );
    let mut joining = session("protocol=8");
    assert_eq!(
        [left(), present(), left()].map(|event| told(&mut joining, event)),
        [1, 2, 1]
    );
}

#[test]
fn an_answer_says_which_section_carries_which_track() {
    let section = |mid: &str, forwards| Section {
        mid: mid.into(),
        kind: TrackKind::Audio,
        forwards,
        receives: None,
    };
    let forwarded = ForwardedTrack {
        participant: "PA_2".into(),
        track: "TR_2".into(),
        stream: None,
    };
    let description = || {
        Box::new(Description {
            target: Target::Publisher,
            description: SessionDescription {
                sdp: "v=0\r\n".into(),
                id: 4,
            },
            sections: vec![section("0", None), section("1", Some(forwarded.clone()))],
        })
    };
    let response = sent(&mut dual(17), Event::Answer(description()));
    let Response::Answer(answer) = response else {
        panic!("{response:?}")
    };
    assert_eq!(
        (&*answer.r#type, &*answer.sdp, answer.id),
        ("answer", "v=0\r\n", 4)
    );
    assert_eq!(
        answer.mid_to_track_id,
        [("1".to_owned(), "TR_2".to_owned())].into()
    );

    let response = sent(&mut dual(17), Event::Offer(description()));
    assert!(matches!(response, Response::Offer(offer) if offer.r#type == "offer"));
}

#[test]
fn clients_before_protocol_13_read_a_flag_instead_of_an_action() {
    let leave = |protocol, action| {
        let event = Event::Leave {
            reason: DisconnectReason::StateMismatch,
            action,
        };
        dual(protocol)
            .send(event)
            .first()
            .map(|frame| match response(frame) {
                Response::Leave(leave) => (leave.can_reconnect, leave.action, leave.reason),
                other => panic!("{other:?}"),
            })
    };
    assert_eq!(leave(12, LeaveAction::Reconnect), Some((true, 2, 6)));
    assert_eq!(leave(12, LeaveAction::Disconnect), Some((false, 0, 6)));
    assert_eq!(
        leave(12, LeaveAction::Resume),
        None,
        "closing the connection says it"
    );
    assert_eq!(leave(13, LeaveAction::Resume), Some((false, 1, 6)));

    let refused = Event::JoinRefused(JoinRefusal::NodeFull);
    let Response::Leave(leave) = sent(&mut dual(17), refused) else {
        panic!()
    };
    assert_eq!(leave.reason(), proto::DisconnectReason::JoinFailure);
}

#[test]
fn clients_are_told_nothing_that_their_protocol_does_not_know() {
    let speakers = || {
        Event::Speakers(vec![Speaker {
            participant: "PA_2".into(),
            level: 0.5,
            active: false,
        }])
    };
    let quality = || {
        Event::Quality(vec![QualityReport {
            participant: "PA_1".into(),
            quality: ConnectionQuality::Lost,
            score: 1.0,
        }])
    };
    let unpublished = || Event::TrackUnpublished {
        track: "TR_1".into(),
    };
    let queued = || Event::RequestFailed {
        request_id: 0,
        refused: RefusedRequest::Mute {
            track: "TR_1".into(),
            muted: true,
        },
        reason: RefusalReason::Queued,
        message: String::new(),
    };
    let heard = |protocol| {
        [speakers(), quality(), unpublished(), queued()]
            .map(|event| !dual(protocol).send(event).is_empty())
    };
    assert_eq!(heard(1), [false, false, false, false]);
    assert_eq!(heard(3), [true, false, false, false]);
    assert_eq!(heard(5), [true, true, false, false]);
    assert_eq!(heard(7), [true, true, true, false]);
    assert_eq!(heard(15), [true, true, true, true]);

    for (protocol, expected) in [
        (10, proto::ConnectionQuality::Poor),
        (11, proto::ConnectionQuality::Lost),
    ] {
        let response = sent(&mut dual(protocol), quality());
        let Response::ConnectionQuality(update) = response else {
            panic!("{response:?}")
        };
        assert_eq!(update.updates[0].quality(), expected);
    }
    let Response::SpeakersChanged(changed) = sent(&mut dual(17), speakers()) else {
        panic!()
    };
    assert!(!changed.speakers[0].active);
}

#[test]
#[expect(deprecated)]
fn wanted_layers_are_told_in_the_old_and_the_new_form() {
    let codecs = vec![SubscribedCodec {
        codec: "vp8".into(),
        qualities: vec![(VideoQuality::Low, true), (VideoQuality::High, false)],
    }];
    let event = Event::SubscribedQuality {
        track: "TR_1".into(),
        codecs,
    };
    let response = sent(&mut dual(17), event);
    let Response::SubscribedQualityUpdate(update) = response else {
        panic!("{response:?}")
    };
    assert_eq!(update.subscribed_codecs[0].codec, "vp8");
    assert_eq!(
        update.subscribed_qualities,
        update.subscribed_codecs[0].qualities
    );
    let told: Vec<_> = update
        .subscribed_qualities
        .iter()
        .map(|told| (told.quality(), told.enabled))
        .collect();
    assert_eq!(
        told,
        [
            (proto::VideoQuality::Low, true),
            (proto::VideoQuality::High, false)
        ]
    );

    let nothing = Event::SubscribedQuality {
        track: "TR_1".into(),
        codecs: vec![],
    };
    assert_eq!(dual(17).send(nothing), []);
}

#[test]
fn a_refused_request_is_echoed() {
    use proto::request_response::Request as Refused;
    let announced = proto::AddTrackRequest {
        cid: "mic".into(),
        ..Default::default()
    };
    let track: AddTrack = add_track_from(announced.clone()).unwrap();
    let update = UpdateMetadata {
        request_id: 9,
        name: Some("Aiko".into()),
        ..Default::default()
    };
    let update_echo = proto::UpdateParticipantMetadata {
        request_id: 9,
        name: "Aiko".into(),
        ..Default::default()
    };
    let sid = || "TR_1".to_owned();
    for (refused, expected) in [
        (
            RefusedRequest::AddTrack(Box::new(track)),
            Refused::AddTrack(announced),
        ),
        (
            RefusedRequest::UpdateMetadata(update),
            Refused::UpdateMetadata(update_echo),
        ),
        (
            RefusedRequest::Mute {
                track: "TR_1".into(),
                muted: true,
            },
            Refused::Mute(proto::MuteTrackRequest {
                sid: sid(),
                muted: true,
            }),
        ),
        (
            RefusedRequest::UpdateAudioTrack {
                track: "TR_1".into(),
            },
            Refused::UpdateAudioTrack(proto::UpdateLocalAudioTrack {
                track_sid: sid(),
                features: vec![],
            }),
        ),
        (
            RefusedRequest::UpdateVideoTrack {
                track: "TR_1".into(),
            },
            Refused::UpdateVideoTrack(proto::UpdateLocalVideoTrack {
                track_sid: sid(),
                width: 0,
                height: 0,
            }),
        ),
    ] {
        let event = Event::RequestFailed {
            request_id: 9,
            refused,
            reason: RefusalReason::NotAllowed,
            message: "no".into(),
        };
        let Response::RequestResponse(told) = sent(&mut dual(17), event) else {
            panic!()
        };
        assert_eq!((told.request_id, &*told.message), (9, "no"));
        assert_eq!(told.reason(), proto::request_response::Reason::NotAllowed);
        assert_eq!(told.request, Some(expected));
    }
}

#[test]
fn the_rest_is_told_as_it_happened() {
    let mut session = dual(17);
    let state = StreamState {
        participant: "PA_2".into(),
        track: "TR_2".into(),
        paused: true,
    };
    let Response::StreamStateUpdate(update) = sent(&mut session, Event::StreamStates(vec![state]))
    else {
        panic!();
    };
    assert_eq!(update.stream_states[0].state(), proto::StreamState::Paused);

    let failed = Event::SubscriptionFailed {
        track: "TR_2".into(),
        error: SubscriptionError::CodecUnsupported,
    };
    let Response::SubscriptionResponse(told) = sent(&mut session, failed) else {
        panic!()
    };
    assert_eq!(told.err(), proto::SubscriptionError::SeCodecUnsupported);

    let permission = Event::SubscriptionPermission {
        participant: "PA_2".into(),
        track: "TR_2".into(),
        allowed: false,
    };
    let expected = proto::SubscriptionPermissionUpdate {
        participant_sid: "PA_2".into(),
        track_sid: "TR_2".into(),
        allowed: false,
    };
    assert_eq!(
        sent(&mut session, permission),
        Response::SubscriptionPermissionUpdate(expected)
    );

    let required = Event::MediaSectionsRequirement {
        audios: 1,
        videos: 2,
    };
    let expected = proto::MediaSectionsRequirement {
        num_audios: 1,
        num_videos: 2,
    };
    assert_eq!(
        sent(&mut session, required),
        Response::MediaSectionsRequirement(expected)
    );

    let mute = Event::Mute {
        track: "TR_1".into(),
        muted: true,
    };
    let expected = proto::MuteTrackRequest {
        sid: "TR_1".into(),
        muted: true,
    };
    assert_eq!(sent(&mut session, mute), Response::Mute(expected));

    let subscribed = Event::TrackSubscribed {
        track: "TR_1".into(),
    };
    let expected = proto::TrackSubscribed {
        track_sid: "TR_1".into(),
    };
    assert_eq!(
        sent(&mut session, subscribed),
        Response::TrackSubscribed(expected)
    );

    let Response::RoomUpdate(update) = sent(&mut session, Event::Room(Box::new(room()))) else {
        panic!();
    };
    assert_eq!(update.room.unwrap().num_participants, 2);
    let token = session.refresh_token("jwt".into());
    assert_eq!(response(&token), Response::RefreshToken("jwt".into()));
}

#[test]
fn answers_take_the_form_of_the_last_frame() {
    let mut session = dual(17);
    let event = || Event::TrackSubscribed {
        track: "TR_1".into(),
    };
    assert!(matches!(
        session.send(event()).as_slice(),
        [Frame::Binary(_)]
    ));

    let incoming = session
        .receive(FrameRef::Text(r#"{"ping":"5"}"#), NOW)
        .unwrap();
    let [Incoming::Reply(Frame::Text(pong))] = incoming.as_slice() else {
        panic!("{incoming:?}")
    };
    assert_eq!(*pong, format!(r#"{{"pong":"{NOW}"}}"#));
    let told = Frame::Text(r#"{"trackSubscribed":{"trackSid":"TR_1"}}"#.into());
    assert_eq!(session.send(event()), [told]);

    let ping = binary(proto::signal_request::Message::Ping(5));
    session.receive(FrameRef::Binary(&ping), NOW).unwrap();
    assert!(matches!(
        session.send(event()).as_slice(),
        [Frame::Binary(_)]
    ));
}

#[test]
fn codes_newer_than_our_types_reach_json_clients_in_binary() {
    let mut session = dual(17);
    session.receive(FrameRef::Text("{}"), NOW).unwrap();
    let mut newer = ParticipantInfo::clone(&participant("PA_2", ParticipantState::Active));
    newer.capabilities = vec![99];
    let frames = session.send(Event::Participants(vec![Arc::new(newer)]));
    let [frame @ Frame::Binary(_)] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    let Response::Update(update) = response(frame) else {
        panic!()
    };
    assert_eq!(update.participants[0].capabilities, [99]);
}

#[test]
fn data_tracks_are_told_in_both_forms() {
    use proto::request_response::{Reason, Request as Refused};
    let handle = DataTrackHandle::new(9).unwrap();
    let track = Box::new(DataTrackInfo {
        sid: "DTR_1".into(),
        handle,
        name: "sensor".into(),
        encryption: 0,
        frame_encoding: None,
        schema: None,
    });
    let forwarded = ForwardedDataTrack {
        handle,
        publisher: "PA_2".into(),
        publisher_identity: "robot".into(),
        track: "DTR_1".into(),
    };
    let refused = RefusedRequest::PublishDataTrack(Box::new(PublishDataTrack {
        handle,
        name: "sensor".into(),
        encryption: 0,
        frame_encoding: None,
        schema: None,
    }));
    for text in [false, true] {
        let mut session = dual(17);
        session.text = text;
        match sent(&mut session, Event::DataTrackPublished(track.clone())) {
            Response::PublishDataTrackResponse(response) => {
                assert_eq!(response.info, Some(crate::convert::data_track_info(&track)));
            }
            other => panic!("{other:?}"),
        }
        match sent(&mut session, Event::DataTrackUnpublished(track.clone())) {
            Response::UnpublishDataTrackResponse(response) => {
                assert_eq!(response.info.unwrap().pub_handle, 9);
            }
            other => panic!("{other:?}"),
        }
        let event = Event::DataTrackHandles(vec![forwarded.clone()]);
        match sent(&mut session, event) {
            Response::DataTrackSubscriberHandles(handles) => {
                let track = &handles.sub_handles[&9];
                assert_eq!(track.publisher_identity, "robot");
                assert_eq!(track.publisher_sid, "PA_2");
                assert_eq!(track.track_sid, "DTR_1");
            }
            other => panic!("{other:?}"),
        }
        for (reason, code) in [
            (RefusalReason::DuplicateName, Reason::DuplicateName),
            (RefusalReason::DuplicateHandle, Reason::DuplicateHandle),
        ] {
            let event = Event::RequestFailed {
                request_id: 0,
                refused: refused.clone(),
                reason,
                message: String::new(),
            };
            match sent(&mut session, event) {
                Response::RequestResponse(response) => {
                    assert_eq!(response.reason(), code);
                    let Some(Refused::PublishDataTrack(echo)) = response.request else {
                        panic!("{response:?}");
                    };
                    assert_eq!((echo.pub_handle, echo.name.as_str()), (9, "sensor"));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
