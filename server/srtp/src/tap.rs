//! A crypto provider for str0m that lets the caller read the SRTP keys of each connection.
//!
//! It also shares one DTLS configuration between all connections of the process: to build one, the cryptography is
//! tested, which takes a millisecond.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate};
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
    SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

use crate::keys::{KeyingMaterial, Profile};
use crate::signing;

/// Where the keys of one connection appear after its handshake.
#[derive(Clone, Default)]
pub struct KeySlot(Arc<OnceLock<KeyingMaterial>>);

impl KeySlot {
    /// The keys, once the handshake has agreed on them.
    pub fn keys(&self) -> Option<&KeyingMaterial> {
        self.0.get()
    }
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySlot")
    }
}

/// str0m's own cryptography with the tap in its DTLS: for `RtcConfig::set_crypto_provider`.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        dtls_provider: &TappedDtls,
        ..from_feature_flags()
    }
}

/// Runs `build`, which builds one `Rtc` with [`provider`], and gives back the slot of that connection's keys.
pub fn tapped<T>(build: impl FnOnce() -> T) -> (T, KeySlot) {
    let slot = KeySlot::default();
    NEXT_SLOT.with_borrow_mut(|next| *next = Some(slot.clone()));
    let built = build();
    NEXT_SLOT.with_borrow_mut(|next| *next = None);
    (built, slot)
}

thread_local! {
    // str0m makes its DTLS instance through a provider without state, inside the call that builds the `Rtc`.
    static NEXT_SLOT: RefCell<Option<KeySlot>> = const { RefCell::new(None) };
}

static SHARED_CONFIG: OnceLock<Option<(usize, Arc<Config>)>> = OnceLock::new();

#[derive(Debug)]
struct TappedDtls;

impl TappedDtls {
    fn config(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
        let build = |mtu: Option<usize>| {
            // ICE has proved the peer's address before DTLS begins, so that cookies would only cost a round trip.
            let builder = Config::builder()
                .use_server_cookie(false)
                .with_crypto_provider(signing::provider());
            match mtu {
                Some(mtu) => builder.mtu(mtu).build(),
                None => builder.build(),
            }
        };
        if let Some(mtu) = mtu {
            let shared = SHARED_CONFIG
                .get_or_init(|| build(Some(mtu)).ok().map(|config| (mtu, Arc::new(config))));
            if let Some((shared_mtu, config)) = shared
                && *shared_mtu == mtu
            {
                return Ok(config.clone());
            }
        }
        build(mtu).map(Arc::new).map_err(|error| {
            CryptoError::Other(format!("the DTLS configuration is refused: {error}"))
        })
    }
}

impl DtlsProvider for TappedDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let config = Self::config(mtu)?;
        let cert = DtlsCertificate {
            certificate: cert.certificate.clone(),
            private_key: cert.private_key.clone(),
        };
        let dtls = match dtls_version {
            DtlsVersion::Dtls13 => Dtls::new_13(config, cert, now),
            DtlsVersion::Auto => Dtls::new_auto(config, cert, now),
            _ => Dtls::new_12(config, cert, now),
        };
        let slot = NEXT_SLOT.with_borrow_mut(Option::take).unwrap_or_default();
        Ok(Box::new(TappedInstance { dtls, slot }))
    }
}

struct TappedInstance {
    dtls: Dtls,
    slot: KeySlot,
}

impl fmt::Debug for TappedInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TappedInstance")
    }
}

impl DtlsInstance for TappedInstance {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.dtls.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let client = self.dtls.is_active();
        let output = self.dtls.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output
            && let Some(profile) = known_profile(*profile)
            && let Ok(keys) = KeyingMaterial::from_exporter(profile, material, client)
        {
            // There is one handshake per connection; keys of a second one would belong to another peer.
            let _ = self.slot.0.set(keys);
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.dtls.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.dtls.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.dtls.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.dtls.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.dtls.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}

fn known_profile(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmHmacSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        _ => None,
    }
}
