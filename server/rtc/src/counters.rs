//! Plain counters of one shard, copied out as a value when somebody asks.

/// Why a datagram or packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// Neither STUN, DTLS nor RTP by its first byte, or too short.
    Unrecognised,
    /// STUN for a user fragment nobody here has.
    UnknownFragment,
    /// STUN whose message integrity does not match.
    BadIntegrity,
    /// DTLS or RTP from an address ICE has not validated.
    UnvalidatedAddress,
    /// The transport refused the datagram.
    TransportError,
    /// RTP for which no published track is known.
    UnknownTrack,
    /// Outgoing data message larger than the channel's buffer.
    DataBufferFull,
    /// Outgoing packet whose number its stream had used before, or before its transport had keys.
    Repeated,
    /// Outgoing video for which the path had no room in time.
    PacingQueueFull,
    /// Data message refused: no permission, malformed or repeated.
    DataRefused,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Unrecognised,
        Self::UnknownFragment,
        Self::BadIntegrity,
        Self::UnvalidatedAddress,
        Self::TransportError,
        Self::UnknownTrack,
        Self::DataBufferFull,
        Self::Repeated,
        Self::PacingQueueFull,
        Self::DataRefused,
    ];

    /// Metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unrecognised => "unrecognised",
            Self::UnknownFragment => "unknown_fragment",
            Self::BadIntegrity => "bad_integrity",
            Self::UnvalidatedAddress => "unvalidated_address",
            Self::TransportError => "transport_error",
            Self::UnknownTrack => "unknown_track",
            Self::DataBufferFull => "data_buffer_full",
            Self::Repeated => "repeated",
            Self::PacingQueueFull => "pacing_queue_full",
            Self::DataRefused => "data_refused",
        }
    }
}

/// Totals since the shard started, and gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rooms: u64,
    pub participants: u64,
    pub tracks_audio: u64,
    pub tracks_video: u64,
    pub subscriptions: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub rtp_in: u64,
    pub rtp_out: u64,
    /// Media packets from other replicas.
    pub relayed_in: u64,
    /// Media packets to other replicas.
    pub relayed_out: u64,
    /// RTP packets sent again because a subscriber missed them, or to measure its bandwidth.
    pub rtp_resent: u64,
    pub data_messages_in: u64,
    pub data_messages_out: u64,
    /// Key-frame requests received from subscribers.
    pub keyframe_requests_in: u64,
    /// Key-frame requests sent to publishers.
    pub keyframe_requests_out: u64,
    /// NACKs received from subscribers.
    pub nacks_in: u64,
    /// NACKs sent to publishers.
    pub nacks_out: u64,
    /// Transports ended by a panic.
    pub transport_panics: u64,
    /// By [`DropReason`], in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    /// Counts one drop.
    pub fn drop_one(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
