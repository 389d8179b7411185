//! Subjects and bodies of the fleet's messages: JSON, in which unknown fields are ignored so that versions can differ.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::registry::{EdgeBeat, Heartbeat, Withdrawal};
use crate::{NodeId, Vector};

/// Everything that nodes tell all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Notice {
    Node(Heartbeat),
    Edge(EdgeBeat),
    Vector(Vector),
    Withdrawn(Withdrawal),
    /// The node answers again: its server may take an epoch above this one.
    Restored {
        node: NodeId,
        epoch: u64,
    },
    /// Somebody has come and wants to hear everyone.
    WhoIsThere,
}

impl Notice {
    /// The last part of its subject, so that operators can allow and watch each kind apart.
    fn kind(&self) -> &'static str {
        match self {
            Self::Node(_) => "node",
            Self::Edge(_) => "edge",
            Self::Vector(_) => "vector",
            Self::Withdrawn(_) => "withdrawn",
            Self::Restored { .. } => "restored",
            Self::WhoIsThere => "who",
        }
    }

    pub(crate) fn subject(&self, prefix: &str) -> String {
        format!("{prefix}.fleet.{}", self.kind())
    }
}

/// Where all notices are heard.
pub(crate) fn notices(prefix: &str) -> String {
    format!("{prefix}.fleet.*")
}

pub(crate) fn topic(prefix: &str, topic: &str) -> String {
    format!("{prefix}.topic.{topic}")
}

pub(crate) fn service(prefix: &str, node: &str, service: &str) -> String {
    format!("{prefix}.ask.{node}.{service}")
}

/// Reads a body; `None` for what is not understood.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// Writes a body. All types here have text keys and finite depth, which is all that JSON asks for.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::Registry;
    use crate::{NodeRecord, Version};

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode::<Notice>(&body);
        }

        #[test]
        fn no_numbers_of_a_peer_panic(epoch in any::<u64>(), number in any::<u64>()) {
            let record = NodeRecord::new("a".parse().unwrap(), Version::default(), epoch);
            let notice = Notice::Node(Heartbeat { epoch, number, record });
            let Some(Notice::Node(beat)) = decode(&encode(&notice)) else {
                panic!("does not survive its own encoding");
            };
            Registry::default().heartbeat(std::time::Duration::ZERO, beat);
        }
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let body = br#"{"node":{"epoch":1,"number":2,"later":3,"record":{"id":"a","new":[1]}}}"#;
        assert!(matches!(decode(body), Some(Notice::Node(_))));
    }
}
