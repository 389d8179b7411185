//! The fleet as the placement of calls sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tradewind_fleet::{Fleet, NodeView, PathQuality, Paths, Version};
use tradewind_placement::{
    Capacity, Coordinates, Health, Link, Millis, Node, NodeId, Policy, Protocols, Share, Snapshot,
    Timestamp,
};

use crate::calls::nodes::{Nodes, View};
use crate::clock::unix_ms;

/// How long a view is used: half of what passes between two heartbeats of a node.
const LIFETIME: Duration = Duration::from_millis(500);
/// Minor releases told apart in a protocol number.
const MINORS: u16 = 1_000;

/// The nodes that the fleet's registry says live, this one among them.
pub(crate) struct FleetNodes {
    fleet: Fleet,
    policy: Policy,
    last: Mutex<Last>,
}

/// The newest view.
struct Last {
    made_at: Option<Instant>,
    /// When the registry was last there, Unix time in milliseconds.
    heard_at_ms: u64,
    view: Arc<View>,
}

impl FleetNodes {
    pub(crate) fn new(fleet: Fleet) -> Self {
        let last = Last {
            made_at: None,
            heard_at_ms: unix_ms(),
            view: Arc::new(View::empty()),
        };
        Self {
            fleet,
            policy: Policy::default(),
            last: Mutex::new(last),
        }
    }

    fn make(&self, now_ms: u64, heard_at_ms: u64) -> Option<View> {
        let snapshot = self.fleet.snapshot();
        let me = self.fleet.me();
        let (mut nodes, mut urls, mut probes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (id, view) in &snapshot.nodes {
            let is_here = id == me;
            let node_id = NodeId::from(id.as_str());
            match view.record.addresses.client_urls.first() {
                Some(url) => {
                    urls.insert(node_id.clone(), web_url(url));
                }
                // Clients could not be sent there.
                None if !is_here => continue,
                None => {}
            }
            if let Some(probe) = view.http_probe() {
                probes.insert(node_id, probe.to_owned());
            }
            // This node needs no registry to know that it lives.
            let age_ms = u64::try_from(view.age.as_millis()).unwrap_or(u64::MAX);
            let reported_at_ms = if is_here {
                now_ms
            } else {
                heard_at_ms.saturating_sub(age_ms)
            };
            nodes.push(node(view, &self.policy, Timestamp(reported_at_ms)));
        }
        let snapshot = Snapshot {
            nodes,
            links: links(&snapshot.paths, Timestamp(heard_at_ms)),
            taken_at: Timestamp(now_ms),
        };
        match View::new(snapshot, &self.policy, urls) {
            Ok(view) => Some(view.with_probe_urls(probes)),
            Err(error) => {
                tracing::warn!(%error, "what the fleet says of its nodes cannot be used: the last view stays");
                None
            }
        }
    }
}

impl Nodes for FleetNodes {
    fn view(&self) -> Arc<View> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.made_at.is_none_or(|at| at.elapsed() >= LIFETIME) {
            let now_ms = unix_ms();
            if self.fleet.snapshot().connected {
                last.heard_at_ms = now_ms;
            }
            if let Some(view) = self.make(now_ms, last.heard_at_ms) {
                last.view = Arc::new(view);
            }
            last.made_at = Some(Instant::now());
        }
        last.view.clone()
    }
}

fn node(view: &NodeView, policy: &Policy, reported_at: Timestamp) -> Node {
    let record = &view.record;
    let draining = record.draining || view.edge.as_ref().is_some_and(|edge| edge.draining);
    let zone = record.residency.as_ref();
    // A busy host is a reason to prefer another, and no more: only the node's own threads and seats can be used up.
    let host = view
        .edge
        .as_ref()
        .map_or(0.0, |edge| edge.pressure.cpu_busy);
    let host = share(host).min(policy.soft_load.0);
    Node {
        id: NodeId::from(record.id.as_str()),
        region: record
            .region
            .as_ref()
            .map(|region| region.as_str().to_owned())
            .unwrap_or_default(),
        coordinates: coordinates(record.coordinates),
        // A node that drains takes no calls, and is well.
        health: if draining || view.takes_calls().is_ok() {
            Health::Healthy
        } else {
            Health::Unhealthy
        },
        draining,
        capacity: Capacity {
            parties: record.load.capacity,
            in_use: record.load.participants,
            cpu: Share(share(record.load.cpu_share).max(host)),
            egress: Share(0.0),
        },
        residency: zone
            .map(|zone| zone.as_str().to_owned())
            .into_iter()
            .collect(),
        protocols: protocols(record.version),
        price_per_gb: 0.0,
        reported_at,
    }
}

/// What another node says may be any number.
fn share(told: f64) -> f64 {
    if told.is_finite() {
        told.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// Degrees that are none count as not told.
fn coordinates(told: Option<tradewind_fleet::Coordinates>) -> Coordinates {
    let told = told.filter(|at| at.latitude.abs() <= 90.0 && at.longitude.abs() <= 180.0);
    Coordinates {
        lat: told.map_or(0.0, |at| at.latitude),
        lon: told.map_or(0.0, |at| at.longitude),
    }
}

/// Nodes share a protocol if [`Version::works_with`] says so: each speaks that of its own minor release and of the one
/// before.
fn protocols(version: Version) -> Protocols {
    let oldest = version
        .major
        .saturating_mul(MINORS)
        .saturating_add(version.minor.min(MINORS - 2));
    Protocols {
        oldest,
        newest: oldest.saturating_add(1),
    }
}

/// Links in both directions, also where only one end has measured.
fn links(paths: &Paths, measured_at: Timestamp) -> Vec<Link> {
    let mut links = BTreeMap::new();
    for (from, to, quality) in paths.iter().filter(|(.., quality)| quality.samples > 0) {
        let (there, back) = ((from.as_str(), to.as_str()), (to.as_str(), from.as_str()));
        links.insert(there, link(there, quality, measured_at));
        // Overwritten when the other end's own turn comes.
        links
            .entry(back)
            .or_insert_with(|| link(back, quality, measured_at));
    }
    links.into_values().collect()
}

fn link((from, to): (&str, &str), quality: PathQuality, measured_at: Timestamp) -> Link {
    Link {
        from: NodeId::from(from),
        to: NodeId::from(to),
        rtt: Millis(quality.rtt_ms),
        loss: Share(quality.loss),
        up: quality.loss < 1.0,
        measured_at,
    }
}

/// Where a node serves HTTP, from where it takes WebSockets.
fn web_url(socket_url: &str) -> String {
    match socket_url.strip_prefix("ws") {
        Some(rest) => format!("http{rest}"),
        None => socket_url.to_owned(),
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(super) mod tests;
