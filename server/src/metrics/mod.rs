//! What the node counts for operators. The media path counts in plain numbers of its own, which are read at a scrape;
//! what is counted here happens at the pace of signalling.

mod shards;
mod sockets;

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tradewind_rtc::Counters;

use crate::socket::SocketCounters;

/// From an answer out of memory to the longest a join may take.
const HTTP_SECONDS: &[f64] = &[
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Counts one attempt to join or resume, by how it ended: `joined`, `resumed`, `unauthorized`, `room_full`...
pub(crate) fn joins(result: &'static str) {
    METRICS.joins.with_label_values(&[result]).inc();
}

/// Counts one answered HTTP request. `route` is the pattern that matched, never the path.
pub(crate) fn http_request(route: &str, method: &str, status: u16, took: Duration) {
    METRICS
        .http_requests
        .with_label_values(&[route, method, &status.to_string()])
        .inc();
    METRICS.http_seconds.observe(took.as_secs_f64());
}

/// How a webhook delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Delivered,
    /// Refused or unreachable: tried again later.
    Retried,
    /// Given up after the last try.
    Failed,
    /// Never tried, for want of room in the queue.
    Dropped,
}

/// Counts one try, or one event dropped.
pub(crate) fn webhook_delivery(delivery: Delivery) {
    let result = match delivery {
        Delivery::Delivered => "delivered",
        Delivery::Retried => "retried",
        Delivery::Failed => "failed",
        Delivery::Dropped => "dropped",
    };
    METRICS
        .webhook_deliveries
        .with_label_values(&[result])
        .inc();
}

/// Sets how many events wait for delivery, over all queues.
pub(crate) fn webhook_queue(length: usize) {
    METRICS
        .webhook_queue
        .set(i64::try_from(length).unwrap_or(i64::MAX));
}

/// Counts one media packet for another replica that no queue had room for.
pub(crate) fn relayed_lost() {
    METRICS.relayed_lost.inc();
}

/// Sets how much of its fleet the node sees.
pub(crate) fn fleet(registry: bool, nodes: usize, links: usize) {
    METRICS.fleet_connected.set(i64::from(registry));
    METRICS
        .fleet_nodes
        .set(i64::try_from(nodes).unwrap_or(i64::MAX));
    METRICS
        .cluster_links
        .set(i64::try_from(links).unwrap_or(i64::MAX));
}

/// All metrics in the Prometheus text format.
pub(crate) fn render(
    shards: &[Counters],
    sockets: &[SocketCounters],
    lost_room_events: u64,
) -> String {
    let mut families: Vec<MetricFamily> = METRICS.registry.gather();
    families.extend(shards::families(shards));
    families.extend(sockets::families(sockets, lost_room_events));
    families.sort_by(|a, b| a.name().cmp(b.name()));
    TextEncoder::new()
        .encode_to_string(&families)
        .unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        })
}

struct Metrics {
    registry: Registry,
    joins: IntCounterVec,
    http_requests: IntCounterVec,
    http_seconds: Histogram,
    webhook_deliveries: IntCounterVec,
    webhook_queue: IntGauge,
    relayed_lost: IntCounter,
    fleet_connected: IntGauge,
    fleet_nodes: IntGauge,
    cluster_links: IntGauge,
}

impl Metrics {
    fn new() -> Self {
        Self::registered()
            .unwrap_or_else(|error| panic!("the metrics contradict each other: {error}"))
    }

    fn registered() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            joins: IntCounterVec::new(
                Opts::new("tradewind_joins_total", "Attempts to join or resume a session, by how they ended."),
                &["result"],
            )?,
            http_requests: IntCounterVec::new(
                Opts::new("tradewind_http_requests_total", "Answered HTTP requests, by route pattern."),
                &["route", "method", "status"],
            )?,
            http_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "tradewind_http_request_seconds",
                    "Time from a request's head to its answer's head; WebSocket sessions count until they are open.",
                )
                .buckets(HTTP_SECONDS.to_vec()),
            )?,
            webhook_deliveries: IntCounterVec::new(
                Opts::new("tradewind_webhook_deliveries_total", "Webhook tries and dropped events, by how they ended."),
                &["result"],
            )?,
            webhook_queue: IntGauge::new("tradewind_webhook_queue_length", "Webhook events that wait for delivery.")?,
            relayed_lost: IntCounter::new("tradewind_relayed_lost_total", "Media packets for other replicas that no queue had room for.")?,
            fleet_connected: IntGauge::new("tradewind_fleet_connected", "Whether the fleet's registry can be reached: 1 or 0.")?,
            fleet_nodes: IntGauge::new("tradewind_fleet_nodes", "Nodes in the registry, this one among them.")?,
            cluster_links: IntGauge::new("tradewind_cluster_links", "Links to other nodes that work.")?,
        };
        let build = IntGaugeVec::new(
            Opts::new(
                "tradewind_build_info",
                "Always 1; the label says which version runs.",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);

        let registry = &metrics.registry;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(metrics.joins.clone()))?;
        registry.register(Box::new(metrics.http_requests.clone()))?;
        registry.register(Box::new(metrics.http_seconds.clone()))?;
        registry.register(Box::new(metrics.webhook_deliveries.clone()))?;
        registry.register(Box::new(metrics.webhook_queue.clone()))?;
        registry.register(Box::new(metrics.relayed_lost.clone()))?;
        registry.register(Box::new(metrics.fleet_connected.clone()))?;
        registry.register(Box::new(metrics.fleet_nodes.clone()))?;
        registry.register(Box::new(metrics.cluster_links.clone()))?;
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests;
