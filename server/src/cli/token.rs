//! `tradewind token`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Args;
use tradewind_rtc::TrackSource;
use tradewind_signalling::token::{self, Claims, VideoGrant};

use super::SourceArgs;

/// Seconds of the longest token: a year.
const MAX_TTL_S: u64 = 366 * 24 * 60 * 60;

#[derive(Args)]
pub(super) struct TokenArgs {
    /// Room to join, or to administer with --admin.
    #[arg(long)]
    room: String,
    /// Who the participant is: unique in the room.
    #[arg(long)]
    identity: String,
    /// Name that others see.
    #[arg(long, default_value = "")]
    name: String,
    #[arg(long, default_value = "")]
    metadata: String,
    /// Attribute as KEY=VALUE; may be repeated.
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// May not publish audio or video.
    #[arg(long)]
    no_publish: bool,
    /// May not receive.
    #[arg(long)]
    no_subscribe: bool,
    /// May not send data messages.
    #[arg(long)]
    no_data: bool,
    /// May publish only from these sources; may be repeated.
    #[arg(long = "source", value_name = "SOURCE", value_parser = source)]
    sources: Vec<TrackSource>,
    /// May change its own name, metadata and attributes.
    #[arg(long)]
    update_own_metadata: bool,
    /// Others do not see this participant.
    #[arg(long)]
    hidden: bool,
    /// May make, list and administer rooms through the server API.
    #[arg(long)]
    admin: bool,
    /// How long the token is good: seconds, or a number with s, m, h or d.
    #[arg(long, default_value = "6h", value_parser = seconds)]
    ttl: u64,
    /// API key that signs; the first one if left out.
    #[arg(long, default_value = "")]
    api_key: String,
    #[command(flatten)]
    sources_of_configuration: SourceArgs,
}

pub(super) fn run(args: TokenArgs) -> anyhow::Result<()> {
    let settings = args.sources_of_configuration.load()?.settings;
    let deny = |denied: bool| denied.then_some(false);
    let grants = VideoGrant {
        room_join: true,
        room: args.room,
        room_create: args.admin,
        room_list: args.admin,
        room_admin: args.admin,
        can_publish: deny(args.no_publish),
        can_subscribe: deny(args.no_subscribe),
        can_publish_data: deny(args.no_data),
        can_publish_sources: args.sources,
        can_update_own_metadata: args.update_own_metadata.then_some(true),
        hidden: args.hidden,
        ..VideoGrant::default()
    };
    let claims = Claims {
        api_key: args.api_key,
        identity: args.identity,
        name: args.name,
        metadata: args.metadata,
        attributes: args.attributes.into_iter().collect(),
        grants,
        ..Claims::default()
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_secs();
    println!(
        "{}",
        token::sign(&settings.api_keys(), &claims, now, args.ttl)?
    );
    Ok(())
}

fn attribute(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').context("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn source(text: &str) -> anyhow::Result<TrackSource> {
    Ok(match text {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => bail!("choose camera, microphone, screen_share or screen_share_audio"),
    })
}

fn seconds(text: &str) -> anyhow::Result<u64> {
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => 1,
    };
    let number: u64 = text
        .trim_end_matches(['s', 'm', 'h', 'd'])
        .parse()
        .context("write 90s, 15m, 6h or 7d")?;
    match number.checked_mul(unit) {
        Some(seconds @ 1..=MAX_TTL_S) => Ok(seconds),
        _ => bail!("choose one second to a year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_has_a_unit_or_is_in_seconds() {
        let read = |text| seconds(text).ok();
        assert_eq!(read("90"), Some(90));
        assert_eq!(
            (read("90s"), read("15m"), read("6h"), read("7d")),
            (Some(90), Some(900), Some(21_600), Some(604_800))
        );
        assert_eq!(
            (
                read("0"),
                read("forever"),
                read("400d"),
                read("99999999999999999999d")
            ),
            (None, None, None, None)
        );
    }

    #[test]
    fn sources_are_named_as_in_tokens() {
        assert_eq!(source("screen_share").ok(), Some(TrackSource::ScreenShare));
        assert!(source("Camera").is_err());
    }
}
