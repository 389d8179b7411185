//! Which shoppers wait and which are served: a state machine of requests, room events and time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use tradewind_rtc::{ParticipantInfo, ParticipantSid, RoomEvent};

/// Attribute that says which side of a call a participant is.
pub(super) const ROLE_ATTRIBUTE: &str = "tradewind.role";
pub(super) const SHOPPER: &str = "shopper";
pub(super) const AGENT: &str = "agent";
/// Attribute with the shopper's language, a BCP 47 tag.
pub(super) const LANGUAGE_ATTRIBUTE: &str = "tradewind.language";

/// How long a call waits for its shopper to come, or to come back. Covers permission dialogs and slow first loads.
const SHOPPER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answered call waits for its agent to come before others may answer.
const AGENT_TIMEOUT: Duration = Duration::from_secs(30);

/// All calls of this node. A call is named by its room.
#[derive(Debug, Default)]
pub(super) struct CallBook {
    calls: BTreeMap<String, Call>,
}

/// A call as the desk sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CallSummary {
    pub(super) id: String,
    pub(super) room: String,
    pub(super) name: String,
    pub(super) language: String,
    pub(super) state: CallState,
    pub(super) created_at_ms: u64,
    /// Name of the agent who answered.
    pub(super) agent: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CallState {
    Waiting,
    Answered,
}

/// Why a call cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("there is no such call, or its shopper has gone")]
    NoSuchCall,
    #[error("somebody else has answered this call")]
    AlreadyAnswered,
}

#[derive(Debug)]
struct Call {
    name: String,
    language: String,
    created_at_ms: u64,
    /// Sessions of the shopper in the room; two for a moment while one replaces the other.
    shoppers: BTreeSet<ParticipantSid>,
    /// Sessions of agents in the room, with their names.
    agents: BTreeMap<ParticipantSid, String>,
    /// The call is gone if no shopper has come by then. Set while there is none.
    shopper_due: Option<Instant>,
    /// An agent who has answered and is expected by then.
    claim: Option<Claim>,
}

#[derive(Debug)]
struct Claim {
    agent: String,
    due: Instant,
}

impl CallBook {
    /// Enters a call whose shopper is about to join room `id`.
    pub(super) fn open(
        &mut self,
        id: &str,
        name: &str,
        language: &str,
        now: Instant,
        unix_ms: u64,
    ) {
        let call = Call {
            name: name.to_owned(),
            language: language.to_owned(),
            created_at_ms: unix_ms,
            shoppers: BTreeSet::new(),
            agents: BTreeMap::new(),
            shopper_due: Some(now + SHOPPER_TIMEOUT),
            claim: None,
        };
        self.calls.insert(id.to_owned(), call);
    }

    /// Gives call `id` to `agent`, who is about to join.
    ///
    /// # Errors
    /// Nobody waits there, or another agent was first.
    pub(super) fn answer(
        &mut self,
        id: &str,
        agent: &str,
        now: Instant,
    ) -> Result<(), AnswerError> {
        let call = self
            .calls
            .get_mut(id)
            .filter(|call| !call.shoppers.is_empty());
        let call = call.ok_or(AnswerError::NoSuchCall)?;
        if call.is_answered() {
            return Err(AnswerError::AlreadyAnswered);
        }
        call.claim = Some(Claim {
            agent: agent.to_owned(),
            due: now + AGENT_TIMEOUT,
        });
        Ok(())
    }

    /// Follows what happened in the rooms. A shopper in a room nobody entered is a call too: after a restart, or where
    /// an application issues the tokens.
    pub(super) fn handle_event(&mut self, event: &RoomEvent, now: Instant, unix_ms: u64) {
        match event {
            RoomEvent::ParticipantJoined { room, participant } => match role(participant) {
                Some(SHOPPER) => self.shopper_came(room.name.as_str(), participant, now, unix_ms),
                Some(AGENT) => self.agent_came(room.name.as_str(), participant),
                _ => {}
            },
            RoomEvent::ParticipantLeft { room, participant } => {
                if let Some(call) = self.calls.get_mut(room.name.as_str()) {
                    call.left(participant, now);
                }
            }
            RoomEvent::Finished { room } => {
                self.calls.remove(room.name.as_str());
            }
            RoomEvent::Started { .. }
            | RoomEvent::MetadataChanged { .. }
            | RoomEvent::ParticipantAborted { .. }
            | RoomEvent::TrackPublished { .. }
            | RoomEvent::TrackUnpublished { .. } => {}
        }
    }

    /// Lets go of shoppers and agents who did not come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.calls
            .retain(|_, call| call.shopper_due.is_none_or(|due| due > now));
        for call in self.calls.values_mut() {
            call.claim.take_if(|claim| claim.due <= now);
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |call: &Call| [call.shopper_due, call.claim.as_ref().map(|claim| claim.due)];
        self.calls.values().flat_map(due).flatten().min()
    }

    /// Calls whose shopper is there, first come first.
    pub(super) fn list(&self) -> Vec<CallSummary> {
        let here = self
            .calls
            .iter()
            .filter(|(_, call)| !call.shoppers.is_empty());
        let mut list: Vec<CallSummary> = here.map(|(id, call)| call.summary(id)).collect();
        list.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        list
    }

    /// Calls nobody has answered, with those whose shopper is still to come.
    pub(super) fn unanswered(&self) -> usize {
        self.calls
            .values()
            .filter(|call| !call.is_answered())
            .count()
    }

    fn shopper_came(&mut self, id: &str, shopper: &ParticipantInfo, now: Instant, unix_ms: u64) {
        if !self.calls.contains_key(id) {
            let language = shopper
                .attributes
                .get(LANGUAGE_ATTRIBUTE)
                .map_or("", String::as_str);
            self.open(id, &shopper.name, language, now, unix_ms);
        }
        if let Some(call) = self.calls.get_mut(id) {
            call.shoppers.insert(shopper.sid.clone());
            call.shopper_due = None;
        }
    }

    fn agent_came(&mut self, id: &str, agent: &ParticipantInfo) {
        if let Some(call) = self.calls.get_mut(id) {
            call.agents.insert(agent.sid.clone(), agent.name.clone());
            call.claim = None;
        }
    }
}

impl Call {
    fn is_answered(&self) -> bool {
        self.claim.is_some() || !self.agents.is_empty()
    }

    fn left(&mut self, participant: &ParticipantInfo, now: Instant) {
        self.agents.remove(&participant.sid);
        if self.shoppers.remove(&participant.sid) && self.shoppers.is_empty() {
            self.shopper_due = Some(now + SHOPPER_TIMEOUT);
        }
    }

    fn summary(&self, id: &str) -> CallSummary {
        let expected = self.claim.as_ref().map(|claim| &claim.agent);
        CallSummary {
            id: id.to_owned(),
            room: id.to_owned(),
            name: self.name.clone(),
            language: self.language.clone(),
            state: if self.is_answered() {
                CallState::Answered
            } else {
                CallState::Waiting
            },
            created_at_ms: self.created_at_ms,
            agent: self.agents.values().next().or(expected).cloned(),
        }
    }
}

fn role(participant: &ParticipantInfo) -> Option<&str> {
    participant
        .attributes
        .get(ROLE_ATTRIBUTE)
        .map(String::as_str)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
