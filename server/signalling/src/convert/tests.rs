use tradewind_rtc::{
    DataTrackHandle, DataTrackInfo, DataTrackSchema, DisconnectReason, NamedEncoding,
    ParticipantInfo, ParticipantState, Permission, RoomConfig, RoomInfo, TrackCodec, TrackInfo,
    TrackKind, TrackSource, VideoLayer, VideoQuality,
};

use super::*;

fn layer() -> VideoLayer {
    VideoLayer {
        quality: VideoQuality::High,
        width: 1280,
        height: 720,
        bitrate: 1_700_000,
        spatial_layer: 2,
        rid: "f".into(),
        ssrc: 17,
        repair_ssrc: 18,
    }
}

fn camera() -> TrackInfo {
    TrackInfo {
        sid: "TR_VCcamera000001".into(),
        kind: TrackKind::Video,
        source: TrackSource::Camera,
        name: "front".into(),
        muted: true,
        width: 1280,
        height: 720,
        simulcast: true,
        disable_dtx: false,
        stereo: false,
        disable_red: true,
        mime_type: "video/VP8".into(),
        mid: "1".into(),
        codecs: vec![TrackCodec {
            mime_type: "video/VP8".into(),
            mid: "1".into(),
            cid: "camera".into(),
            layers: vec![layer()],
            video_layer_mode: 1,
        }],
        layers: vec![layer()],
        encryption: 1,
        stream: "camera".into(),
        audio_features: vec![],
        backup_codec_policy: 2,
        packet_trailer_features: vec![1],
        version_us: 1_800_000_000_000_001,
    }
}

fn joint() -> DataTrackInfo {
    DataTrackInfo {
        sid: "DTR_joint0000001".into(),
        handle: DataTrackHandle::new(7).unwrap(),
        name: "joint.3".into(),
        encryption: 1,
        frame_encoding: Some(NamedEncoding::Custom("packed".into())),
        schema: Some(DataTrackSchema {
            name: "joint".into(),
            encoding: Some(NamedEncoding::WellKnown(99)),
        }),
    }
}

#[test]
fn a_room_is_shown_with_its_times_in_seconds_and_milliseconds() {
    let room = room_info(&RoomInfo {
        sid: "RM_000000000001".into(),
        name: "order-17".into(),
        config: RoomConfig {
            metadata: "vip".into(),
            max_participants: 4,
            ..RoomConfig::default()
        },
        created_at_ms: 1_800_000_000_123,
        num_participants: 2,
        num_publishers: 1,
    });
    assert_eq!(
        (room.sid.as_str(), room.name.as_str()),
        ("RM_000000000001", "order-17")
    );
    assert_eq!(
        (room.creation_time, room.creation_time_ms),
        (1_800_000_000, 1_800_000_000_123)
    );
    assert_eq!(
        (
            room.empty_timeout,
            room.departure_timeout,
            room.max_participants
        ),
        (300, 20, 4)
    );
    assert_eq!(
        (
            room.metadata.as_str(),
            room.num_participants,
            room.num_publishers
        ),
        ("vip", 2, 1)
    );
    assert_eq!(room.enabled_codecs[1].mime, "video/VP8");
}

#[test]
fn a_participant_is_shown_with_its_tracks_and_why_it_left() {
    let info = participant_info(&ParticipantInfo {
        sid: "PA_000000000001".into(),
        identity: "shopper-7".into(),
        name: "Aiko".into(),
        state: ParticipantState::Disconnected,
        metadata: "m".into(),
        attributes: [("locale".to_owned(), "ja".to_owned())].into(),
        permission: Permission::default(),
        joined_at_ms: 1_800_000_000_123,
        version: 9,
        is_publisher: true,
        kind: 4,
        kind_details: vec![0],
        client_protocol: 2,
        capabilities: vec![1],
        tracks: vec![camera()],
        data_tracks: vec![joint()],
        disconnect_reason: Some(DisconnectReason::RoomDeleted),
    });
    assert_eq!(info.state(), proto::participant_info::State::Disconnected);
    assert_eq!(
        info.disconnect_reason(),
        proto::DisconnectReason::RoomDeleted
    );
    assert_eq!(
        (info.joined_at, info.joined_at_ms),
        (1_800_000_000, 1_800_000_000_123)
    );
    assert_eq!(
        (info.version, info.client_protocol, info.capabilities),
        (9, 2, vec![1])
    );
    assert_eq!(info.attributes["locale"], "ja");
    assert_eq!(info.kind, proto::participant_info::Kind::Agent as i32);
    assert_eq!(info.tracks, vec![track_info(&camera())]);
    assert_eq!(info.data_tracks, vec![data_track_info(&joint())]);
}

#[test]
#[expect(deprecated)]
fn a_track_is_shown_with_codecs_and_layers() {
    let info = track_info(&camera());
    assert_eq!(info.r#type(), proto::TrackType::Video);
    assert_eq!(info.source(), proto::TrackSource::Camera);
    assert_eq!(
        (info.muted, info.simulcast, info.disable_red),
        (true, true, true)
    );
    assert_eq!(info.codecs[0].layers, info.layers);
    assert_eq!(info.layers[0].quality(), proto::VideoQuality::High);
    assert_eq!((info.layers[0].ssrc, info.layers[0].repair_ssrc), (17, 18));
    assert_eq!(
        info.version.map(|version| version.unix_micro),
        Some(1_800_000_000_000_001)
    );
}

#[test]
fn a_permission_survives_the_way_there_and_back() {
    let given = Permission {
        can_subscribe: false,
        can_publish_sources: vec![TrackSource::Microphone, TrackSource::ScreenShareAudio],
        hidden: true,
        can_update_metadata: true,
        can_subscribe_metrics: true,
        ..Permission::default()
    };
    assert_eq!(permission_from(permission(&given)), given);
}

#[test]
fn an_announced_track_survives_the_way_there_and_back() {
    let announced = proto::AddTrackRequest {
        cid: "camera".into(),
        name: "front".into(),
        r#type: proto::TrackType::Video as i32,
        sid: "TR_VC0000000001".into(),
        source: proto::TrackSource::Camera as i32,
        width: 1280,
        layers: vec![proto::VideoLayer {
            quality: 2,
            width: 1280,
            ..Default::default()
        }],
        simulcast_codecs: vec![proto::SimulcastCodec {
            codec: "vp8".into(),
            cid: "camera".into(),
            video_layer_mode: 1,
            ..Default::default()
        }],
        encryption: 1,
        stream: "s".into(),
        ..Default::default()
    };
    let read = add_track_from(announced.clone()).unwrap();
    assert_eq!(add_track(&read), announced);
}

#[test]
fn audio_wishes_said_by_feature_count_like_those_said_by_flag() {
    let features = [
        proto::AudioTrackFeature::TfStereo,
        proto::AudioTrackFeature::TfNoDtx,
    ];
    let read = add_track_from(proto::AddTrackRequest {
        audio_features: features.map(|feature| feature as i32).to_vec(),
        ..Default::default()
    });
    assert!(read.is_some_and(|track| track.stereo && track.disable_dtx));
}

#[test]
fn data_tracks_and_layers_of_unknown_quality_are_not_taken_for_something_else() {
    let data = proto::AddTrackRequest {
        r#type: 2,
        ..Default::default()
    };
    assert_eq!(add_track_from(data), None);
    let odd = proto::AddTrackRequest {
        layers: vec![proto::VideoLayer {
            quality: 9,
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(add_track_from(odd).unwrap().layers, vec![]);
}

#[test]
fn empty_name_and_metadata_mean_unchanged() {
    let update = update_metadata_from(proto::UpdateParticipantMetadata {
        request_id: 5,
        attributes: [("gone".to_owned(), String::new())].into(),
        ..Default::default()
    });
    assert_eq!(
        (update.request_id, update.name, update.metadata),
        (5, None, None)
    );
    assert_eq!(update.attributes["gone"], "");
}

#[test]
fn an_announced_data_track_survives_the_way_there_and_back() {
    use proto::data_track_frame_encoding::Value as FrameValue;
    use proto::data_track_schema_encoding::Value as SchemaValue;
    let sensor = proto::PublishDataTrackRequest {
        pub_handle: 65_535,
        name: "sensor".into(),
        encryption: 99,
        frame_encoding: Some(proto::DataTrackFrameEncoding {
            value: Some(FrameValue::WellKnown(7)),
        }),
        schema: Some(proto::DataTrackSchemaId {
            name: "celsius".into(),
            encoding: Some(proto::DataTrackSchemaEncoding {
                value: Some(SchemaValue::Custom("own".into())),
            }),
        }),
    };
    let announced = publish_data_track_from(sensor.clone()).unwrap();
    assert_eq!(publish_data_track(&announced), sensor);
    let bare = proto::PublishDataTrackRequest {
        frame_encoding: None,
        schema: None,
        ..sensor
    };
    let announced = publish_data_track_from(bare.clone()).unwrap();
    assert_eq!(publish_data_track(&announced), bare);
    for pub_handle in [0, 65_536] {
        let nowhere = proto::PublishDataTrackRequest {
            pub_handle,
            ..bare.clone()
        };
        assert_eq!(publish_data_track_from(nowhere), None);
    }
}
