//! The counters of the sockets as metrics, summed over shards.

use prometheus::proto::MetricFamily;

use super::shards::counter;
use crate::socket::SocketCounters;

/// One family per kind of event. `lost_room_events` is what followers of room events were too slow for.
pub(super) fn families(shards: &[SocketCounters], lost_room_events: u64) -> Vec<MetricFamily> {
    let sum = |field: fn(&SocketCounters) -> u64| shards.iter().map(field).sum::<u64>();
    let by_reason = |reason, field| (Some(("reason", reason)), sum(field));
    vec![
        counter(
            "tradewind_udp_datagrams_total",
            "Datagrams read from and handed to the kernel.",
            vec![
                (Some(("direction", "in")), sum(|shard| shard.udp_in)),
                (Some(("direction", "out")), sum(|shard| shard.udp_out)),
            ],
        ),
        counter(
            "tradewind_udp_sends_total",
            "System calls that handed UDP datagrams to the kernel.",
            vec![(None, sum(|shard| shard.udp_sends))],
        ),
        counter(
            "tradewind_tcp_frames_total",
            "Frames received from and queued for ICE/TCP connections.",
            vec![
                (Some(("direction", "in")), sum(|shard| shard.tcp_in)),
                (Some(("direction", "out")), sum(|shard| shard.tcp_out)),
            ],
        ),
        counter(
            "tradewind_socket_losses_total",
            "Datagrams, frames and reads that failed at the sockets.",
            vec![
                by_reason("udp_in_discarded", |shard| shard.udp_in_discarded),
                by_reason("udp_in_failed", |shard| shard.udp_in_failed),
                by_reason("udp_out_blocked", |shard| shard.udp_out_dropped),
                by_reason("udp_out_failed", |shard| shard.udp_out_failed),
                by_reason("tcp_out_blocked", |shard| shard.tcp_out_dropped),
            ],
        ),
        counter(
            "tradewind_slow_connections_total",
            "Signalling connections given up because their client did not read.",
            vec![(None, sum(|shard| shard.slow_connections))],
        ),
        counter(
            "tradewind_turn_panics_total",
            "Turns of media threads ended by a fault in the server.",
            vec![(None, sum(|shard| shard.turn_panics))],
        ),
        counter(
            "tradewind_room_events_lost_total",
            "Room events that webhooks or pages were too slow for.",
            vec![(None, lost_room_events)],
        ),
    ]
}
