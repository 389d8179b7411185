//! How a flow is named on a link between nodes: which shard sends, which is to receive, and the track.

use tradewind_relay::FlowId as LinkFlow;
use tradewind_rtc::FlowId;

/// Shards of a node that can take part in a fleet.
pub(crate) const MAX_SHARDS: u16 = 1 << SHARD_BITS;

const SHARD_BITS: u32 = 6;
const SHARD_MASK: u32 = (1 << SHARD_BITS) - 1;

/// A track on its way from one shard to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) from_shard: u16,
    pub(super) to_shard: u16,
    pub(super) flow: FlowId,
}

impl Route {
    /// The number for the link; `None` if a shard or flow is out of range.
    pub(super) fn pack(self) -> Option<LinkFlow> {
        let (from, to) = (u32::from(self.from_shard), u32::from(self.to_shard));
        let in_range = from <= SHARD_MASK && to <= SHARD_MASK && self.flow.0 <= FlowId::MAX;
        if !in_range {
            return None;
        }
        LinkFlow::new(self.flow.0 << (2 * SHARD_BITS) | from << SHARD_BITS | to)
    }

    /// What a number of the link means.
    pub(super) fn unpack(flow: LinkFlow) -> Self {
        let number = flow.number();
        Self {
            from_shard: (number >> SHARD_BITS & SHARD_MASK) as u16,
            to_shard: (number & SHARD_MASK) as u16,
            flow: FlowId(number >> (2 * SHARD_BITS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_survives_the_link() {
        for flow in [1, 77, FlowId::MAX] {
            let route = Route {
                from_shard: 63,
                to_shard: 5,
                flow: FlowId(flow),
            };
            assert_eq!(route.pack().map(Route::unpack), Some(route));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let route = Route {
            from_shard: 0,
            to_shard: MAX_SHARDS,
            flow: FlowId(1),
        };
        assert_eq!(route.pack(), None);
        let route = Route {
            to_shard: 0,
            flow: FlowId(FlowId::MAX + 1),
            ..route
        };
        assert_eq!(route.pack(), None);
    }
}
