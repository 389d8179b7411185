//! Server API calls on participants of other replicas.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Publisher;
use crate::command::AdminRequest;
use crate::context::Context;
use crate::event::{AdminError, AdminReply, Output};
use crate::id::{PeerId, RequestId};
use crate::replica::{RemoteAnswer, RemoteCall, ReplicaBody};
use crate::room::Room;

/// A node that has not answered by then does not.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Calls that wait for another replica's answer.
#[derive(Default)]
pub(super) struct Calls {
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
}

struct Waiting {
    peer: PeerId,
    request: RequestId,
    until: Instant,
}

impl Calls {
    fn add(&mut self, peer: PeerId, request: RequestId, until: Instant) -> u64 {
        self.last += 1;
        let waiting = Waiting {
            peer,
            request,
            until,
        };
        self.waiting.insert(self.last, waiting);
        self.last
    }

    pub(super) fn answered(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        id: u64,
        answer: Result<RemoteAnswer, AdminError>,
    ) {
        if self
            .waiting
            .get(&id)
            .is_none_or(|waiting| waiting.peer != peer)
        {
            return;
        }
        let reply = answer.map(|answer| match answer {
            RemoteAnswer::Done => AdminReply::Done,
            RemoteAnswer::Participant(info) => AdminReply::Participant(info),
            RemoteAnswer::Track(info) => AdminReply::Track(info),
        });
        if let Some(waiting) = self.waiting.remove(&id) {
            cx.outputs.push_back(Output::Reply(waiting.request, reply));
        }
    }

    /// A peer will not answer any more.
    pub(super) fn abandon(&mut self, cx: &mut Context, peer: PeerId) {
        self.give_up(cx, |waiting| waiting.peer == peer);
    }

    /// Gives up what waited too long; says when to look again.
    pub(super) fn expire(&mut self, cx: &mut Context) -> Option<Instant> {
        let now = cx.now;
        self.give_up(cx, |waiting| waiting.until <= now);
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    fn give_up(&mut self, cx: &mut Context, lost: impl Fn(&Waiting) -> bool) {
        self.waiting.retain(|_, waiting| {
            if lost(waiting) {
                let reply = Err(AdminError::Unreachable);
                cx.outputs.push_back(Output::Reply(waiting.request, reply));
                return false;
            }
            true
        });
    }
}

impl Room {
    /// Passes a call on to the replica that owns the participant; gives it back if that is this one.
    pub(in crate::room) fn call_owner(
        &mut self,
        cx: &mut Context,
        request: RequestId,
        command: AdminRequest,
    ) -> Option<AdminRequest> {
        let (AdminRequest::RemoveParticipant { identity, .. }
        | AdminRequest::MuteTrack { identity, .. }
        | AdminRequest::UpdateParticipant { identity, .. }
        | AdminRequest::UpdateSubscriptions { identity, .. }) = &command
        else {
            return Some(command);
        };
        let owner = self.remote_of(identity).map(Publisher::Remote);
        let Some(peer) = owner.and_then(|owner| self.owner_of(owner)) else {
            return Some(command);
        };
        let call = match command {
            AdminRequest::RemoveParticipant { identity, .. } => RemoteCall::Remove { identity },
            AdminRequest::MuteTrack {
                identity,
                track,
                muted,
                ..
            } => RemoteCall::Mute {
                identity,
                track,
                muted,
            },
            AdminRequest::UpdateParticipant {
                identity,
                metadata,
                permission,
                ..
            } => RemoteCall::Update {
                identity,
                metadata,
                permission,
            },
            AdminRequest::UpdateSubscriptions {
                identity,
                tracks,
                subscribe,
                ..
            } => RemoteCall::UpdateSubscriptions {
                identity,
                tracks,
                subscribe,
            },
            other => return Some(other),
        };
        let until = cx.now + ANSWER_WITHIN;
        let id = self.replicas.calls.add(peer, request, until);
        self.arm_replica(cx, until);
        let call = Box::new(call);
        self.tell_peer(cx, peer, ReplicaBody::Call { id, call });
        None
    }

    /// Runs another replica's call here. It is not passed on again: who asked may not know yet where the participant is now.
    pub(super) fn take_call(&mut self, cx: &mut Context, peer: PeerId, id: u64, call: RemoteCall) {
        let room = self.name.clone();
        let request = match call {
            RemoteCall::Remove { identity } => AdminRequest::RemoveParticipant { room, identity },
            RemoteCall::Mute {
                identity,
                track,
                muted,
            } => AdminRequest::MuteTrack {
                room,
                identity,
                track,
                muted,
            },
            RemoteCall::Update {
                identity,
                metadata,
                permission,
            } => AdminRequest::UpdateParticipant {
                room,
                identity,
                metadata,
                permission,
            },
            RemoteCall::UpdateSubscriptions {
                identity,
                tracks,
                subscribe,
            } => AdminRequest::UpdateSubscriptions {
                room,
                identity,
                tracks,
                subscribe,
            },
        };
        let answer = self
            .administer_here(cx, cx.now, request)
            .map(|reply| match reply {
                AdminReply::Participant(info) => RemoteAnswer::Participant(info),
                AdminReply::Track(info) => RemoteAnswer::Track(info),
                _ => RemoteAnswer::Done,
            });
        self.tell_peer(cx, peer, ReplicaBody::Answer { id, answer });
    }
}
