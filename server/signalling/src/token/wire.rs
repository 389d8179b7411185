//! The JSON form of [`Claims`], as public SDKs read and write it.

use std::collections::BTreeMap;

use livekit_protocol::participant_info::{Kind, KindDetail};
use livekit_protocol::{self as proto, RoomConfiguration};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use tradewind_rtc::{RoomConfig, TrackSource};

use super::{Claims, TokenError, VideoGrant};

/// Claims whose times are still to be checked.
pub(super) struct Unchecked {
    pub(super) claims: Claims,
    /// `nbf`, Unix time in seconds; 0 where absent.
    pub(super) not_before_s: u64,
}

pub(super) fn read(
    api_key: String,
    mut payload: Map<String, Value>,
) -> Result<Unchecked, TokenError> {
    drop_nulls(&mut payload);
    let wire: WireClaims = serde_json::from_value(Value::Object(payload))
        .map_err(|_| TokenError::Malformed("a claim has a wrong type"))?;
    let expires_at_s = seconds(wire.exp.as_ref().ok_or(TokenError::NoExpiry)?);
    let not_before_s = wire.nbf.as_ref().map_or(0, seconds);
    let identity = if wire.sub.is_empty() {
        wire.jti
    } else {
        wire.sub
    };
    let room_config = wire
        .room_config
        .as_ref()
        .map(read_room_config)
        .transpose()?;
    let mut other = wire.other;
    if let Some(settings) = wire.room_config {
        other.insert(ROOM_CONFIG.into(), settings);
    }
    let claims = Claims {
        api_key,
        identity,
        name: wire.name,
        kind: Kind::from_str_name(&wire.kind.to_uppercase())
            .unwrap_or_default()
            .into(),
        kind_details: wire
            .kind_details
            .iter()
            .filter_map(|detail| KindDetail::from_str_name(&detail.to_uppercase()))
            .map(i32::from)
            .collect(),
        metadata: wire.metadata,
        attributes: wire.attributes,
        grants: read_grants(wire.video),
        room_config,
        sha256: wire.sha256,
        expires_at_s,
        other,
    };
    Ok(Unchecked {
        claims,
        not_before_s,
    })
}

pub(super) fn write(api_key: &str, claims: &Claims, now_unix_s: u64, ttl_s: u64) -> impl Serialize {
    let mut other = claims.other.clone();
    // The original text holds more than `RoomConfig` does (agents to dispatch, recordings), so it goes first.
    let room_config = other
        .remove(ROOM_CONFIG)
        .or_else(|| claims.room_config.as_ref().map(write_room_config));
    WireClaims {
        iss: api_key.to_owned(),
        sub: claims.identity.clone(),
        jti: String::new(),
        exp: Some(now_unix_s.saturating_add(ttl_s).into()),
        nbf: Some(now_unix_s.into()),
        iat: Some(now_unix_s.into()),
        name: claims.name.clone(),
        kind: Kind::try_from(claims.kind)
            .ok()
            .filter(|kind| *kind != Kind::Standard)
            .map_or_else(String::new, |kind| kind.as_str_name().to_lowercase()),
        kind_details: claims
            .kind_details
            .iter()
            .filter_map(|detail| KindDetail::try_from(*detail).ok())
            .map(|detail| detail.as_str_name().to_lowercase())
            .collect(),
        metadata: claims.metadata.clone(),
        attributes: claims.attributes.clone(),
        video: write_grants(&claims.grants),
        room_config,
        sha256: claims.sha256.clone(),
        other,
    }
}

const ROOM_CONFIG: &str = "roomConfig";

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireClaims {
    #[serde(skip_serializing_if = "String::is_empty")]
    iss: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sub: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Number>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kind_details: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    metadata: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "WireGrant::is_empty")]
    video: WireGrant,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_config: Option<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    sha256: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireGrant {
    #[serde(skip_serializing_if = "is_false")]
    room_create: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_list: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_record: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_join: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish_data: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    can_publish_sources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_update_own_metadata: Option<bool>,
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
    #[serde(skip_serializing_if = "is_false")]
    recorder: bool,
    #[serde(skip_serializing_if = "is_false")]
    agent: bool,
    #[serde(skip_serializing_if = "is_false")]
    can_subscribe_metrics: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    destination_room: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl WireGrant {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn read_grants(wire: WireGrant) -> VideoGrant {
    VideoGrant {
        room_create: wire.room_create,
        room_list: wire.room_list,
        room_record: wire.room_record,
        room_admin: wire.room_admin,
        room_join: wire.room_join,
        room: wire.room,
        can_publish: wire.can_publish,
        can_subscribe: wire.can_subscribe,
        can_publish_data: wire.can_publish_data,
        can_publish_sources: wire
            .can_publish_sources
            .iter()
            .map(|name| read_source(name))
            .collect(),
        can_update_own_metadata: wire.can_update_own_metadata,
        hidden: wire.hidden,
        recorder: wire.recorder,
        agent: wire.agent,
        can_subscribe_metrics: wire.can_subscribe_metrics,
        destination_room: wire.destination_room,
        other: wire.other,
    }
}

fn write_grants(grants: &VideoGrant) -> WireGrant {
    WireGrant {
        room_create: grants.room_create,
        room_list: grants.room_list,
        room_record: grants.room_record,
        room_admin: grants.room_admin,
        room_join: grants.room_join,
        room: grants.room.clone(),
        can_publish: grants.can_publish,
        can_subscribe: grants.can_subscribe,
        can_publish_data: grants.can_publish_data,
        can_publish_sources: grants
            .can_publish_sources
            .iter()
            .map(|source| source_name(*source).to_owned())
            .collect(),
        can_update_own_metadata: grants.can_update_own_metadata,
        hidden: grants.hidden,
        recorder: grants.recorder,
        agent: grants.agent,
        can_subscribe_metrics: grants.can_subscribe_metrics,
        destination_room: grants.destination_room.clone(),
        other: grants.other.clone(),
    }
}

/// A name nobody knows still makes the list non-empty: it must not widen what may be published.
fn read_source(name: &str) -> TrackSource {
    match proto::TrackSource::from_str_name(&name.to_uppercase()) {
        Some(proto::TrackSource::Camera) => TrackSource::Camera,
        Some(proto::TrackSource::Microphone) => TrackSource::Microphone,
        Some(proto::TrackSource::ScreenShare) => TrackSource::ScreenShare,
        Some(proto::TrackSource::ScreenShareAudio) => TrackSource::ScreenShareAudio,
        Some(proto::TrackSource::Unknown) | None => TrackSource::Unknown,
    }
}

fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Unknown => "unknown",
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::ScreenShare => "screen_share",
        TrackSource::ScreenShareAudio => "screen_share_audio",
    }
}

fn read_room_config(settings: &Value) -> Result<RoomConfig, TokenError> {
    let mut settings = settings.clone();
    if let Some(settings) = settings.as_object_mut() {
        // Parts this server does not act on must not make a token unreadable.
        settings.remove("egress");
        settings.remove("agents");
    }
    serde_json::from_value(settings)
        .map(room_config)
        .map_err(|_| TokenError::Malformed("`roomConfig` has a wrong type"))
}

/// The settings this server acts on; the protocol writes 0 for a timeout that is not stated.
pub(crate) fn room_config(settings: RoomConfiguration) -> RoomConfig {
    let default = RoomConfig::default();
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    RoomConfig {
        metadata: settings.metadata,
        empty_timeout_s: or(settings.empty_timeout, default.empty_timeout_s),
        departure_timeout_s: or(settings.departure_timeout, default.departure_timeout_s),
        max_participants: settings.max_participants,
        sync_streams: settings.sync_streams,
    }
}

fn write_room_config(config: &RoomConfig) -> Value {
    let settings = RoomConfiguration {
        metadata: config.metadata.clone(),
        empty_timeout: config.empty_timeout_s,
        departure_timeout: config.departure_timeout_s,
        max_participants: config.max_participants,
        sync_streams: config.sync_streams,
        ..RoomConfiguration::default()
    };
    serde_json::to_value(settings).unwrap_or_default()
}

/// Some SDKs write `null` where others leave a claim out.
fn drop_nulls(claims: &mut Map<String, Value>) {
    claims.retain(|_, value| !value.is_null());
    for name in ["video", "attributes"] {
        if let Some(inner) = claims.get_mut(name).and_then(Value::as_object_mut) {
            inner.retain(|_, value| !value.is_null());
        }
    }
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction.
fn seconds(date: &Number) -> u64 {
    date.as_u64()
        .unwrap_or_else(|| date.as_f64().unwrap_or(0.0) as u64)
}
