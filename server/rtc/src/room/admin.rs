//! The server API's calls on one room.

use std::time::Instant;

use super::{ParticipantKey, Publisher, Room};
use crate::command::{AdminRequest, UpdateMetadata};
use crate::context::Context;
use crate::event::{AdminError, AdminReply, Event, LeaveAction, RoomEvent, RoundTrip};
use crate::id::{Identity, RequestId, TrackSid};
use crate::info::{DisconnectReason, Permission};
use crate::replica::ReplicaBody;

impl Room {
    /// Runs a call that concerns this room. `None` if another replica does, whose answer becomes the reply.
    pub(crate) fn administer(
        &mut self,
        cx: &mut Context,
        now: Instant,
        request: RequestId,
        command: AdminRequest,
    ) -> Option<Result<AdminReply, AdminError>> {
        let command = self.call_owner(cx, request, command)?;
        Some(self.administer_here(cx, now, command))
    }

    /// Runs a call on this replica.
    ///
    /// # Errors
    /// Says what does not exist or is not allowed.
    pub(super) fn administer_here(
        &mut self,
        cx: &mut Context,
        now: Instant,
        request: AdminRequest,
    ) -> Result<AdminReply, AdminError> {
        match request {
            AdminRequest::DeleteRoom { .. } => {
                let reason = DisconnectReason::RoomDeleted;
                self.tell_peers(cx, &ReplicaBody::Closed { reason });
                self.close(cx, now, reason);
                Ok(AdminReply::Done)
            }
            AdminRequest::ListParticipants { .. } => Ok(AdminReply::Participants(
                self.participants
                    .values()
                    .map(|p| &p.snapshot)
                    .chain(self.remote_infos())
                    .cloned()
                    .collect(),
            )),
            AdminRequest::GetParticipant { identity, .. } => self.participant_reply(&identity),
            AdminRequest::RemoveParticipant { identity, .. } => {
                let key = self.key_of(&identity)?;
                self.remove(
                    cx,
                    now,
                    key,
                    DisconnectReason::ParticipantRemoved,
                    Some(LeaveAction::Disconnect),
                );
                Ok(AdminReply::Done)
            }
            AdminRequest::MuteTrack {
                identity,
                track,
                muted,
                ..
            } => self.mute_published(cx, now, &identity, &track, muted),
            AdminRequest::UpdateParticipant {
                identity,
                metadata,
                permission,
                ..
            } => self.update_participant(cx, now, &identity, &metadata, permission),
            AdminRequest::UpdateSubscriptions {
                identity,
                tracks,
                subscribe,
                ..
            } => {
                let key = self.key_of(&identity)?;
                self.choose(cx, now, key, &tracks, subscribe);
                Ok(AdminReply::Done)
            }
            AdminRequest::SendData(data) => {
                self.send_data(cx, *data);
                Ok(AdminReply::Done)
            }
            AdminRequest::UpdateRoomMetadata { metadata, .. } => self.update_metadata(cx, metadata),
            AdminRequest::CreateRoom { .. } => Ok(AdminReply::Room(self.info())),
            AdminRequest::ListRooms { .. } | AdminRequest::Counters | AdminRequest::RoundTrips => {
                Err(AdminError::Invalid(
                    "the call does not concern one room".into(),
                ))
            }
        }
    }

    /// Round trips of those whose transport has measured one.
    pub(crate) fn round_trips(&self) -> impl Iterator<Item = RoundTrip> {
        self.participants.values().filter_map(|participant| {
            Some(RoundTrip {
                room: self.name().clone(),
                identity: participant.info.identity.clone(),
                round_trip: participant.scorer.measured_round_trip()?,
            })
        })
    }

    fn key_of(&self, identity: &Identity) -> Result<ParticipantKey, AdminError> {
        self.identities
            .get(identity)
            .copied()
            .ok_or(AdminError::NoSuchParticipant)
    }

    fn participant_reply(&self, identity: &Identity) -> Result<AdminReply, AdminError> {
        if let Some(remote) = self.remote_info(identity) {
            return Ok(AdminReply::Participant(remote));
        }
        let key = self.key_of(identity)?;
        self.snapshot(key)
            .map(AdminReply::Participant)
            .ok_or(AdminError::NoSuchParticipant)
    }

    fn mute_published(
        &mut self,
        cx: &mut Context,
        now: Instant,
        identity: &Identity,
        sid: &TrackSid,
        muted: bool,
    ) -> Result<AdminReply, AdminError> {
        let key = self.key_of(identity)?;
        if !muted && !cx.config.enable_remote_unmute {
            return Err(AdminError::RemoteUnmuteDisabled);
        }
        let track = self.track_by_sid(sid).ok_or(AdminError::NoSuchTrack)?;
        if self
            .tracks
            .get(track)
            .is_none_or(|track| track.publisher != Publisher::Local(key))
        {
            return Err(AdminError::NoSuchTrack);
        }
        self.set_muted(cx, now, sid, muted);
        let connection = self
            .participants
            .get(key)
            .and_then(|participant| participant.connection);
        cx.send(
            connection,
            Event::Mute {
                track: sid.clone(),
                muted,
            },
        );
        let info = self
            .tracks
            .get(track)
            .map(|track| track.info.clone())
            .ok_or(AdminError::NoSuchTrack)?;
        Ok(AdminReply::Track(Box::new(info)))
    }

    fn update_participant(
        &mut self,
        cx: &mut Context,
        now: Instant,
        identity: &Identity,
        metadata: &UpdateMetadata,
        permission: Option<Permission>,
    ) -> Result<AdminReply, AdminError> {
        let key = self.key_of(identity)?;
        if let Some(permission) = permission
            && let Some(participant) = self.participants.get_mut(key)
        {
            participant.info.permission = permission.clone();
            self.enforce_publish_permission(cx, now, key, &permission);
            self.enforce_subscribe_permission(cx, now, key);
        }
        self.apply_metadata(cx, now, key, metadata)
            .map_err(AdminError::LimitExceeded)?;
        self.participant_reply(identity)
    }

    fn update_metadata(
        &mut self,
        cx: &mut Context,
        metadata: String,
    ) -> Result<AdminReply, AdminError> {
        let limit = cx.config.max_metadata_bytes;
        if metadata.len() > limit {
            return Err(AdminError::LimitExceeded(format!(
                "metadata is longer than {limit} bytes"
            )));
        }
        self.config.metadata = metadata;
        self.tell_record(cx);
        let info = self.info();
        for participant in self.participants.values() {
            cx.send(participant.connection, Event::Room(Box::new(info.clone())));
        }
        cx.tell(RoomEvent::MetadataChanged { room: info.clone() });
        Ok(AdminReply::Room(info))
    }
}
