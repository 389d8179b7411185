//! Data messages and data tracks between replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Publisher, RemoteKey};
use crate::context::Context;
use crate::id::{DataTrackSid, Identity, PeerId};
use crate::info::ParticipantInfo;
use crate::replica::{RelayedData, ReplicaBody};
use crate::room::{DataTrackKey, Room};

impl Room {
    /// Passes a data message on to the replicas that have somebody to receive it.
    pub(in crate::room) fn relay_data(&mut self, cx: &mut Context, data: RelayedData) {
        if self.replicas.peers.is_empty() {
            return;
        }
        let peers: BTreeSet<PeerId> = if data.destinations.is_empty() {
            self.replicas.peers.keys().copied().collect()
        } else {
            let named = data
                .destinations
                .iter()
                .filter_map(|identity| self.remote_of(identity));
            named
                .filter_map(|key| self.owner_of(Publisher::Remote(key)))
                .collect()
        };
        let reliable = data.reliable;
        let data = Arc::new(data);
        for peer in peers {
            let body = ReplicaBody::Data(data.clone());
            if reliable {
                self.tell_peer(cx, peer, body);
            } else {
                self.tell_peer_plain(cx, peer, body);
            }
        }
    }

    pub(super) fn take_data(&mut self, cx: &mut Context, data: &RelayedData) {
        self.deliver_relayed(cx, data);
    }

    /// Data tracks of a peer that this replica's participants receive.
    pub(super) fn data_demands_of(&self, peer: PeerId) -> Vec<DataTrackSid> {
        let keys = self.remotes_of(peer);
        let remotes = keys
            .into_iter()
            .filter_map(|key| self.replicas.remotes.get(key));
        remotes
            .flat_map(|remote| &remote.data_tracks)
            .filter_map(|track| self.demanded_data_track(*track))
            .collect()
    }

    /// Somebody here began to receive a data track of another replica, or nobody does any more.
    pub(in crate::room) fn tell_data_demand(
        &mut self,
        cx: &mut Context,
        publisher: Publisher,
        track: DataTrackSid,
        wanted: bool,
    ) {
        if let Some(peer) = self.owner_of(publisher) {
            self.tell_peer(cx, peer, ReplicaBody::DataDemand { track, wanted });
        }
    }

    pub(super) fn take_data_demands(&mut self, peer: PeerId, wanted: &[DataTrackSid]) {
        for sid in self.data_tracks_relayed_to(peer) {
            if !wanted.contains(&sid) {
                self.take_data_demand(peer, &sid, false);
            }
        }
        for sid in wanted {
            self.take_data_demand(peer, sid, true);
        }
    }

    pub(in crate::room) fn relay_data_packet(
        &self,
        cx: &mut Context,
        peers: &BTreeSet<PeerId>,
        track: &DataTrackSid,
        packet: &Arc<[u8]>,
    ) {
        for peer in peers {
            let (track, packet) = (track.clone(), packet.clone());
            self.tell_peer_plain(cx, *peer, ReplicaBody::DataTrackPacket { track, packet });
        }
    }

    pub(super) fn take_data_packet(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        sid: &DataTrackSid,
        packet: Arc<[u8]>,
    ) {
        let Some((key, publisher)) = self.data_track_by_sid(sid) else {
            return;
        };
        if self.owner_of(publisher) == Some(peer) {
            self.forward_data_packet(cx, key, packet);
        }
    }

    /// Makes the data tracks of a remote participant as its owner tells.
    pub(super) fn update_data_tracks(
        &mut self,
        cx: &mut Context,
        key: RemoteKey,
        info: &ParticipantInfo,
    ) {
        let Some(remote) = self.replicas.remotes.get_mut(key) else {
            return;
        };
        let known = std::mem::take(&mut remote.data_tracks);
        let (kept, ended): (Vec<DataTrackKey>, Vec<DataTrackKey>) =
            known.into_iter().partition(|track| {
                let sid = self.data_track_sid(*track);
                info.data_tracks.iter().any(|told| Some(&told.sid) == sid)
            });
        self.end_data_tracks(cx, &ended);
        let mut tracks = kept;
        for told in &info.data_tracks {
            if self.data_track_by_sid(&told.sid).is_none() {
                tracks.push(self.insert_data_track(Publisher::Remote(key), told.clone()));
            }
        }
        if let Some(remote) = self.replicas.remotes.get_mut(key) {
            remote.data_tracks = tracks;
        }
    }

    pub(super) fn offer_remote_data_tracks(&mut self, cx: &mut Context, key: RemoteKey) {
        let tracks = self
            .replicas
            .remotes
            .get(key)
            .map(|remote| remote.data_tracks.clone());
        self.settle_data_tracks(cx, None, &tracks.unwrap_or_default());
    }

    /// Identities of participants, whatever replica they are connected to.
    pub(in crate::room) fn identities_of(&self, sids: &[crate::ParticipantSid]) -> Vec<Identity> {
        sids.iter()
            .filter_map(|sid| self.identity_of(sid))
            .collect()
    }

    /// The sid of a data track that somebody of this replica receives.
    pub(super) fn demanded_data_track(&self, key: DataTrackKey) -> Option<DataTrackSid> {
        let track = self.data_tracks.tracks.get(key)?;
        (!track.subscribers.is_empty()).then(|| track.info.sid.clone())
    }

    /// Data tracks that go to another replica.
    pub(super) fn data_tracks_relayed_to(&self, peer: PeerId) -> Vec<DataTrackSid> {
        let tracks = self.data_tracks.tracks.values();
        tracks
            .filter(|track| track.peers.contains(&peer))
            .map(|track| track.info.sid.clone())
            .collect()
    }

    /// Another replica has somebody who receives a data track, or no longer.
    pub(super) fn take_data_demand(&mut self, peer: PeerId, sid: &DataTrackSid, wanted: bool) {
        let key = self.data_tracks.by_sid.get(sid);
        let track = key.and_then(|key| self.data_tracks.tracks.get_mut(*key));
        if let Some(track) = track.filter(|track| track.publisher.local().is_some()) {
            if wanted {
                track.peers.insert(peer);
            } else {
                track.peers.remove(&peer);
            }
        }
    }

    /// Tells the owner of a track when the first of this replica's participants comes to receive it, and when the last goes.
    pub(in crate::room) fn data_subscribers_changed(
        &mut self,
        cx: &mut Context,
        key: DataTrackKey,
        had: bool,
    ) {
        let Some(track) = self.data_tracks.tracks.get(key) else {
            return;
        };
        let has = !track.subscribers.is_empty();
        if has != had {
            let (publisher, sid) = (track.publisher, track.info.sid.clone());
            self.tell_data_demand(cx, publisher, sid, has);
        }
    }
}
