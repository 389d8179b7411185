//! One copy of a flow per node that wants it, none when nobody does.
//!
//! The far side counts its subscribers here and tells the origin only the best layers that any of them can use: more at once,
//! less after [`HOLD`], so that a viewer who comes back does not cost a key frame. Key-frame requests of all subscribers become
//! one per [`KEY_FRAME_EVERY`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::frame::LayerDemand;
use crate::id::FlowId;

/// How long a lower demand waits before the origin hears of it.
pub const HOLD: Duration = Duration::from_secs(2);
/// Key frames of one flow are asked for at most this often.
pub const KEY_FRAME_EVERY: Duration = Duration::from_millis(500);

/// A subscriber at this node, numbered by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscriber(pub u64);

/// What this node's subscribers want of one other node's flows.
#[derive(Debug, Default)]
pub struct Demands {
    flows: BTreeMap<FlowId, Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    by: BTreeMap<Subscriber, LayerDemand>,
    told: Option<LayerDemand>,
    lower_at: Option<Instant>,
    key_frame_asked: Option<Instant>,
    key_frame_due: Option<Instant>,
}

/// What the origin has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// The best layers wanted of a flow, or nothing.
    Demand(FlowId, Option<LayerDemand>),
    /// A key frame is needed.
    KeyFrame(FlowId),
}

impl Demands {
    /// A subscriber wants these layers of a flow; `None` when it leaves.
    pub fn want(
        &mut self,
        now: Instant,
        flow: FlowId,
        subscriber: Subscriber,
        demand: Option<LayerDemand>,
    ) {
        let wanted = self.flows.entry(flow).or_default();
        match demand {
            Some(demand) => wanted.by.insert(subscriber, demand),
            None => wanted.by.remove(&subscriber),
        };
        wanted.lower_at =
            (wanted.best() != wanted.told).then(|| match is_more(wanted.best(), wanted.told) {
                true => now,
                false => wanted.lower_at.unwrap_or(now + HOLD),
            });
    }

    /// A subscriber cannot go on without a key frame of a flow.
    pub fn need_key_frame(&mut self, now: Instant, flow: FlowId) {
        if let Some(wanted) = self.flows.get_mut(&flow) {
            let due = wanted
                .key_frame_asked
                .map_or(now, |asked| (asked + KEY_FRAME_EVERY).max(now));
            wanted.key_frame_due.get_or_insert(due);
        }
    }

    /// The flow has ended at its origin.
    pub fn forget(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
    }

    /// Something the origin has to hear now.
    pub fn poll(&mut self, now: Instant) -> Option<Tell> {
        let (flow, tell) = self.flows.iter_mut().find_map(|(&flow, wanted)| {
            if wanted.lower_at.is_some_and(|at| at <= now) {
                wanted.lower_at = None;
                wanted.told = wanted.best();
                return Some((flow, Tell::Demand(flow, wanted.told)));
            }
            if wanted.key_frame_due.is_some_and(|due| due <= now) {
                wanted.key_frame_due = None;
                wanted.key_frame_asked = Some(now);
                return Some((flow, Tell::KeyFrame(flow)));
            }
            None
        })?;
        if self
            .flows
            .get(&flow)
            .is_some_and(|wanted| wanted.by.is_empty() && wanted.told.is_none())
        {
            self.flows.remove(&flow);
        }
        Some(tell)
    }

    /// When [`Self::poll`] has something to tell.
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.flows
            .values()
            .flat_map(|wanted| [wanted.lower_at, wanted.key_frame_due])
            .flatten()
            .min()
    }
}

impl Wanted {
    fn best(&self) -> Option<LayerDemand> {
        self.by.values().copied().reduce(|a, b| LayerDemand {
            spatial: a.spatial.max(b.spatial),
            temporal: a.temporal.max(b.temporal),
        })
    }
}

fn is_more(best: Option<LayerDemand>, told: Option<LayerDemand>) -> bool {
    match (best, told) {
        (Some(best), Some(told)) => best.spatial > told.spatial || best.temporal > told.temporal,
        (best, _) => best.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: LayerDemand = LayerDemand {
        spatial: 0,
        temporal: 2,
    };
    const HIGH: LayerDemand = LayerDemand {
        spatial: 2,
        temporal: 1,
    };

    fn flow() -> FlowId {
        FlowId::new(3).unwrap()
    }

    #[test]
    fn a_hundred_subscribers_are_one_demand() {
        let (mut demands, now) = (Demands::default(), Instant::now());
        for number in 0..100 {
            demands.want(now, flow(), Subscriber(number), Some(LOW));
        }
        assert_eq!(demands.poll(now), Some(Tell::Demand(flow(), Some(LOW))));
        assert_eq!(demands.poll(now), None);
    }

    #[test]
    fn the_best_of_all_layers_is_wanted_at_once_and_less_after_a_while() {
        let (mut demands, now) = (Demands::default(), Instant::now());
        demands.want(now, flow(), Subscriber(1), Some(LOW));
        demands.want(now, flow(), Subscriber(2), Some(HIGH));
        let both = LayerDemand {
            spatial: 2,
            temporal: 2,
        };
        assert_eq!(demands.poll(now), Some(Tell::Demand(flow(), Some(both))));
        demands.want(now, flow(), Subscriber(2), None);
        assert_eq!(demands.poll(now + HOLD / 2), None);
        assert_eq!(demands.next_wakeup(), Some(now + HOLD));
        assert_eq!(
            demands.poll(now + HOLD),
            Some(Tell::Demand(flow(), Some(LOW)))
        );
    }

    #[test]
    fn who_comes_back_in_time_is_not_noticed_and_the_last_to_leave_ends_the_flow() {
        let (mut demands, now) = (Demands::default(), Instant::now());
        demands.want(now, flow(), Subscriber(1), Some(HIGH));
        demands.poll(now);
        demands.want(now, flow(), Subscriber(1), None);
        demands.want(now + HOLD / 2, flow(), Subscriber(1), Some(HIGH));
        assert_eq!(demands.poll(now + 2 * HOLD), None);
        demands.want(now + 2 * HOLD, flow(), Subscriber(1), None);
        assert_eq!(
            demands.poll(now + 3 * HOLD),
            Some(Tell::Demand(flow(), None))
        );
        assert_eq!(demands.next_wakeup(), None);
    }

    #[test]
    fn key_frame_requests_are_joined() {
        let (mut demands, now) = (Demands::default(), Instant::now());
        demands.want(now, flow(), Subscriber(1), Some(HIGH));
        demands.poll(now);
        let mut asked = 0;
        for step in 0..100 {
            let now = now + Duration::from_millis(10) * step;
            demands.need_key_frame(now, flow());
            asked += u32::from(demands.poll(now) == Some(Tell::KeyFrame(flow())));
        }
        assert_eq!(asked, 2);
    }
}
