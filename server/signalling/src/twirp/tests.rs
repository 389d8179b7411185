use proptest::prelude::*;
use serde_json::{Value, json};
use tradewind_rtc::{AdminError, Permission, RoomConfig};

use super::*;
use crate::samples::{participant, room, track};
use crate::token::{TokenError, VideoGrant};

fn claims(grants: VideoGrant) -> Claims {
    Claims {
        grants,
        ..Claims::default()
    }
}

fn admin() -> Claims {
    claims(VideoGrant {
        room_create: true,
        room_list: true,
        room_admin: true,
        room: "order-17".into(),
        ..VideoGrant::default()
    })
}

fn call_json(method: &str, body: &Value, claims: &Claims) -> Result<AdminRequest, TwirpError> {
    handle(
        "livekit.RoomService",
        method,
        Encoding::Json,
        body.to_string().as_bytes(),
        claims,
    )
}

fn reply_json(value: &AdminReply) -> Value {
    serde_json::from_slice(&reply(value, Encoding::Json)).unwrap()
}

const METHODS: [&str; 14] = [
    "CreateRoom",
    "ListRooms",
    "DeleteRoom",
    "ListParticipants",
    "GetParticipant",
    "RemoveParticipant",
    "MutePublishedTrack",
    "UpdateParticipant",
    "UpdateSubscriptions",
    "SendData",
    "UpdateRoomMetadata",
    "PerformRpc",
    "ForwardParticipant",
    "MoveParticipant",
];

#[test]
fn a_room_is_created_from_either_spelling_of_its_fields() {
    let camel = json!({"name": "order-17", "emptyTimeout": 60, "maxParticipants": 4, "metadata": "m", "syncStreams": true});
    let snake = json!({"name": "order-17", "empty_timeout": "60", "max_participants": 4, "metadata": "m", "sync_streams": true,
        "room_preset": null, "a_field_of_the_future": {"x": 1}});
    for body in [camel, snake] {
        let Ok(AdminRequest::CreateRoom { room, config }) =
            call_json("CreateRoom", &body, &admin())
        else {
            panic!("{body} is refused");
        };
        assert_eq!(room.as_str(), "order-17");
        let expected = RoomConfig {
            metadata: "m".into(),
            empty_timeout_s: 60,
            max_participants: 4,
            sync_streams: true,
            ..RoomConfig::default()
        };
        assert_eq!(config, expected);
    }
}

#[test]
fn each_call_needs_its_grant() {
    let body =
        json!({"name": "order-17", "room": "order-17", "identity": "shopper", "trackSid": "TR_1"});
    let nothing = claims(VideoGrant {
        room_join: true,
        room: "order-17".into(),
        ..VideoGrant::default()
    });
    let other_room = claims(VideoGrant {
        room_admin: true,
        room: "order-18".into(),
        ..VideoGrant::default()
    });
    for method in &METHODS[..11] {
        assert!(call_json(method, &body, &admin()).is_ok(), "{method}");
        for refused in [&nothing, &other_room] {
            let error = call_json(method, &body, refused).unwrap_err();
            assert_eq!(
                (error.code, error.http_status()),
                (TwirpCode::PermissionDenied, 403),
                "{method}"
            );
        }
    }
    let creator = claims(VideoGrant {
        room_create: true,
        ..VideoGrant::default()
    });
    assert!(call_json("DeleteRoom", &body, &creator).is_ok());
    assert!(call_json("ListRooms", &body, &creator).is_err());
    assert!(call_json("RemoveParticipant", &body, &creator).is_err());
}

#[test]
fn a_participant_is_changed_by_protobuf_and_json_alike() {
    let message = proto::UpdateParticipantRequest {
        room: "order-17".into(),
        identity: "shopper".into(),
        metadata: "vip".into(),
        permission: Some(proto::ParticipantPermission {
            can_subscribe: true,
            ..Default::default()
        }),
        attributes: [("tier".to_owned(), "gold".to_owned())].into(),
        ..Default::default()
    };
    let method = ("livekit.RoomService", "UpdateParticipant");
    let bodies = [
        (Encoding::Protobuf, message.encode_to_vec()),
        (Encoding::Json, json::write(&message)),
    ];
    for (encoding, body) in bodies {
        let request = handle(method.0, method.1, encoding, &body, &admin()).unwrap();
        let AdminRequest::UpdateParticipant {
            identity,
            metadata,
            permission,
            ..
        } = request
        else {
            panic!("another call: {request:?}");
        };
        assert_eq!(identity.as_str(), "shopper");
        assert_eq!(
            (metadata.metadata.as_deref(), metadata.name),
            (Some("vip"), None)
        );
        assert_eq!(metadata.attributes["tier"], "gold");
        let expected = Permission {
            can_subscribe: true,
            can_publish: false,
            can_publish_data: false,
            ..Permission::default()
        };
        assert_eq!(permission, Some(expected));
    }
}

#[test]
fn tracks_of_several_participants_are_subscribed_in_one_call() {
    let body = json!({"room": "order-17", "identity": "shopper", "trackSids": ["TR_1"], "subscribe": true,
        "participantTracks": [{"participantSid": "PA_1", "trackSids": ["TR_2", "TR_3"]}]});
    let request = call_json("UpdateSubscriptions", &body, &admin()).unwrap();
    let AdminRequest::UpdateSubscriptions {
        tracks, subscribe, ..
    } = request
    else {
        panic!("another call")
    };
    assert_eq!(
        tracks
            .iter()
            .map(|track| track.as_str())
            .collect::<Vec<_>>(),
        ["TR_1", "TR_2", "TR_3"]
    );
    assert!(subscribe);
}

#[test]
fn data_is_sent_complete_or_refused() {
    let body = json!({"room": "order-17", "data": "c2FsZQ==", "kind": "LOSSY", "destinationIdentities": ["a"], "nonce": "AQI="});
    let Ok(AdminRequest::SendData(data)) = call_json("SendData", &body, &admin()) else {
        panic!("refused")
    };
    assert!(!data.reliable && data.nonce.is_empty());
    assert_eq!(data.destinations, ["a".into()]);
    let packet = proto::DataPacket::decode(&*data.message).unwrap();
    let Some(proto::data_packet::Value::User(user)) = packet.value else {
        panic!("no user message")
    };
    assert_eq!(user.payload, b"sale");
    let large = proto::SendDataRequest {
        room: "order-17".into(),
        data: vec![0; 65_536],
        ..Default::default()
    };
    let error = handle(
        "livekit.RoomService",
        "SendData",
        Encoding::Protobuf,
        &large.encode_to_vec(),
        &admin(),
    );
    assert_eq!(error.unwrap_err().code, TwirpCode::InvalidArgument);
}

#[test]
fn what_the_server_does_not_do_says_what_to_do_instead() {
    for method in &METHODS[11..] {
        assert_eq!(
            call_json(method, &json!({}), &admin())
                .unwrap_err()
                .http_status(),
            501
        );
    }
    for service in [
        "Egress",
        "Ingress",
        "SIP",
        "AgentDispatchService",
        "Connector",
    ] {
        let error = handle(
            &format!("livekit.{service}"),
            "Any",
            Encoding::Json,
            b"{}",
            &admin(),
        )
        .unwrap_err();
        assert_eq!(
            (error.code, error.http_status()),
            (TwirpCode::Unimplemented, 501)
        );
        assert!(error.msg.contains(": "), "{}", error.msg);
    }
    for extra in [
        json!({"name": "r", "egress": {}}),
        json!({"name": "r", "agents": [{"agentName": "x"}]}),
    ] {
        assert_eq!(
            call_json("CreateRoom", &extra, &admin()).unwrap_err().code,
            TwirpCode::Unimplemented
        );
    }
    let error = handle("livekit.Weather", "Now", Encoding::Json, b"{}", &admin()).unwrap_err();
    assert_eq!(error.http_status(), 404);
    let body: Value = serde_json::from_slice(&error.body()).unwrap();
    assert_eq!(body["code"], "bad_route");
    assert_eq!(
        body["meta"]["twirp_invalid_route"],
        "POST /twirp/livekit.Weather/Now"
    );
}

#[test]
fn bad_arguments_are_told_apart_from_bad_messages() {
    let code = |method: &str, body: &Value| call_json(method, body, &admin()).unwrap_err().code;
    assert_eq!(code("CreateRoom", &json!({})), TwirpCode::InvalidArgument);
    assert_eq!(
        code("CreateRoom", &json!({"name": "r".repeat(257)})),
        TwirpCode::InvalidArgument
    );
    assert_eq!(
        code("GetParticipant", &json!({"room": "order-17"})),
        TwirpCode::InvalidArgument
    );
    assert_eq!(
        code("CreateRoom", &json!({"name": 7})),
        TwirpCode::Malformed
    );
    assert_eq!(code("CreateRoom", &json!([])), TwirpCode::Malformed);
    assert!(
        handle(
            "livekit.RoomService",
            "ListRooms",
            Encoding::Json,
            b"",
            &admin()
        )
        .is_ok()
    );
}

#[test]
fn errors_of_rooms_and_tokens_have_their_status() {
    let status = |error: AdminError| TwirpError::from(error).http_status();
    assert_eq!(status(AdminError::NoSuchRoom), 404);
    assert_eq!(status(AdminError::RemoteUnmuteDisabled), 412);
    assert_eq!(status(AdminError::Invalid("x".into())), 400);
    assert_eq!(status(AdminError::LimitExceeded("x".into())), 429);
    let error = TwirpError::from(TokenError::Expired);
    let body: Value = serde_json::from_slice(&error.body()).unwrap();
    assert_eq!(
        body,
        json!({"code": "unauthenticated", "msg": TokenError::Expired.to_string()})
    );
}

#[test]
fn replies_are_written_even_where_a_newer_client_left_codes_without_a_name() {
    let found = reply_json(&AdminReply::Participant(participant()));
    assert_eq!(
        (&found["identity"], &found["joinedAt"]),
        (&json!("shopper"), &json!("1800000000"))
    );
    assert_eq!(found["tracks"][0]["source"], "MICROPHONE");
    assert_eq!(
        reply_json(&AdminReply::Participants(vec![participant()]))["participants"][0],
        found
    );
    assert_eq!(
        reply_json(&AdminReply::Track(Box::new(track())))["track"]["sid"],
        "TR_voice"
    );
    assert_eq!(
        reply_json(&AdminReply::Rooms(vec![room()]))["rooms"][0],
        reply_json(&AdminReply::Room(room()))
    );
    assert_eq!(reply_json(&AdminReply::Done), json!({}));
    let bytes = reply(&AdminReply::Rooms(vec![room()]), Encoding::Protobuf);
    assert_eq!(
        proto::ListRoomsResponse::decode(&*bytes).unwrap().rooms[0].name,
        "order-17"
    );
}

#[test]
fn the_content_type_decides_the_encoding() {
    assert_eq!(
        Encoding::from_content_type("application/json; charset=utf-8"),
        Ok(Encoding::Json)
    );
    assert_eq!(
        Encoding::from_content_type("Application/Protobuf"),
        Ok(Encoding::Protobuf)
    );
    assert_eq!(
        Encoding::from_content_type("text/plain")
            .unwrap_err()
            .http_status(),
        404
    );
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(method in 0..METHODS.len(), body in any::<Vec<u8>>(), is_json in any::<bool>()) {
        let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
        let _ = handle("livekit.RoomService", METHODS[method], encoding, &body, &admin());
    }

    #[test]
    fn no_json_makes_it_panic(method in 0..METHODS.len(), field in "(room|name|identity|data|kind|agents|permission)", text in ".{0,20}", number in any::<f64>()) {
        for value in [json!(text), json!(number), json!([text]), json!({field.as_str(): text})] {
            let _ = call_json(METHODS[method], &json!({"room": "order-17", field.as_str(): value}), &admin());
        }
    }
}
