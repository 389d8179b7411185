//! The query of `/rtc`: one parameter per setting.

use std::collections::BTreeMap;

use tradewind_rtc::PeerMode;

use super::client::{capabilities_named, client_from, sdk_named};
use super::{ConnectError, Request, wrapped};
use crate::convert::proto::ClientInfo;

pub(super) fn read(query: &str) -> Result<Request, ConnectError> {
    let mut info = ClientInfo::default();
    let mut auto_subscribe = true;
    let mut auto_subscribe_data_tracks = false;
    let mut adaptive_stream = false;
    let mut disable_ice_lite = false;
    let mut attributes = BTreeMap::new();
    let mut reconnect = false;
    let mut sid = String::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "auto_subscribe" => auto_subscribe = flag(&value),
            "auto_subscribe_data_track" => auto_subscribe_data_tracks = flag(&value),
            "adaptive_stream" => adaptive_stream = flag(&value),
            "disable_ice_lite" => disable_ice_lite = flag(&value),
            "attributes" => attributes = read_attributes(&value)?,
            "reconnect" => reconnect = flag(&value),
            "sid" => sid = value.into_owned(),
            "sdk" => info.set_sdk(sdk_named(&value)),
            "version" => info.version = value.into_owned(),
            "protocol" => info.protocol = value.parse().unwrap_or(0),
            "client_protocol" => info.client_protocol = value.parse().unwrap_or(0),
            "os" => info.os = value.into_owned(),
            "browser" => info.browser = value.into_owned(),
            "browser_version" => info.browser_version = value.into_owned(),
            "capabilities" => info.capabilities = capabilities_named(&value),
            _ => {}
        }
    }
    let (client, browser_version) = client_from(info);
    Ok(Request {
        client,
        browser_version,
        peer_mode: PeerMode::Dual,
        auto_subscribe,
        auto_subscribe_data_tracks,
        adaptive_stream,
        disable_ice_lite,
        metadata: String::new(),
        attributes,
        offer: None,
        add_tracks: Vec::new(),
        resume: if reconnect {
            Some(wrapped::sid(sid)?)
        } else {
            None
        },
        sync_state: None,
    })
}

fn flag(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

fn read_attributes(value: &str) -> Result<BTreeMap<String, String>, ConnectError> {
    if value.is_empty() {
        return Ok(BTreeMap::new());
    }
    let json = wrapped::decode_base64url(value).ok_or(ConnectError::BadAttributes)?;
    serde_json::from_slice(&json).map_err(|_| ConnectError::BadAttributes)
}
