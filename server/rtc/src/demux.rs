//! Which transport a datagram belongs to.
//!
//! A DTLS, RTP or RTCP datagram is passed on only from an address that ICE has validated; STUN finds its transport by
//! the local user fragment, and validates the address when its message integrity is right (RFC 8445, RFC 7983).

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

use crate::room::TransportRef;
use crate::shard::Protocol;

/// Addresses one transport may have at a time; a client has a few candidates, an attacker many.
const MAX_ADDRESSES: usize = 16;
/// Longest STUN message looked at: binding requests of known clients are below 200 bytes.
const MAX_STUN: usize = 1_500;

/// Kind of a datagram by its first byte (RFC 7983 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stun,
    Dtls,
    Rtp,
}

/// Reads the kind of a datagram, if it is one of ours.
pub(crate) fn kind(datagram: &[u8]) -> Option<Kind> {
    match *datagram.first()? {
        0..=3 if (20..=MAX_STUN).contains(&datagram.len()) => Some(Kind::Stun),
        20..=63 if datagram.len() >= 13 => Some(Kind::Dtls),
        128..=191 if datagram.len() >= 8 => Some(Kind::Rtp),
        _ => None,
    }
}

/// The local user fragment of a STUN binding request.
pub(crate) fn local_fragment(datagram: &[u8]) -> Option<String> {
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    message.split_username().map(|(local, _)| local.to_owned())
}

type Remote = (Protocol, SocketAddr);

/// The maps of one shard.
#[derive(Default)]
pub(crate) struct Demux {
    addresses: HashMap<Remote, Entry>,
    fragments: HashMap<String, TransportRef>,
    owned: HashMap<TransportRef, Owned>,
}

#[derive(Clone, Copy)]
struct Entry {
    transport: TransportRef,
    /// False while we only sent checks to the address: then STUN alone may come from it.
    validated: bool,
}

#[derive(Default)]
struct Owned {
    addresses: Vec<Remote>,
    fragment: String,
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) transport: TransportRef,
    pub(crate) validated: bool,
}

impl Demux {
    /// The transport that has this remote address.
    pub(crate) fn by_address(&self, protocol: Protocol, source: SocketAddr) -> Option<Route> {
        self.addresses.get(&(protocol, source)).map(|entry| Route {
            transport: entry.transport,
            validated: entry.validated,
        })
    }

    /// The transport whose local user fragment this is.
    pub(crate) fn by_fragment(&self, fragment: &str) -> Option<TransportRef> {
        self.fragments.get(fragment).copied()
    }

    /// Notes that `source` proved, by message integrity, to belong to `transport`.
    pub(crate) fn validate(
        &mut self,
        transport: TransportRef,
        protocol: Protocol,
        source: SocketAddr,
    ) {
        self.insert(transport, (protocol, source), true);
    }

    /// Notes that `transport` sent a connectivity check to `destination`, so that the response is let in.
    pub(crate) fn expect_response(
        &mut self,
        transport: TransportRef,
        protocol: Protocol,
        destination: SocketAddr,
    ) {
        if !self.addresses.contains_key(&(protocol, destination)) {
            self.insert(transport, (protocol, destination), false);
        }
    }

    /// Sets the local user fragment of a transport; gives back the one it replaces.
    pub(crate) fn set_fragment(
        &mut self,
        transport: TransportRef,
        fragment: &str,
    ) -> Option<String> {
        let owned = self.owned.entry(transport).or_default();
        if owned.fragment == fragment {
            return None;
        }
        let old = std::mem::replace(&mut owned.fragment, fragment.to_owned());
        self.fragments.remove(&old);
        self.fragments.insert(fragment.to_owned(), transport);
        (!old.is_empty()).then_some(old)
    }

    /// Forgets a transport; gives back its user fragment.
    pub(crate) fn remove(&mut self, transport: TransportRef) -> Option<String> {
        let owned = self.owned.remove(&transport)?;
        for remote in owned.addresses {
            self.addresses.remove(&remote);
        }
        self.fragments.remove(&owned.fragment);
        (!owned.fragment.is_empty()).then_some(owned.fragment)
    }

    fn insert(&mut self, transport: TransportRef, remote: Remote, validated: bool) {
        if let Some(entry) = self.addresses.get_mut(&remote) {
            if entry.transport == transport {
                entry.validated |= validated;
                return;
            }
            // The address moved to another session, as when a client rejoins from the same socket.
            let previous = entry.transport;
            if let Some(owned) = self.owned.get_mut(&previous) {
                owned.addresses.retain(|known| *known != remote);
            }
        }
        self.addresses.insert(
            remote,
            Entry {
                transport,
                validated,
            },
        );
        let owned = self.owned.entry(transport).or_default();
        owned.addresses.push(remote);
        if owned.addresses.len() > MAX_ADDRESSES {
            let oldest = owned.addresses.remove(0);
            self.addresses.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Target;
    use crate::room::{ParticipantKey, RoomKey};

    fn transport(target: Target) -> TransportRef {
        TransportRef {
            room: RoomKey::default(),
            participant: ParticipantKey::default(),
            target,
        }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn an_address_that_was_only_checked_is_not_validated() {
        let mut demux = Demux::default();
        let ours = transport(Target::Publisher);
        demux.expect_response(ours, Protocol::Udp, address(1));
        assert_eq!(
            demux.by_address(Protocol::Udp, address(1)),
            Some(Route {
                transport: ours,
                validated: false
            })
        );
        demux.validate(ours, Protocol::Udp, address(1));
        assert!(
            demux
                .by_address(Protocol::Udp, address(1))
                .is_some_and(|route| route.validated)
        );
        assert_eq!(demux.by_address(Protocol::Tcp, address(1)), None);
    }

    #[test]
    fn a_transport_keeps_a_bounded_number_of_addresses() {
        let mut demux = Demux::default();
        for port in 1..=100 {
            demux.validate(transport(Target::Publisher), Protocol::Udp, address(port));
        }
        assert_eq!(demux.addresses.len(), MAX_ADDRESSES);
        assert!(demux.by_address(Protocol::Udp, address(100)).is_some());
    }

    #[test]
    fn removing_a_transport_leaves_nothing_behind() {
        let mut demux = Demux::default();
        let (a, b) = (transport(Target::Publisher), transport(Target::Subscriber));
        assert_eq!(demux.set_fragment(a, "one"), None);
        assert_eq!(demux.set_fragment(a, "two"), Some("one".to_owned()));
        demux.validate(a, Protocol::Udp, address(1));
        demux.validate(b, Protocol::Udp, address(1));
        assert_eq!(demux.by_fragment("one"), None);
        assert_eq!(demux.remove(a), Some("two".to_owned()));
        assert!(
            demux
                .by_address(Protocol::Udp, address(1))
                .is_some_and(|route| route.transport == b)
        );
        demux.remove(b);
        assert!(demux.addresses.is_empty() && demux.fragments.is_empty() && demux.owned.is_empty());
    }
}
