//! Calls of the server API on rooms that have no replica on the node that was asked.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tradewind_fleet::{Fleet, FleetError, NodeId};
use tradewind_rtc::{AdminError, AdminReply, AdminRequest, RoomName};

use crate::node::{NodeError, WeakNode};

/// The service other nodes ask.
const SERVICE: &str = "admin";
/// A round trip around the world and a busy shard.
const PATIENCE: Duration = Duration::from_secs(3);

type Answer = Result<AdminReply, AdminError>;

/// Runs a call on a room that other nodes hold.
///
/// # Errors
/// [`AdminError::NoSuchRoom`], [`AdminError::Unreachable`], or what the other node says.
pub(super) async fn elsewhere(
    fleet: &Fleet,
    room: &RoomName,
    request: &AdminRequest,
) -> Result<AdminReply, NodeError> {
    let entry = room
        .as_str()
        .parse()
        .ok()
        .and_then(|name| fleet.room(&name));
    let Some(entry) = entry else {
        return Err(AdminError::NoSuchRoom.into());
    };
    let holders = entry.replicas.iter().filter(|node| **node != entry.home);
    let mut last = AdminError::NoSuchRoom;
    for node in std::iter::once(&entry.home).chain(holders) {
        if node == fleet.me() {
            continue;
        }
        match ask(fleet, node, request).await {
            // The room has just ended there, or the node is away: another replica may know it.
            Err(error @ (AdminError::NoSuchRoom | AdminError::Unreachable)) => last = error,
            answer => return Ok(answer?),
        }
    }
    Err(last.into())
}

/// Adds the rooms of the other nodes that answer. A room on several nodes is listed once, as the node sees it that has
/// most of it.
pub(super) async fn list_rooms(
    fleet: &Fleet,
    here: AdminReply,
    request: &AdminRequest,
) -> AdminReply {
    let AdminReply::Rooms(here) = here else {
        return here;
    };
    let snapshot = fleet.snapshot();
    let others = snapshot.nodes.keys().filter(|node| *node != fleet.me());
    let answers = join_all(others.map(|node| ask(fleet, node, request))).await;
    let elsewhere = answers.into_iter().filter_map(|answer| match answer {
        Ok(AdminReply::Rooms(rooms)) => Some(rooms),
        _ => None,
    });
    let mut rooms = BTreeMap::new();
    for room in here.into_iter().chain(elsewhere.flatten()) {
        let more = rooms
            .get(&room.name)
            .is_none_or(|known: &tradewind_rtc::RoomInfo| {
                room.num_participants > known.num_participants
            });
        if more {
            rooms.insert(room.name.clone(), room);
        }
    }
    AdminReply::Rooms(rooms.into_values().collect())
}

async fn ask(fleet: &Fleet, node: &NodeId, request: &AdminRequest) -> Answer {
    let body = rmp_serde::to_vec_named(request)
        .map_err(|error| AdminError::Invalid(format!("the call cannot be passed on: {error}")))?;
    let answer = fleet.request(node, SERVICE, body, PATIENCE).await;
    let answer = answer.map_err(|error| match error {
        FleetError::TooLarge { limit, .. } => AdminError::LimitExceeded(format!(
            "calls to rooms on other nodes are at most {limit} bytes: send to a node that has the room"
        )),
        _ => AdminError::Unreachable,
    })?;
    rmp_serde::from_slice(&answer).unwrap_or(Err(AdminError::Unreachable))
}

/// Answers what other nodes ask, until the fleet or the node ends.
pub(super) async fn serve(fleet: Fleet, node: WeakNode) {
    loop {
        let mut requests = match fleet.serve(SERVICE).await {
            Ok(requests) => requests,
            Err(error) => {
                tracing::debug!(%error, "cannot take calls of other nodes yet");
                tokio::time::sleep(super::TICK).await;
                continue;
            }
        };
        while let Some(request) = requests.next().await {
            let Some(node) = node.upgrade() else {
                return;
            };
            tokio::spawn(async move {
                let answer: Answer = match rmp_serde::from_slice::<AdminRequest>(&request.body) {
                    Ok(call) => node.admin_here(call).await.map_err(|error| match error {
                        NodeError::Refused(refused) => refused,
                        _ => AdminError::Unreachable,
                    }),
                    Err(error) => Err(AdminError::Invalid(format!(
                        "the call is not understood: are the nodes more than one minor version apart? {error}"
                    ))),
                };
                if let Ok(body) = rmp_serde::to_vec_named(&answer) {
                    // The node that asked gives up by itself.
                    let _ = request.answer(body).await;
                }
            });
        }
        tokio::time::sleep(super::TICK).await;
    }
}
