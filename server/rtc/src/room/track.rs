//! A published track: its codecs, their encodings, and who receives it.

use std::time::Instant;

use str0m::format::PayloadParams;
use str0m::rtp::Ssrc;

use super::participant::PendingTrack;
use super::replica::{Publisher, TrackRelays};
use super::{ParticipantKey, SubscriptionKey};
use crate::command::AddTrack;
use crate::id::{FlowId, Mid, Rid};
use crate::info::{TrackCodec, TrackInfo, TrackKind, VideoLayer, VideoQuality};
use crate::media::bitrate::BitrateMeter;
use crate::media::clock::LayerClocks;
use crate::media::codec::Codec;
use crate::media::descriptor::DescriptorReader;
use crate::media::keyframes::KeyFrameThrottle;
use crate::media::speakers::SpeakerObserver;
use crate::replica::{MediaFormat, PictureCache, ReplicaSource};

/// Encodings a track may have: more rids than browsers send are ignored.
pub(super) const MAX_ENCODINGS: usize = 3;

/// A track that has a media section.
pub(crate) struct Track {
    pub(super) publisher: Publisher,
    pub(super) info: TrackInfo,
    /// What its packets are called between replicas.
    pub(super) flow: FlowId,
    /// One per codec; the first is the main one.
    pub(super) sources: Vec<Source>,
    pub(super) subscribers: Vec<SubscriptionKey>,
    /// The publisher was told that somebody receives it.
    pub(super) subscription_told: bool,
    /// Highest quality the publisher was told to send; `None` = nothing was told yet.
    pub(super) demand_told: Option<Demand>,
    pub(super) observer: SpeakerObserver,
    pub(super) relays: TrackRelays,
}

/// What subscribers want of a track: nothing, or everything up to a quality.
pub(super) type Demand = Option<VideoQuality>;

/// One codec of a track, in a media section of its own.
pub(super) struct Source {
    /// `None` if the media comes from another replica.
    pub(super) mid: Option<Mid>,
    /// What the payload means; known with the first packet.
    pub(super) params: Option<PayloadParams>,
    pub(super) codec: Codec,
    /// Names of the encodings low to high; empty without simulcast.
    rids: Vec<String>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) throttle: KeyFrameThrottle,
    pub(super) clocks: LayerClocks,
    pub(super) descriptors: DescriptorReader,
}

/// One encoding (simulcast layer) of a source.
pub(super) struct Encoding {
    /// Known for media of this replica's clients.
    pub(super) ssrc: Option<Ssrc>,
    pub(super) meter: BitrateMeter,
    pub(super) last_packet: Option<Instant>,
    /// Kept for media from other replicas.
    pub(super) pictures: PictureCache,
}

impl Track {
    pub(super) fn new(
        publisher: ParticipantKey,
        info: TrackInfo,
        flow: FlowId,
        source: Source,
    ) -> Self {
        Self {
            publisher: Publisher::Local(publisher),
            info,
            flow,
            sources: vec![source],
            subscribers: Vec::new(),
            subscription_told: false,
            demand_told: None,
            observer: SpeakerObserver::default(),
            relays: TrackRelays::default(),
        }
    }

    /// Highest encoding of the main source that may exist.
    pub(super) fn top_encoding(&self) -> usize {
        self.sources
            .first()
            .map_or(0, |source| source.encodings.len().saturating_sub(1))
    }

    /// The encoding that serves a quality class.
    pub(super) fn encoding_of(&self, quality: VideoQuality) -> usize {
        let top = self.top_encoding();
        match self
            .info
            .layers
            .iter()
            .position(|layer| layer.quality == quality)
        {
            Some(index) => index.min(top),
            None => quality.index().min(top),
        }
    }

    /// The lowest quality class whose shorter side covers that of the wanted size, in pixels.
    pub(super) fn quality_for(&self, width: u32, height: u32) -> VideoQuality {
        let wanted = if width == 0 {
            height
        } else {
            width.min(height)
        };
        self.info
            .layers
            .iter()
            .find(|layer| layer.height > 0 && layer.width.min(layer.height) >= wanted)
            .map_or(VideoQuality::High, |layer| layer.quality)
    }

    /// Declared bitrate of an encoding, or a usual one, in bits per second.
    pub(super) fn expected_bitrate(&self, encoding: usize) -> u64 {
        const USUAL: [u64; MAX_ENCODINGS] = [150_000, 500_000, 1_700_000];
        self.info
            .layers
            .get(encoding)
            .map(|layer| u64::from(layer.bitrate))
            .filter(|bitrate| *bitrate > 0)
            .unwrap_or(USUAL[encoding.min(MAX_ENCODINGS - 1)])
    }
}

impl Source {
    pub(super) fn new(mid: Mid, codec: Codec, mut rids: Vec<String>) -> Self {
        rids.sort_by_key(|rid| known_rank(rid).unwrap_or(usize::MAX));
        rids.truncate(MAX_ENCODINGS);
        let encodings = rids.len();
        Self {
            mid: Some(mid),
            rids,
            ..Self::with_encodings(codec, encodings)
        }
    }

    /// A codec as another replica tells it.
    pub(super) fn described(told: &ReplicaSource) -> Self {
        let encodings = usize::from(told.encodings).min(MAX_ENCODINGS);
        Self {
            params: format_of(told),
            ..Self::with_encodings(told.codec, encodings)
        }
    }

    /// Takes what another replica tells anew; true if the format changed.
    pub(super) fn update(&mut self, told: &ReplicaSource) -> bool {
        let params = format_of(told);
        let spec = |params: &Option<PayloadParams>| params.map(|params| params.spec());
        let changed = self.codec != told.codec || spec(&self.params) != spec(&params);
        (self.codec, self.params) = (told.codec, params);
        changed
    }

    fn with_encodings(codec: Codec, encodings: usize) -> Self {
        let encodings = (0..encodings.max(1))
            .map(|_| Encoding {
                ssrc: None,
                meter: BitrateMeter::default(),
                last_packet: None,
                pictures: PictureCache::default(),
            })
            .collect();
        Self {
            mid: None,
            params: None,
            codec,
            rids: Vec::new(),
            encodings,
            throttle: KeyFrameThrottle::default(),
            clocks: LayerClocks::default(),
            descriptors: DescriptorReader::default(),
        }
    }

    /// Position of a rid among the encodings, low to high.
    pub(super) fn encoding_of(&self, rid: Option<Rid>) -> Option<usize> {
        match rid {
            None => Some(0),
            Some(_) if self.rids.is_empty() => Some(0),
            Some(rid) => self.rids.iter().position(|known| **known == *rid),
        }
    }
}

/// The format of another replica's source, or what its codec usually means until the first packet told.
fn format_of(told: &ReplicaSource) -> Option<PayloadParams> {
    let usual = || MediaFormat::usual(told.codec);
    told.format.clone().or_else(usual)?.params()
}

/// SDKs name simulcast layers q, h, f from low to high; other names keep the order of the offer.
fn known_rank(rid: &str) -> Option<usize> {
    ["q", "h", "f"].iter().position(|known| *known == rid)
}

/// What others see of a track that was announced.
pub(super) fn describe(pending: &PendingTrack, unix_us: u64) -> TrackInfo {
    let add = &pending.add;
    let layers = layers(&add.layers);
    let codecs = codecs(add);
    TrackInfo {
        sid: pending.sid.clone(),
        kind: add.kind,
        source: add.source,
        name: add.name.clone(),
        muted: pending.muted,
        width: add.width,
        height: add.height,
        simulcast: add.kind == TrackKind::Video && layers.len() > 1,
        disable_dtx: add.disable_dtx,
        stereo: add.stereo,
        disable_red: add.disable_red,
        mime_type: codecs
            .first()
            .map(|codec| codec.mime_type.clone())
            .unwrap_or_default(),
        mid: String::new(),
        layers,
        codecs,
        encryption: add.encryption,
        stream: add.stream.clone(),
        audio_features: add.audio_features.clone(),
        backup_codec_policy: add.backup_codec_policy,
        packet_trailer_features: add.packet_trailer_features.clone(),
        version_us: unix_us,
    }
}

/// The codecs of an announcement, as others see them.
pub(super) fn codecs(add: &AddTrack) -> Vec<TrackCodec> {
    add.codecs
        .iter()
        .map(|codec| TrackCodec {
            mime_type: named_codec(&codec.codec)
                .map(|codec| codec.mime().to_owned())
                .unwrap_or_default(),
            mid: String::new(),
            cid: codec.cid.clone(),
            layers: layers(&codec.layers),
            video_layer_mode: codec.video_layer_mode,
        })
        .collect()
}

/// Reads `vp8` or `video/VP8`; `None` if the name says nothing known.
pub(super) fn named_codec(name: &str) -> Option<Codec> {
    let codec = if name.contains('/') {
        Codec::from_mime(name)
    } else {
        Codec::from_short_name(name)
    };
    (codec != Codec::Other).then_some(codec)
}

fn layers(declared: &[VideoLayer]) -> Vec<VideoLayer> {
    let mut layers = declared.to_vec();
    layers.sort_by_key(|layer| layer.quality);
    layers.truncate(MAX_ENCODINGS);
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_ordered_by_their_known_names_whatever_the_offer_says() {
        let source = Source::new("0".into(), Codec::Vp8, vec!["h".into(), "q".into()]);
        assert_eq!(source.encoding_of(Some("q".into())), Some(0));
        assert_eq!(source.encoding_of(Some("h".into())), Some(1));
        assert_eq!(source.encoding_of(Some("x".into())), None);
    }

    #[test]
    fn unknown_names_keep_the_order_of_the_offer() {
        let source = Source::new("0".into(), Codec::Vp8, vec!["lo".into(), "hi".into()]);
        assert_eq!(source.encoding_of(Some("lo".into())), Some(0));
        assert_eq!(source.encoding_of(Some("hi".into())), Some(1));
    }
}
