//! Sessions end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ParticipantKey, Room};
use crate::command::Target;
use crate::context::Context;
use crate::event::{Event, LeaveAction, Output, RoomEvent};
use crate::id::ConnectionId;
use crate::info::{DisconnectReason, ParticipantInfo, ParticipantState};

/// How long those who left are remembered for those who resume; longer than any session can be resumed.
const REMEMBER: Duration = Duration::from_secs(60);
const REMEMBER_AT_MOST: usize = 256;

/// Participants that left lately, for those whose signalling was away meanwhile.
#[derive(Default)]
pub(super) struct Departed {
    left: VecDeque<(Instant, Arc<ParticipantInfo>)>,
}

impl Departed {
    fn add(&mut self, now: Instant, participant: Arc<ParticipantInfo>) {
        while self.left.len() >= REMEMBER_AT_MOST
            || self
                .left
                .front()
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) > REMEMBER)
        {
            self.left.pop_front();
        }
        self.left.push_back((now, participant));
    }

    /// Those who left at `since` or later.
    pub(super) fn since(&self, since: Instant) -> Vec<Arc<ParticipantInfo>> {
        self.left
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(_, participant)| participant.clone())
            .collect()
    }
}

impl Room {
    /// Ends a session. With an action the client is told; without, it knows or is gone.
    pub(super) fn remove(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        reason: DisconnectReason,
        action: Option<LeaveAction>,
    ) {
        self.unpublish_all(cx, now, key);
        self.unsubscribe_all(key);
        self.leave_data_tracks(cx, key);
        let Some(mut participant) = self.participants.remove(key) else {
            return;
        };
        tracing::info!(room = %self.name, participant = %participant.info.identity, ?reason, "left");
        if self.identities.get(&participant.info.identity) == Some(&key) {
            self.identities.remove(&participant.info.identity);
        }
        participant.publisher.retire(cx, now);
        if let Some(subscriber) = &mut participant.subscriber {
            subscriber.retire(cx, now);
        }
        if let Some(connection) = participant.connection {
            if let Some(action) = action {
                cx.send(Some(connection), Event::Leave { reason, action });
            }
            cx.outputs.push_back(Output::CloseConnection(connection));
        }

        let announced = participant.is_announced();
        let was_active = participant.info.state == ParticipantState::Active;
        participant.info.tracks.clear();
        participant.info.data_tracks.clear();
        participant.info.state = ParticipantState::Disconnected;
        participant.info.disconnect_reason = Some(reason);
        participant.info.version += 1;
        let snapshot = Arc::new(participant.info);
        self.speakers.remove(&snapshot.sid);
        if announced {
            self.departed.add(now, snapshot.clone());
            for other in self.participants.values() {
                cx.send(
                    other.connection,
                    Event::Participants(vec![snapshot.clone()]),
                );
            }
        }
        let room = self.info();
        cx.tell(if was_active {
            RoomEvent::ParticipantLeft {
                room,
                participant: snapshot,
            }
        } else {
            RoomEvent::ParticipantAborted {
                room,
                participant: snapshot,
            }
        });
        self.arm_expiry(cx, now, false);
    }

    /// A transport failed: the client is asked to join anew.
    pub(super) fn fail(&mut self, cx: &mut Context, now: Instant, key: ParticipantKey) {
        self.remove(
            cx,
            now,
            key,
            DisconnectReason::MediaFailure,
            Some(LeaveAction::Reconnect),
        );
    }

    /// The signalling connection is gone; the session waits to be resumed.
    pub(crate) fn connection_closed(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        connection: ConnectionId,
    ) {
        // A resumed session already has another connection.
        if let Some(participant) = self
            .participants
            .get_mut(key)
            .filter(|p| p.connection == Some(connection))
        {
            participant.connection = None;
            participant.deadlines.signal_lost = Some(now);
            self.arm_session_check(cx, now);
        }
    }

    /// Ends the room and every session in it.
    pub(crate) fn close(&mut self, cx: &mut Context, now: Instant, reason: DisconnectReason) {
        let keys: Vec<_> = self.participants.keys().collect();
        for key in keys {
            self.remove(cx, now, key, reason, Some(LeaveAction::Disconnect));
        }
        self.finish(cx);
    }

    /// Asks up to `at_most` participants to join anew; gives how many.
    pub(crate) fn drain(&mut self, cx: &mut Context, now: Instant, at_most: u32) -> u32 {
        let keys: Vec<_> = self
            .participants
            .keys()
            .take(usize::try_from(at_most).unwrap_or(usize::MAX))
            .collect();
        for key in &keys {
            let (reason, action) = (DisconnectReason::Migration, LeaveAction::Reconnect);
            self.remove(cx, now, *key, reason, Some(action));
        }
        keys.len() as u32
    }

    /// Restarts ICE on the subscriber connection after a resume, so that it finds the client's new address.
    pub(super) fn restart_subscriber(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
    ) {
        let Some(subscriber) = self
            .participants
            .get_mut(key)
            .and_then(|p| p.transport(Target::Subscriber))
        else {
            return;
        };
        // An offer sent over the lost connection will never be answered.
        subscriber.abandon_offer();
        let offer = subscriber.offer(cx, |api| {
            api.ice_restart(true);
        });
        if let Some((_, id, sdp)) = offer {
            self.send_offer(cx, now, key, id, sdp);
        }
    }
}
