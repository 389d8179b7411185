//! Finishes the session descriptions that str0m writes.
//!
//! str0m negotiates; clients in addition expect stream names that say whose track a section carries, sections without
//! a track to be inactive, and format parameters that say how to encode. All of that is text, so only text is changed,
//! line by line, and whatever is not named here stays as it is.

mod codecs;
mod section;

use tradewind_rtc::{Client, Description, ForwardedTrack, Section, Target};

use section::MediaSection;

/// What the text depends on besides the description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpClient {
    pub firefox: bool,
    /// As the client names it; upper and lower case are the same.
    pub os: String,
}

impl SdpClient {
    /// Firefox on Linux and Android does not keep to the order of codecs: it must see only the one asked for.
    fn needs_single_codec(&self) -> bool {
        self.firefox
            && ["linux", "android"]
                .iter()
                .any(|os| self.os.eq_ignore_ascii_case(os))
    }
}

impl From<&Client> for SdpClient {
    fn from(client: &Client) -> Self {
        Self {
            firefox: client.browser.eq_ignore_ascii_case("firefox"),
            os: client.os.clone(),
        }
    }
}

/// The description's text as the client should get it. Finishing a finished text changes nothing.
pub fn finish(description: &Description, client: &SdpClient) -> String {
    let text = &description.description.sdp;
    // Only answers on the publisher's connection say how the client should encode.
    let answers_publisher = description.target == Target::Publisher;
    let mut finished = String::with_capacity(text.len() + 64 * description.sections.len());
    let mut parts = split_at_media_lines(text).into_iter();
    finished.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut media = MediaSection::parse(part);
        if !media.carries_media() {
            finished.push_str(part);
            continue;
        }
        let section = description
            .sections
            .iter()
            .find(|section| media.mid() == Some(&*section.mid));
        finish_section(&mut media, section, answers_publisher, client);
        media.write(&mut finished);
    }
    finished
}

fn finish_section(
    media: &mut MediaSection<'_>,
    section: Option<&Section>,
    answers_publisher: bool,
    client: &SdpClient,
) {
    match section.and_then(|section| section.forwards.as_ref()) {
        Some(forwarded) => media.name_stream(&stream_name(forwarded), forwarded.track.as_str()),
        None => media.stop_sending(),
    }
    if let Some(received) = section
        .and_then(|section| section.receives.as_ref())
        .filter(|_| answers_publisher)
    {
        codecs::ask_for(media, received, client.needs_single_codec());
    }
}

/// `PA_...|TR_...`, which clients take apart to find the participant, and the track or its group.
fn stream_name(forwarded: &ForwardedTrack) -> String {
    let group = forwarded
        .stream
        .as_deref()
        .map(token)
        .filter(|stream| !stream.is_empty());
    format!(
        "{}|{}",
        forwarded.participant,
        group.as_deref().unwrap_or(forwarded.track.as_str())
    )
}

/// The name was chosen by the publisher and must not end the line or the field it stands in: only the characters of a
/// `token` (RFC 8866 section 9) are kept, without the `|` at which clients split, up to the 64 of RFC 8830.
fn token(name: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{}~".contains(*c);
    name.chars().filter(kept).take(64).collect()
}

/// The session part, then each media section.
fn split_at_media_lines(sdp: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut position = 0;
    for line in sdp.split_inclusive('\n') {
        if line.starts_with("m=") {
            parts.push(&sdp[start..position]);
            start = position;
        }
        position += line.len();
    }
    parts.push(&sdp[start..]);
    parts
}

#[cfg(test)]
mod tests;
