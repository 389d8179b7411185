use proptest::prelude::*;
use serde_json::json;
use tradewind_rtc::{RoomConfig, TrackSource};

use super::*;

const NOW: u64 = 1_800_000_000;

fn keys() -> Keys {
    [
        ("devkey".to_owned(), "secret".to_owned()),
        ("other".to_owned(), "another".to_owned()),
    ]
    .into_iter()
    .collect()
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn issue(payload: &Value) -> String {
    let message = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT"})),
        part(payload)
    );
    let key = EncodingKey::from_secret(b"secret");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn shopper() -> Claims {
    Claims {
        api_key: "devkey".into(),
        identity: "shopper-7".into(),
        name: "Aiko".into(),
        kind: 4,
        kind_details: vec![0],
        metadata: "{\"basket\": 3}".into(),
        attributes: [("locale".to_owned(), "ja".to_owned())].into(),
        grants: VideoGrant {
            room_join: true,
            room: "order-17".into(),
            can_publish: Some(true),
            can_publish_data: Some(false),
            can_publish_sources: vec![TrackSource::Microphone, TrackSource::ScreenShareAudio],
            can_update_own_metadata: Some(true),
            hidden: true,
            ..VideoGrant::default()
        },
        room_config: Some(RoomConfig {
            max_participants: 4,
            ..RoomConfig::default()
        }),
        sha256: String::new(),
        expires_at_s: NOW + 600,
        other: Map::new(),
    }
}

#[test]
fn a_signed_token_says_the_same_when_it_is_read() {
    let token = sign(&keys(), &shopper(), NOW, 600).unwrap();
    let mut read = verify(&keys(), &token, NOW).unwrap();
    assert!(read.other.remove("roomConfig").is_some());
    assert_eq!(read, shopper());
}

/// Issued by `AccessToken` of livekit-api 1.2.2 (Python) at Unix time 1795376753 for six hours.
const PYTHON_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYW1lIjoiQWlrbyIsImtpbmQiOiJhZ2VudCIsIm1ldGFkYXRhIjoibSIsInZpZGV\
    vIjp7InJvb21Kb2luIjp0cnVlLCJyb29tIjoib3JkZXItMTciLCJjYW5QdWJsaXNoIjp0cnVlLCJjYW5TdWJzY3JpYmUiOnRydWUsImN\
    hblB1Ymxpc2hEYXRhIjp0cnVlLCJjYW5QdWJsaXNoU291cmNlcyI6WyJtaWNyb3Bob25lIiwic2NyZWVuX3NoYXJlIl0sImNhblVwZGF\
    0ZU93bk1ldGFkYXRhIjp0cnVlfSwiYXR0cmlidXRlcyI6eyJsb2NhbGUiOiJqYSJ9LCJyb29tQ29uZmlnIjp7ImVtcHR5VGltZW91dCI\
    6NjAsIm1heFBhcnRpY2lwYW50cyI6NH0sInN1YiI6InNob3BwZXItNyIsImlzcyI6ImRldmtleSIsIm5iZiI6MTc5NTM3Njc1MywiZXh\
    wIjoxNzk1Mzk4MzUzfQ.uOf8ZIFhulxS3Ko30_krjlHSBCZo1RJzvcHut_qWBs0";

#[test]
fn a_token_of_a_public_sdk_is_read_whole() {
    let claims = verify(&keys(), PYTHON_TOKEN, 1_795_376_753).unwrap();
    assert_eq!(
        (
            claims.identity.as_str(),
            claims.name.as_str(),
            claims.metadata.as_str()
        ),
        ("shopper-7", "Aiko", "m")
    );
    assert_eq!((claims.kind, claims.expires_at_s), (4, 1_795_398_353));
    assert_eq!(claims.attributes["locale"], "ja");
    assert!(claims.grants.room_join && claims.grants.room == "order-17");
    assert_eq!(
        claims.grants.can_publish_sources,
        [TrackSource::Microphone, TrackSource::ScreenShare]
    );
    assert!(claims.grants.permission().can_update_metadata);
    let config = RoomConfig {
        empty_timeout_s: 60,
        max_participants: 4,
        ..RoomConfig::default()
    };
    assert_eq!(claims.room_config, Some(config));
}

#[test]
fn a_refreshed_token_keeps_claims_this_server_does_not_know() {
    let payload = json!({
        "iss": "devkey", "sub": "a", "exp": NOW + 60, "sip": {"call": true}, "roomPreset": "p",
        "video": {"roomJoin": true, "room": "r", "ingressAdmin": true, "canManageAgentSession": true},
        "roomConfig": {"name": "x", "emptyTimeout": 9, "agents": [{"agentName": "helper"}]},
        "attributes": {"k": "v"}, "kind": "agent", "kindDetails": ["cloud_agent"],
    });
    let claims = verify(&keys(), &issue(&payload), NOW).unwrap();
    let refreshed = sign(&keys(), &claims, NOW, 3600).unwrap();
    let mut written = json_part(refreshed.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(written.remove("nbf"), Some(json!(NOW)));
    assert_eq!(written.remove("iat"), Some(json!(NOW)));
    assert_eq!(
        written.insert("exp".into(), json!(NOW + 60)),
        Some(json!(NOW + 3600))
    );
    assert_eq!(Value::Object(written), payload);
}

#[test]
fn absent_permissions_follow_the_rules_of_the_sdks() {
    let open = VideoGrant::default().permission();
    assert!(
        open.can_publish
            && open.can_subscribe
            && open.can_publish_data
            && !open.can_update_metadata
    );
    let listener = VideoGrant {
        can_publish: Some(false),
        ..VideoGrant::default()
    }
    .permission();
    assert!(!listener.can_publish && !listener.can_publish_data && listener.can_subscribe);
    let chatter = VideoGrant {
        can_publish: Some(false),
        can_publish_data: Some(true),
        ..VideoGrant::default()
    };
    assert!(chatter.permission().can_publish_data);
}

#[test]
fn a_source_nobody_knows_does_not_open_every_source() {
    let payload =
        json!({"iss": "devkey", "exp": NOW, "video": {"canPublishSources": ["hologram"]}});
    let permission = verify(&keys(), &issue(&payload), NOW)
        .unwrap()
        .grants
        .permission();
    assert!(!permission.allows_source(TrackSource::Camera));
}

#[test]
fn the_token_id_stands_in_for_a_missing_subject() {
    let payload =
        json!({"iss": "devkey", "jti": "from-id", "exp": NOW, "name": null, "video": null});
    assert_eq!(
        verify(&keys(), &issue(&payload), NOW).unwrap().identity,
        "from-id"
    );
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let token = issue(&json!({"iss": "devkey", "nbf": NOW, "exp": (NOW as f64) + 100.5}));
    assert_eq!(
        verify(&keys(), &token, NOW - 61),
        Err(TokenError::NotYetValid)
    );
    assert!(verify(&keys(), &token, NOW - 60).is_ok());
    assert!(verify(&keys(), &token, NOW + 159).is_ok());
    assert_eq!(verify(&keys(), &token, NOW + 160), Err(TokenError::Expired));
}

#[test]
fn every_kind_of_bad_token_is_told_apart() {
    let body = json!({"iss": "devkey", "exp": NOW});
    let good = issue(&body);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let with_algorithm =
        |alg: &str| format!("{}.{}.{signature}", part(&json!({"alg": alg})), part(&body));
    let check = |token: &str| verify(&keys(), token, NOW).unwrap_err();

    assert!(verify(&keys(), &good, NOW).is_ok());
    assert_eq!(check(&with_algorithm("none")), TokenError::Unsigned);
    assert_eq!(check(&with_algorithm("RS256")), TokenError::WrongAlgorithm);
    assert_eq!(check(&with_algorithm("HS512")), TokenError::WrongAlgorithm);
    assert_eq!(check(&format!("{message}.")), TokenError::BadSignature);
    assert_eq!(
        check(&format!("{message}.{}", part(&json!("x")))),
        TokenError::BadSignature
    );
    assert_eq!(
        check(&issue(&json!({"iss": "other", "exp": NOW}))),
        TokenError::BadSignature
    );
    assert_eq!(
        check(&issue(&json!({"iss": "nobody", "exp": NOW}))),
        TokenError::UnknownApiKey
    );
    assert_eq!(
        check(&issue(&json!({"exp": NOW}))),
        TokenError::UnknownApiKey
    );
    assert_eq!(
        check(&issue(&json!({"iss": "devkey"}))),
        TokenError::NoExpiry
    );
    assert_eq!(
        check(&issue(
            &json!({"iss": "devkey", "exp": NOW, "sub": "i".repeat(257)})
        )),
        TokenError::IdentityTooLong
    );
    assert_eq!(check(&"a".repeat(MAX_TOKEN_BYTES + 1)), TokenError::TooLong);
    assert!(matches!(check(""), TokenError::Malformed(_)));
    assert!(matches!(
        check(&issue(&json!({"iss": "devkey", "exp": NOW, "name": 3}))),
        TokenError::Malformed(_)
    ));
}

#[test]
fn a_key_without_a_secret_opens_nothing() {
    let blank: Keys = [("devkey".to_owned(), String::new())].into_iter().collect();
    assert_eq!(
        verify(&blank, PYTHON_TOKEN, 1_795_376_753),
        Err(TokenError::UnknownApiKey)
    );
    assert_eq!(
        sign(&blank, &shopper(), NOW, 60),
        Err(TokenError::UnknownApiKey)
    );
}

#[test]
fn keys_never_show_their_secrets() {
    assert_eq!(format!("{:?}", keys()), r#"{"devkey", "other"}"#);
}

proptest! {
    #[test]
    fn verifying_never_panics_on_any_text(token in "(?s).{0,200}") {
        let _ = verify(&keys(), &token, NOW);
    }

    #[test]
    fn a_genuine_signature_over_any_claims_never_panics(name in "[a-z]{1,12}", number in any::<f64>(), text in ".*") {
        let payload = json!({"iss": "devkey", "exp": number, "nbf": text.len(), name: {"x": [number, text]}});
        let _ = verify(&keys(), &issue(&payload), NOW);
    }
}
