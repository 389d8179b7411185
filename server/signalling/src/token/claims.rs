//! What a checked token says.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tradewind_rtc::{Permission, RoomConfig, TrackSource};

/// What a token says. Fill one in and [`sign`](super::sign) it to issue a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub api_key: String,
    /// `sub`, or `jti` where that is absent. Empty in tokens for the server API.
    pub identity: String,
    pub name: String,
    /// Code of `ParticipantInfo.Kind`.
    pub kind: i32,
    /// Codes of `ParticipantInfo.KindDetail`.
    pub kind_details: Vec<i32>,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub grants: VideoGrant,
    /// For the room this participant brings into being.
    pub room_config: Option<RoomConfig>,
    /// Base64 of the SHA-256 of the body the token vouches for, in webhooks.
    pub sha256: String,
    /// `exp`, Unix time in seconds.
    pub expires_at_s: u64,
    /// Claims this server does not act on, kept for refreshed tokens.
    pub other: Map<String, Value>,
}

/// What the holder may do: the claim `video`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoGrant {
    pub room_create: bool,
    pub room_list: bool,
    pub room_record: bool,
    /// Server API calls on `room`.
    pub room_admin: bool,
    pub room_join: bool,
    /// The room that `room_join` and `room_admin` speak of.
    pub room: String,
    /// Absent = allowed.
    pub can_publish: Option<bool>,
    /// Absent = allowed.
    pub can_subscribe: Option<bool>,
    /// Absent = as `can_publish`.
    pub can_publish_data: Option<bool>,
    /// Empty = every source.
    pub can_publish_sources: Vec<TrackSource>,
    /// Absent = not allowed.
    pub can_update_own_metadata: Option<bool>,
    pub hidden: bool,
    pub recorder: bool,
    /// May register as a worker.
    pub agent: bool,
    pub can_subscribe_metrics: bool,
    /// Where participants of `room` may be moved or forwarded to.
    pub destination_room: String,
    /// Grants this server does not act on, kept for refreshed tokens.
    pub other: Map<String, Value>,
}

impl VideoGrant {
    /// What a participant with this grant may do in its room.
    pub fn permission(&self) -> Permission {
        let can_publish = self.can_publish.unwrap_or(true);
        Permission {
            can_subscribe: self.can_subscribe.unwrap_or(true),
            can_publish,
            can_publish_data: self.can_publish_data.unwrap_or(can_publish),
            can_publish_sources: self.can_publish_sources.clone(),
            hidden: self.hidden,
            recorder: self.recorder,
            can_update_metadata: self.can_update_own_metadata.unwrap_or(false),
            agent: self.agent,
            can_subscribe_metrics: self.can_subscribe_metrics,
        }
    }
}
