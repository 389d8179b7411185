//! Settings of a shard. Every default stands here with its reason.

use std::net::SocketAddr;
use std::time::Duration;

use crate::info::RoomConfig;

/// Settings of a [`Shard`](crate::Shard).
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Addresses clients reach this shard at over UDP: advertised IP and port of the socket.
    pub udp_candidates: Vec<SocketAddr>,
    /// Addresses clients reach this node at over ICE/TCP (passive).
    pub tcp_candidates: Vec<SocketAddr>,
    /// Rooms appear when the first participant joins.
    pub auto_create_rooms: bool,
    /// What rooms are like unless their creator says otherwise.
    pub room_defaults: RoomConfig,
    /// The server API may unmute tracks.
    pub enable_remote_unmute: bool,
    /// Participants on this shard.
    pub max_participants: u32,
    /// Tracks one participant may publish.
    pub max_tracks_per_participant: u32,
    /// Data tracks one participant may publish.
    pub max_data_tracks_per_participant: u32,
    /// Bytes of a room's or participant's metadata.
    pub max_metadata_bytes: usize,
    /// Bytes of all attribute keys and values of a participant.
    pub max_attributes_bytes: usize,
    /// How long a session whose media still flows may be without signalling. SDKs give up after about this long.
    pub resume_timeout: Duration,
    /// How long a joined participant may take until its transport is up.
    pub connect_timeout: Duration,
    /// How long layers nobody wants keep being asked for, so that quick changes of mind cost nothing.
    pub dynacast_pause_delay: Duration,
    /// First guess of a subscriber's downlink, bits per second.
    pub initial_bandwidth: u64,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self {
            udp_candidates: Vec::new(),
            tcp_candidates: Vec::new(),
            auto_create_rooms: true,
            room_defaults: RoomConfig::default(),
            enable_remote_unmute: false,
            max_participants: 10_000,
            max_tracks_per_participant: 64,
            // A robot may have a track per joint and sensor; all are named in every update of the participant.
            max_data_tracks_per_participant: 256,
            max_metadata_bytes: 512 * 1024,
            max_attributes_bytes: 64 * 1024,
            resume_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(60),
            dynacast_pause_delay: Duration::from_secs(5),
            // Enough for a 720p camera at once; probing corrects it within a second.
            initial_bandwidth: 2_000_000,
        }
    }
}
