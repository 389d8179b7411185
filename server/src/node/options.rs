//! What a node is started with.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tradewind_rtc::{RoomConfig, ShardConfig};

use crate::config::Settings;

/// ICE/TCP connections open at a time for each participant allowed: two peer connections, and room for reconnects.
const TCP_CONNECTIONS_PER_PARTICIPANT: usize = 4;
/// ICE/TCP connections open at a time from one address, such as an office behind one router.
const TCP_CONNECTIONS_PER_ADDRESS: usize = 256;

/// Sockets and limits of a [`Node`](super::Node).
#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    /// Media threads, at least one.
    pub(crate) shards: u16,
    /// Whether media threads run ahead of all other work on the machine.
    pub(crate) realtime: bool,
    /// Participants of a room on one shard before the next one to come goes to another; 0 = any number.
    pub(crate) spread_room_after: u32,
    /// UDP address of the first shard; each further shard takes the next port. Port 0 = any free port for each.
    pub(crate) udp: SocketAddr,
    /// ICE/TCP address; port 0 = any free port. `None` = off.
    pub(crate) tcp: Option<SocketAddr>,
    /// Addresses clients reach the sockets at; at least one.
    pub(crate) advertise: Vec<IpAddr>,
    /// ICE/TCP connections open at a time.
    pub(crate) max_tcp_connections: usize,
    /// ICE/TCP connections open at a time from one address.
    pub(crate) max_tcp_connections_per_address: usize,
    /// For every shard; the candidates are filled in by the node.
    pub(crate) shard: ShardConfig,
}

impl NodeOptions {
    /// # Errors
    /// No interface leads outwards: then `rtc.advertise` must be set.
    pub(crate) fn from_settings(settings: &Settings) -> io::Result<Self> {
        let rtc = &settings.rtc;
        let limits = &settings.limits;
        let shards = rtc.shard_count();
        let participants = usize::try_from(limits.participants).unwrap_or(usize::MAX);
        Ok(Self {
            shards,
            realtime: rtc.realtime,
            spread_room_after: rtc.spread_room_after,
            udp: SocketAddr::new(rtc.bind, rtc.udp_port),
            tcp: (rtc.tcp_port != 0).then(|| SocketAddr::new(rtc.bind, rtc.tcp_port)),
            advertise: rtc.advertised()?,
            max_tcp_connections: participants.saturating_mul(TCP_CONNECTIONS_PER_PARTICIPANT),
            max_tcp_connections_per_address: TCP_CONNECTIONS_PER_ADDRESS,
            shard: ShardConfig {
                room_defaults: RoomConfig {
                    empty_timeout_s: settings.room.empty_timeout_s,
                    departure_timeout_s: settings.room.departure_timeout_s,
                    max_participants: settings.room.max_participants,
                    ..RoomConfig::default()
                },
                auto_create_rooms: settings.room.auto_create,
                enable_remote_unmute: settings.room.enable_remote_unmute,
                max_participants: limits.participants.div_ceil(u32::from(shards)),
                max_tracks_per_participant: limits.tracks_per_participant,
                max_metadata_bytes: limits.metadata_bytes,
                max_attributes_bytes: limits.attributes_bytes,
                ..ShardConfig::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_as_the_settings_say() {
        let mut settings = Settings::default();
        settings.rtc.bind = std::net::Ipv4Addr::LOCALHOST.into();
        settings.room.empty_timeout_s = 30;
        settings.room.departure_timeout_s = 1;
        settings.room.max_participants = 7;
        let rooms = NodeOptions::from_settings(&settings)
            .unwrap()
            .shard
            .room_defaults;
        let numbers = (
            rooms.empty_timeout_s,
            rooms.departure_timeout_s,
            rooms.max_participants,
        );
        assert_eq!(numbers, (30, 1, 7));
    }
}
