//! Identifiers. Each is a type of its own so that one can never be passed for another.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_id!(
    /// A room's name, chosen by the application and unique in the fleet.
    RoomName
);
text_id!(
    /// `RM_` and 12 characters: one life of a room.
    RoomSid
);
text_id!(
    /// Who a participant is, chosen by the application and unique in a room.
    Identity
);
text_id!(
    /// `PA_` and 12 characters: one session of a participant.
    ParticipantSid
);
text_id!(
    /// `TR_` and 12 characters: one publication of a track.
    TrackSid
);

text_id!(
    /// `DTR_` and 12 characters: one publication of a data track.
    DataTrackSid
);

/// Names a data track in the headers of its packets: chosen by the publisher on its way up, by the server on the way
/// down to each subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataTrackHandle(NonZeroU16);

impl DataTrackHandle {
    /// The handle with this number; `None` if it is not within 1 to 65535.
    pub fn new(number: u32) -> Option<Self> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
    }

    /// 1 to 65535.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// One signalling connection (a WebSocket), numbered by the shell. A participant that resumes keeps its
/// [`ParticipantSid`] and comes with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Matches an [`AdminRequest`](crate::AdminRequest) with its reply; numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A media section of a session description (`a=mid`), RFC 8843.
pub type Mid = str0m::media::Mid;

/// A restriction identifier of a simulcast layer (`a=rid`), RFC 8851.
pub type Rid = str0m::media::Rid;
