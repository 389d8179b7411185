//! What the agent says of itself: readiness for probes of orchestrators, figures for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use prometheus::{Encoder, Gauge, GaugeVec, IntCounter, Opts, Registry, TextEncoder};
use tradewind_fleet::{NodeId, PathQuality, Pressure};

/// What is known at the moment, as others may see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Why not ready; empty = ready.
    pub(crate) problems: Vec<String>,
    pub(crate) participants: Option<u32>,
}

impl Status {
    /// All problems, one a line.
    pub(crate) fn explain(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let _ = writeln!(text, "{problem}");
        }
        text
    }
}

/// The figures.
pub(crate) struct Figures {
    registry: Registry,
    ready: Gauge,
    fleet_connected: Gauge,
    server_alive: Gauge,
    peers: Gauge,
    rtt: GaugeVec,
    jitter: GaugeVec,
    loss: GaugeVec,
    pressure: GaugeVec,
    pub(crate) withdrawals: IntCounter,
}

impl Figures {
    /// # Errors
    /// A name is not allowed or given twice.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::new(format!("tradewind_edge_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let vector = |name: &str, help: &str, label: &str| {
            let gauges =
                GaugeVec::new(Opts::new(format!("tradewind_edge_{name}"), help), &[label])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let withdrawals = IntCounter::new(
            "tradewind_edge_withdrawals_total",
            "Times the server stopped answering and was withdrawn",
        )?;
        registry.register(Box::new(withdrawals.clone()))?;
        Ok(Self {
            ready: gauge(
                "ready",
                "1 = the node can take calls as far as its edge is concerned",
            )?,
            fleet_connected: gauge("fleet_connected", "1 = connected to NATS")?,
            server_alive: gauge("server_alive", "1 = the server answers")?,
            peers: gauge("peers", "Other edges that are probed")?,
            rtt: vector(
                "peer_rtt_seconds",
                "Smoothed round trip to another edge",
                "peer",
            )?,
            jitter: vector(
                "peer_jitter_seconds",
                "Mean deviation of the round trip",
                "peer",
            )?,
            loss: vector("peer_loss_ratio", "Probes lost of the last 50", "peer")?,
            pressure: vector(
                "host_pressure",
                "What presses on the host, each kind in its unit",
                "kind",
            )?,
            withdrawals,
            registry,
        })
    }

    pub(crate) fn state(&self, ready: bool, connected: bool, alive: bool) {
        self.ready.set(f64::from(ready));
        self.fleet_connected.set(f64::from(connected));
        self.server_alive.set(f64::from(alive));
    }

    pub(crate) fn paths(&self, peers: usize, paths: &BTreeMap<NodeId, PathQuality>) {
        self.peers.set(peers as f64);
        // Peers that have left must not stay behind with their last figures.
        for gauges in [&self.rtt, &self.jitter, &self.loss] {
            gauges.reset();
        }
        for (peer, quality) in paths {
            let label = &[peer.as_str()];
            let seconds = |ms: f64| Duration::from_secs_f64((ms / 1000.0).max(0.0)).as_secs_f64();
            self.rtt
                .with_label_values(label)
                .set(seconds(quality.rtt_ms));
            self.jitter
                .with_label_values(label)
                .set(seconds(quality.jitter_ms));
            self.loss.with_label_values(label).set(quality.loss);
        }
    }

    pub(crate) fn pressure(&self, pressure: &Pressure) {
        let set = |kind: &str, value: f64| self.pressure.with_label_values(&[kind]).set(value);
        set("cpu_busy_ratio", pressure.cpu_busy);
        set("cpu_steal_ratio", pressure.cpu_steal);
        set("cpu_throttled_ratio", pressure.cpu_throttled);
        set("udp_drops_per_second", pressure.udp_drops_per_second);
        set("nic_in_bytes_per_second", pressure.nic_in_bytes_per_second);
        set(
            "nic_out_bytes_per_second",
            pressure.nic_out_bytes_per_second,
        );
        set("clock_jumps", pressure.clock_jumps as f64);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory fails only for figures that cannot be registered.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
