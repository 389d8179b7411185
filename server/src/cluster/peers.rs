//! Numbers for the far ends of links. A [`PeerId`] is a node's place in a table that only grows, and one of its shards; the
//! first place is this node's, so that its own shards can be linked too.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use tradewind_fleet::NodeId;
use tradewind_rtc::PeerId;

/// Nodes that one process may ever link with: far more than a full mesh can have, with their restarts under new names.
const MAX_NODES: usize = 4_096;
const SHARD_BITS: u32 = 16;

/// The table; shared by the shards, which read it without a lock, and the cluster, which adds to it.
pub(crate) struct Peers {
    places: Mutex<BTreeMap<NodeId, usize>>,
    nodes: Box<[OnceLock<tradewind_relay::NodeId>]>,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer<'a> {
    /// Another shard of this node.
    Sibling { shard: u16 },
    /// A shard of another node.
    Remote {
        node: &'a tradewind_relay::NodeId,
        shard: u16,
    },
}

impl Peers {
    pub(crate) fn new(me: &NodeId) -> Self {
        let peers = Self {
            places: Mutex::default(),
            nodes: (0..MAX_NODES).map(|_| OnceLock::new()).collect(),
        };
        peers.number(me, 0);
        peers
    }

    /// The number of a node's shard; `None` if the table is full.
    pub(crate) fn number(&self, node: &NodeId, shard: u16) -> Option<PeerId> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let next = places.len();
        let place = match places.get(node) {
            Some(place) => *place,
            None => {
                self.nodes
                    .get(next)?
                    .get_or_init(|| tradewind_relay::NodeId::from(node.as_str()));
                places.insert(node.clone(), next);
                next
            }
        };
        Some(PeerId((place as u64) << SHARD_BITS | u64::from(shard)))
    }

    /// What a number stands for; `None` if it was never given.
    pub(crate) fn resolve(&self, peer: PeerId) -> Option<Peer<'_>> {
        let place = usize::try_from(peer.0 >> SHARD_BITS).ok()?;
        let shard = (peer.0 & ((1 << SHARD_BITS) - 1)) as u16;
        match (place, self.nodes.get(place)?.get()?) {
            (0, _) => Some(Peer::Sibling { shard }),
            (_, node) => Some(Peer::Remote { node, shard }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_one_shard_of_one_node_for_ever() {
        let peers = Peers::new(&"tokyo".parse().unwrap());
        let paris = peers.number(&"paris".parse().unwrap(), 3).unwrap();
        let osaka = peers.number(&"osaka".parse().unwrap(), 3).unwrap();
        assert_eq!(peers.number(&"paris".parse().unwrap(), 3), Some(paris));
        assert_ne!(paris, osaka);
        let Some(Peer::Remote { node, shard: 3 }) = peers.resolve(paris) else {
            panic!("not found");
        };
        assert_eq!(node.as_str(), "paris");
        let sibling = peers.number(&"tokyo".parse().unwrap(), 1).unwrap();
        assert!(matches!(
            peers.resolve(sibling),
            Some(Peer::Sibling { shard: 1 })
        ));
        assert!(peers.resolve(PeerId(99 << SHARD_BITS)).is_none());
    }
}
