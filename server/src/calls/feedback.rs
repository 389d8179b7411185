//! What running calls measure goes back into placement: a wrong guess heals by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::planner::Planner;
use super::switchboard::Switchboard;
use crate::node::Node;

/// How often round trips are read: transports measure them every few seconds.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the round trips of everybody on `node` until `stop`.
pub(crate) async fn run(
    node: Node,
    switchboard: Arc<Switchboard>,
    planner: Arc<Planner>,
    stop: CancellationToken,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        for measured in node.round_trips().await {
            let rtt_ms = measured.round_trip.as_secs_f64() * 1_000.0;
            let (call, identity) = (measured.room.as_str(), measured.identity.as_str());
            if let Some(party) = switchboard.measured(call, identity, rtt_ms)
                && let Some(address) = party.address
            {
                planner.learn(address, &party.node, rtt_ms, switchboard.now_ms());
            }
        }
    }
}
