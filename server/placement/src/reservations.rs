//! Seats promised to parties that have not arrived yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeId;
use crate::units::{Millis, Timestamp};

/// Seats promised, by node. Without them a burst of calls would all land on the node that was emptiest a second ago.
///
/// A promise ends when it expires or when the call's parties have arrived, from when the node's own report counts
/// them.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    by_call: BTreeMap<u64, Promise>,
    by_expiry: BTreeSet<(Timestamp, u64)>,
    by_node: BTreeMap<NodeId, u32>,
}

#[derive(Clone, Debug)]
struct Promise {
    expires_at: Timestamp,
    seats: Vec<NodeId>,
}

impl Reservations {
    /// Promises a seat on each of `entries` to a call until `now + ttl`; replaces the call's earlier promise.
    pub fn reserve(
        &mut self,
        call: u64,
        entries: impl IntoIterator<Item = NodeId>,
        now: Timestamp,
        ttl: Millis,
    ) {
        self.release(call);
        let promise = Promise {
            expires_at: now.plus(ttl),
            seats: entries.into_iter().collect(),
        };
        for node in &promise.seats {
            *self.by_node.entry(node.clone()).or_default() += 1;
        }
        self.by_expiry.insert((promise.expires_at, call));
        self.by_call.insert(call, promise);
    }

    /// Ends a call's promise; says whether there was one.
    pub fn release(&mut self, call: u64) -> bool {
        let Some(promise) = self.by_call.remove(&call) else {
            return false;
        };
        self.by_expiry.remove(&(promise.expires_at, call));
        for node in promise.seats {
            if let Some(seats) = self.by_node.get_mut(&node) {
                *seats -= 1;
                if *seats == 0 {
                    self.by_node.remove(&node);
                }
            }
        }
        true
    }

    /// Ends every promise that has run out.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(at, call)) = self.by_expiry.first() {
            if at > now {
                break;
            }
            self.release(call);
        }
    }

    /// Seats promised on a node.
    pub fn on(&self, node: &NodeId) -> u32 {
        self.by_node.get(node).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.by_node.iter().map(|(node, &seats)| (node, seats))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_promise_runs_out_or_its_call_arrives() {
        let mut seats = Reservations::default();
        let (paris, tokyo) = (NodeId::from("paris"), NodeId::from("tokyo"));
        seats.reserve(
            1,
            [paris.clone(), tokyo.clone()],
            Timestamp(0),
            Millis(10_000.0),
        );
        seats.reserve(
            2,
            [paris.clone(), paris.clone()],
            Timestamp(5_000),
            Millis(10_000.0),
        );
        assert_eq!((seats.on(&paris), seats.on(&tokyo)), (3, 1));
        seats.expire(Timestamp(10_000));
        assert_eq!((seats.on(&paris), seats.on(&tokyo)), (2, 0));
        assert!(seats.release(2));
        assert!(!seats.release(2));
        assert_eq!(seats.on(&paris), 0);
    }

    #[test]
    fn placing_a_call_again_replaces_its_promise() {
        let mut seats = Reservations::default();
        seats.reserve(1, [NodeId::from("paris")], Timestamp(0), Millis(10_000.0));
        seats.reserve(1, [NodeId::from("tokyo")], Timestamp(1), Millis(10_000.0));
        assert_eq!(
            (seats.on(&"paris".into()), seats.on(&"tokyo".into())),
            (0, 1)
        );
    }
}
