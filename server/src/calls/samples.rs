//! Calls, rooms and participants for tests.

use std::sync::Arc;

use tradewind_placement::{
    Capacity, Coordinates, Health, Link, Millis, Node, Policy, Protocols, Share, Snapshot,
    Timestamp,
};
use tradewind_rtc::{ParticipantInfo, ParticipantState, Permission, RoomConfig, RoomInfo};

use super::book::{LANGUAGE_ATTRIBUTE, ROLE_ATTRIBUTE};
use super::call::*;
use super::nodes::{Nodes, View};

/// A call of Yuki's, alone so far.
pub(crate) fn call(id: &str, created_at_ms: UnixMs) -> Call {
    let yuki = party("yuki", Role::Shopper, created_at_ms);
    Call {
        id: id.to_owned(),
        life: 0,
        home: "ND_a".to_owned(),
        created_at_ms,
        details: Details {
            language: "ja".to_owned(),
            ..Details::default()
        },
        parties: [(yuki.identity.clone(), yuki)].into(),
        placement: None,
        ended: None,
        request: String::new(),
    }
}

/// Somebody expected within a minute of `now_ms`, named as the identity with a capital.
pub(crate) fn party(identity: &str, role: Role, now_ms: UnixMs) -> Party {
    let (first, rest) = identity.split_at(1);
    Party {
        identity: identity.to_owned(),
        role,
        name: first.to_uppercase() + rest,
        region: String::new(),
        address: None,
        place: None,
        probes: Default::default(),
        node: "ND_a".to_owned(),
        presence: Presence::Expected {
            until_ms: now_ms + 60_000,
        },
        predicted_rtt_ms: None,
        measured_rtt_ms: None,
        stamp: Stamp::default(),
    }
}

pub(crate) fn room(id: &str) -> RoomInfo {
    RoomInfo {
        sid: "RM_1".into(),
        name: id.into(),
        config: RoomConfig::default(),
        created_at_ms: 0,
        num_participants: 1,
        num_publishers: 0,
    }
}

/// A participant with this role who speaks Japanese.
pub(crate) fn participant(
    sid: &str,
    identity: &str,
    role: &str,
    name: &str,
) -> Arc<ParticipantInfo> {
    let attributes = [(ROLE_ATTRIBUTE, role), (LANGUAGE_ATTRIBUTE, "ja")];
    Arc::new(ParticipantInfo {
        sid: sid.into(),
        identity: identity.into(),
        name: name.to_owned(),
        state: ParticipantState::Active,
        metadata: String::new(),
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        permission: Permission::default(),
        joined_at_ms: 0,
        version: 1,
        is_publisher: false,
        kind: 0,
        kind_details: Vec::new(),
        client_protocol: 0,
        capabilities: Vec::new(),
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        disconnect_reason: None,
    })
}

/// A fleet that stays as it is.
pub(crate) struct Fixed(Arc<View>);

impl Nodes for Fixed {
    fn view(&self) -> Arc<View> {
        self.0.clone()
    }
}

/// Tokyo in `asia` with a thousand seats and Paris in `europe` (and the zone `eu`) with ten, 210 ms apart, who
/// reported at `now_ms`.
pub(crate) fn fixed(now_ms: UnixMs) -> Arc<Fixed> {
    let now = Timestamp(now_ms);
    let node = |id: &str, region: &str, zone: Option<&str>, seats, (lat, lon)| Node {
        id: id.into(),
        region: region.to_owned(),
        coordinates: Coordinates { lat, lon },
        health: Health::Healthy,
        draining: false,
        capacity: Capacity {
            parties: seats,
            in_use: 0,
            cpu: Share(0.0),
            egress: Share(0.0),
        },
        residency: zone.into_iter().map(str::to_owned).collect(),
        protocols: Protocols {
            oldest: 1,
            newest: 1,
        },
        price_per_gb: 0.0,
        reported_at: now,
    };
    let link = |from: &str, to: &str| Link {
        from: from.into(),
        to: to.into(),
        rtt: Millis(210.0),
        loss: Share(0.0),
        up: true,
        measured_at: now,
    };
    let snapshot = Snapshot {
        nodes: vec![
            node("tokyo", "asia", None, 1_000, (35.7, 139.7)),
            node("paris", "europe", Some("eu"), 10, (48.9, 2.4)),
        ],
        links: vec![link("tokyo", "paris"), link("paris", "tokyo")],
        taken_at: now,
    };
    let urls = ["tokyo", "paris"].map(|id| (id.into(), format!("https://{id}.example.com")));
    let view = View::new(snapshot, &Policy::default(), urls.into()).unwrap();
    Arc::new(Fixed(Arc::new(view)))
}
