//! Typed values of the rooms to and from the protobuf messages of the LiveKit protocol.
//!
//! [`proto`] is the generated crate under a short name, so that both sides can be told apart at a glance.

mod codes;
mod data_track;
mod participant;
mod room;
mod sync;
mod track;

pub use codes::{
    connection_quality, disconnect_reason, disconnect_reason_from, source, source_from,
    video_quality, video_quality_from,
};
pub use data_track::{
    data_subscription_from, data_track_handles, data_track_info, publish_data_track,
    publish_data_track_from,
};
pub use livekit_protocol as proto;
pub use participant::{participant_info, permission, permission_from, update_metadata_from};
pub use room::{ENABLED_CODECS, codecs, room_info};
pub use sync::{
    sids, subscription_from, subscription_permission_from, sync_state_from, target_from,
};
pub use track::{add_track, add_track_from, kind, kind_from, track_info};

#[cfg(test)]
mod tests;
