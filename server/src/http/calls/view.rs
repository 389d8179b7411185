//! Calls as the interfaces show them. Addresses of parties are never shown.

use serde_json::{Value, json};

use crate::calls::call::{Call, Party, Placement, Presence};
use crate::calls::event::CallEvent;

/// A call for applications and operators.
pub(crate) fn call(call: &Call) -> Value {
    let details = &call.details;
    json!({
        "id": call.id,
        "room": call.id,
        "state": call.state(),
        "created_at_ms": call.created_at_ms,
        "ended_at_ms": call.ended.as_ref().map(|ended| ended.at_ms),
        "end_reason": call.ended.as_ref().map(|ended| ended.reason),
        "language": details.language,
        "scenario": details.scenario,
        "residency": details.residency,
        "tenant": details.tenant,
        "custom": details.custom,
        "parties": call.parties.values().map(party).collect::<Vec<_>>(),
        "placement": call.placement.as_ref().map(|placement| placed(call, placement)),
    })
}

/// An event for applications, as webhooks and streams carry it.
pub(crate) fn event(id: &str, event: &CallEvent) -> Value {
    json!({
        "event": event.kind.name(),
        "id": id,
        "createdAt": (event.at_ms / 1_000).to_string(),
        "created_at_ms": event.at_ms,
        "party": event.party,
        "call": call(&event.call),
    })
}

/// A call for the desk.
pub(super) fn at_the_desk(call: &Call) -> Value {
    json!({
        "id": call.id,
        "room": call.id,
        "name": call.shopper().map(|shopper| &shopper.name),
        "language": call.details.language,
        "state": call.state(),
        "created_at_ms": call.created_at_ms,
        "agent": call.agent().filter(|_| call.is_answered()).map(|agent| &agent.name),
    })
}

/// Nodes of a call, and its delay as predicted and as measured.
fn placed(call: &Call, placement: &Placement) -> Value {
    json!({
        "nodes": placement.nodes,
        "standby": placement.standby,
        "link_rtt_ms": placement.link_rtt_ms,
        "predicted_ms": placement.predicted_ms,
        "measured_ms": call.measured_ms(),
    })
}

fn party(party: &Party) -> Value {
    let (state, since_ms) = match party.presence {
        Presence::Expected { .. } => ("expected", None),
        Presence::Here { since_ms, .. } => ("here", Some(since_ms)),
        Presence::Left { since_ms } => ("left", Some(since_ms)),
    };
    json!({
        "identity": party.identity,
        "role": party.role,
        "name": party.name,
        "region": party.region,
        "latitude": party.place.map(|place| place.0),
        "longitude": party.place.map(|place| place.1),
        "state": state,
        "since_ms": since_ms,
        "node": party.node,
        "predicted_rtt_ms": party.predicted_rtt_ms,
        "measured_rtt_ms": party.measured_rtt_ms,
    })
}
