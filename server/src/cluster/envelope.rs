//! What nodes send each other about a room, and how it is written.
//!
//! MessagePack with named fields: an older node ignores fields it does not know, and a message of a kind it does not know
//! is dropped. Long messages travel in parts, which arrive in order.

use serde::{Deserialize, Serialize};
use tradewind_rtc::replica::ReplicaMessage;

/// Bytes of one part; fits into a frame of the relay.
const PART_BYTES: usize = 128 * 1024;
/// Bytes of a whole message: the state of a room with thousands of participants.
const MAX_BYTES: usize = 32 * 1024 * 1024;

const LAST_PART: u8 = 0;
const MORE_PARTS: u8 = 1;

/// A message about a room from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Envelope {
    /// The room has replicas on these shards of the sender, and on no others. `answer` asks for the receiver's hello.
    Hello { shards: Vec<u16>, answer: bool },
    /// From the replica on one of the sender's shards to the one on one of the receiver's.
    Message {
        from: u16,
        to: u16,
        message: Box<ReplicaMessage>,
    },
}

/// Why a message of a peer cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvelopeError {
    #[error("a message about a room is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("a message about a room is empty")]
    Empty,
    #[error(
        "a message about a room is not understood: are the nodes more than one minor version apart? {0}"
    )]
    Unknown(#[from] rmp_serde::decode::Error),
}

impl Envelope {
    /// The parts to send, in order.
    ///
    /// # Errors
    /// A text or map inside is longer than MessagePack can say.
    pub(super) fn parts(&self) -> Result<Vec<Vec<u8>>, rmp_serde::encode::Error> {
        let whole = rmp_serde::to_vec_named(self)?;
        let count = whole.len().div_ceil(PART_BYTES);
        let part = |(index, bytes): (usize, &[u8])| {
            let mark = if index + 1 == count {
                LAST_PART
            } else {
                MORE_PARTS
            };
            let mut part = Vec::with_capacity(bytes.len() + 1);
            part.push(mark);
            part.extend_from_slice(bytes);
            part
        };
        Ok(whole.chunks(PART_BYTES).enumerate().map(part).collect())
    }
}

/// Puts the parts of one room's messages from one node together.
#[derive(Debug, Default)]
pub(super) struct Assembly(Vec<u8>);

impl Assembly {
    /// Takes the next part; gives the message it completes.
    ///
    /// # Errors
    /// What came is no message. The next part begins a new one.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<Option<Envelope>, EnvelopeError> {
        let (mark, bytes) = part.split_first().ok_or(EnvelopeError::Empty)?;
        if self.0.len() + bytes.len() > MAX_BYTES {
            self.0 = Vec::new();
            return Err(EnvelopeError::TooLong);
        }
        if *mark != LAST_PART {
            self.0.extend_from_slice(bytes);
            return Ok(None);
        }
        if self.0.is_empty() {
            return Ok(Some(rmp_serde::from_slice(bytes)?));
        }
        let mut whole = std::mem::take(&mut self.0);
        whole.extend_from_slice(bytes);
        Ok(Some(rmp_serde::from_slice(&whole)?))
    }

    /// Whether nothing is waiting for its rest.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde::Serialize;
    use tradewind_rtc::replica::{RelayedData, ReplicaBody};

    use super::*;

    fn data(bytes: usize) -> Envelope {
        let data = RelayedData {
            from: Some("PA_shopper".into()),
            reliable: true,
            sequence: 7,
            destinations: vec!["agent".into()],
            nonce: Vec::new(),
            message: Arc::from(vec![0xa5; bytes]),
        };
        Envelope::Message {
            from: 0,
            to: 1,
            message: Box::new(ReplicaMessage {
                epoch: 3,
                number: 9,
                body: ReplicaBody::Data(Arc::new(data)),
            }),
        }
    }

    fn sent_and_read(envelope: &Envelope) -> Envelope {
        let mut assembly = Assembly::default();
        let mut read = None;
        for part in envelope.parts().unwrap() {
            assert!(read.is_none(), "complete before the last part");
            read = assembly.push(&part).unwrap();
        }
        assert!(assembly.is_empty());
        read.expect("complete")
    }

    #[test]
    fn a_message_survives_the_link_however_long_it_is() {
        for bytes in [0, 100, PART_BYTES, 3 * PART_BYTES + 1] {
            let envelope = data(bytes);
            let read = sent_and_read(&envelope);
            assert_eq!(format!("{read:?}"), format!("{envelope:?}"));
        }
    }

    #[test]
    fn bytes_cost_what_they_are() {
        let length: usize = data(10_000).parts().unwrap().iter().map(Vec::len).sum();
        assert!(length < 10_200, "{length}");
    }

    #[test]
    fn what_a_newer_node_adds_is_ignored() {
        #[derive(Serialize)]
        enum Newer {
            Hello {
                shards: Vec<u16>,
                answer: bool,
                mood: &'static str,
            },
        }
        let newer = Newer::Hello {
            shards: vec![4],
            answer: true,
            mood: "bright",
        };
        let mut part = vec![LAST_PART];
        part.extend(rmp_serde::to_vec_named(&newer).unwrap());
        let read = Assembly::default().push(&part).unwrap();
        let Some(Envelope::Hello { shards, answer }) = read else {
            panic!("a hello");
        };
        assert_eq!((shards, answer), (vec![4], true));
    }

    #[test]
    fn a_message_that_never_ends_is_given_up() {
        let mut assembly = Assembly::default();
        let mut part = vec![0; 8 * 1024 * 1024];
        part[0] = MORE_PARTS;
        let refused = (0..8).any(|_| matches!(assembly.push(&part), Err(EnvelopeError::TooLong)));
        assert!(refused);
    }

    proptest! {
        #[test]
        fn junk_is_refused_and_never_panics(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
            let mut assembly = Assembly::default();
            for part in parts {
                let _ = assembly.push(&part);
            }
        }
    }
}
