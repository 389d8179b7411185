//! Sealing what is sent.

use crate::cipher::{Cipher, Protocol, apply_counter_mode, gcm_nonce, seal_gcm, sign};
use crate::header::{read_u32, rtp_header_len};
use crate::keys::{KeyError, MasterKey, Profile};

/// The E bit: what follows the header is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("no complete header: write it before sealing")]
    NoHeader,
    #[error("the key has sealed all it may: negotiate new keys (RFC 3711 section 9.2)")]
    Exhausted,
    #[error("the cryptography library refused to seal")]
    Refused,
}

impl From<crate::cipher::Refused> for SealError {
    fn from(_: crate::cipher::Refused) -> Self {
        Self::Refused
    }
}

/// Seals the packets of one direction of a connection.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    next_rtcp_index: u32,
}

impl Sealer {
    /// # Errors
    /// The cryptography library refuses the key.
    pub fn new(profile: Profile, master: &MasterKey) -> Result<Self, KeyError> {
        Ok(Self {
            rtp: Cipher::derive(profile, master, Protocol::Rtp)?,
            rtcp: Cipher::derive(profile, master, Protocol::Rtcp)?,
            next_rtcp_index: 0,
        })
    }

    /// Bytes added to an RTP packet.
    pub fn rtp_overhead(&self) -> usize {
        self.rtp.tag_len()
    }

    /// Seals the RTP packet that begins at `start` and ends with the buffer, and appends its tag. `index` is rollover
    /// counter and sequence number (48 bits), the lower half as in the header. It must be new for the SSRC.
    ///
    /// # Errors
    /// There is no complete header, or the index has more than 48 bits.
    pub fn seal_rtp(
        &self,
        buffer: &mut Vec<u8>,
        start: usize,
        index: u64,
    ) -> Result<(), SealError> {
        let packet = buffer.get_mut(start..).ok_or(SealError::NoHeader)?;
        let ssrc = read_u32(packet, 8).ok_or(SealError::NoHeader)?;
        let header = rtp_header_len(packet).ok_or(SealError::NoHeader)?;
        if index >> 48 != 0 {
            return Err(SealError::Exhausted);
        }
        let (clear, text) = packet.split_at_mut(header);
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let tag = seal_gcm(key, gcm_nonce(salt, ssrc, index), clear, text)?;
                buffer.extend_from_slice(&tag);
            }
            Cipher::Cm {
                key,
                salt,
                authentication,
            } => {
                apply_counter_mode(key, salt, ssrc, index, text)?;
                let rollovers = ((index >> 16) as u32).to_be_bytes();
                let tag = sign(authentication, [packet, &rollovers]);
                buffer.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// Seals the compound RTCP packet that begins at `start` and ends with the buffer, and appends tag and index.
    ///
    /// # Errors
    /// There is no complete header, or 2^31 packets have been sealed.
    pub fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let packet = buffer.get_mut(start..).ok_or(SealError::NoHeader)?;
        let ssrc = read_u32(packet, 4).ok_or(SealError::NoHeader)?;
        let index = self.next_rtcp_index;
        if index & ENCRYPTED != 0 {
            return Err(SealError::Exhausted);
        }
        self.next_rtcp_index += 1;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        let (clear, text) = packet.split_at_mut(8);
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let mut associated = [0; 12];
                associated[..8].copy_from_slice(clear);
                associated[8..].copy_from_slice(&trailer);
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let tag = seal_gcm(key, nonce, &associated, text)?;
                buffer.extend_from_slice(&tag);
                buffer.extend_from_slice(&trailer);
            }
            Cipher::Cm {
                key,
                salt,
                authentication,
            } => {
                apply_counter_mode(key, salt, ssrc, u64::from(index), text)?;
                let tag = sign(authentication, [packet, &trailer]);
                buffer.extend_from_slice(&trailer);
                buffer.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn from_session_keys(cipher: impl Fn() -> Cipher, next_rtcp_index: u32) -> Self {
        Self {
            rtp: cipher(),
            rtcp: cipher(),
            next_rtcp_index,
        }
    }
}
