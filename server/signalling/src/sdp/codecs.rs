//! Tells a publisher how to encode: browsers follow the order of payload types and the format parameters of the answer.

use tradewind_rtc::ReceivedTrack;

use super::section::MediaSection;

/// Bits per second: what browsers allow for stereo Opus at most (RFC 7587 section 6.1).
const STEREO_BITRATE: &str = "510000";

/// Puts the publisher's wishes into the section it publishes on.
pub(super) fn ask_for(media: &mut MediaSection<'_>, received: &ReceivedTrack, single_codec: bool) {
    if media.is_audio() {
        order_redundancy(media, received.disable_red);
        ask_for_opus(media, received);
    } else if let Some(codec) = received.codec.as_deref() {
        prefer_codec(media, short_name(codec), single_codec);
    }
}

fn ask_for_opus(media: &mut MediaSection<'_>, received: &ReceivedTrack) {
    let mut parameters = Vec::new();
    if !received.disable_dtx {
        parameters.push(("usedtx", "1"));
    }
    if received.stereo {
        parameters.extend([
            ("stereo", "1"),
            ("sprop-stereo", "1"),
            ("maxaveragebitrate", STEREO_BITRATE),
        ]);
    }
    if parameters.is_empty() {
        return;
    }
    for payload_type in of_codec(media, "opus") {
        media.set_format(&payload_type, &parameters);
    }
}

/// Browsers send redundant audio (RFC 2198) only where `red` stands before its codec.
fn order_redundancy(media: &mut MediaSection<'_>, last: bool) {
    let redundant = of_codec(media, "red");
    if redundant.is_empty() {
        return;
    }
    let (red, others): (Vec<_>, Vec<_>) = owned(media)
        .into_iter()
        .partition(|item| redundant.contains(item));
    let order = if last { [others, red] } else { [red, others] }.concat();
    media.set_payload_types(&order);
}

fn prefer_codec(media: &mut MediaSection<'_>, codec: &str, single_codec: bool) {
    let mut preferred = of_codec(media, codec);
    if preferred.is_empty() {
        return;
    }
    let repairs: Vec<String> = of_codec(media, "rtx")
        .into_iter()
        .filter(|repair| repairs_any(media, repair, &preferred))
        .collect();
    preferred.extend(repairs);
    let (first, rest): (Vec<_>, Vec<_>) = owned(media)
        .into_iter()
        .partition(|item| preferred.contains(item));
    let order = if single_codec {
        first
    } else {
        [first, rest].concat()
    };
    media.set_payload_types(&order);
}

/// Whether the payload type retransmits one of `codecs` (RFC 4588 section 8.1).
fn repairs_any(media: &MediaSection<'_>, repair: &str, codecs: &[String]) -> bool {
    media
        .values("a=fmtp:")
        .filter_map(|value| value.split_once(' '))
        .filter(|(payload_type, _)| *payload_type == repair)
        .flat_map(|(_, parameters)| parameters.split(';'))
        .filter_map(|parameter| parameter.trim().strip_prefix("apt="))
        .any(|original| codecs.iter().any(|codec| codec == original))
}

/// The payload types in the media line whose `a=rtpmap` names this codec, in order.
fn of_codec(media: &MediaSection<'_>, codec: &str) -> Vec<String> {
    let named: Vec<&str> = media
        .values("a=rtpmap:")
        .filter_map(|value| value.split_once(' '))
        .filter(|(_, encoding)| {
            encoding
                .split('/')
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(codec))
        })
        .map(|(payload_type, _)| payload_type)
        .collect();
    media
        .payload_types()
        .into_iter()
        .filter(|listed| named.contains(listed))
        .map(str::to_owned)
        .collect()
}

fn owned(media: &MediaSection<'_>) -> Vec<String> {
    media
        .payload_types()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// `video/VP8` and `vp8` are the same codec.
fn short_name(codec: &str) -> &str {
    codec.rsplit('/').next().unwrap_or(codec)
}
