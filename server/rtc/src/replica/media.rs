//! Media between replicas, without anything of the transport it came by.

use std::sync::Arc;
use std::time::SystemTime;

use str0m::format::{Codec as Negotiated, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, MediaTime};
use str0m::rtp::{AbsCaptureTime, ExtensionValues, VideoOrientation};

use serde::{Deserialize, Serialize};

use crate::id::FlowId;
use crate::info::TrackKind;
use crate::media::codec::Codec;
use crate::media::descriptor::RawDescriptor;

/// A packet of a track on its way from the replica that owns it to another.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayedPacket {
    /// From [`ReplicaTrack`](super::ReplicaTrack).
    pub flow: FlowId,
    pub kind: TrackKind,
    /// Index of the codec.
    pub source: u8,
    /// Index of the simulcast encoding, low to high.
    pub encoding: u8,
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    pub marker: bool,
    /// The payload is redundant audio (RFC 2198).
    pub redundant: bool,
    pub extensions: MediaExtensions,
    pub payload: Arc<[u8]>,
}

/// Header extensions that concern the media rather than one hop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaExtensions {
    /// RFC 6464: 0 (loudest) to -127 dBov.
    pub audio_level: Option<i8>,
    pub voice_activity: Option<bool>,
    /// Clockwise rotation in steps of 90 degrees, 0 to 3.
    pub rotation: Option<u8>,
    /// 0 unspecified, 1 screen share.
    pub content_type: Option<u8>,
    /// Capture time of the frame by the sender's clock.
    pub captured: Option<SystemTime>,
    /// What to add to `captured` for the capturer's clock: NTP fixed point, 32.32 bits of seconds.
    pub capture_offset: Option<i64>,
    /// Least and most playout delay, in units of 10 ms.
    pub playout_delay: Option<(u16, u16)>,
    /// Dependency descriptor of the packet, at most 255 bytes.
    pub descriptor: Option<Arc<[u8]>>,
}

impl MediaExtensions {
    pub(crate) fn from_values(values: &ExtensionValues) -> Self {
        let hundredths = |time: MediaTime| time.rebase(Frequency::HUNDREDTHS).numer() as u16;
        Self {
            audio_level: values.audio_level,
            voice_activity: values.voice_activity,
            rotation: values.video_orientation.map(|rotation| match rotation {
                VideoOrientation::Deg0 => 0,
                VideoOrientation::Deg90 => 1,
                VideoOrientation::Deg180 => 2,
                VideoOrientation::Deg270 => 3,
            }),
            content_type: values.video_content_type,
            captured: values.abs_capture_time.map(|time| time.capture_time),
            capture_offset: values.abs_capture_time.and_then(|time| time.clock_offset),
            playout_delay: values
                .play_delay_min
                .zip(values.play_delay_max)
                .map(|(least, most)| (hundredths(least), hundredths(most))),
            descriptor: values
                .user_values
                .get::<RawDescriptor>()
                .map(RawDescriptor::shared),
        }
    }

    pub(crate) fn into_values(self) -> ExtensionValues {
        let hundredths = |units: u16| MediaTime::new(units.into(), Frequency::HUNDREDTHS);
        let mut values = ExtensionValues {
            audio_level: self.audio_level,
            voice_activity: self.voice_activity,
            video_orientation: self.rotation.map(|rotation| match rotation {
                1 => VideoOrientation::Deg90,
                2 => VideoOrientation::Deg180,
                3 => VideoOrientation::Deg270,
                _ => VideoOrientation::Deg0,
            }),
            video_content_type: self.content_type,
            abs_capture_time: self.captured.map(|capture_time| AbsCaptureTime {
                capture_time,
                clock_offset: self.capture_offset,
            }),
            play_delay_min: self.playout_delay.map(|(least, _)| hundredths(least)),
            play_delay_max: self.playout_delay.map(|(_, most)| hundredths(most)),
            ..ExtensionValues::default()
        };
        if let Some(bytes) = self.descriptor {
            values.user_values.set(RawDescriptor::from_shared(bytes));
        }
        values
    }
}

/// What a payload is, as session descriptions say it (`a=rtpmap`, `a=fmtp`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFormat {
    pub codec: Codec,
    /// Hz.
    pub clock_rate: u32,
    pub channels: Option<u8>,
    /// `profile-level-id=42e01f;packetization-mode=1`, or empty.
    pub parameters: String,
}

impl MediaFormat {
    pub(crate) fn of(params: &PayloadParams) -> Self {
        let spec = params.spec();
        Self {
            codec: codec_of(params),
            clock_rate: spec.clock_rate.get(),
            channels: spec.channels,
            parameters: spec.format.to_string(),
        }
    }

    /// The only format there is of a codec, for those that have but one.
    pub(crate) fn usual(codec: Codec) -> Option<Self> {
        let channels = match codec {
            Codec::Opus => Some(2),
            Codec::Vp8 => None,
            _ => return None,
        };
        Some(Self {
            codec,
            clock_rate: codec.clock_rate(),
            channels,
            parameters: String::new(),
        })
    }

    /// What subscribers' codecs are compared with; `None` if nobody could decode it.
    pub(crate) fn params(&self) -> Option<PayloadParams> {
        let codec = match self.codec {
            Codec::Opus => Negotiated::Opus,
            Codec::Vp8 => Negotiated::Vp8,
            Codec::Vp9 => Negotiated::Vp9,
            Codec::H264 => Negotiated::H264,
            Codec::H265 => Negotiated::H265,
            Codec::Av1 => Negotiated::Av1,
            Codec::Red | Codec::Other => return None,
        };
        let spec = CodecSpec {
            codec,
            clock_rate: Frequency::new(self.clock_rate)?,
            channels: self.channels,
            format: FormatParams::parse_line(&self.parameters),
        };
        // The number means nothing here: payload types are each connection's own.
        Some(PayloadParams::new(96.into(), None, spec))
    }
}

pub(crate) fn codec_of(params: &PayloadParams) -> Codec {
    match params.spec().codec {
        Negotiated::Opus => Codec::Opus,
        Negotiated::Vp8 => Codec::Vp8,
        Negotiated::Vp9 => Codec::Vp9,
        Negotiated::H264 => Codec::H264,
        Negotiated::H265 => Codec::H265,
        Negotiated::Av1 => Codec::Av1,
        _ => Codec::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_survive_the_way_to_the_far_side_and_back() {
        let extensions = MediaExtensions {
            audio_level: Some(-30),
            voice_activity: Some(true),
            rotation: Some(3),
            content_type: Some(1),
            captured: Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700)),
            capture_offset: Some(-5),
            playout_delay: Some((10, 40)),
            descriptor: Some(Arc::from(&[1u8, 2, 3][..])),
        };
        let values = extensions.clone().into_values();
        assert_eq!(MediaExtensions::from_values(&values), extensions);
    }

    #[test]
    fn a_format_survives_the_way_to_the_far_side_and_back() {
        let format = MediaFormat {
            codec: Codec::H264,
            clock_rate: 90_000,
            channels: None,
            parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
                .into(),
        };
        let params = format.params().expect("known");
        let again = MediaFormat::of(&params);
        assert_eq!(again.params().map(|p| p.spec()), Some(params.spec()));
        assert_eq!(again.codec, Codec::H264);
        assert!(
            again.parameters.to_lowercase().contains("42e01f"),
            "{}",
            again.parameters
        );
    }
}
