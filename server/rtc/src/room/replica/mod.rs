//! This room's part in a room on several shards: its peers, and the participants they own.
//!
//! [`crate::replica`] tells how replicas work together. Here, one file per concern: [`peers`] (who holds replicas, and
//! messages in and out), [`tell`] (what this replica owns), [`show`] (what others own), [`relay`] (media), [`demand`] (which of it),
//! [`data`],
//! [`call`] (server API calls on others' participants).

mod call;
mod data;
mod demand;
mod peers;
mod relay;
mod show;
mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;

use slotmap::SlotMap;

use self::call::Calls;
use super::{DataTrackKey, ParticipantKey, Room, TrackKey};
use crate::command::SubscriptionPermission;
use crate::event::QualityReport;
use crate::id::{Identity, ParticipantSid, PeerId};
use crate::info::{ParticipantInfo, ParticipantState};
use crate::media::clock::CaptureClock;
use crate::replica::{HeldDemand, Inbox, LayerDemand, Outbox, ReplicaParticipant};

slotmap::new_key_type! {
    /// A participant that another replica owns.
    pub(crate) struct RemoteKey;
}

/// Who publishes a track: a participant of this replica, or of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publisher {
    Local(ParticipantKey),
    Remote(RemoteKey),
}

impl Publisher {
    pub(super) fn local(self) -> Option<ParticipantKey> {
        match self {
            Self::Local(key) => Some(key),
            Self::Remote(_) => None,
        }
    }

    pub(super) fn remote(self) -> Option<RemoteKey> {
        match self {
            Self::Local(_) => None,
            Self::Remote(key) => Some(key),
        }
    }
}

/// What this replica knows of the others.
#[derive(Default)]
pub(super) struct Replicas {
    /// Changes of the room's configuration so far.
    pub(super) version: u64,
    peers: BTreeMap<PeerId, Peer>,
    /// Lives of peers that are over, by the epoch before which they began.
    fences: BTreeMap<PeerId, u64>,
    remotes: SlotMap<RemoteKey, Remote>,
    by_sid: BTreeMap<ParticipantSid, RemoteKey>,
    by_identity: BTreeMap<Identity, Vec<RemoteKey>>,
    /// Levels of own speakers as last told.
    levels: BTreeMap<ParticipantSid, f32>,
    calls: Calls,
}

/// A replica of the room elsewhere.
struct Peer {
    outbox: Outbox,
    inbox: Inbox,
    /// The link is down, and nobody has given the peer up yet.
    cut: bool,
}

/// A participant that another replica owns.
struct Remote {
    peer: PeerId,
    told: Arc<ReplicaParticipant>,
    /// No newer session of its identity is known, so that it is part of the room.
    present: bool,
    tracks: Vec<TrackKey>,
    data_tracks: Vec<DataTrackKey>,
    clock: CaptureClock<TrackKey>,
    /// 0 to 1 while it speaks.
    level: Option<f32>,
    quality: Option<QualityReport>,
}

impl Remote {
    fn info(&self) -> &Arc<ParticipantInfo> {
        &self.told.info
    }

    /// Whether participants know of it.
    fn is_announced(&self) -> bool {
        let info = self.info();
        self.present && info.state >= ParticipantState::Joined && !info.permission.hidden
    }
}

/// Another replica that receives a track of this one.
pub(super) struct Relay {
    pub(super) peer: PeerId,
    pub(super) demand: LayerDemand,
    /// The link is down.
    pub(super) paused: bool,
    /// The encoding that goes out in place of one that dried up.
    pub(super) stand_in: Option<usize>,
}

/// What a track has to do with other replicas.
#[derive(Default)]
pub(super) struct TrackRelays {
    /// Of a track of this replica: where it goes.
    pub(super) to: Vec<Relay>,
    /// Of a track of another replica: what its owner was told.
    pub(super) demand: HeldDemand,
}

impl Room {
    /// What everybody knows of a publisher.
    pub(super) fn publisher_info(&self, publisher: Publisher) -> Option<&ParticipantInfo> {
        match publisher {
            Publisher::Local(key) => self.participants.get(key).map(|owner| &owner.info),
            Publisher::Remote(key) => self
                .replicas
                .remotes
                .get(key)
                .map(|remote| &**remote.info()),
        }
    }

    /// Whom a publisher lets have its tracks; `None` = everybody.
    pub(super) fn publisher_rules(&self, publisher: Publisher) -> Option<&SubscriptionPermission> {
        match publisher {
            Publisher::Local(key) => self.participants.get(key)?.uplink.permission.as_ref(),
            Publisher::Remote(key) => {
                let remote = self.replicas.remotes.get(key)?;
                remote.told.subscription_permission.as_ref()
            }
        }
    }

    /// Participants of other replicas, the hidden ones included.
    pub(super) fn remote_infos(&self) -> impl Iterator<Item = &Arc<ParticipantInfo>> {
        let remotes = self.replicas.remotes.values();
        remotes.filter(|remote| remote.present).map(Remote::info)
    }

    /// Participants of other replicas that others may see.
    pub(super) fn announced_remotes(&self) -> impl Iterator<Item = &Arc<ParticipantInfo>> {
        let remotes = self.replicas.remotes.values();
        remotes
            .filter(|remote| remote.is_announced())
            .map(Remote::info)
    }

    /// The participant of another replica that has this identity.
    pub(super) fn remote_of(&self, identity: &Identity) -> Option<RemoteKey> {
        let keys = self.replicas.by_identity.get(identity)?;
        let present = |key: &RemoteKey| self.replicas.remotes.get(*key).is_some_and(|r| r.present);
        keys.iter().copied().find(present)
    }

    /// What a participant of another replica shows of itself.
    pub(super) fn remote_info(&self, identity: &Identity) -> Option<Arc<ParticipantInfo>> {
        let remote = self.replicas.remotes.get(self.remote_of(identity)?)?;
        Some(remote.info().clone())
    }

    /// The newest session of an identity that is known, counted from 1.
    pub(super) fn generation(&self, identity: &Identity) -> u64 {
        let local = self
            .identities
            .get(identity)
            .and_then(|key| self.participants.get(*key));
        let remotes = self
            .replicas
            .by_identity
            .get(identity)
            .into_iter()
            .flatten();
        remotes
            .filter_map(|key| self.replicas.remotes.get(*key))
            .map(|remote| remote.told.generation)
            .chain(local.map(|participant| participant.generation))
            .max()
            .unwrap_or(0)
    }

    /// The clock that ties a publisher's tracks together.
    pub(super) fn clock_of(&mut self, publisher: Publisher) -> Option<&mut CaptureClock<TrackKey>> {
        match publisher {
            Publisher::Local(key) => Some(&mut self.participants.get_mut(key)?.uplink.clock),
            Publisher::Remote(key) => Some(&mut self.replicas.remotes.get_mut(key)?.clock),
        }
    }

    /// The identity of a participant of any replica.
    pub(super) fn identity_of(&self, sid: &ParticipantSid) -> Option<Identity> {
        if let Some(key) = self.participant_by_sid(sid) {
            return self.participants.get(key).map(|p| p.identity().clone());
        }
        let key = self.replicas.by_sid.get(sid)?;
        Some(self.replicas.remotes.get(*key)?.info().identity.clone())
    }
}
