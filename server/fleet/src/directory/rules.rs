//! What a room's entry should say, given what it says and what this node holds.

use crate::{NodeId, RoomEntry};

/// What is known of one room.
pub(super) struct Facts<'a> {
    pub(super) me: &'a NodeId,
    /// As this node holds it.
    pub(super) held: Option<&'a RoomEntry>,
    /// As the bucket has it.
    pub(super) stored: Option<&'a RoomEntry>,
}

/// What the bucket should say.
pub(super) fn wanted(
    facts: &Facts<'_>,
    is_dead: impl Fn(&NodeId) -> bool,
    may_tidy: impl Fn(&NodeId) -> bool,
) -> Option<RoomEntry> {
    let Facts { me, held, stored } = *facts;
    match (held, stored) {
        (None, None) => None,
        // The bucket has lost it, or never had it: what this node believes, less those who are dead.
        (Some(held), None) => {
            let mut entry = without(&with(held, me), is_dead)?;
            entry.epoch = entry.epoch.max(1);
            Some(entry)
        }
        (Some(held), Some(stored)) if held.sid == stored.sid => {
            let entry = with(stored, me);
            // One replica buries the dead, so that not all of them write at once.
            let first = entry.replicas.iter().find(|id| !is_dead(id));
            if first == Some(me) {
                without(&entry, is_dead)
            } else {
                Some(entry)
            }
        }
        // A rival that loses against what this node holds: everyone must see that the epoch has moved on.
        (Some(held), Some(rival)) => {
            let mut entry = without(&with(held, me), is_dead)?;
            entry.epoch = held.epoch.max(rival.epoch).saturating_add(1);
            Some(entry)
        }
        (None, Some(stored)) => {
            let entry = if stored.replicas.contains(me) {
                without(stored, |id| id == me)?
            } else {
                stored.clone()
            };
            let orphaned = entry.replicas.iter().all(&is_dead);
            (!(orphaned && may_tidy(me))).then_some(entry)
        }
    }
}

/// The entry with one more replica.
pub(super) fn with(entry: &RoomEntry, id: &NodeId) -> RoomEntry {
    let mut entry = entry.clone();
    entry.replicas.insert(id.clone());
    entry
}

/// The entry without some replicas; `None` when none is left. A home that goes is followed by the first that stays.
fn without(entry: &RoomEntry, goes: impl Fn(&NodeId) -> bool) -> Option<RoomEntry> {
    let mut entry = entry.clone();
    entry.replicas.retain(|id| !goes(id));
    let first = entry.replicas.first()?.clone();
    if !entry.replicas.contains(&entry.home) {
        entry.home = first;
        entry.epoch = entry.epoch.saturating_add(1);
    }
    Some(entry)
}
