//! Names of nodes, regions, legal zones and rooms, checked where they enter.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::FleetError;

/// Characters of a node, region or zone name.
const MAX_NAME: usize = 64;
/// Bytes of a room name: what fits, encoded, into a NATS subject with room to spare.
const MAX_ROOM_NAME: usize = 512;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = FleetError;

            /// # Errors
            /// [`FleetError::Name`] for what cannot be part of a subject: 1 to 64 letters, digits, `-` and `_`.
            fn from_str(text: &str) -> Result<Self, FleetError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $type {
            type Error = FleetError;

            fn try_from(text: String) -> Result<Self, FleetError> {
                if is_token(&text) {
                    return Ok(Self(text));
                }
                Err(FleetError::Name {
                    what: $what,
                    text: text.chars().take(MAX_NAME).collect(),
                    advice: "use 1 to 64 letters, digits, - and _",
                })
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a node, unique in the fleet, such as `ND_tokyo1`.
    NodeId,
    "node name"
);
name!(
    /// Name of a region, such as `eu-west`.
    RegionName,
    "region name"
);
name!(
    /// Legal zone that media stay in, such as `eu`.
    Residency,
    "residency zone"
);

/// Whether `text` can be one part of a subject.
pub(crate) fn is_token(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Name of a room as its users chose it: any text of 1 to 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(String);

impl RoomName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key the room is stored under: room names may hold what keys may not.
    pub(crate) fn to_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// Reads a key; `None` for what is none of ours.
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(key).ok()?;
        String::from_utf8(bytes).ok()?.try_into().ok()
    }
}

impl FromStr for RoomName {
    type Err = FleetError;

    /// # Errors
    /// [`FleetError::Name`] when empty or longer than 512 bytes.
    fn from_str(text: &str) -> Result<Self, FleetError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for RoomName {
    type Error = FleetError;

    fn try_from(text: String) -> Result<Self, FleetError> {
        if (1..=MAX_ROOM_NAME).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(FleetError::Name {
            what: "room name",
            text: text.chars().take(MAX_NAME).collect(),
            advice: "use 1 to 512 bytes",
        })
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_room_name_survives_its_key(name in "\\PC{1,128}") {
            let room: RoomName = name.parse().unwrap();
            prop_assert_eq!(RoomName::from_key(&room.to_key()), Some(room));
        }

        #[test]
        fn no_key_panics(key in any::<String>()) {
            let _ = RoomName::from_key(&key);
        }
    }

    #[test]
    fn a_node_name_that_would_split_a_subject_is_refused() {
        for bad in ["", "a.b", "a b", "*", ">", "日本", &"x".repeat(65)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
        assert_eq!(
            "ND_tokyo-1".parse::<NodeId>().unwrap().as_str(),
            "ND_tokyo-1"
        );
    }
}
