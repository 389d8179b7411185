//! What a client may send at most, so that no message costs more memory or time than a real one.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

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

/// Nested messages of the protocol go less deep than this.
const MAX_DEPTH: u32 = 8;

/// Whether a protobuf message has at most `limit` fields, at all depths. Texts that happen to read as a message count
/// as one. What is no protobuf at all passes: decoding finds that out.
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
    let separators = json.bytes().filter(|byte| matches!(byte, b'{' | b'[' | b','));
    separators.count() <= limit
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
        assert!(has_members_at_most(4, r#"{"a":[{},{}]}"#.trim_end_matches('}')));
        assert!(!has_members_at_most(4, r#"{"a":[{},{},{}]}"#));
    }

    proptest! {
        #[test]
        fn counting_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            has_fields_at_most(16, &bytes);
        }
    }
}
