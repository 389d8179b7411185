//! The counters of the shards as metrics, summed over shards.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use tradewind_rtc::{Counters, DropReason};

/// One family per counter, or per pair of counters that differ by direction or kind.
pub(super) fn families(shards: &[Counters]) -> Vec<MetricFamily> {
    let sum = |field: fn(&Counters) -> u64| shards.iter().map(field).sum::<u64>();
    let direction = |input: fn(&Counters) -> u64, output: fn(&Counters) -> u64| {
        vec![
            (Some(("direction", "in")), sum(input)),
            (Some(("direction", "out")), sum(output)),
        ]
    };
    let dropped = DropReason::ALL
        .into_iter()
        .map(|reason| {
            let count = shards
                .iter()
                .map(|shard| {
                    shard
                        .dropped
                        .get(reason as usize)
                        .copied()
                        .unwrap_or_default()
                })
                .sum();
            (Some(("reason", reason.as_str())), count)
        })
        .collect();
    let tracks = vec![
        (Some(("kind", "audio")), sum(|shard| shard.tracks_audio)),
        (Some(("kind", "video")), sum(|shard| shard.tracks_video)),
    ];
    let shard_count = u64::try_from(shards.len()).unwrap_or_default();
    vec![
        gauge(
            "tradewind_shards",
            "Media threads that answer.",
            vec![(None, shard_count)],
        ),
        gauge(
            "tradewind_rooms",
            "Rooms open now.",
            vec![(None, sum(|shard| shard.rooms))],
        ),
        gauge(
            "tradewind_participants",
            "Participants in rooms now.",
            vec![(None, sum(|shard| shard.participants))],
        ),
        gauge("tradewind_tracks", "Tracks published now.", tracks),
        gauge(
            "tradewind_subscriptions",
            "Tracks forwarded now, once per subscriber.",
            vec![(None, sum(|shard| shard.subscriptions))],
        ),
        counter(
            "tradewind_datagrams_total",
            "Datagrams of media sockets.",
            direction(|shard| shard.datagrams_in, |shard| shard.datagrams_out),
        ),
        counter(
            "tradewind_datagram_bytes_total",
            "Bytes of those datagrams, without IP and UDP headers.",
            direction(|shard| shard.bytes_in, |shard| shard.bytes_out),
        ),
        counter(
            "tradewind_rtp_packets_total",
            "RTP packets received from publishers and sent to subscribers.",
            direction(|shard| shard.rtp_in, |shard| shard.rtp_out),
        ),
        counter(
            "tradewind_relayed_packets_total",
            "Media packets received from and sent to other replicas of rooms, one copy per replica.",
            direction(|shard| shard.relayed_in, |shard| shard.relayed_out),
        ),
        counter(
            "tradewind_data_messages_total",
            "Data messages received and sent, once per recipient.",
            direction(
                |shard| shard.data_messages_in,
                |shard| shard.data_messages_out,
            ),
        ),
        counter(
            "tradewind_keyframe_requests_total",
            "Requests for key frames (PLI and FIR) received from subscribers and sent to publishers.",
            direction(
                |shard| shard.keyframe_requests_in,
                |shard| shard.keyframe_requests_out,
            ),
        ),
        counter(
            "tradewind_nacks_total",
            "Requests to send again (NACK) received from subscribers and sent to publishers.",
            direction(|shard| shard.nacks_in, |shard| shard.nacks_out),
        ),
        counter(
            "tradewind_transport_panics_total",
            "Transports ended by a fault in the server.",
            vec![(None, sum(|shard| shard.transport_panics))],
        ),
        counter(
            "tradewind_dropped_total",
            "Datagrams, packets and messages that went no further.",
            dropped,
        ),
    ]
}

pub(super) type Sample = (Option<(&'static str, &'static str)>, u64);

fn gauge(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    family(name, help, MetricType::GAUGE, samples, |metric, value| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

pub(super) fn counter(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    family(name, help, MetricType::COUNTER, samples, |metric, value| {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    })
}

fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    samples: Vec<Sample>,
    set: impl Fn(&mut Metric, f64),
) -> MetricFamily {
    let metrics = samples.into_iter().map(|(label, value)| {
        let pair = label.map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = Metric::from_label(pair.into_iter().collect());
        // Exact up to 2^53, which no counter of a node reaches.
        set(&mut metric, value as f64);
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics.collect());
    family
}
