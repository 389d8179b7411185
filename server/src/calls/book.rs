//! The calls a node knows: a state machine of requests, room events, copies from other nodes and time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use tradewind_rtc::{ParticipantInfo, RoomEvent};

use super::call::{
    Call, Details, EndReason, Ended, Party, Placement, Presence, Role, Stamp, UnixMs,
};
use super::event::{CallEvent, Origin, changes};

/// Attribute that says which side of a call a participant is.
pub(crate) const ROLE_ATTRIBUTE: &str = "tradewind.role";
/// Attribute with the shopper's language, a BCP 47 tag.
pub(crate) const LANGUAGE_ATTRIBUTE: &str = "tradewind.language";

/// How long a call waits for a shopper who left, and for one of the pages to come at first, milliseconds. Covers
/// reloads, permission dialogs and slow first loads.
pub(crate) const SHOPPER_WAIT_MS: UnixMs = 60_000;
/// How long an answered call waits for its agent before others may answer, milliseconds.
pub(crate) const AGENT_WAIT_MS: UnixMs = 30_000;
/// How much later another node ends a call whose home did not, milliseconds: the home may be gone.
const HOME_GRACE_MS: UnixMs = 30_000;
/// How long an ended call can be asked for, milliseconds.
const KEEP_MS: UnixMs = 3_600_000;
/// Ended calls kept; the oldest go first.
const MAX_ENDED: usize = 10_000;
/// Calls under way that one node keeps track of, over the whole fleet: about 2 KiB each.
const MAX_CALLS: usize = 100_000;
/// Parties of one call.
pub(crate) const MAX_PARTIES: usize = 50;

/// Why a request about a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("there is no such call, or its shopper has gone")]
    NoSuchCall,
    #[error("somebody else has answered this call")]
    AlreadyAnswered,
    #[error("this call has ended: create another one")]
    HasEnded,
    #[error("this Idempotency-Key was used for another request: choose a new key")]
    KeyReused,
    #[error("a call has at most {MAX_PARTIES} parties: create another call")]
    TooManyParties,
    #[error("this node keeps track of {MAX_CALLS} calls: end some, or try again later")]
    Full,
}

/// What came of a request to create a call.
#[derive(Debug)]
pub(crate) enum Created {
    New(Arc<Call>),
    /// A repeat of the request that made it.
    Again(Arc<Call>),
}

/// All calls this node knows of.
#[derive(Debug)]
pub(crate) struct CallBook {
    node: String,
    calls: BTreeMap<String, Arc<Call>>,
    /// When to look at which call, earliest first; one entry per call.
    due: BTreeSet<(UnixMs, String)>,
    /// Ended calls by time of their end.
    ended: BTreeSet<(UnixMs, String)>,
    unanswered: usize,
    events: Vec<CallEvent>,
}

impl CallBook {
    /// The empty book of this node.
    pub(crate) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            calls: BTreeMap::new(),
            due: BTreeSet::new(),
            ended: BTreeSet::new(),
            unanswered: 0,
            events: Vec::new(),
        }
    }

    /// Enters a call.
    ///
    /// # Errors
    /// The book is full, or another request made a call of this id.
    pub(crate) fn create(&mut self, call: Call, now_ms: UnixMs) -> Result<Created, CallError> {
        if let Some(known) = self.calls.get(&call.id) {
            return if known.request == call.request {
                Ok(Created::Again(known.clone()))
            } else {
                Err(CallError::KeyReused)
            };
        }
        if self.calls.len() - self.ended.len() >= MAX_CALLS {
            return Err(CallError::Full);
        }
        Ok(Created::New(self.put(call, Origin::Here, now_ms)))
    }

    /// Adds a party to a call, or expects a known one anew.
    ///
    /// # Errors
    /// There is no such call, it has ended, or it is full.
    pub(crate) fn add_party(
        &mut self,
        id: &str,
        mut party: Party,
        placement: Option<Placement>,
        now_ms: UnixMs,
    ) -> Result<Arc<Call>, CallError> {
        let mut call = self.live(id)?.clone();
        match call.parties.get(&party.identity) {
            Some(known) => {
                party.stamp = known.stamp.next(&self.node);
                if known.presence.is_here() {
                    party.presence = known.presence.clone();
                }
            }
            None if call.parties.len() >= MAX_PARTIES => return Err(CallError::TooManyParties),
            None => party.stamp = Stamp::default().next(&self.node),
        }
        if let Some(mut placement) = placement {
            let last = call.placement.take().map(|last| last.stamp);
            placement.stamp = last.unwrap_or_default().next(&self.node);
            call.placement = Some(placement);
        }
        call.parties.insert(party.identity.clone(), party);
        Ok(self.put(call, Origin::Here, now_ms))
    }

    /// Gives call `id` to `agent`, who is about to join.
    ///
    /// # Errors
    /// Nobody waits there, or another agent was first.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        agent: Party,
        placement: Option<Placement>,
        now_ms: UnixMs,
    ) -> Result<Arc<Call>, CallError> {
        self.can_answer(id)?;
        self.add_party(id, agent, placement, now_ms)
    }

    /// Whether an agent may answer call `id`.
    ///
    /// # Errors
    /// Nobody waits there, or another agent was first.
    pub(crate) fn can_answer(&self, id: &str) -> Result<(), CallError> {
        let call = self.live(id).map_err(|_| CallError::NoSuchCall)?;
        if !call.is_shopper_here() {
            Err(CallError::NoSuchCall)
        } else if call.is_answered() {
            Err(CallError::AlreadyAnswered)
        } else {
            Ok(())
        }
    }

    /// Ends a call; ending it again changes nothing.
    ///
    /// # Errors
    /// There is no such call.
    pub(crate) fn end(
        &mut self,
        id: &str,
        reason: EndReason,
        now_ms: UnixMs,
    ) -> Result<Arc<Call>, CallError> {
        let call = self.calls.get(id).ok_or(CallError::NoSuchCall)?;
        if call.ended.is_some() {
            return Ok(call.clone());
        }
        let mut call = Call::clone(call);
        call.ended = Some(Ended {
            at_ms: now_ms,
            reason,
        });
        Ok(self.put(call, Origin::Here, now_ms))
    }

    /// Notes the round trip between a party and its node. Changes below a twentieth are not worth telling.
    pub(crate) fn measured(&mut self, id: &str, identity: &str, rtt_ms: f64, now_ms: UnixMs) {
        let Ok(call) = self.live(id) else { return };
        let Some(party) = call.parties.get(identity) else {
            return;
        };
        let is_same = |last: f64| (rtt_ms - last).abs() <= (last / 20.0).max(1.0);
        if party.measured_rtt_ms.is_some_and(is_same) {
            return;
        }
        let mut call = call.clone();
        self.change_party(&mut call, identity, |party| {
            party.measured_rtt_ms = Some(rtt_ms);
        });
        self.put(call, Origin::Here, now_ms);
    }

    /// Notes from which address a party connects, and where that probably is. The network a party really comes from
    /// is worth more than what was said of it.
    pub(crate) fn connects(
        &mut self,
        id: &str,
        identity: &str,
        address: IpAddr,
        place: Option<(f64, f64)>,
        now_ms: UnixMs,
    ) {
        let Ok(call) = self.live(id) else { return };
        let party = call.parties.get(identity);
        if party.is_none_or(|party| party.address == Some(address)) {
            return;
        }
        let mut call = call.clone();
        self.change_party(&mut call, identity, |party| {
            party.address = Some(address);
            party.place = place.or(party.place);
        });
        self.put(call, Origin::Here, now_ms);
    }

    /// Takes a copy of a call from another node.
    pub(crate) fn learn(&mut self, copy: &Call, now_ms: UnixMs) {
        let known = self.calls.get(&copy.id);
        let is_full = self.calls.len() - self.ended.len() >= MAX_CALLS;
        if copy.parties.len() > MAX_PARTIES || (known.is_none() && is_full) {
            return;
        }
        let mut call = known.map_or_else(|| copy.clone(), |known| Call::clone(known));
        call.merge(copy);
        if known.is_none_or(|known| **known != call) {
            let known = known.cloned();
            self.put(call, Origin::Fleet, now_ms);
            if let Some(known) = known {
                self.insist(&known, now_ms);
            }
        }
    }

    /// Whoever was on `node` has left with it, in calls that are for this node to `settle`. They may come back through
    /// any other node.
    pub(crate) fn node_lost(
        &mut self,
        node: &str,
        settles: impl Fn(&Call) -> bool,
        now_ms: UnixMs,
    ) {
        let was_there = |party: &Party| party.node == node && party.presence.is_here();
        let hit: Vec<Arc<Call>> = self
            .calls
            .values()
            .filter(|call| call.ended.is_none() && call.parties.values().any(was_there))
            .filter(|call| settles(call))
            .cloned()
            .collect();
        for call in hit {
            let mut call = Call::clone(&call);
            for party in call.parties.values_mut().filter(|party| was_there(party)) {
                party.presence = Presence::Left { since_ms: now_ms };
                party.stamp = party.stamp.next(&self.node);
            }
            self.put(call, Origin::Here, now_ms);
        }
    }

    /// Follows what happened in the rooms. A shopper in a room nobody entered is a call too: after a restart, or where
    /// an application issues the tokens.
    pub(crate) fn handle_event(&mut self, event: &RoomEvent, now_ms: UnixMs) {
        match event {
            RoomEvent::ParticipantJoined { room, participant } => {
                self.joined(room.name.as_str(), participant, now_ms);
            }
            RoomEvent::ParticipantLeft { room, participant } => {
                self.left(room.name.as_str(), participant, now_ms);
            }
            RoomEvent::Finished { room } => self.finished(room.name.as_str(), now_ms),
            RoomEvent::Started { .. }
            | RoomEvent::MetadataChanged { .. }
            | RoomEvent::ParticipantAdmitted { .. }
            | RoomEvent::ParticipantAborted { .. }
            | RoomEvent::TrackPublished { .. }
            | RoomEvent::TrackUnpublished { .. } => {}
        }
    }

    /// Lets go of those who did not come, of calls nobody is in, and of calls that ended long ago.
    pub(crate) fn handle_timeout(&mut self, now_ms: UnixMs) {
        while let Some((at, id)) = self.due.first().cloned()
            && at <= now_ms
        {
            self.due.remove(&(at, id.clone()));
            let Ok(call) = self.live(&id) else { continue };
            let mut call = call.clone();
            self.let_go(&mut call, now_ms);
            self.put(call, Origin::Here, now_ms);
        }
        self.forget(now_ms);
    }

    /// When to call [`Self::handle_timeout`] next.
    pub(crate) fn poll_timeout(&self) -> Option<UnixMs> {
        let forget = self.ended.first().map(|(at, _)| at + KEEP_MS);
        let due = self.due.first().map(|(at, _)| *at);
        due.into_iter().chain(forget).min()
    }

    /// What happened since the last look, in order.
    pub(crate) fn take_events(&mut self) -> Vec<CallEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Call>> {
        self.calls.get(id)
    }

    /// Every call, by id.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.calls.values()
    }

    /// Calls nobody has answered, with those whose shopper is still to come.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    fn live(&self, id: &str) -> Result<&Call, CallError> {
        let call = self.calls.get(id).ok_or(CallError::NoSuchCall)?;
        if call.ended.is_some() {
            return Err(CallError::HasEnded);
        }
        Ok(call)
    }

    /// Others may take this node for dead when they only cannot hear it: it knows better who is on it.
    fn insist(&mut self, before: &Call, now_ms: UnixMs) {
        let Ok(now) = self.live(&before.id) else {
            return;
        };
        let mut call = now.clone();
        for (identity, mine) in &before.parties {
            let is_told_away = |party: &Party| {
                party.node == self.node && matches!(party.presence, Presence::Left { .. })
            };
            if mine.node == self.node
                && mine.presence.is_here()
                && before.life == call.life
                && call.parties.get(identity).is_some_and(is_told_away)
            {
                self.change_party(&mut call, identity, |party| {
                    party.presence = mine.presence.clone();
                });
            }
        }
        if *now != call {
            self.put(call, Origin::Here, now_ms);
        }
    }

    fn joined(&mut self, id: &str, participant: &ParticipantInfo, now_ms: UnixMs) {
        let attribute = |name| participant.attributes.get(name).map_or("", String::as_str);
        let role = Role::parse(attribute(ROLE_ATTRIBUTE));
        let known = self.calls.get(id);
        let mut call = match (known, role) {
            (Some(call), _) if call.ended.is_none() => Call::clone(call),
            (known, Some(Role::Shopper)) => Call {
                id: id.to_owned(),
                life: known.map_or(0, |known| known.life + 1),
                home: self.node.clone(),
                created_at_ms: now_ms,
                details: Details {
                    language: attribute(LANGUAGE_ATTRIBUTE).to_owned(),
                    ..Details::default()
                },
                parties: BTreeMap::new(),
                placement: None,
                ended: None,
                request: String::new(),
            },
            _ => return,
        };
        let identity = participant.identity.as_str();
        if !call.parties.contains_key(identity) {
            let Some(role) = role.filter(|_| call.parties.len() < MAX_PARTIES) else {
                return;
            };
            call.parties
                .insert(identity.to_owned(), stranger(participant, role));
        }
        let node = self.node.clone();
        self.change_party(&mut call, identity, |party| {
            party.node = node;
            party.presence = Presence::Here {
                since_ms: now_ms,
                session: participant.sid.to_string(),
            };
        });
        self.put(call, Origin::Here, now_ms);
    }

    fn left(&mut self, id: &str, participant: &ParticipantInfo, now_ms: UnixMs) {
        let identity = participant.identity.as_str();
        let Ok(call) = self.live(id) else { return };
        let is_current = call.parties.get(identity).is_some_and(|party| {
            matches!(&party.presence, Presence::Here { session, .. } if *session == participant.sid.as_str())
        });
        // An old session may leave after the one that replaced it came.
        if !is_current {
            return;
        }
        let mut call = call.clone();
        self.change_party(&mut call, identity, |party| {
            party.presence = Presence::Left { since_ms: now_ms };
        });
        self.put(call, Origin::Here, now_ms);
    }

    fn finished(&mut self, id: &str, now_ms: UnixMs) {
        let Ok(call) = self.live(id) else { return };
        let mut call = call.clone();
        let here: Vec<String> = call
            .parties
            .values()
            .filter(|party| party.node == self.node && party.presence.is_here())
            .map(|party| party.identity.clone())
            .collect();
        for identity in here {
            self.change_party(&mut call, &identity, |party| {
                party.presence = Presence::Left { since_ms: now_ms };
            });
        }
        // On another node the call goes on, or is about to begin.
        let elsewhere = call.parties.values().any(|party| {
            party.node != self.node && !matches!(party.presence, Presence::Left { .. })
        });
        if !elsewhere {
            call.ended = Some(Ended {
                at_ms: now_ms,
                reason: EndReason::Finished,
            });
        }
        self.put(call, Origin::Here, now_ms);
    }

    fn let_go(&self, call: &mut Call, now_ms: UnixMs) {
        if self.wait_ends(call).is_some_and(|at| at <= now_ms) {
            call.ended = Some(Ended {
                at_ms: now_ms,
                reason: EndReason::NobodyCame,
            });
        }
        let missing: Vec<String> = call
            .parties
            .values()
            .filter(|party| party.role != Role::Shopper)
            .filter(|party| matches!(party.presence, Presence::Expected { until_ms } if until_ms <= now_ms))
            .map(|party| party.identity.clone())
            .collect();
        for identity in missing {
            self.change_party(call, &identity, |party| {
                party.presence = Presence::Left { since_ms: now_ms };
            });
        }
    }

    /// When this node gives up waiting for the shopper, or for anybody where there is none; `None` = somebody is there.
    fn wait_ends(&self, call: &Call) -> Option<UnixMs> {
        let awaited = |party: &&Party| party.role == Role::Shopper || call.shopper().is_none();
        let ends = |party: &Party| match party.presence {
            Presence::Expected { until_ms } => Some(until_ms),
            Presence::Left { since_ms } => Some(since_ms + SHOPPER_WAIT_MS),
            Presence::Here { .. } => None,
        };
        let grace = if call.home == self.node {
            0
        } else {
            HOME_GRACE_MS
        };
        let ends: Option<Vec<UnixMs>> = call.parties.values().filter(awaited).map(ends).collect();
        let last = ends?.into_iter().max().unwrap_or(call.created_at_ms);
        Some(last + grace)
    }

    fn next_look(&self, call: &Call) -> Option<UnixMs> {
        let expected = call
            .parties
            .values()
            .filter_map(|party| match party.presence {
                Presence::Expected { until_ms } if party.role != Role::Shopper => Some(until_ms),
                _ => None,
            });
        self.wait_ends(call).into_iter().chain(expected).min()
    }

    fn change_party(&self, call: &mut Call, identity: &str, change: impl FnOnce(&mut Party)) {
        if let Some(party) = call.parties.get_mut(identity) {
            change(party);
            party.stamp = party.stamp.next(&self.node);
        }
    }

    /// Writes a call down, and what that changed.
    fn put(&mut self, call: Call, origin: Origin, now_ms: UnixMs) -> Arc<Call> {
        let before = self.calls.get(&call.id).cloned();
        if let Some(before) = &before {
            if let Some(at) = self.next_look(before) {
                self.due.remove(&(at, before.id.clone()));
            }
            if let Some(ended) = &before.ended {
                self.ended.remove(&(ended.at_ms, before.id.clone()));
            }
            self.unanswered -= usize::from(is_unanswered(before));
        }
        self.unanswered += usize::from(is_unanswered(&call));
        match &call.ended {
            Some(ended) => {
                self.ended.insert((ended.at_ms, call.id.clone()));
            }
            None => {
                let due = self.next_look(&call);
                self.due.extend(due.map(|at| (at, call.id.clone())));
            }
        }
        let call = Arc::new(call);
        for (kind, party) in changes(before.as_deref(), &call) {
            self.events.push(CallEvent {
                kind,
                at_ms: now_ms,
                call: call.clone(),
                party,
                origin,
            });
        }
        self.calls.insert(call.id.clone(), call.clone());
        self.forget(now_ms);
        call
    }

    /// Drops calls that ended long ago, and the oldest of too many.
    fn forget(&mut self, now_ms: UnixMs) {
        while let Some((at, id)) = self.ended.first().cloned()
            && (at + KEEP_MS <= now_ms || self.ended.len() > MAX_ENDED)
        {
            self.ended.remove(&(at, id.clone()));
            self.calls.remove(&id);
        }
    }
}

fn is_unanswered(call: &Call) -> bool {
    call.ended.is_none() && !call.is_answered()
}

/// A participant whose token did not come from a call.
fn stranger(participant: &ParticipantInfo, role: Role) -> Party {
    Party {
        identity: participant.identity.to_string(),
        role,
        name: participant.name.clone(),
        region: String::new(),
        address: None,
        place: None,
        probes: BTreeMap::new(),
        node: String::new(),
        presence: Presence::Left { since_ms: 0 },
        predicted_rtt_ms: None,
        measured_rtt_ms: None,
        stamp: Stamp::default(),
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
