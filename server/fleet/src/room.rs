//! A room as the fleet knows it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{NodeId, RegionName, Residency, RoomName};

/// What a node brings when it opens a room that may or may not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSpec {
    pub name: RoomName,
    /// Identifier the room gets if this node is the first to open it.
    pub sid: String,
    /// Home region if this node is the first to open it.
    pub region: Option<RegionName>,
    pub tenant: Option<String>,
    pub residency: Option<Residency>,
    /// What else must be the same on every node, such as limits from a call to create the room.
    pub metadata: serde_json::Value,
}

impl RoomSpec {
    /// A room without tenant, residency or metadata.
    #[must_use]
    pub fn new(name: RoomName, sid: impl Into<String>) -> Self {
        Self {
            name,
            sid: sid.into(),
            region: None,
            tenant: None,
            residency: None,
            metadata: serde_json::Value::Null,
        }
    }
}

/// A room that lives on one or more nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomEntry {
    pub name: RoomName,
    /// Tells this room from an earlier or rival one of the same name; every replica uses it.
    pub sid: String,
    /// Node that decides for the room; one of `replicas`.
    pub home: NodeId,
    /// Grows whenever the home changes; 0 = provisional, no other node has agreed yet. A node that acts for a room under a lower epoch is out of date.
    pub epoch: u64,
    /// Nodes with participants in the room.
    pub replicas: BTreeSet<NodeId>,
    /// Region in which the room was opened.
    #[serde(default)]
    pub region: Option<RegionName>,
    #[serde(default)]
    pub tenant: Option<String>,
    #[serde(default)]
    pub residency: Option<Residency>,
    #[serde(default)]
    pub metadata: serde_json::Value,
}

impl RoomEntry {
    /// The entry of a room that `home` is the first to open.
    #[must_use]
    pub fn first(spec: &RoomSpec, home: &NodeId) -> Self {
        Self {
            name: spec.name.clone(),
            sid: spec.sid.clone(),
            home: home.clone(),
            epoch: 1,
            replicas: BTreeSet::from([home.clone()]),
            region: spec.region.clone(),
            tenant: spec.tenant.clone(),
            residency: spec.residency.clone(),
            metadata: spec.metadata.clone(),
        }
    }

    /// Whether this room goes on when both sides of a cut have opened one of the same name.
    #[must_use]
    pub fn beats(&self, rival: &Self) -> bool {
        (self.epoch, &self.sid) > (rival.epoch, &rival.sid)
    }
}

/// What came of opening a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The room with this node among its replicas.
    pub entry: RoomEntry,
    /// Whether the fleet has agreed. Otherwise the room is provisional: it may turn out to have lost.
    pub confirmed: bool,
}
