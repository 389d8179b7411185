//! Sends the parties of a call to nodes, and says in the words of the interface why that cannot be.

use std::time::Duration;

use super::CallsState;
use crate::calls::call::{Call, Party, Placement};
use crate::calls::planner::PlanError;
use crate::http::problem::{Kind, Problem};

/// When to ask again if every node is full: about how long a reservation lasts that nobody uses.
const FULL_RETRY: Duration = Duration::from_secs(10);

/// Places a new call: its placement and the node of every party.
pub(super) fn place(state: &CallsState, call: &mut Call) -> Result<(), Problem> {
    let planner = &state.calls.planner;
    for party in call.parties.values_mut() {
        planner.locate(party);
    }
    let now_ms = state.calls.switchboard.now_ms();
    let plan = planner.plan(call, now_ms).map_err(refused)?;
    for party in call.parties.values_mut() {
        plan.send(party);
    }
    call.placement = Some(plan.placement);
    Ok(())
}

/// Finds a node for a party that is added to `call`, and what that makes of the call's placement.
pub(super) fn place_newcomer(
    state: &CallsState,
    call: &Call,
    party: &mut Party,
) -> Result<Placement, Problem> {
    let planner = &state.calls.planner;
    planner.locate(party);
    let mut with_party = call.clone();
    with_party
        .parties
        .insert(party.identity.clone(), party.clone());
    let now_ms = state.calls.switchboard.now_ms();
    let plan = planner.plan(&with_party, now_ms).map_err(refused)?;
    plan.send(party);
    Ok(plan.placement)
}

fn refused(error: PlanError) -> Problem {
    let detail = error.to_string();
    match error {
        PlanError::UnknownRegion { .. } => Problem::of(Kind::UnknownRegion, detail),
        PlanError::ImpossibleResidency(_) => Problem::of(Kind::ImpossibleResidency, detail),
        PlanError::NoCapacity(_) => Problem::of(Kind::NoCapacity, detail).retry_after(FULL_RETRY),
        PlanError::NoUsableNode(_) => Problem::of(Kind::NotReady, detail).retry_after(FULL_RETRY),
        PlanError::Invalid(_) => Problem::of(Kind::InvalidRequest, detail),
    }
}
