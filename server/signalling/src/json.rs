//! The protocol's JSON form (protojson).
//!
//! The generated types refuse two things the form allows: `null` for an absent field, and enumeration codes without a
//! name. Rooms relay such codes of newer clients, and one of them must not make a whole answer unwritable.

use livekit_protocol::{self as proto, client_info, encryption, participant_info, video_layer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a message; no bytes are a message without fields. Unknown fields are ignored.
///
/// # Errors
/// What is wrong and where, for the developer who sent it.
pub(crate) fn read<M: DeserializeOwned + Default>(json: &[u8]) -> Result<M, serde_json::Error> {
    if json.is_empty() {
        return Ok(M::default());
    }
    let mut value: Value = serde_json::from_slice(json)?;
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

/// Writes a message whose codes were made [`Named`].
pub(crate) fn write(message: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and named codes can always be written.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Messages with codes that may lack a name.
pub(crate) trait Named {
    /// Leaves out the codes without a name.
    fn named(self) -> Self;
}

impl Named for proto::ParticipantInfo {
    fn named(mut self) -> Self {
        self.kind = known::<participant_info::Kind>(self.kind);
        self.kind_details
            .retain(is_known::<participant_info::KindDetail>);
        self.capabilities
            .retain(is_known::<client_info::Capability>);
        self.tracks = self.tracks.into_iter().map(Named::named).collect();
        self
    }
}

impl Named for proto::TrackInfo {
    fn named(mut self) -> Self {
        self.encryption = known::<encryption::Type>(self.encryption);
        self.backup_codec_policy = known::<proto::BackupCodecPolicy>(self.backup_codec_policy);
        self.audio_features
            .retain(is_known::<proto::AudioTrackFeature>);
        self.packet_trailer_features
            .retain(is_known::<proto::PacketTrailerFeature>);
        for codec in &mut self.codecs {
            codec.video_layer_mode = known::<video_layer::Mode>(codec.video_layer_mode);
        }
        self
    }
}

fn is_known<C: TryFrom<i32>>(code: &i32) -> bool {
    C::try_from(*code).is_ok()
}

fn known<C: TryFrom<i32>>(code: i32) -> i32 {
    if is_known::<C>(&code) { code } else { 0 }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
