//! The query of `/rtc/v1`: a protobuf message, perhaps compressed, in base64url.

use std::io::Read;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use prost::Message;
use tradewind_rtc::{AddTrack, PeerMode, SessionDescription};

use super::client::client_from;
use super::{ConnectError, Request};
use crate::convert::proto::wrapped_join_request::Compression;
use crate::convert::proto::{AddTrackRequest, JoinRequest, WrappedJoinRequest};
use crate::convert::{add_track_from, sync_state_from};
use crate::limits::{Limits, MAX_SID_BYTES, add_track_fault, has_fields_at_most};

/// SDKs differ in whether they pad.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn read(query: &str, limits: &Limits) -> Result<Request, ConnectError> {
    let (_, encoded) = form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "join_request")
        .ok_or(ConnectError::NoJoinRequest)?;
    if encoded.len() / 4 > limits.join_request_bytes / 3 {
        return Err(too_large(limits));
    }
    let wrapper = decode_base64url(&encoded).ok_or_else(|| bad("it is not base64url"))?;
    let bytes = unwrap(&wrapper, limits)?;
    if !has_fields_at_most(limits.fields, &bytes) {
        return Err(bad("it has too many fields"));
    }
    let request = JoinRequest::decode(&*bytes).map_err(|error| bad(&error.to_string()))?;
    read_request(request, limits)
}

fn read_request(join: JoinRequest, limits: &Limits) -> Result<Request, ConnectError> {
    let (client, browser_version) = client_from(join.client_info.unwrap_or_default());
    let settings = join.connection_settings.unwrap_or_default();
    let offer = join.publisher_offer.filter(|offer| !offer.sdp.is_empty());
    if offer
        .as_ref()
        .is_some_and(|offer| offer.sdp.len() > limits.sdp_bytes)
    {
        return Err(bad("its offer is too large"));
    }
    let offer = offer.map(|offer| SessionDescription {
        sdp: offer.sdp,
        id: offer.id,
    });
    let resume = if join.reconnect {
        Some(sid(join.participant_sid)?)
    } else {
        None
    };
    Ok(Request {
        client,
        browser_version,
        peer_mode: PeerMode::Single,
        auto_subscribe: settings.auto_subscribe,
        auto_subscribe_data_tracks: settings.auto_subscribe_data_track.unwrap_or(false),
        adaptive_stream: settings.adaptive_stream,
        disable_ice_lite: settings.disable_ice_lite,
        metadata: join.metadata,
        attributes: join.participant_attributes.into_iter().collect(),
        offer,
        add_tracks: read_tracks(join.add_track_requests, limits)?,
        resume,
        sync_state: join
            .sync_state
            .map(|state| sync_state_from(state, PeerMode::Single)),
    })
}

fn read_tracks(
    tracks: Vec<AddTrackRequest>,
    limits: &Limits,
) -> Result<Vec<AddTrack>, ConnectError> {
    if tracks.len() > limits.tracks_per_join {
        return Err(ConnectError::TooManyTracks {
            limit: limits.tracks_per_join,
        });
    }
    let read = |track: AddTrackRequest| {
        if let Some(fault) = add_track_fault(&track) {
            return Err(ConnectError::BadTrack(fault));
        }
        add_track_from(track).ok_or(ConnectError::BadTrack("it is neither audio nor video"))
    };
    tracks.into_iter().map(read).collect()
}

/// The bytes of the inner message.
fn unwrap(wrapper: &[u8], limits: &Limits) -> Result<Vec<u8>, ConnectError> {
    let wrapper = WrappedJoinRequest::decode(wrapper).map_err(|error| bad(&error.to_string()))?;
    match Compression::try_from(wrapper.compression) {
        Ok(Compression::None) => Ok(wrapper.join_request),
        Ok(Compression::Gzip) => inflate(&wrapper.join_request, limits),
        Err(_) => Err(bad("its compression is neither none nor gzip")),
    }
}

/// Inflates no further than the limit: a kilobyte can hold a megabyte of zeros.
fn inflate(compressed: &[u8], limits: &Limits) -> Result<Vec<u8>, ConnectError> {
    let one_more = u64::try_from(limits.join_request_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    GzDecoder::new(compressed)
        .take(one_more)
        .read_to_end(&mut bytes)
        .map_err(|_| bad("it is not gzip"))?;
    if bytes.len() > limits.join_request_bytes {
        return Err(too_large(limits));
    }
    Ok(bytes)
}

pub(super) fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// A sid the client gives; real ones have 15 bytes.
pub(super) fn sid(text: String) -> Result<String, ConnectError> {
    if text.len() > MAX_SID_BYTES {
        return Err(ConnectError::TextTooLong {
            what: "participant's sid",
            limit: MAX_SID_BYTES,
        });
    }
    Ok(text)
}

fn bad(why: &str) -> ConnectError {
    ConnectError::BadJoinRequest(why.to_owned())
}

fn too_large(limits: &Limits) -> ConnectError {
    ConnectError::TooLarge {
        what: "contents of `join_request`",
        limit: limits.join_request_bytes,
    }
}
