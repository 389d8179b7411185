//! The nodes calls can be placed on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tradewind_placement::{
    Capacity, Coordinates, Fleet, FleetError, Health, Link, Node, NodeId, Policy, Protocols, Share,
    Snapshot, Timestamp,
};

use crate::clock::unix_ms;
use crate::config::Settings;
use crate::node::DrainStatus;

/// Knows the nodes there are: [`Alone`] on a node of its own, the registry in a fleet.
pub(crate) trait Nodes: Send + Sync + 'static {
    /// The fleet as this node knows it now. Asked for each call: keep it ready rather than make it.
    fn view(&self) -> Arc<View>;
}

/// The fleet at one moment.
#[derive(Debug)]
pub(crate) struct View {
    fleet: Fleet,
    links: Vec<Link>,
    urls: BTreeMap<NodeId, String>,
    probe_urls: BTreeMap<NodeId, String>,
}

impl View {
    /// Nobody, not even this node: a registry that has not been heard yet.
    pub(crate) fn empty() -> Self {
        let policy = Policy::default();
        let nobody = Snapshot::default();
        let view = Self::new(nobody, &policy, BTreeMap::new());
        view.unwrap_or_else(|error| panic!("nobody contradicts nobody: {error}"))
    }

    /// `urls` are where clients reach the nodes, such as `https://tokyo.example.com`. A node without one is reached at
    /// the address the client already uses: right for this node, so leave others without one out of the snapshot.
    ///
    /// # Errors
    /// The snapshot contradicts itself.
    pub(crate) fn new(
        snapshot: Snapshot,
        policy: &Policy,
        urls: BTreeMap<NodeId, String>,
    ) -> Result<Self, FleetError> {
        let links = snapshot.links.clone();
        Ok(Self {
            fleet: Fleet::new(snapshot, policy)?,
            links,
            urls,
            probe_urls: BTreeMap::new(),
        })
    }

    /// With addresses at which clients measure round trips, where a node has one of its own for that.
    pub(crate) fn with_probe_urls(self, probe_urls: BTreeMap<NodeId, String>) -> Self {
        Self { probe_urls, ..self }
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Where clients reach `node`, if it says so.
    pub(crate) fn url(&self, node: &str) -> Option<&str> {
        self.urls.get(&NodeId::from(node)).map(String::as_str)
    }

    /// Where clients measure the round trip to `node`, if not at the node itself.
    pub(crate) fn probe_url(&self, node: &str) -> Option<&str> {
        self.probe_urls.get(&NodeId::from(node)).map(String::as_str)
    }

    /// Every address at which clients reach or measure a node.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        let all = self.urls.values().chain(self.probe_urls.values());
        all.map(String::as_str)
    }

    /// Round trip along a route, milliseconds; `None` on one node, or where a link is not measured.
    pub(crate) fn route_rtt_ms(&self, route: &[NodeId]) -> Option<f64> {
        let rtt = |pair: &[NodeId]| {
            let mut links = self.links.iter();
            let link = links.find(|link| link.from == pair[0] && link.to == pair[1]);
            link.map(|link| link.rtt.0)
        };
        let hops = route.windows(2).map(rtt).collect::<Option<Vec<f64>>>()?;
        (!hops.is_empty()).then(|| hops.iter().sum())
    }

    /// Whether there are others beside this node.
    pub(crate) fn is_fleet(&self) -> bool {
        self.fleet.nodes().len() > 1
    }

    /// Where the nodes of a region are: the first of them.
    pub(crate) fn region(&self, name: &str) -> Option<Coordinates> {
        let mut nodes = self.fleet.nodes().iter();
        nodes
            .find(|node| node.region == name)
            .map(|node| node.coordinates)
    }

    /// Names of all regions.
    pub(crate) fn regions(&self) -> BTreeSet<&str> {
        let named = self.fleet.nodes().iter().map(|node| node.region.as_str());
        named.filter(|name| !name.is_empty()).collect()
    }
}

/// This node, and no other.
pub(crate) struct Alone {
    node: crate::node::Node,
    settings: Arc<Settings>,
    policy: Policy,
}

impl Alone {
    pub(crate) fn new(node: crate::node::Node, settings: Arc<Settings>) -> Self {
        Self {
            node,
            settings,
            policy: Policy::default(),
        }
    }
}

impl Nodes for Alone {
    fn view(&self) -> Arc<View> {
        let now = Timestamp(unix_ms());
        let is_ready = self.node.ready().is_ok();
        let node = describe(&self.settings, is_ready, &self.node.drain_status(), now);
        let id = node.id.clone();
        let url = self.settings.http.public_url.clone();
        let urls: BTreeMap<NodeId, String> = url.map(|url| (id, url)).into_iter().collect();
        let snapshot = Snapshot {
            nodes: vec![node],
            links: Vec::new(),
            taken_at: now,
        };
        let view = View::new(snapshot, &self.policy, urls);
        // The configuration check has refused coordinates that are none, and shares are none here.
        Arc::new(view.unwrap_or_else(|error| panic!("this node contradicts itself: {error}")))
    }
}

/// This node as placement sees it.
pub(crate) fn describe(
    settings: &Settings,
    is_ready: bool,
    drain: &DrainStatus,
    now: Timestamp,
) -> Node {
    let region = &settings.region;
    // YAML can write a number that is none, which no range refuses.
    let degrees = |set: Option<f64>| {
        set.filter(|degrees| degrees.is_finite())
            .unwrap_or_default()
    };
    Node {
        id: NodeId::from(settings.node.id.as_str()),
        region: region.name.clone(),
        coordinates: Coordinates {
            lat: degrees(region.latitude),
            lon: degrees(region.longitude),
        },
        // A node that drains is not ready, and well.
        health: if is_ready || drain.draining {
            Health::Healthy
        } else {
            Health::Unhealthy
        },
        draining: drain.draining,
        capacity: Capacity {
            parties: settings.limits.participants,
            in_use: u32::try_from(drain.participants).unwrap_or(u32::MAX),
            cpu: Share(0.0),
            egress: Share(0.0),
        },
        residency: Some(region.residency.clone())
            .filter(|zone| !zone.is_empty())
            .into_iter()
            .collect(),
        protocols: Protocols {
            oldest: 1,
            newest: 1,
        },
        price_per_gb: 0.0,
        reported_at: now,
    }
}
