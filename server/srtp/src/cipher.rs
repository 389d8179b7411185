//! Session keys of one direction and one protocol, with their schedules ready.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use crate::keys::{KeyError, MasterKey, Profile};

pub(crate) const GCM_TAG: usize = 16;
pub(crate) const CM_TAG: usize = 10;

/// Which of the two protocols keys are for; the labels of RFC 3711 section 4.3.2 follow from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rtp,
    Rtcp,
}

/// The library refused; nothing a peer sends can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl From<Refused> for KeyError {
    fn from(_: Refused) -> Self {
        Self::Refused
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "a connection holds four of these; a pointer would cost each packet a cache line"
)]
pub(crate) enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    /// Counter mode: sealing and opening are the same.
    Cm {
        key: EncryptingKey,
        salt: [u8; 14],
        authentication: hmac::Key,
    },
}

impl Cipher {
    /// Derives the session keys (RFC 3711 section 4.3; the derivation rate is zero).
    pub(crate) fn derive(
        profile: Profile,
        master: &MasterKey,
        protocol: Protocol,
    ) -> Result<Self, KeyError> {
        let first_label = match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => 3,
        };
        let mut key = [0; 32];
        let key = &mut key[..profile.key_len()];
        let mut authentication = [0; 20];
        let mut salt = [0; 14];
        pseudo_random(profile, master, first_label, key)?;
        pseudo_random(profile, master, first_label + 1, &mut authentication)?;
        pseudo_random(
            profile,
            master,
            first_label + 2,
            &mut salt[..profile.salt_len()],
        )?;
        Ok(Self::new(profile, key, salt, &authentication)?)
    }

    /// From session keys.
    pub(crate) fn new(
        profile: Profile,
        key: &[u8],
        salt: [u8; 14],
        authentication: &[u8],
    ) -> Result<Self, Refused> {
        let gcm = |algorithm| {
            let key = UnboundKey::new(algorithm, key).map_err(|_| Refused)?;
            let mut short = [0; 12];
            short.copy_from_slice(&salt[..12]);
            Ok(Self::Gcm {
                key: LessSafeKey::new(key),
                salt: short,
            })
        };
        match profile {
            Profile::AeadAes128Gcm => gcm(&AES_128_GCM),
            Profile::AeadAes256Gcm => gcm(&AES_256_GCM),
            Profile::Aes128CmHmacSha1_80 => Ok(Self::Cm {
                key: counter_key(key)?,
                salt,
                authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication),
            }),
        }
    }

    /// Bytes of the authentication tag.
    pub(crate) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG,
            Self::Cm { .. } => CM_TAG,
        }
    }
}

/// The nonce of RFC 7714 sections 8.1 and 9.1: `counter` is rollover counter and sequence number, or the SRTCP index.
pub(crate) fn gcm_nonce(salt: &[u8; 12], ssrc: u32, counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..12].copy_from_slice(&counter.to_be_bytes()[2..]);
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The counter block of RFC 3711 section 4.1.1.
fn counter_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[4..8].copy_from_slice(&ssrc.to_be_bytes());
    for (byte, index) in block[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte = *index;
    }
    for (byte, salt) in block.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    block
}

/// Applies the key stream of `index`.
pub(crate) fn apply_counter_mode(
    key: &EncryptingKey,
    salt: &[u8; 14],
    ssrc: u32,
    index: u64,
    text: &mut [u8],
) -> Result<(), Refused> {
    apply_block(key, counter_block(salt, ssrc, index), text)
}

fn apply_block(key: &EncryptingKey, block: [u8; 16], text: &mut [u8]) -> Result<(), Refused> {
    if text.is_empty() {
        return Ok(());
    }
    key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(block)))
        .map(|_| ())
        .map_err(|_| Refused)
}

pub(crate) fn seal_gcm(
    key: &LessSafeKey,
    nonce: Nonce,
    clear: &[u8],
    text: &mut [u8],
) -> Result<[u8; GCM_TAG], Refused> {
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(clear), text)
        .map_err(|_| Refused)?;
    tag.as_ref().try_into().map_err(|_| Refused)
}

/// The truncated tag over the parts.
pub(crate) fn sign(authentication: &hmac::Key, parts: [&[u8]; 2]) -> [u8; CM_TAG] {
    let mut context = hmac::Context::with_key(authentication);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; CM_TAG];
    tag.copy_from_slice(&context.sign().as_ref()[..CM_TAG]);
    tag
}

fn counter_key(key: &[u8]) -> Result<EncryptingKey, Refused> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| Refused)?;
    EncryptingKey::ctr(key).map_err(|_| Refused)
}

/// The key derivation function of RFC 3711 section 4.3.3.
fn pseudo_random(
    profile: Profile,
    master: &MasterKey,
    label: u8,
    output: &mut [u8],
) -> Result<(), Refused> {
    let key = counter_key(master.key(profile))?;
    let mut block = [0; 16];
    block[..14].copy_from_slice(&master.salt());
    block[7] ^= label;
    output.fill(0);
    apply_block(&key, block, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
        let key = 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes();
        let salt = &0x0EC6_75AD_498A_FEEB_B696_0B3A_ABE6_u128.to_be_bytes()[2..];
        let profile = Profile::Aes128CmHmacSha1_80;
        let master = MasterKey::new(profile, &key, salt).unwrap();
        let mut derived = [0; 16];
        pseudo_random(profile, &master, 0, &mut derived).unwrap();
        assert_eq!(
            u128::from_be_bytes(derived),
            0xC61E_7A93_744F_39EE_1073_4AFE_3FF7_A087
        );
        let mut salt = [0; 14];
        pseudo_random(profile, &master, 2, &mut salt).unwrap();
        assert_eq!(
            salt,
            0x30CB_BC08_863D_8C85_D49D_B34A_9AE1_u128.to_be_bytes()[2..]
        );
        let mut authentication = [0; 20];
        pseudo_random(profile, &master, 1, &mut authentication).unwrap();
        assert_eq!(
            authentication,
            [
                0xCE, 0xBE, 0x32, 0x1F, 0x6F, 0xF7, 0x71, 0x6B, 0x6F, 0xD4, 0xAB, 0x49, 0xAF, 0x25,
                0x6A, 0x15, 0x6D, 0x38, 0xBA, 0xA4
            ]
        );
    }
}
