//! Data tracks, published, announced and subscribed to.

use livekit_protocol::data_track_frame_encoding::Value as FrameValue;
use livekit_protocol::data_track_schema_encoding::Value as SchemaValue;
use livekit_protocol::data_track_subscriber_handles::PublishedDataTrack;
use tradewind_rtc::{
    DataTrackHandle, DataTrackInfo, DataTrackSchema, DataTrackSid, ForwardedDataTrack,
    NamedEncoding, PublishDataTrack,
};

use super::proto;

/// A published data track as others see it.
pub fn data_track_info(track: &DataTrackInfo) -> proto::DataTrackInfo {
    proto::DataTrackInfo {
        pub_handle: u32::from(track.handle.get()),
        sid: track.sid.to_string(),
        name: track.name.clone(),
        encryption: track.encryption,
        frame_encoding: track.frame_encoding.as_ref().map(frame_encoding),
        schema: track.schema.as_ref().map(schema),
    }
}

/// An announced data track, as it is echoed to the client that asked for it.
pub fn publish_data_track(track: &PublishDataTrack) -> proto::PublishDataTrackRequest {
    proto::PublishDataTrackRequest {
        pub_handle: u32::from(track.handle.get()),
        name: track.name.clone(),
        encryption: track.encryption,
        frame_encoding: track.frame_encoding.as_ref().map(frame_encoding),
        schema: track.schema.as_ref().map(schema),
    }
}

/// Reads an announced data track; `None` if its handle is out of bounds.
pub fn publish_data_track_from(track: proto::PublishDataTrackRequest) -> Option<PublishDataTrack> {
    Some(PublishDataTrack {
        handle: DataTrackHandle::new(track.pub_handle)?,
        name: track.name,
        encryption: track.encryption,
        frame_encoding: track.frame_encoding.and_then(frame_encoding_from),
        schema: track.schema.map(|schema| DataTrackSchema {
            name: schema.name,
            encoding: schema.encoding.and_then(schema_encoding_from),
        }),
    })
}

/// Data tracks a client wants, or no longer wants, in order.
pub fn data_subscription_from(update: proto::UpdateDataSubscription) -> Vec<(DataTrackSid, bool)> {
    let updates = update.updates.into_iter();
    updates
        .map(|update| (update.track_sid.into(), update.subscribe))
        .collect()
}

/// Which data track comes under which handle.
pub fn data_track_handles(tracks: &[ForwardedDataTrack]) -> proto::DataTrackSubscriberHandles {
    let entry = |track: &ForwardedDataTrack| {
        let published = PublishedDataTrack {
            publisher_identity: track.publisher_identity.to_string(),
            publisher_sid: track.publisher.to_string(),
            track_sid: track.track.to_string(),
        };
        (u32::from(track.handle.get()), published)
    };
    proto::DataTrackSubscriberHandles {
        sub_handles: tracks.iter().map(entry).collect(),
    }
}

fn frame_encoding(encoding: &NamedEncoding) -> proto::DataTrackFrameEncoding {
    proto::DataTrackFrameEncoding {
        value: Some(match encoding {
            NamedEncoding::WellKnown(code) => FrameValue::WellKnown(*code),
            NamedEncoding::Custom(name) => FrameValue::Custom(name.clone()),
        }),
    }
}

fn frame_encoding_from(encoding: proto::DataTrackFrameEncoding) -> Option<NamedEncoding> {
    Some(match encoding.value? {
        FrameValue::WellKnown(code) => NamedEncoding::WellKnown(code),
        FrameValue::Custom(name) => NamedEncoding::Custom(name),
    })
}

fn schema(schema: &DataTrackSchema) -> proto::DataTrackSchemaId {
    let encoding = schema.encoding.as_ref().map(|encoding| match encoding {
        NamedEncoding::WellKnown(code) => SchemaValue::WellKnown(*code),
        NamedEncoding::Custom(name) => SchemaValue::Custom(name.clone()),
    });
    proto::DataTrackSchemaId {
        name: schema.name.clone(),
        encoding: encoding.map(|value| proto::DataTrackSchemaEncoding { value: Some(value) }),
    }
}

fn schema_encoding_from(encoding: proto::DataTrackSchemaEncoding) -> Option<NamedEncoding> {
    Some(match encoding.value? {
        SchemaValue::WellKnown(code) => NamedEncoding::WellKnown(code),
        SchemaValue::Custom(name) => NamedEncoding::Custom(name),
    })
}
