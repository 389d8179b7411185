//! How many connections may be open, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    max_total: usize,
    max_per_address: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One open connection; counted until dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Admission,
    address: IpAddr,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("too many connections: try another node or later")]
    Total,
    #[error("too many connections from this address")]
    PerAddress,
}

impl Admission {
    /// 0 = no limit.
    pub(crate) fn new(max_total: usize, max_per_address: usize) -> Self {
        let limit = |limit| if limit == 0 { usize::MAX } else { limit };
        Self {
            max_total: limit(max_total),
            max_per_address: limit(max_per_address),
            open: Arc::default(),
        }
    }

    /// Counts a connection in, if the limits allow it.
    ///
    /// # Errors
    /// The limit that does not.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Admitted, Refused> {
        let address = client_network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.max_total {
            return Err(Refused::Total);
        }
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.max_per_address {
            return Err(Refused::PerAddress);
        }
        open.by_address.insert(address, of_address + 1);
        open.total += 1;
        Ok(Admitted {
            admission: self.clone(),
            address,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self
            .admission
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 /64, which one host may use up at will.
fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_take_the_places_of_others() {
        let admission = Admission::new(3, 2);
        let _first = admission.admit(ip("192.0.2.1")).unwrap();
        let second = admission.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(
            admission.admit(ip("192.0.2.1")).unwrap_err(),
            Refused::PerAddress
        );
        let _other = admission.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(
            admission.admit(ip("192.0.2.3")).unwrap_err(),
            Refused::Total
        );
        drop(second);
        assert!(admission.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn one_host_does_not_get_more_by_changing_its_ipv6_address() {
        let admission = Admission::new(0, 1);
        let _first = admission.admit(ip("2001:db8::1")).unwrap();
        assert_eq!(
            admission.admit(ip("2001:db8::2")).unwrap_err(),
            Refused::PerAddress
        );
        assert!(admission.admit(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let admission = Admission::new(0, 0);
        drop(admission.admit(ip("192.0.2.1")));
        let open = admission.open.lock().unwrap();
        assert!(open.by_address.is_empty() && open.total == 0);
    }
}
