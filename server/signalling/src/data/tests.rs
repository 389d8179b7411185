#![expect(deprecated, reason = "clients that know no newer fields read these")]

use livekit_protocol::data_packet::Value;
use livekit_protocol::data_stream::Chunk;
use livekit_protocol::{ChatMessage, MetricsBatch, RpcRequest, Transcription};
use proptest::prelude::*;

use super::*;

fn stamp_as(message: &[u8], is_agent: bool) -> Result<StampedMessage, DataError> {
    let (identity, sid) = (Identity::from("shopper"), ParticipantSid::from("PA_tokyo"));
    DataPacketCodec.stamp(
        message,
        DataSender {
            identity: &identity,
            sid: &sid,
            is_agent,
        },
    )
}

fn stamp(packet: &DataPacket) -> (StampedMessage, DataPacket) {
    let stamped = stamp_as(&packet.encode_to_vec(), false).unwrap();
    let relayed = DataPacket::decode(&*stamped.message).unwrap();
    (stamped, relayed)
}

/// What the rewritten message must decode to, said with decoded messages.
fn expected(packet: &DataPacket, is_agent: bool) -> DataPacket {
    let mut packet = packet.clone();
    if let Some(Value::User(user)) = &mut packet.value {
        user.participant_sid = "PA_tokyo".into();
        user.participant_identity = "shopper".into();
        if packet.destination_identities.is_empty() {
            packet.destination_identities = user.destination_identities.clone();
        } else {
            user.destination_identities = packet.destination_identities.clone();
        }
    }
    let speaks_for_others = is_agent
        && matches!(
            packet.value,
            Some(Value::ChatMessage(_) | Value::Transcription(_) | Value::StreamChunk(_))
        );
    if !speaks_for_others || packet.participant_identity.is_empty() {
        packet.participant_identity = "shopper".into();
    }
    packet.participant_sid = "PA_tokyo".into();
    packet
}

fn user(payload: &[u8]) -> UserPacket {
    UserPacket {
        payload: payload.to_vec(),
        ..UserPacket::default()
    }
}

#[test]
fn a_sender_cannot_pass_as_somebody_else() {
    let forged = DataPacket {
        participant_identity: "agent".into(),
        participant_sid: "PA_paris".into(),
        value: Some(Value::User(UserPacket {
            participant_identity: "agent".into(),
            participant_sid: "PA_paris".into(),
            ..user(b"refund me")
        })),
        ..DataPacket::default()
    };
    let (_, relayed) = stamp(&forged);
    assert_eq!(relayed, expected(&forged, false));
    assert!(!format!("{relayed:?}").contains("paris"));
}

#[test]
fn recipients_are_found_where_old_and_new_clients_put_them() {
    let old = DataPacket {
        value: Some(Value::User(UserPacket {
            destination_identities: vec!["a".into(), "b".into()],
            destination_sids: vec!["PA_x".into()],
            ..user(b"hello")
        })),
        ..DataPacket::default()
    };
    let (stamped, relayed) = stamp(&old);
    assert_eq!(
        stamped.destinations,
        [Identity::from("a"), Identity::from("b")]
    );
    assert_eq!(stamped.destination_sids, [ParticipantSid::from("PA_x")]);
    assert_eq!(relayed.destination_identities, ["a", "b"]);

    let new = DataPacket {
        destination_identities: vec!["c".into()],
        ..old
    };
    let (stamped, relayed) = stamp(&new);
    assert_eq!(stamped.destinations, [Identity::from("c")]);
    assert_eq!(relayed, expected(&new, false));
}

#[test]
fn agents_may_caption_others_but_not_call_in_their_name() {
    let in_name_of_other = |value| DataPacket {
        participant_identity: "guest".into(),
        value: Some(value),
        ..DataPacket::default()
    };
    let caption = in_name_of_other(Value::Transcription(Transcription::default()));
    let call = in_name_of_other(Value::RpcRequest(RpcRequest::default()));
    let name = |packet: &DataPacket, is_agent| {
        let stamped = stamp_as(&packet.encode_to_vec(), is_agent).unwrap();
        DataPacket::decode(&*stamped.message)
            .unwrap()
            .participant_identity
    };
    assert_eq!(name(&caption, true), "guest");
    assert_eq!(name(&caption, false), "shopper");
    assert_eq!(name(&call, true), "shopper");
    let unnamed = DataPacket {
        participant_identity: String::new(),
        ..caption
    };
    assert_eq!(name(&unnamed, true), "shopper");
}

#[test]
fn metrics_stay_on_the_server() {
    let metrics = DataPacket {
        value: Some(Value::Metrics(MetricsBatch::default())),
        ..DataPacket::default()
    };
    assert!(!stamp(&metrics).0.relay);
    assert!(
        stamp(&DataPacket {
            value: Some(Value::User(user(b""))),
            ..DataPacket::default()
        })
        .0
        .relay
    );
}

#[test]
fn kinds_of_messages_from_the_future_pass_unchanged() {
    let mut message = DataPacket {
        sequence: 7,
        ..DataPacket::default()
    }
    .encode_to_vec();
    let future: &[u8] = &[0xa2, 0x06, 3, 1, 2, 3, 0xad, 0x06, 9, 9, 9, 9];
    message.extend_from_slice(future);
    let stamped = stamp_as(&message, false).unwrap();
    assert_eq!((stamped.sequence, stamped.relay), (7, true));
    assert!(
        stamped
            .message
            .windows(future.len())
            .any(|window| window == future)
    );
}

#[test]
fn a_hidden_sender_stays_unnamed() {
    let (identity, sid) = (Identity::from(""), ParticipantSid::from(""));
    let message = DataPacket {
        value: Some(Value::User(user(b"x"))),
        ..DataPacket::default()
    }
    .encode_to_vec();
    let sender = DataSender {
        identity: &identity,
        sid: &sid,
        is_agent: false,
    };
    assert_eq!(
        *DataPacketCodec.stamp(&message, sender).unwrap().message,
        *message
    );
}

#[test]
fn messages_that_name_too_many_recipients_are_refused() {
    let many = DataPacket {
        destination_identities: vec!["a".into(); MAX_DESTINATIONS + 1],
        ..DataPacket::default()
    };
    assert_eq!(
        stamp_as(&many.encode_to_vec(), false),
        Err(DataError::Malformed)
    );
}

#[test]
fn the_server_speaks_in_nobodys_name() {
    let request = SendDataRequest {
        room: "r".into(),
        data: b"sale".to_vec(),
        kind: 1,
        destination_identities: vec!["a".into()],
        topic: Some("offers".into()),
        nonce: vec![1; 16],
        ..SendDataRequest::default()
    };
    let packet = DataPacket::decode(&*server_packet(request)).unwrap();
    assert_eq!((packet.kind, packet.participant_identity.as_str()), (1, ""));
    assert_eq!(packet.destination_identities, ["a"]);
    let Some(Value::User(user)) = packet.value else {
        panic!("no user message")
    };
    assert_eq!(
        (user.payload.as_slice(), user.topic.as_deref()),
        (&b"sale"[..], Some("offers"))
    );
    assert_eq!(user.destination_identities, ["a"]);
}

fn any_packet() -> impl Strategy<Value = DataPacket> {
    let texts = || prop::collection::vec("[a-z]{1,8}", 0..4);
    let value = prop_oneof![
        Just(None),
        (
            any::<Vec<u8>>(),
            texts(),
            texts(),
            prop::option::of(".*"),
            any::<Option<u64>>()
        )
            .prop_map(|(payload, sids, identities, topic, start_time)| {
                Some(Value::User(UserPacket {
                    participant_sid: "forged".into(),
                    participant_identity: "forged".into(),
                    destination_sids: sids,
                    destination_identities: identities,
                    topic,
                    start_time,
                    ..user(&payload)
                }))
            }),
        ".*".prop_map(|message| Some(Value::ChatMessage(ChatMessage {
            message,
            ..ChatMessage::default()
        }))),
        any::<Vec<u8>>().prop_map(|content| Some(Value::StreamChunk(Chunk {
            content,
            ..Chunk::default()
        }))),
        ".*".prop_map(|payload| Some(Value::RpcRequest(RpcRequest {
            payload,
            ..RpcRequest::default()
        }))),
    ];
    (0..2, ".{0,8}", texts(), any::<u32>(), ".{0,8}", value).prop_map(
        |(kind, participant_identity, destination_identities, sequence, participant_sid, value)| {
            DataPacket {
                kind,
                participant_identity,
                destination_identities,
                sequence,
                participant_sid,
                value,
            }
        },
    )
}

proptest! {
    #[test]
    fn rewriting_on_the_wire_equals_rewriting_decoded(packet in any_packet(), is_agent in any::<bool>()) {
        let stamped = stamp_as(&packet.encode_to_vec(), is_agent).unwrap();
        let relayed = DataPacket::decode(&*stamped.message).unwrap();
        prop_assert_eq!(&relayed, &expected(&packet, is_agent));
        prop_assert_eq!(stamped.sequence, packet.sequence);
        let destinations: Vec<&str> = stamped.destinations.iter().map(Identity::as_str).collect();
        prop_assert_eq!(destinations, relayed.destination_identities);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), is_agent in any::<bool>()) {
        let _ = stamp_as(&bytes, is_agent);
    }

    /// Damaged messages reach more of the reader than random bytes do.
    #[test]
    fn damaged_messages_are_refused_or_stamped(packet in any_packet(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = packet.encode_to_vec();
        if !bytes.is_empty() {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let Ok(stamped) = stamp_as(&bytes, false) else { return Ok(()) };
        if let Ok(relayed) = DataPacket::decode(&*stamped.message) {
            prop_assert_eq!(relayed.participant_sid, "PA_tokyo");
            prop_assert_eq!(relayed.participant_identity, "shopper");
        }
    }
}
