//! What participants here want of other replicas' tracks, and those there of this one's.

use std::time::Duration;

use super::{Publisher, Relay};
use crate::context::Context;
use crate::event::Event;
use crate::id::{PeerId, TrackSid};
use crate::info::TrackKind;
use crate::replica::{LayerDemand, ReplicaBody};
use crate::room::track::Track;
use crate::room::{ParticipantKey, Room, TrackKey};

/// How often is looked for encodings that are no longer forwarded after a switch.
const REVIEW: Duration = Duration::from_secs(1);

impl Room {
    /// What this replica's participants want of a track of another may have changed.
    pub(in crate::room) fn review_demand(&mut self, cx: &mut Context, key: TrackKey) {
        let Some(track) = self.tracks.get(key) else {
            return;
        };
        let Some(peer) = self.owner_of(track.publisher) else {
            return;
        };
        let wanted = self.wanted_of(track);
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        let changed = track.relays.demand.update(cx.now, wanted);
        let (told, lower_at) = (
            track.relays.demand.told(),
            track.relays.demand.poll_timeout(),
        );
        let sid = track.info.sid.clone();
        if let Some(demand) = changed {
            self.tell_peer(cx, peer, ReplicaBody::Demand { track: sid, demand });
        }
        if let Some(at) = lower_at {
            self.arm_replica(cx, at);
        }
        if told.encodings.count_ones() > 1 {
            self.arm_replica(cx, cx.now + REVIEW);
        }
    }

    /// Looks at everything a participant receives from other replicas.
    pub(in crate::room) fn review_demands_of(&mut self, cx: &mut Context, key: ParticipantKey) {
        if self.replicas.remotes.is_empty() {
            return;
        }
        let subscriptions = self
            .participants
            .get(key)
            .map(|p| p.downlink.subscriptions.clone());
        for subscription in subscriptions.unwrap_or_default() {
            if let Some(subscription) = self.subscriptions.get(subscription) {
                self.review_demand(cx, subscription.track);
            }
        }
    }

    pub(super) fn review_all_demands(&mut self, cx: &mut Context) {
        if self.replicas.remotes.is_empty() {
            return;
        }
        let tracks: Vec<TrackKey> = self.tracks.keys().collect();
        for track in tracks {
            self.review_demand(cx, track);
        }
    }

    fn wanted_of(&self, track: &Track) -> LayerDemand {
        let top = track.top_encoding() as u8;
        let mut wanted = LayerDemand::default();
        let subscriptions = track.subscribers.iter();
        for subscription in subscriptions.filter_map(|key| self.subscriptions.get(*key)) {
            if subscription.disabled {
                continue;
            }
            if track.info.kind == TrackKind::Video {
                wanted.quality = wanted.quality.max(Some(subscription.wanted));
            }
            if subscription.is_flowing() {
                // While a switch is under way the old layer is still needed.
                let layers = [
                    subscription.forwarder.target(),
                    subscription.forwarder.current(),
                ];
                for layer in layers.into_iter().flatten() {
                    wanted.encodings |= 1 << layer.spatial.min(top);
                }
            }
        }
        wanted
    }

    /// Another replica wants more or less of an own track.
    pub(super) fn take_demand(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        sid: &TrackSid,
        demand: LayerDemand,
    ) {
        let Some(key) = self.track_by_sid(sid) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        let Publisher::Local(publisher) = track.publisher else {
            return;
        };
        let relays = &mut track.relays.to;
        let before = match relays.iter_mut().find(|relay| relay.peer == peer) {
            Some(relay) => std::mem::replace(&mut relay.demand, demand),
            None => {
                relays.push(Relay {
                    peer,
                    demand,
                    paused: false,
                    stand_in: None,
                });
                LayerDemand::default()
            }
        };
        relays.retain(|relay| relay.demand != LayerDemand::default());
        let wanted = demand != LayerDemand::default();
        let tell = wanted && !std::mem::replace(&mut track.subscription_told, true);
        let (video, encodings) = (
            track.info.kind == TrackKind::Video,
            track.top_encoding() + 1,
        );
        if tell {
            let connection = self.participants.get(publisher).and_then(|p| p.connection);
            cx.send(connection, Event::TrackSubscribed { track: sid.clone() });
        }
        self.demand_changed(cx, cx.now, key);
        for encoding in (0..encodings).filter(|_| video) {
            if demand.wants(encoding) && !before.wants(encoding) {
                self.request_key_frame(cx, cx.now, key, 0, encoding);
            }
        }
    }

    /// Takes everything a peer wants; what it does not name it does not want.
    pub(super) fn take_demands(
        &mut self,
        cx: &mut Context,
        peer: PeerId,
        demands: &[(TrackSid, LayerDemand)],
    ) {
        let relayed = |track: &&Track| track.relays.to.iter().any(|relay| relay.peer == peer);
        let unnamed: Vec<TrackSid> = self
            .tracks
            .values()
            .filter(relayed)
            .map(|track| track.info.sid.clone())
            .filter(|sid| !demands.iter().any(|(named, _)| named == sid))
            .collect();
        for sid in unnamed {
            self.take_demand(cx, peer, &sid, LayerDemand::default());
        }
        for (sid, demand) in demands {
            self.take_demand(cx, peer, sid, *demand);
        }
    }

    /// Nothing goes to a peer any more.
    pub(super) fn end_relays(&mut self, cx: &mut Context, peer: PeerId) {
        self.take_demands(cx, peer, &[]);
        self.take_data_demands(peer, &[]);
    }

    pub(super) fn pause_relays(&mut self, cx: &mut Context, peer: PeerId, paused: bool) {
        let mut back = Vec::new();
        for (key, track) in &mut self.tracks {
            for relay in track
                .relays
                .to
                .iter_mut()
                .filter(|relay| relay.peer == peer)
            {
                relay.paused = paused;
                if !paused && track.info.kind == TrackKind::Video {
                    back.push((key, relay.demand));
                }
            }
        }
        for (key, demand) in back {
            for encoding in (0..8).filter(|encoding| demand.wants(*encoding)) {
                self.request_key_frame(cx, cx.now, key, 0, encoding);
            }
        }
    }

    /// The best quality other replicas have use for.
    pub(in crate::room) fn relayed_quality(track: &Track) -> Option<crate::VideoQuality> {
        let relays = track.relays.to.iter();
        relays.filter_map(|relay| relay.demand.quality).max()
    }
}
