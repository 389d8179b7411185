//! Protection profiles, and the master keys of one connection.

use std::fmt;

/// SRTP protection profiles that WebRTC uses (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Aes128CmHmacSha1_80,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl Profile {
    /// Bytes of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128CmHmacSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmHmacSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Bytes of the authentication tag of an RTP packet.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128CmHmacSha1_80 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }
}

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "{given} bytes of keying material where the profile needs {needed}: take them all from the handshake"
    )]
    Length { given: usize, needed: usize },
    #[error("the cryptography library refuses the key: check that it is built for this machine")]
    Refused,
}

/// Key and salt of one direction, from which session keys are derived.
#[derive(Clone)]
pub struct MasterKey {
    key: [u8; 32],
    salt: [u8; 14],
}

impl MasterKey {
    /// `key` and `salt` as long as the profile says.
    ///
    /// # Errors
    /// They are not.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let mut master = Self {
            key: [0; 32],
            salt: [0; 14],
        };
        let (Some(to_key), Some(to_salt)) = (
            master.key.get_mut(..key.len()),
            master.salt.get_mut(..salt.len()),
        ) else {
            return Err(length(profile, key.len() + salt.len()));
        };
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(length(profile, key.len() + salt.len()));
        }
        to_key.copy_from_slice(key);
        to_salt.copy_from_slice(salt);
        Ok(master)
    }

    pub(crate) fn key(&self, profile: Profile) -> &[u8] {
        &self.key[..profile.key_len()]
    }

    /// 112 bits; shorter salts are followed by zeros (RFC 7714 section 11).
    pub(crate) fn salt(&self) -> [u8; 14] {
        self.salt
    }
}

fn length(profile: Profile, given: usize) -> KeyError {
    KeyError::Length {
        given,
        needed: profile.key_len() + profile.salt_len(),
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// What a DTLS handshake gives: the profile and the keys of both directions.
#[derive(Clone, Debug)]
pub struct KeyingMaterial {
    pub profile: Profile,
    /// For what we send.
    pub local: MasterKey,
    /// For what we receive.
    pub remote: MasterKey,
}

impl KeyingMaterial {
    /// Splits what the exporter of RFC 5764 section 4.2 gives: client key, server key, client salt, server salt.
    /// `client`: we are the DTLS client.
    ///
    /// # Errors
    /// `material` is not as long as the profile needs.
    pub fn from_exporter(
        profile: Profile,
        material: &[u8],
        client: bool,
    ) -> Result<Self, KeyError> {
        let (key, salt) = (profile.key_len(), profile.salt_len());
        let needed = 2 * (key + salt);
        if material.len() != needed {
            return Err(KeyError::Length {
                given: material.len(),
                needed,
            });
        }
        let (keys, salts) = material.split_at(2 * key);
        let (client_key, server_key) = keys.split_at(key);
        let (client_salt, server_salt) = salts.split_at(salt);
        let of_client = MasterKey::new(profile, client_key, client_salt)?;
        let of_server = MasterKey::new(profile, server_key, server_salt)?;
        let (local, remote) = if client {
            (of_client, of_server)
        } else {
            (of_server, of_client)
        };
        Ok(Self {
            profile,
            local,
            remote,
        })
    }
}
