//! Who a request comes from, seen through reverse proxies that are trusted.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address, in the extensions of every request. IPv4 in IPv6 form is unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// The nearest address that is not a trusted proxy's: `peer`, or what the proxies wrote into `X-Forwarded-For`.
    /// What the client itself wrote there is to the left of that and never believed.
    pub(crate) fn new(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
        let mut client = peer.to_canonical();
        let hops = headers
            .get_all("x-forwarded-for")
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let mut hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
        while is_trusted(client) {
            let Some(hop) = hops.pop().and_then(|hop| hop.trim().parse::<IpAddr>().ok()) else {
                break;
            };
            client = hop.to_canonical();
        }
        Self(client)
    }

    /// The key to count a client under: its IPv4 address, or the IPv6 network its provider gave it, of which it can
    /// use every address.
    pub(crate) fn household(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = vec![
            "127.0.0.1/32".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ];
        ClientAddress::new(peer.parse().unwrap(), &headers, &trusted)
            .0
            .to_string()
    }

    #[test]
    fn a_stranger_cannot_pretend_to_be_somebody_else() {
        assert_eq!(client("198.51.100.1", &["203.0.113.9"]), "198.51.100.1");
    }

    #[test]
    fn a_trusted_proxy_tells_the_client_and_what_the_client_claims_is_ignored() {
        assert_eq!(client("127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1, 203.0.113.9, 10.2.3.4"]),
            "203.0.113.9"
        );
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1", "203.0.113.9"]),
            "203.0.113.9"
        );
        assert_eq!(client("::ffff:127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn garbage_from_a_proxy_leaves_the_proxy_as_client() {
        assert_eq!(client("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn all_addresses_of_an_ipv6_household_count_as_one() {
        let one = ClientAddress("2001:db8:1:2:3::4".parse().unwrap());
        let other = ClientAddress("2001:db8:1:2:ffff::1".parse().unwrap());
        assert_eq!(one.household(), other.household());
    }
}
