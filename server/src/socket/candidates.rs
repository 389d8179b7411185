//! Candidate addresses of one port: which of them a datagram came to, and what to send from.

use std::net::{IpAddr, SocketAddr};

/// The addresses clients reach one port at.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    /// An interface of this machine has the address; otherwise a router in front translates it.
    local: bool,
}

impl Candidates {
    /// `is_local` says whether an interface of this machine has the address.
    pub(crate) fn new(advertise: &[IpAddr], port: u16, is_local: impl Fn(IpAddr) -> bool) -> Self {
        let candidates = advertise
            .iter()
            .map(|&ip| Candidate {
                address: SocketAddr::new(ip, port),
                local: is_local(ip),
            })
            .collect();
        Self { candidates }
    }

    /// The addresses, in the order they were given.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.candidates
            .iter()
            .map(|candidate| candidate.address)
            .collect()
    }

    /// The candidate that a datagram for the local address `ip` was sent to. ICE knows only candidates, so behind
    /// address translation the first one of the same family stands for the local address.
    pub(crate) fn reached_at(&self, ip: IpAddr) -> Option<SocketAddr> {
        let ip = ip.to_canonical();
        self.candidates
            .iter()
            .find(|candidate| candidate.address.ip() == ip)
            .or_else(|| {
                self.candidates
                    .iter()
                    .find(|candidate| candidate.address.is_ipv4() == ip.is_ipv4())
            })
            .map(|candidate| candidate.address)
    }

    /// The source address to ask the kernel for, if it may choose a wrong one by itself.
    pub(crate) fn local_source(&self, candidate: SocketAddr) -> Option<IpAddr> {
        self.candidates
            .iter()
            .find(|known| known.address == candidate && known.local)
            .map(|_| candidate.ip())
    }
}

/// Whether an interface of this machine has the address.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_datagram_to_an_advertised_address_came_to_that_candidate() {
        let candidates = Candidates::new(&[ip("10.0.0.1"), ip("10.0.0.2")], 7882, |_| true);
        assert_eq!(
            candidates.reached_at(ip("10.0.0.2")),
            Some("10.0.0.2:7882".parse().unwrap())
        );
        assert_eq!(
            candidates.reached_at(ip("::ffff:10.0.0.2")),
            Some("10.0.0.2:7882".parse().unwrap())
        );
    }

    #[test]
    fn behind_address_translation_the_public_candidate_stands_for_the_private_address() {
        let candidates = Candidates::new(&[ip("2001:db8::7"), ip("203.0.113.7")], 7882, |_| false);
        assert_eq!(
            candidates.reached_at(ip("10.0.0.2")),
            Some("203.0.113.7:7882".parse().unwrap())
        );
        assert_eq!(
            candidates.reached_at(ip("fd00::2")),
            Some("[2001:db8::7]:7882".parse().unwrap())
        );
        assert_eq!(
            candidates.local_source("203.0.113.7:7882".parse().unwrap()),
            None
        );
    }

    #[test]
    fn an_address_family_without_candidate_is_not_reached() {
        let candidates = Candidates::new(&[ip("203.0.113.7")], 7882, |_| false);
        assert_eq!(candidates.reached_at(ip("fd00::2")), None);
    }

    #[test]
    fn replies_leave_from_the_local_address_they_were_sent_to() {
        let candidates = Candidates::new(&[ip("127.0.0.1")], 7882, is_local);
        assert_eq!(
            candidates.local_source("127.0.0.1:7882".parse().unwrap()),
            Some(ip("127.0.0.1"))
        );
        assert!(!is_local(ip("192.0.2.1")));
    }
}
