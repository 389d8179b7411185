//! Carries the descriptor's bytes through the transport, unread.

use std::sync::Arc;

use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

/// Name of the header extension in session descriptions.
pub const URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Largest element of a two-byte header extension, RFC 8285 section 4.3.
const MAX_LENGTH: usize = 255;
/// Largest element of a one-byte header extension, RFC 8285 section 4.2.
const MAX_SHORT_LENGTH: usize = 16;

/// The bytes of a dependency descriptor: a user value of the packet's extension values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDescriptor {
    bytes: Arc<[u8]>,
    frame_number: Option<u16>,
}

impl RawDescriptor {
    /// Bytes past 255 cannot come out of a header extension and are cut off.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.get(..MAX_LENGTH).unwrap_or(bytes).into(),
            frame_number: None,
        }
    }

    /// The bytes as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as received, shared.
    pub fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// From bytes that are shared already; too many are cut off as in [`Self::new`].
    pub fn from_shared(bytes: Arc<[u8]>) -> Self {
        if bytes.len() > MAX_LENGTH {
            return Self::new(&bytes);
        }
        Self {
            bytes,
            frame_number: None,
        }
    }

    /// The same descriptor, sent with another frame number.
    pub fn with_frame_number(&self, frame_number: u16) -> Self {
        Self {
            bytes: Arc::clone(&self.bytes),
            frame_number: Some(frame_number),
        }
    }

    fn write(&self, buffer: &mut [u8]) -> usize {
        let Some(target) = buffer.get_mut(..self.bytes.len()) else {
            return 0;
        };
        target.copy_from_slice(&self.bytes);
        if let (Some(number), Some(field)) = (self.frame_number, target.get_mut(1..3)) {
            field.copy_from_slice(&number.to_be_bytes());
        }
        target.len()
    }
}

/// The extension for the transport's extension map.
pub fn extension() -> Extension {
    Extension::with_serializer(URI, Serializer)
}

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        values
            .user_values
            .get::<RawDescriptor>()
            .map_or(0, |descriptor| descriptor.write(buffer))
    }

    fn parse_value(&self, buffer: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(RawDescriptor::new(buffer));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values
            .user_values
            .get::<RawDescriptor>()
            .is_some_and(|descriptor| descriptor.bytes.len() > MAX_SHORT_LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_passes_the_transport_unchanged() {
        let mut values = ExtensionValues::default();
        assert!(Serializer.parse_value(&[0x80, 0, 9, 0x55], &mut values));
        let mut buffer = [0; 20];
        assert_eq!(Serializer.write_to(&mut buffer, &values), 4);
        assert_eq!(&buffer[..4], &[0x80, 0, 9, 0x55]);
    }

    #[test]
    fn a_renumbered_descriptor_differs_in_its_frame_number_only() {
        let mut values = ExtensionValues::default();
        values
            .user_values
            .set(RawDescriptor::new(&[0x80, 0, 9, 0x55]).with_frame_number(0x1234));
        let mut buffer = [0; 20];
        assert_eq!(Serializer.write_to(&mut buffer, &values), 4);
        assert_eq!(&buffer[..4], &[0x80, 0x12, 0x34, 0x55]);
    }

    #[test]
    fn a_long_descriptor_asks_for_the_two_byte_form_and_one_without_room_is_left_out() {
        let mut values = ExtensionValues::default();
        values.user_values.set(RawDescriptor::new(&[1; 40]));
        assert!(Serializer.requires_two_byte_form(&values));
        assert_eq!(Serializer.write_to(&mut [0; 20], &values), 0);
    }
}
