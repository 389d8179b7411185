//! SRTP and SRTCP (RFC 3711, RFC 7714) in the caller's own buffers.
//!
//! [`Sealer`] and [`Opener`] hold their key schedules ready and work in place. [`tap`] takes the keys from a DTLS
//! handshake that str0m performs, so that media can be sealed outside str0m. Whoever seals owns the counters: a
//! packet index must never be sealed twice for one SSRC, by anybody.

mod cipher;
mod header;
mod keys;
mod open;
mod seal;
mod signing;
pub mod tap;
#[cfg(test)]
mod tests;
mod window;

pub use header::rtp_header_len;
pub use keys::{KeyError, KeyingMaterial, MasterKey, Profile};
pub use open::{OpenError, OpenedRtp, Opener};
pub use seal::{SealError, Sealer};
pub use window::ReplayWindow;

/// Most bytes that sealing adds to an RTP packet.
pub const MAX_RTP_OVERHEAD: usize = 16;
/// Most bytes that sealing adds to an RTCP packet: tag and index.
pub const MAX_RTCP_OVERHEAD: usize = 20;
