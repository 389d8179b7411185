//! What happened to datagrams outside the rooms.

/// Totals of one shard's sockets since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketCounters {
    /// Datagrams read from the UDP socket.
    pub(crate) udp_in: u64,
    /// Datagrams handed to the kernel.
    pub(crate) udp_out: u64,
    /// Calls that handed them over: `udp_out` divided by this is the achieved batch.
    pub(crate) udp_sends: u64,
    /// Empty datagrams, and those to an address family that has no candidate.
    pub(crate) udp_in_discarded: u64,
    /// Datagrams dropped because the kernel's send buffer stayed full.
    pub(crate) udp_out_dropped: u64,
    /// Datagrams the kernel refused to send.
    pub(crate) udp_out_failed: u64,
    /// Failed reads of the UDP socket.
    pub(crate) udp_in_failed: u64,
    /// Frames taken from ICE/TCP connections.
    pub(crate) tcp_in: u64,
    /// Frames handed to ICE/TCP connections.
    pub(crate) tcp_out: u64,
    /// Frames dropped because the connection was gone or its queue was full.
    pub(crate) tcp_out_dropped: u64,
    /// Signalling connections given up because their reader fell behind.
    pub(crate) slow_connections: u64,
    /// Turns of the thread that panicked.
    pub(crate) turn_panics: u64,
}
