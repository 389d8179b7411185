//! Names and properties of codecs.

use serde::{Deserialize, Serialize};

/// What a track is encoded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Codec {
    Opus,
    /// Redundant audio, RFC 2198.
    Red,
    Vp8,
    Vp9,
    H264,
    H265,
    Av1,
    /// Forwarded without any look at the payload.
    Other,
}

/// Short name and MIME type of every known codec.
const NAMES: [(Codec, &str, &str); 7] = [
    (Codec::Opus, "opus", "audio/opus"),
    (Codec::Red, "red", "audio/red"),
    (Codec::Vp8, "vp8", "video/VP8"),
    (Codec::Vp9, "vp9", "video/VP9"),
    (Codec::H264, "h264", "video/H264"),
    (Codec::H265, "h265", "video/H265"),
    (Codec::Av1, "av1", "video/AV1"),
];

impl Codec {
    /// From a MIME type such as `video/VP8`, in any case; [`Codec::Other`] if unknown.
    pub fn from_mime(mime: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, _, name)| name.eq_ignore_ascii_case(mime))
            .map_or(Self::Other, |found| found.0)
    }

    /// From a name such as `vp8`, in any case; [`Codec::Other`] if unknown.
    pub fn from_short_name(short: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, name, _)| name.eq_ignore_ascii_case(short))
            .map_or(Self::Other, |found| found.0)
    }

    /// The name as in `SubscribedCodec`: `vp8`; empty for [`Codec::Other`].
    pub fn short_name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(codec, _, _)| *codec == self)
            .map_or("", |found| found.1)
    }

    /// The MIME type as in `TrackInfo`: `video/VP8`; empty for [`Codec::Other`].
    pub fn mime(self) -> &'static str {
        NAMES
            .iter()
            .find(|(codec, _, _)| *codec == self)
            .map_or("", |found| found.2)
    }

    /// Whether key frames and layers matter.
    pub fn is_video(self) -> bool {
        matches!(
            self,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1
        )
    }

    /// Ticks of the RTP timestamp per second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            _ => 90_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_is_found_by_both_names_in_any_case() {
        for (codec, short, mime) in NAMES {
            assert_eq!(Codec::from_mime(&mime.to_lowercase()), codec);
            assert_eq!(Codec::from_short_name(&short.to_uppercase()), codec);
            assert_eq!((codec.short_name(), codec.mime()), (short, mime));
        }
    }

    #[test]
    fn an_unknown_codec_is_other_and_has_no_name() {
        assert_eq!(Codec::from_mime("video/H266"), Codec::Other);
        assert_eq!(Codec::Other.mime(), "");
        assert!(!Codec::Other.is_video());
    }

    #[test]
    fn video_counts_at_90_khz_and_opus_at_48() {
        assert_eq!(
            (Codec::Av1.clock_rate(), Codec::Red.clock_rate()),
            (90_000, 48_000)
        );
    }
}
