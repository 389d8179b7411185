//! Connect requests of anybody with a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livekit_protocol::WrappedJoinRequest;
use livekit_protocol::wrapped_join_request::Compression;
use prost::Message;
use tradewind_rtc::{Command, Join};
use tradewind_signalling::Limits;
use tradewind_signalling::join::{ConnectRequest, connect_v0, connect_v1};

use crate::Verdict;
use crate::call::{self, CONNECTION, Call};

/// Input: a byte, then by its two lowest bits 0 = the query of `/rtc`, 1 = the query of `/rtc/v1`, 2 = a join request in
/// protobuf, 3 = one compressed by gzip.
///
/// Rule: what is accepted keeps to the limits, and the room takes it without fault.
pub fn join_request(input: &[u8]) -> Verdict {
    let Some((form, rest)) = input.split_first() else {
        return Verdict::Refused;
    };
    let (claims, limits) = (call::claims(), Limits::default());
    let query = match form & 3 {
        0 | 1 => String::from_utf8_lossy(rest).into_owned(),
        2 => wrapped(Compression::None, rest),
        _ => wrapped(Compression::Gzip, rest),
    };
    let connect = match form & 3 {
        0 => connect_v0(&query, &claims, CONNECTION, &limits),
        _ => connect_v1(&query, &claims, CONNECTION, &limits),
    };
    let Ok(connect) = connect else {
        return Verdict::Refused;
    };
    let mut session = call::session(&connect);
    let mut call = Call::new();
    let command = match connect.request {
        ConnectRequest::Join(join) => {
            check_limits(&join, &limits);
            Command::Join(join)
        }
        ConnectRequest::Resume(resume) => Command::Resume(resume),
    };
    let outputs = call.command(command);
    for event in call::events(outputs) {
        session.send(event);
    }
    call.end();
    Verdict::Accepted
}

fn check_limits(join: &Join, limits: &Limits) {
    let attributes: usize = join
        .attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    assert!(attributes <= limits.attributes_bytes, "attributes");
    assert!(join.metadata.len() <= limits.metadata_bytes, "metadata");
    assert!(join.add_tracks.len() <= limits.tracks_per_join, "tracks");
    let offer = join.offer.as_ref().map_or(0, |offer| offer.sdp.len());
    assert!(offer <= limits.sdp_bytes, "offer");
}

fn wrapped(compression: Compression, join_request: &[u8]) -> String {
    let wrapper = WrappedJoinRequest {
        compression: compression as i32,
        join_request: join_request.to_vec(),
    };
    format!(
        "join_request={}",
        URL_SAFE_NO_PAD.encode(wrapper.encode_to_vec())
    )
}
