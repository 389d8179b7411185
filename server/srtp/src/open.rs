//! Opening what is received.

use std::collections::BTreeMap;

use aws_lc_rs::aead::Aad;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::cipher::{Cipher, Protocol, apply_counter_mode, gcm_nonce, sign};
use crate::header::{read_u16, read_u32, rtp_header_len};
use crate::keys::{KeyError, MasterKey, Profile};
use crate::window::ReplayWindow;

const ENCRYPTED: u32 = 1 << 31;
/// SSRCs of one protocol that are kept apart. Only packets of the peer itself, authenticated, add one.
const MAX_SSRCS: usize = 1_024;

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("no SRTP packet: too short, or its header is broken")]
    Malformed,
    #[error("seen before, or too old to tell")]
    Replayed,
    #[error("authentication failed: other keys, or changed on the way")]
    Unauthentic,
    #[error("the peer uses more synchronisation sources than a connection may")]
    TooManySources,
}

impl From<crate::cipher::Refused> for OpenError {
    fn from(_: crate::cipher::Refused) -> Self {
        Self::Unauthentic
    }
}

/// An RTP packet in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedRtp {
    pub ssrc: u32,
    /// Rollover counter and sequence number.
    pub index: u64,
    /// Bytes of the header; the payload follows.
    pub header_len: usize,
    /// Bytes of header and payload.
    pub len: usize,
}

/// Opens the packets of one direction of a connection.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_seen: BTreeMap<u32, ReplayWindow>,
    rtcp_seen: BTreeMap<u32, ReplayWindow>,
}

impl Opener {
    /// # Errors
    /// The cryptography library refuses the key.
    pub fn new(profile: Profile, master: &MasterKey) -> Result<Self, KeyError> {
        Ok(Self {
            rtp: Cipher::derive(profile, master, Protocol::Rtp)?,
            rtcp: Cipher::derive(profile, master, Protocol::Rtcp)?,
            rtp_seen: BTreeMap::new(),
            rtcp_seen: BTreeMap::new(),
        })
    }

    /// Opens an RTP packet in place. A failed attempt leaves the buffer in an undefined state.
    ///
    /// # Errors
    /// The packet is malformed, not authentic or a replay.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<OpenedRtp, OpenError> {
        let header_len = rtp_header_len(packet).ok_or(OpenError::Malformed)?;
        let sequence = read_u16(packet, 2).ok_or(OpenError::Malformed)?;
        let ssrc = read_u32(packet, 8).ok_or(OpenError::Malformed)?;
        let len = packet
            .len()
            .checked_sub(self.rtp.tag_len())
            .filter(|len| *len >= header_len)
            .ok_or(OpenError::Malformed)?;
        let seen = self.rtp_seen.get(&ssrc);
        let index = guess_index(seen.and_then(ReplayWindow::highest), sequence);
        check_source(&self.rtp_seen, ssrc, index)?;
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let (clear, sealed) = packet.split_at_mut(header_len);
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(&*clear), sealed)
                    .map_err(|_| OpenError::Unauthentic)?;
            }
            Cipher::Cm {
                key,
                salt,
                authentication,
            } => {
                let (signed, tag) = packet.split_at_mut(len);
                let rollovers = ((index >> 16) as u32).to_be_bytes();
                verify_slices_are_equal(&sign(authentication, [signed, &rollovers]), tag)
                    .map_err(|_| OpenError::Unauthentic)?;
                let text = signed.get_mut(header_len..).unwrap_or_default();
                apply_counter_mode(key, salt, ssrc, index, text)?;
            }
        }
        self.rtp_seen.entry(ssrc).or_default().note(index);
        Ok(OpenedRtp {
            ssrc,
            index,
            header_len,
            len,
        })
    }

    /// Opens a compound RTCP packet in place; gives back its bytes in the clear.
    ///
    /// # Errors
    /// The packet is malformed, not authentic or a replay.
    pub fn open_rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], OpenError> {
        let tag_len = self.rtcp.tag_len();
        let len = packet
            .len()
            .checked_sub(tag_len + 4)
            .filter(|len| *len >= 8)
            .ok_or(OpenError::Malformed)?;
        let ssrc = read_u32(packet, 4).ok_or(OpenError::Malformed)?;
        let trailer_at = match &self.rtcp {
            Cipher::Gcm { .. } => len + tag_len,
            Cipher::Cm { .. } => len,
        };
        let trailer = read_u32(packet, trailer_at).ok_or(OpenError::Malformed)?;
        let (encrypted, index) = (trailer & ENCRYPTED != 0, trailer & !ENCRYPTED);
        let trailer = trailer.to_be_bytes();
        check_source(&self.rtcp_seen, ssrc, u64::from(index))?;
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                // Reports that are only authenticated are allowed by RFC 7714 but used by nobody.
                if !encrypted {
                    return Err(OpenError::Unauthentic);
                }
                let mut associated = [0; 12];
                associated[..8].copy_from_slice(packet.get(..8).ok_or(OpenError::Malformed)?);
                associated[8..].copy_from_slice(&trailer);
                let sealed = packet
                    .get_mut(8..len + tag_len)
                    .ok_or(OpenError::Malformed)?;
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                key.open_in_place(nonce, Aad::from(&associated), sealed)
                    .map_err(|_| OpenError::Unauthentic)?;
            }
            Cipher::Cm {
                key,
                salt,
                authentication,
            } => {
                let (signed, tag) = packet.split_at_mut(len + 4);
                verify_slices_are_equal(&sign(authentication, [signed, &[]]), tag)
                    .map_err(|_| OpenError::Unauthentic)?;
                if encrypted {
                    let text = signed.get_mut(8..len).unwrap_or_default();
                    apply_counter_mode(key, salt, ssrc, u64::from(index), text)?;
                }
            }
        }
        self.rtcp_seen
            .entry(ssrc)
            .or_default()
            .note(u64::from(index));
        packet.get(..len).ok_or(OpenError::Malformed)
    }

    #[cfg(test)]
    pub(crate) fn from_session_keys(cipher: impl Fn() -> Cipher) -> Self {
        Self {
            rtp: cipher(),
            rtcp: cipher(),
            rtp_seen: BTreeMap::new(),
            rtcp_seen: BTreeMap::new(),
        }
    }
}

fn check_source(
    seen: &BTreeMap<u32, ReplayWindow>,
    ssrc: u32,
    index: u64,
) -> Result<(), OpenError> {
    match seen.get(&ssrc) {
        Some(window) if !window.accepts(index) => Err(OpenError::Replayed),
        None if seen.len() >= MAX_SSRCS => Err(OpenError::TooManySources),
        _ => Ok(()),
    }
}

/// The index nearest to the highest so far that has this sequence number (RFC 3711 section 3.3.1).
fn guess_index(highest: Option<u64>, sequence: u16) -> u64 {
    let Some(highest) = highest else {
        return u64::from(sequence);
    };
    let ahead = sequence.wrapping_sub(highest as u16) as i16;
    highest
        .checked_add_signed(i64::from(ahead))
        .unwrap_or(u64::from(sequence))
        & 0xffff_ffff_ffff
}
