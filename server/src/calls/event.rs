//! What happens to calls, told by comparing a call before and after.

use std::sync::Arc;

use super::call::{Call, CallState, Presence, UnixMs};

/// Something that happened to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallEvent {
    pub(crate) kind: Kind,
    pub(crate) at_ms: UnixMs,
    /// As it is after the event.
    pub(crate) call: Arc<Call>,
    /// Identity of whom it is about.
    pub(crate) party: Option<String>,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    PartyAdded,
    PartyJoined,
    PartyLeft,
    Answered,
    Moved,
    /// A round trip of a party was measured anew.
    Measured,
    Ended,
}

impl Kind {
    /// Every kind, to hold the documentation against.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Created,
        Self::PartyAdded,
        Self::PartyJoined,
        Self::PartyLeft,
        Self::Answered,
        Self::Moved,
        Self::Measured,
        Self::Ended,
    ];

    /// Name in webhooks and event streams.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "call_created",
            Self::PartyAdded => "call_party_added",
            Self::PartyJoined => "call_party_joined",
            Self::PartyLeft => "call_party_left",
            Self::Answered => "call_answered",
            Self::Moved => "call_moved",
            Self::Measured => "call_measured",
            Self::Ended => "call_ended",
        }
    }
}

/// Whose change it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This node's: it tells the fleet and the webhooks.
    Here,
    /// Another node's, which has told them.
    Fleet,
}

/// What made `after` of `before`, in the order people would tell it.
pub(super) fn changes(before: Option<&Call>, after: &Call) -> Vec<(Kind, Option<String>)> {
    let before = before.filter(|before| before.life == after.life);
    let mut changes = Vec::new();
    if before.is_none() {
        changes.push((Kind::Created, None));
    }
    for (identity, party) in &after.parties {
        let earlier = before.and_then(|call| call.parties.get(identity));
        let mut tell = |kind| changes.push((kind, Some(identity.clone())));
        if earlier.is_none() && before.is_some() {
            tell(Kind::PartyAdded);
        }
        let was_here = earlier.is_some_and(|earlier| earlier.presence.is_here());
        match party.presence {
            Presence::Here { .. } if !was_here => tell(Kind::PartyJoined),
            Presence::Left { .. } if was_here => tell(Kind::PartyLeft),
            _ => {}
        }
        if party.measured_rtt_ms != earlier.and_then(|earlier| earlier.measured_rtt_ms) {
            tell(Kind::Measured);
        }
    }
    let answered = |call: &Call| call.state() == CallState::Answered;
    if answered(after) && !before.is_some_and(answered) {
        changes.push((Kind::Answered, None));
    }
    let place = |call: &Call| call.placement.as_ref().map(|place| place.stamp.clone());
    if before.is_some_and(|before| place(before).is_some() && place(before) != place(after)) {
        changes.push((Kind::Moved, None));
    }
    if after.ended.is_some() && before.is_none_or(|before| before.ended.is_none()) {
        changes.push((Kind::Ended, None));
    }
    changes
}
