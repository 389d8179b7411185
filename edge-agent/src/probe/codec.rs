//! Probe datagrams.
//!
//! Between edges: `TWP1`, kind (1 byte), length of the sender's name (1 byte), name, number (8 bytes), time (8 bytes),
//! length of an address (1 byte), the address as text, then the first 16 bytes of the HMAC-SHA-256 of all before under
//! the fleet key. Numbers are big-endian. What does not carry the right tag is not answered.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use tradewind_fleet::NodeId;

const MAGIC: &[u8; 4] = b"TWP1";
/// Bytes of a tag: half an HMAC-SHA-256, as RFC 2104 section 5 allows.
const TAG: usize = 16;
/// The longest datagram of the protocol, with room to spare.
pub(crate) const MAX_DATAGRAM: usize = 512;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks for a pong with the same number and time.
    Ping,
    /// Answers a ping; the address is where the ping came from.
    Pong,
    /// Asks for a knock at the address.
    KnockPlease,
    /// Comes from a socket that the receiver has never sent to, so that only an open port lets it in.
    Knock,
}

/// A probe between edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) kind: Kind,
    pub(crate) from: NodeId,
    /// Tells answers apart; of a knock, the secret of who asked for it.
    pub(crate) number: u64,
    /// Microseconds on the asking side's clock.
    pub(crate) time: u64,
    pub(crate) address: Option<SocketAddr>,
}

/// Seals and opens probes.
pub(crate) struct FleetKey(hmac::Key);

impl FleetKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn seal(&self, probe: &Probe) -> Vec<u8> {
        let name = probe.from.as_str().as_bytes();
        let address = probe.address.map(|address| address.to_string());
        let address = address.unwrap_or_default();
        let mut datagram = MAGIC.to_vec();
        datagram.push(probe.kind.to_byte());
        // Names have at most 64 characters, addresses fewer still.
        datagram.push(u8::try_from(name.len()).unwrap_or(0));
        datagram.extend_from_slice(name);
        datagram.extend_from_slice(&probe.number.to_be_bytes());
        datagram.extend_from_slice(&probe.time.to_be_bytes());
        datagram.push(u8::try_from(address.len()).unwrap_or(0));
        datagram.extend_from_slice(address.as_bytes());
        let tag = hmac::sign(&self.0, &datagram);
        datagram.extend(tag.as_ref().iter().take(TAG));
        datagram
    }

    /// `None` for what no edge of this fleet has sent.
    pub(crate) fn open(&self, datagram: &[u8]) -> Option<Probe> {
        let (body, tag) = datagram.split_at_checked(datagram.len().checked_sub(TAG)?)?;
        let rest = body.strip_prefix(MAGIC)?;
        let expected = hmac::sign(&self.0, body);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref().get(..TAG)?, tag)
            .ok()?;
        let (kind, rest) = rest.split_first()?;
        let (name, rest) = text(rest)?;
        let (number, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (address, rest) = text(rest)?;
        rest.is_empty().then_some(())?;
        Some(Probe {
            kind: Kind::from_byte(*kind)?,
            from: name.parse().ok()?,
            number: u64::from_be_bytes(*number),
            time: u64::from_be_bytes(*time),
            address: match address {
                "" => None,
                address => Some(address.parse().ok()?),
            },
        })
    }
}

/// A text after its length.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Ping => 1,
            Self::Pong => 2,
            Self::KnockPlease => 3,
            Self::Knock => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Ping,
            2 => Self::Pong,
            3 => Self::KnockPlease,
            4 => Self::Knock,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn probe(number: u64, time: u64) -> Probe {
        Probe {
            kind: Kind::Pong,
            from: "ND_tokyo".parse().unwrap(),
            number,
            time,
            address: Some("[2001:db8::1]:9791".parse().unwrap()),
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_pass(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(FleetKey::new(b"secret").open(&bytes), None);
        }

        #[test]
        fn a_sealed_body_of_any_bytes_does_not_panic(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let key = FleetKey::new(b"secret");
            let mut datagram = [MAGIC.as_slice(), &body].concat();
            let tag = hmac::sign(&key.0, &datagram);
            datagram.extend(&tag.as_ref()[..TAG]);
            let _ = key.open(&datagram);
        }

        #[test]
        fn a_probe_survives_only_whole_and_under_its_key(number: u64, time: u64, at in 0usize..80, flip in 1u8..) {
            let key = FleetKey::new(b"secret");
            let mut datagram = key.seal(&probe(number, time));
            prop_assert!(datagram.len() <= MAX_DATAGRAM);
            prop_assert_eq!(key.open(&datagram), Some(probe(number, time)));
            prop_assert_eq!(FleetKey::new(b"other").open(&datagram), None);
            let at = at % datagram.len();
            datagram[at] ^= flip;
            prop_assert_eq!(key.open(&datagram), None);
        }
    }
}
