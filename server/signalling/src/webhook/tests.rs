use serde_json::{Value, json};

use super::*;
use crate::samples::{participant, room, track};

const NOW: u64 = 1_800_000_100;

fn told(room_event: &RoomEvent) -> (WebhookPayload, Value) {
    let payload = event(room_event, "EV_1", NOW).unwrap();
    let body = serde_json::from_slice(&payload.body).unwrap();
    (payload, body)
}

#[test]
fn every_event_has_its_name_and_its_parts() {
    let (room, participant, track) = (room(), participant(), Box::new(track()));
    let events = [
        (
            RoomEvent::Started { room: room.clone() },
            "room_started",
            false,
            false,
        ),
        (
            RoomEvent::Finished { room: room.clone() },
            "room_finished",
            false,
            false,
        ),
        (
            RoomEvent::ParticipantJoined {
                room: room.clone(),
                participant: participant.clone(),
            },
            "participant_joined",
            true,
            false,
        ),
        (
            RoomEvent::ParticipantLeft {
                room: room.clone(),
                participant: participant.clone(),
            },
            "participant_left",
            true,
            false,
        ),
        (
            RoomEvent::ParticipantAborted {
                room: room.clone(),
                participant: participant.clone(),
            },
            "participant_connection_aborted",
            true,
            false,
        ),
        (
            RoomEvent::TrackPublished {
                room: room.clone(),
                participant: participant.clone(),
                track: track.clone(),
            },
            "track_published",
            true,
            true,
        ),
        (
            RoomEvent::TrackUnpublished {
                room: room.clone(),
                participant,
                track,
            },
            "track_unpublished",
            true,
            true,
        ),
    ];
    for (room_event, name, has_participant, has_track) in events {
        let (payload, body) = told(&room_event);
        assert_eq!((payload.event, payload.room.as_str()), (name, "order-17"));
        assert_eq!(
            (&body["event"], &body["id"], &body["createdAt"]),
            (&json!(name), &json!("EV_1"), &json!("1800000100"))
        );
        assert_eq!(body["room"]["name"], "order-17");
        assert_eq!(
            body["participant"]["identity"] == "shopper",
            has_participant,
            "{body}"
        );
        assert_eq!(body["track"]["sid"] == "TR_voice", has_track, "{body}");
    }
    assert_eq!(
        event(&RoomEvent::MetadataChanged { room }, "EV_1", NOW),
        None
    );
}

#[test]
fn an_application_can_check_that_the_body_is_ours() {
    let keys: Keys = [("devkey".to_owned(), "secret".to_owned())]
        .into_iter()
        .collect();
    let (payload, _) = told(&RoomEvent::Started { room: room() });
    let token = authorization(&keys, "devkey", &payload.body, NOW).unwrap();
    let claims = token::verify(&keys, &token, NOW + 60).unwrap();
    assert_eq!(
        STANDARD.decode(&claims.sha256).unwrap(),
        Sha256::digest(&payload.body).to_vec()
    );
    assert_eq!(
        token::verify(&keys, &token, NOW + 3600),
        Err(TokenError::Expired)
    );
    assert_eq!(
        authorization(&keys, "gone", b"", NOW),
        Err(TokenError::UnknownApiKey)
    );
}
