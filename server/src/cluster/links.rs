//! Relayed media between the shards of this node and of others. Called by media threads and by the relay's thread: nothing
//! here waits.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::debug;
use tradewind_fleet::NodeId;
use tradewind_relay::{Delivery, Epoch, Event, MediaClass, MediaPacket, RelayHandle};
use tradewind_rtc::replica::RelayedPacket;
use tradewind_rtc::{PeerId, TrackKind};

use super::flow::Route;
use super::packet;
use super::peers::{Peer, Peers};
use crate::metrics;
use crate::shard::{Input, ShardHandle};

/// The way out of a shard for relayed packets.
pub(crate) struct Links {
    me: NodeId,
    peers: Arc<Peers>,
    shards: Arc<[ShardHandle]>,
    relay: Option<RelayHandle>,
}

impl Links {
    pub(super) fn new(
        me: NodeId,
        peers: Arc<Peers>,
        shards: Arc<[ShardHandle]>,
        relay: Option<RelayHandle>,
    ) -> Self {
        Self {
            me,
            peers,
            shards,
            relay,
        }
    }

    /// Sends a packet of `shard`. What the way cannot take is lost, as any packet may be.
    pub(crate) fn send(&self, shard: usize, peer: PeerId, packet: RelayedPacket) {
        let Ok(from_shard) = u16::try_from(shard) else {
            return;
        };
        let taken = match self.peers.resolve(peer) {
            Some(Peer::Sibling { shard: to }) => self.send_to_sibling(from_shard, to, packet),
            Some(Peer::Remote { node, shard: to }) => {
                self.send_to_node(from_shard, node, to, &packet)
            }
            None => false,
        };
        if !taken {
            metrics::relayed_lost();
        }
    }

    fn send_to_sibling(&self, from: u16, to: u16, packet: RelayedPacket) -> bool {
        let Some((peer, shard)) = self
            .peers
            .number(&self.me, from)
            .zip(self.shards.get(usize::from(to)))
        else {
            return false;
        };
        shard.try_send(Input::Relayed { peer, packet });
        true
    }

    fn send_to_node(
        &self,
        from_shard: u16,
        node: &tradewind_relay::NodeId,
        to_shard: u16,
        packet: &RelayedPacket,
    ) -> bool {
        let flow = packet.flow;
        let route = Route {
            from_shard,
            to_shard,
            flow,
        };
        let Some((relay, flow)) = self.relay.as_ref().zip(route.pack()) else {
            return false;
        };
        let mut rtp = Vec::new();
        packet::write(packet, &mut rtp);
        relay
            .send_media(node, class(packet), flow, Epoch(0), rtp.into())
            .is_ok()
    }
}

/// What a packet is worth to who waits for it.
fn class(packet: &RelayedPacket) -> MediaClass {
    match (packet.kind, packet.encoding) {
        (TrackKind::Audio, _) => MediaClass::Audio,
        (TrackKind::Video, 0) => MediaClass::VideoBase,
        (TrackKind::Video, _) => MediaClass::VideoEnhancement,
    }
}

/// What comes from other nodes.
pub(super) struct Arrivals {
    pub(super) peers: Arc<Peers>,
    pub(super) shards: Arc<[ShardHandle]>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Delivery for Arrivals {
    fn media(&self, node: &tradewind_relay::NodeId, arrived: MediaPacket) {
        let route = Route::unpack(arrived.flow);
        let peer = node
            .as_str()
            .parse()
            .ok()
            .and_then(|node| self.peers.number(&node, route.from_shard));
        let shard = self.shards.get(usize::from(route.to_shard));
        let kind = match arrived.class {
            MediaClass::Audio => TrackKind::Audio,
            _ => TrackKind::Video,
        };
        match (peer, shard, packet::read(route.flow, kind, &arrived.rtp)) {
            (Some(peer), Some(shard), Ok(packet)) => {
                shard.try_send(Input::Relayed { peer, packet })
            }
            (_, _, Err(error)) => debug!(%node, %error, "relayed packet refused"),
            _ => debug!(%node, "relayed packet for a shard that does not exist"),
        }
    }

    fn event(&self, event: Event) -> Result<(), Box<Event>> {
        match self.events.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(event)) => Err(Box::new(event)),
        }
    }
}
