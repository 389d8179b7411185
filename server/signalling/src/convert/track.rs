//! Tracks, published and announced.

use tradewind_rtc::{AddCodec, AddTrack, TrackCodec, TrackInfo, TrackKind, TrackSid, VideoLayer};

use super::{proto, source, source_from, video_quality, video_quality_from};

/// A published track as others see it. Fields the protocol calls deprecated are filled too: older SDKs read them.
#[expect(deprecated)]
pub fn track_info(track: &TrackInfo) -> proto::TrackInfo {
    proto::TrackInfo {
        sid: track.sid.to_string(),
        r#type: kind(track.kind) as i32,
        name: track.name.clone(),
        muted: track.muted,
        width: track.width,
        height: track.height,
        simulcast: track.simulcast,
        disable_dtx: track.disable_dtx,
        source: source(track.source) as i32,
        layers: layers(&track.layers),
        mime_type: track.mime_type.clone(),
        mid: track.mid.clone(),
        codecs: track.codecs.iter().map(codec_info).collect(),
        stereo: track.stereo,
        disable_red: track.disable_red,
        encryption: track.encryption,
        stream: track.stream.clone(),
        version: Some(proto::TimedVersion {
            unix_micro: i64::try_from(track.version_us).unwrap_or(i64::MAX),
            ticks: 0,
        }),
        audio_features: track.audio_features.clone(),
        backup_codec_policy: track.backup_codec_policy,
        packet_trailer_features: track.packet_trailer_features.clone(),
    }
}

fn codec_info(codec: &TrackCodec) -> proto::SimulcastCodecInfo {
    proto::SimulcastCodecInfo {
        mime_type: codec.mime_type.clone(),
        mid: codec.mid.clone(),
        cid: codec.cid.clone(),
        layers: layers(&codec.layers),
        video_layer_mode: codec.video_layer_mode,
        ..proto::SimulcastCodecInfo::default()
    }
}

/// An announced track, as it is echoed to the client that asked for it.
#[expect(deprecated)]
pub fn add_track(track: &AddTrack) -> proto::AddTrackRequest {
    proto::AddTrackRequest {
        cid: track.cid.clone(),
        name: track.name.clone(),
        r#type: kind(track.kind) as i32,
        width: track.width,
        height: track.height,
        muted: track.muted,
        disable_dtx: track.disable_dtx,
        source: source(track.source) as i32,
        layers: layers(&track.layers),
        simulcast_codecs: track.codecs.iter().map(simulcast_codec).collect(),
        sid: track
            .sid
            .as_ref()
            .map(TrackSid::to_string)
            .unwrap_or_default(),
        stereo: track.stereo,
        disable_red: track.disable_red,
        encryption: track.encryption,
        stream: track.stream.clone(),
        backup_codec_policy: track.backup_codec_policy,
        audio_features: track.audio_features.clone(),
        packet_trailer_features: track.packet_trailer_features.clone(),
    }
}

fn simulcast_codec(codec: &AddCodec) -> proto::SimulcastCodec {
    proto::SimulcastCodec {
        codec: codec.codec.clone(),
        cid: codec.cid.clone(),
        layers: layers(&codec.layers),
        video_layer_mode: codec.video_layer_mode,
    }
}

/// Reads an announced track; `None` if it is neither audio nor video.
#[expect(deprecated)]
pub fn add_track_from(track: proto::AddTrackRequest) -> Option<AddTrack> {
    let has_feature =
        |feature: proto::AudioTrackFeature| track.audio_features.contains(&(feature as i32));
    Some(AddTrack {
        kind: kind_from(track.r#type)?,
        sid: (!track.sid.is_empty()).then(|| track.sid.as_str().into()),
        source: source_from(track.source),
        width: track.width,
        height: track.height,
        muted: track.muted,
        // Newer SDKs say it with features, older ones with flags.
        disable_dtx: track.disable_dtx || has_feature(proto::AudioTrackFeature::TfNoDtx),
        stereo: track.stereo || has_feature(proto::AudioTrackFeature::TfStereo),
        disable_red: track.disable_red,
        layers: layers_from(track.layers),
        codecs: track
            .simulcast_codecs
            .into_iter()
            .map(add_codec_from)
            .collect(),
        encryption: track.encryption,
        backup_codec_policy: track.backup_codec_policy,
        audio_features: track.audio_features,
        packet_trailer_features: track.packet_trailer_features,
        cid: track.cid,
        name: track.name,
        stream: track.stream,
    })
}

fn add_codec_from(codec: proto::SimulcastCodec) -> AddCodec {
    AddCodec {
        codec: codec.codec,
        cid: codec.cid,
        layers: layers_from(codec.layers),
        video_layer_mode: codec.video_layer_mode,
    }
}

/// Audio or video.
pub fn kind(kind: TrackKind) -> proto::TrackType {
    match kind {
        TrackKind::Audio => proto::TrackType::Audio,
        TrackKind::Video => proto::TrackType::Video,
    }
}

/// Audio or video; `None` for anything else.
pub fn kind_from(code: i32) -> Option<TrackKind> {
    match proto::TrackType::try_from(code) {
        Ok(proto::TrackType::Audio) => Some(TrackKind::Audio),
        Ok(proto::TrackType::Video) => Some(TrackKind::Video),
        Ok(proto::TrackType::Data) | Err(_) => None,
    }
}

fn layers(layers: &[VideoLayer]) -> Vec<proto::VideoLayer> {
    layers.iter().map(layer).collect()
}

fn layer(layer: &VideoLayer) -> proto::VideoLayer {
    proto::VideoLayer {
        quality: video_quality(layer.quality) as i32,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        ssrc: layer.ssrc,
        spatial_layer: layer.spatial_layer,
        rid: layer.rid.clone(),
        repair_ssrc: layer.repair_ssrc,
    }
}

/// Layers of a quality this server does not know, and those marked off, are left out.
fn layers_from(layers: Vec<proto::VideoLayer>) -> Vec<VideoLayer> {
    let layer = |layer: proto::VideoLayer| {
        Some(VideoLayer {
            quality: video_quality_from(layer.quality)?,
            width: layer.width,
            height: layer.height,
            bitrate: layer.bitrate,
            spatial_layer: layer.spatial_layer,
            rid: layer.rid,
            ssrc: layer.ssrc,
            repair_ssrc: layer.repair_ssrc,
        })
    };
    layers.into_iter().filter_map(layer).collect()
}
