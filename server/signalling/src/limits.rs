//! What a client may send at most, so that no message costs more memory or time than a real one.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::convert::proto;
use crate::convert::proto::data_track_frame_encoding::Value as FrameValue;
use crate::convert::proto::data_track_schema_encoding::Value as SchemaValue;
use crate::convert::proto::request_response::Reason;

/// Limits on what clients say, in connect requests and in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Characters of an identity.
    pub identity_chars: usize,
    /// Characters of a participant's name.
    pub name_chars: usize,
    /// Characters of a room's name.
    pub room_name_chars: usize,
    /// Bytes of a participant's metadata.
    pub metadata_bytes: usize,
    /// Bytes of all keys and values of a participant's attributes.
    pub attributes_bytes: usize,
    /// Bytes of a join request once it is inflated.
    pub join_request_bytes: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// Bytes of one session description.
    pub sdp_bytes: usize,
    /// Bytes of one ICE candidate with its JSON around it.
    pub candidate_bytes: usize,
    /// Tracks announced with a join request.
    pub tracks_per_join: usize,
    /// Protobuf fields (or JSON members and elements) of one message, at all depths. An empty field is two bytes on
    /// the wire and hundreds in memory, so bytes alone bound nothing. The largest real message names every track of
    /// a room.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identity_chars: 256,
            name_chars: 256,
            room_name_chars: 256,
            metadata_bytes: 512 * 1024,
            attributes_bytes: 64 * 1024,
            join_request_bytes: 1024 * 1024,
            message_bytes: 2 * 1024 * 1024,
            sdp_bytes: 1024 * 1024,
            candidate_bytes: 2 * 1024,
            tracks_per_join: 64,
            fields: 20_000,
        }
    }
}

/// Bytes of a sid; real ones have 15 to 17.
pub(crate) const MAX_SID_BYTES: usize = 64;
/// Characters of a track's name, stream or client-side id.
const MAX_TRACK_TEXT_CHARS: usize = 256;
/// Characters of the name of an encoding that is not well known.
const MAX_ENCODING_CHARS: usize = 32;
/// Codecs of one track, and layers of one codec: 3 spatial layers of 3 qualities is the most that exists.
const MAX_LAYERS: usize = 9;
/// Features of one track; the protocol knows seven.
pub(crate) const MAX_FEATURES: usize = 32;
/// Nested messages of the protocol go less deep than this.
const MAX_DEPTH: u32 = 8;

/// Whether a protobuf message has at most `limit` fields, at all depths. Without the schema a text cannot be told from a
/// nested message, so a text counts as one where all of it reads as one: session descriptions and JSON never do. What
/// is no protobuf at all passes: decoding finds that out.
pub(crate) fn has_fields_at_most(limit: usize, message: &[u8]) -> bool {
    let mut budget = limit;
    count(message, 0, &mut budget) != Count::Exceeded
}

#[derive(PartialEq, Eq)]
enum Count {
    /// These bytes are no message; what they would have counted is given back.
    NoMessage,
    Counted,
    Exceeded,
}

fn count(mut bytes: &[u8], depth: u32, budget: &mut usize) -> Count {
    let before = *budget;
    while bytes.has_remaining() {
        let Ok((tag, wire_type)) = decode_key(&mut bytes) else {
            *budget = before;
            return Count::NoMessage;
        };
        let nested = if wire_type == WireType::LengthDelimited {
            split_length_delimited(&mut bytes)
        } else {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())
                .ok()
                .map(|()| [].as_slice())
        };
        let Some(nested) = nested else {
            *budget = before;
            return Count::NoMessage;
        };
        let Some(left) = budget.checked_sub(1) else {
            return Count::Exceeded;
        };
        *budget = left;
        if depth < MAX_DEPTH && count(nested, depth + 1, budget) == Count::Exceeded {
            return Count::Exceeded;
        }
    }
    Count::Counted
}

fn split_length_delimited<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(bytes).ok()?).ok()?;
    let (nested, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(nested)
}

/// Whether a JSON text has at most `limit` members and elements, at all depths. Punctuation within texts counts too.
pub(crate) fn has_members_at_most(limit: usize, json: &str) -> bool {
    let separators = json
        .bytes()
        .filter(|byte| matches!(byte, b'{' | b'[' | b','));
    separators.count() <= limit
}

/// What is out of bounds in an announced track, in words for the application's developer.
pub(crate) fn add_track_fault(track: &proto::AddTrackRequest) -> Option<&'static str> {
    let too_long = |text: &str| text.chars().count() > MAX_TRACK_TEXT_CHARS;
    if track.sid.len() > MAX_SID_BYTES {
        return Some("the track's sid is too long");
    }
    if [&track.cid, &track.name, &track.stream]
        .into_iter()
        .any(|text| too_long(text))
    {
        return Some("the track's id, name or stream is longer than 256 characters");
    }
    let codecs = &track.simulcast_codecs;
    if codecs
        .iter()
        .any(|codec| too_long(&codec.cid) || too_long(&codec.codec))
    {
        return Some("a codec's id or name is longer than 256 characters");
    }
    let mut layers = std::iter::once(&track.layers).chain(codecs.iter().map(|codec| &codec.layers));
    let many = |layers: &Vec<proto::VideoLayer>| {
        layers.len() > MAX_LAYERS || layers.iter().any(|layer| layer.rid.len() > MAX_SID_BYTES)
    };
    if codecs.len() > MAX_LAYERS || layers.any(many) {
        return Some("the track has too many codecs or layers");
    }
    if track
        .audio_features
        .len()
        .max(track.packet_trailer_features.len())
        > MAX_FEATURES
    {
        return Some("the track has too many features");
    }
    None
}

/// What is out of bounds in an announced data track but its handle, in words for the application's developer.
pub(crate) fn data_track_fault(
    track: &proto::PublishDataTrackRequest,
) -> Option<(Reason, &'static str)> {
    let within = |text: &str, limit: usize| !text.is_empty() && text.chars().count() <= limit;
    if !within(&track.name, MAX_TRACK_TEXT_CHARS) {
        let message = "the data track's name must have 1 to 256 characters";
        return Some((Reason::InvalidName, message));
    }
    let frame_encoding = track.frame_encoding.as_ref();
    if let Some(FrameValue::Custom(name)) = frame_encoding.and_then(|e| e.value.as_ref())
        && !within(name, MAX_ENCODING_CHARS)
    {
        let message = "the frame encoding's name must have 1 to 32 characters";
        return Some((Reason::InvalidRequest, message));
    }
    let schema = track.schema.as_ref()?;
    if !within(&schema.name, MAX_TRACK_TEXT_CHARS) {
        let message = "the schema's name must have 1 to 256 characters";
        return Some((Reason::InvalidRequest, message));
    }
    let schema_encoding = schema.encoding.as_ref();
    if let Some(SchemaValue::Custom(name)) = schema_encoding.and_then(|e| e.value.as_ref())
        && !within(name, MAX_ENCODING_CHARS)
    {
        let message = "the schema encoding's name must have 1 to 32 characters";
        return Some((Reason::InvalidRequest, message));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_counted_at_all_depths() {
        // Field 1 with two empty fields 2 within: three in all.
        let message = [0x0a, 4, 0x12, 0, 0x12, 0];
        assert!(has_fields_at_most(3, &message));
        assert!(!has_fields_at_most(2, &message));
    }

    #[test]
    fn a_long_text_is_one_field() {
        let mut message = vec![0x0a, 0x80, 0x08];
        message.extend([b'v'; 1024]);
        assert!(has_fields_at_most(1, &message));
    }

    #[test]
    fn json_members_and_elements_are_counted() {
        assert!(has_members_at_most(5, r#"{"a":[{},{}]}"#));
        assert!(!has_members_at_most(4, r#"{"a":[{},{}]}"#));
    }

    proptest! {
        #[test]
        fn counting_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            has_fields_at_most(16, &bytes);
        }
    }
}
