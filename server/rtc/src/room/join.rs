//! Sessions begin: joining, and taking over a running session.

use std::collections::HashMap;
use std::time::Instant;

use super::data_track::DataTrackState;
use super::participant::{DataState, Deadlines, Downlink, Participant, Uplink};
use super::{ParticipantKey, Room, TransportRef};
use crate::command::{Join, PeerMode, Resume, SignalRequest, Target};
use crate::context::Context;
use crate::event::{Event, JoinRefusal, Joined, LeaveAction, Output, RoomEvent};
use crate::id::{ConnectionId, ParticipantSid};
use crate::info::{DisconnectReason, ParticipantInfo, ParticipantState};
use crate::media::quality::QualityScorer;
use crate::transport::Transport;

/// Clients below this signalling protocol publish first and never wait for the subscriber connection.
const SUBSCRIBER_PRIMARY_PROTOCOL: i32 = 3;

impl Room {
    /// Lets a participant in; the other session of the same identity ends.
    ///
    /// # Errors
    /// The room is full.
    pub(crate) fn join(
        &mut self,
        cx: &mut Context,
        now: Instant,
        join: Join,
    ) -> Result<ParticipantKey, JoinRefusal> {
        let previous = self.identities.get(&join.identity).copied();
        let generation = self.generation(&join.identity) + 1;
        let limit = self.config.max_participants;
        let known = previous.is_some() || self.remote_of(&join.identity).is_some();
        let present = self.participants.len() + self.remote_infos().count();
        if limit > 0 && !known && present >= limit as usize {
            return Err(JoinRefusal::RoomFull { limit });
        }
        if let Some(previous) = previous {
            self.remove(
                cx,
                now,
                previous,
                DisconnectReason::DuplicateIdentity,
                Some(LeaveAction::Disconnect),
            );
        }

        let key = self.admit(cx, now, &join, generation);
        self.tell_participant(cx, key);
        self.settle_identity(cx, &join.identity);
        self.arm_expiry(cx, now, false);
        let others = self.others(key);
        let Some(participant) = self.participants.get(key) else {
            return Ok(key);
        };
        cx.tell(RoomEvent::ParticipantAdmitted {
            room: self.name.clone(),
            participant: participant.snapshot.clone(),
        });
        let joined = Joined {
            room: self.info(),
            participant: participant.snapshot.clone(),
            others,
            subscriber_primary: participant.subscriber_primary,
        };
        cx.send(participant.connection, Event::Joined(Box::new(joined)));

        for add in join.add_tracks {
            self.add_track(cx, now, key, add);
        }
        if let Some(offer) = join.offer {
            self.offer_received(cx, now, key, offer);
        }
        self.subscribe_to_all(cx, now, key);
        self.offer_to(cx, now, key);
        Ok(key)
    }

    fn admit(
        &mut self,
        cx: &mut Context,
        now: Instant,
        join: &Join,
        generation: u64,
    ) -> ParticipantKey {
        let (room, joined_at_ms) = (self.key, cx.unix_ms(now));
        let sid = ParticipantSid::from(cx.ids.next_id("PA_"));
        let info = ParticipantInfo {
            sid,
            identity: join.identity.clone(),
            name: join.name.clone(),
            state: ParticipantState::Joining,
            metadata: join.metadata.clone(),
            attributes: join.attributes.clone(),
            permission: join.permission.clone(),
            joined_at_ms,
            version: 1,
            is_publisher: false,
            kind: join.kind,
            kind_details: join.kind_details.clone(),
            client_protocol: join.client.client_protocol,
            capabilities: join.client.capabilities.clone(),
            tracks: Vec::new(),
            data_tracks: Vec::new(),
            disconnect_reason: None,
        };
        let dual = join.peer_mode == PeerMode::Dual;
        let subscriber_primary = dual
            && join.permission.can_subscribe
            && join.client.protocol >= SUBSCRIBER_PRIMARY_PROTOCOL;
        let bandwidth = cx.config.initial_bandwidth;
        let key = self.participants.insert_with_key(|key| {
            let at = |target| TransportRef {
                room,
                participant: key,
                target,
            };
            Participant {
                key,
                snapshot: std::sync::Arc::new(info.clone()),
                info,
                connection: Some(join.connection),
                auto_subscribe: join.auto_subscribe,
                subscriber_primary,
                publisher: Transport::new(cx, at(Target::Publisher), now, join.full_ice),
                subscriber: dual
                    .then(|| Transport::new(cx, at(Target::Subscriber), now, join.full_ice)),
                generation,
                revision: 0,
                uplink: Uplink::default(),
                downlink: Downlink::new(bandwidth),
                data: DataState::default(),
                data_tracks: DataTrackState::new(join.auto_subscribe_data_tracks),
                deadlines: Deadlines {
                    connect: Some(now + cx.config.connect_timeout),
                    signal_lost: None,
                    last_heard: Some(now),
                },
                scorer: QualityScorer::default(),
                nacks: HashMap::new(),
                drop_on_resume: false,
            }
        });
        self.identities.insert(join.identity.clone(), key);
        tracing::info!(room = %self.name, participant = %join.identity, sdk = %join.client.sdk, "joined");
        key
    }

    /// Gives a running session a new signalling connection; `None` if there is no such session.
    pub(crate) fn resume(
        &mut self,
        cx: &mut Context,
        now: Instant,
        resume: Resume,
    ) -> Option<ParticipantKey> {
        let key = *self.identities.get(&resume.identity)?;
        let participant = self.participants.get_mut(key)?;
        let named = resume.participant.as_str();
        if !(named.is_empty() || named == participant.sid().as_str()) || participant.has_failed() {
            return None;
        }
        self.attach(cx, now, key, resume.connection);
        if let Some(state) = resume.sync_state {
            self.sync_state(cx, now, key, state);
        }
        if let Some(offer) = resume.offer {
            self.signal(cx, now, key, SignalRequest::Offer(offer));
        }
        self.restart_subscriber(cx, now, key);
        Some(key)
    }

    fn attach(
        &mut self,
        cx: &mut Context,
        now: Instant,
        key: ParticipantKey,
        connection: ConnectionId,
    ) {
        let others = self.others(key);
        let room = self.info();
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        if let Some(old) = participant.connection.replace(connection) {
            cx.outputs.push_back(Output::CloseConnection(old));
        }
        let lost = participant.deadlines.signal_lost.take().unwrap_or(now);
        participant.deadlines.last_heard = Some(now);
        // A requirement sent over the lost connection may never have arrived.
        participant.downlink.requirement_open = false;
        tracing::info!(room = %self.name, participant = %participant.info.identity, "resumed");

        let receives_data = participant.data_tracks.receives_any();
        let last_message_seq = participant.data.last_sequence;
        cx.send(Some(connection), Event::Resumed { last_message_seq });
        if std::mem::take(&mut participant.drop_on_resume) {
            participant.connection = None;
            participant.deadlines.signal_lost = Some(now);
            cx.outputs.push_back(Output::CloseConnection(connection));
            return;
        }
        let gone = self.departed.since(lost);
        let everybody = gone
            .into_iter()
            .chain(others)
            .chain([participant.snapshot.clone()])
            .collect();
        cx.send(Some(connection), Event::Participants(everybody));
        cx.send(Some(connection), Event::Room(Box::new(room)));
        // The last ones may have been lost with the old connection.
        if receives_data {
            self.tell_data_track_handles(cx, key);
        }
    }
}
