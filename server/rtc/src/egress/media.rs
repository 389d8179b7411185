//! A media packet on its way to one subscriber, before it is written and sealed.

use std::sync::Arc;
use std::time::Instant;

use str0m::rtp::ExtensionValues;

use crate::media::descriptor::RawDescriptor;
use crate::media::payload::Vp8Patch;

/// A packet on its way to a subscriber.
#[derive(Clone)]
pub(crate) struct OutgoingPacket {
    pub(crate) payload_type: u8,
    /// Extended; the first of a stream is below 65,536, and none is written twice.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Whether the packet may be asked for again.
    pub(crate) keep: bool,
    /// New frame number for the dependency descriptor, where it changes.
    pub(crate) frame_number: Option<u16>,
    pub(crate) vp8: Option<Vp8Patch>,
    pub(crate) media: Arc<Media>,
}

/// What all subscribers get alike.
#[derive(Clone)]
pub(crate) struct Media {
    /// When the media was captured, on our clock.
    pub(crate) captured: Instant,
    pub(crate) values: HeaderValues,
    pub(crate) payload: Arc<[u8]>,
}

/// Header extensions that concern the media; those that concern one hop are written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderValues {
    /// As on the wire: voice activity and level (RFC 6464).
    pub(crate) audio_level: Option<u8>,
    /// As on the wire: quarter turns (3GPP TS 26.114).
    pub(crate) orientation: Option<u8>,
    pub(crate) content_type: Option<u8>,
    /// As on the wire: 12 bits each of minimum and maximum, in 10 ms.
    pub(crate) playout_delay: Option<[u8; 3]>,
    pub(crate) capture_time: Option<CaptureTime>,
    pub(crate) descriptor: Option<Arc<[u8]>>,
}

/// Absolute capture time: NTP timestamps in units of 2^-32 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CaptureTime {
    pub(crate) ntp: u64,
    pub(crate) clock_offset: Option<i64>,
}

impl From<&ExtensionValues> for HeaderValues {
    fn from(values: &ExtensionValues) -> Self {
        let audio_level = values.audio_level.map(|level| {
            let voice = u8::from(values.voice_activity == Some(true)) << 7;
            voice | (level.unsigned_abs() & 0x7f)
        });
        let playout_delay = values
            .play_delay_min
            .zip(values.play_delay_max)
            .map(|(min, max)| {
                let hundredths = |time: str0m::media::MediaTime| {
                    (time.as_seconds() * 100.0).clamp(0.0, 4_095.0) as u32
                };
                let both = hundredths(min) << 12 | hundredths(max);
                [(both >> 16) as u8, (both >> 8) as u8, both as u8]
            });
        let capture_time = values.abs_capture_time.map(|time| CaptureTime {
            ntp: ntp_of_system(time.capture_time),
            clock_offset: time.clock_offset,
        });
        Self {
            audio_level,
            orientation: values.video_orientation.map(|turned| turned as u8),
            content_type: values.video_content_type,
            playout_delay,
            capture_time,
            descriptor: values
                .user_values
                .get::<RawDescriptor>()
                .map(RawDescriptor::shared),
        }
    }
}

/// Seconds from the beginning of NTP time, 1900, to that of Unix time.
const NTP_EPOCH: u64 = 2_208_988_800;

/// An NTP timestamp of microseconds of Unix time (RFC 5905): seconds and 2^-32 s.
pub(super) fn ntp_of_unix(unix_us: u64) -> u64 {
    let seconds = (unix_us / 1_000_000).wrapping_add(NTP_EPOCH);
    (seconds << 32) | (((unix_us % 1_000_000) << 32) / 1_000_000)
}

fn ntp_of_system(time: std::time::SystemTime) -> u64 {
    let since = time
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // Rounded to whole 2^-32 s, which a microsecond is too coarse for.
    let fraction = (u64::from(since.subsec_nanos()) << 32).div_ceil(1_000_000_000);
    (since.as_secs().wrapping_add(NTP_EPOCH) << 32).wrapping_add(fraction)
}
