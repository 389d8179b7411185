//! What this node says of itself, and how a room's record is kept in the fleet's directory.

use std::net::SocketAddr;

use tradewind_fleet::{Addresses, Coordinates, Load, NodeId, NodeRecord, RoomEntry, Version};
use tradewind_rtc::replica::RoomRecord;

use crate::config::Settings;
use crate::node::Node;

/// The part of the announcement that does not change while the node runs.
pub(super) fn about(settings: &Settings, me: &NodeId, run: u64) -> NodeRecord {
    let region = &settings.region;
    let version = Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or_default();
    let mut record = NodeRecord::new(me.clone(), version, run);
    record.region = region.name.parse().ok();
    record.residency = region.residency.parse().ok();
    record.coordinates = region
        .latitude
        .zip(region.longitude)
        .map(|(latitude, longitude)| Coordinates {
            latitude,
            longitude,
        });
    record.addresses = Addresses {
        client_urls: vec![client_url(settings)],
        relay: relay_address(settings),
        ..Addresses::default()
    };
    record
}

/// Adds what changes: load, and whether the node takes calls.
pub(super) fn now(mut record: NodeRecord, node: &Node) -> NodeRecord {
    let status = node.drain_status();
    record.load = Load {
        participants: u32::try_from(status.participants).unwrap_or(u32::MAX),
        rooms: u32::try_from(node.room_count()).unwrap_or(u32::MAX),
        capacity: node.capacity(),
        ..Load::default()
    };
    record.draining = status.draining;
    record.reason = node.ready().err();
    record.ready = record.reason.is_none();
    record
}

/// A room's record as the directory has it; `None` if another release wrote it.
pub(super) fn of(entry: &RoomEntry) -> Option<RoomRecord> {
    let mut record: RoomRecord = serde_json::from_value(entry.metadata.clone()).ok()?;
    record.sid = entry.sid.as_str().into();
    Some(record)
}

fn client_url(settings: &Settings) -> String {
    match &settings.http.public_url {
        Some(url) => url.replacen("http", "ws", 1),
        None => format!("ws://{}", settings.http.bind),
    }
}

fn relay_address(settings: &Settings) -> Option<SocketAddr> {
    settings.relay.advertise.or_else(|| {
        let address = settings.rtc.advertised().ok()?.first().copied()?;
        Some(SocketAddr::new(address, settings.relay.bind.port()))
    })
}
