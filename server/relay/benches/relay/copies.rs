//! How many copies of a packet cross to a node, whatever the number of its subscribers there.

#[path = "../../../rtc/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Fleet;

/// The most copies of any packet, with 1, 10 and 100 subscribers on the far node: rooms as the server runs them, in virtual
/// time.
pub(crate) fn per_node() -> u64 {
    let most = [1, 10, 100].map(|subscribers| {
        let mut fleet = Fleet::new(7, 2);
        fleet.publisher(0, "shopper");
        for number in 0..subscribers {
            fleet.join(1, &format!("subscriber-{number}"));
        }
        fleet.run(Duration::from_secs(3));
        fleet.relayed.clear();
        fleet.run(Duration::from_secs(1));
        let mut copies = BTreeMap::new();
        for (_, _, _, packet) in &fleet.relayed {
            *copies
                .entry((packet.flow, packet.encoding, packet.sequence))
                .or_insert(0u64) += 1;
        }
        let most = copies.into_values().max().unwrap_or(0);
        println!("copies with {subscribers:3} subscribers: {most}");
        most
    });
    most.into_iter().max().unwrap_or(0)
}
