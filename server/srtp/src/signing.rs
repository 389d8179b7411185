//! The key of our DTLS certificate, checked when it is first used and not for every connection: that costs more than to
//! sign with it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{Buf, CryptoProvider, KeyProvider, SigningKey};
use dimpl::{CryptoError, CryptoOperation, HashAlgorithm, SignatureAlgorithm};

/// dimpl's own cryptography, with keys that are kept.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        key_provider: &KeptKeys,
        ..default_provider()
    }
}

struct Kept {
    /// PKCS#8, DER.
    encoded: Vec<u8>,
    pair: Arc<EcdsaKeyPair>,
}

thread_local! {
    // Connections of a thread have the same certificate.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct KeptKeys;

impl KeyProvider for KeptKeys {
    fn load_private_key(&self, encoded: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let kept = KEPT.with_borrow(|kept| {
            let kept = kept.as_ref().filter(|kept| kept.encoded == encoded)?;
            Some(kept.pair.clone())
        });
        if let Some(pair) = kept {
            return Ok(Box::new(P256Key(pair)));
        }
        let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, encoded) else {
            // Of another kind: not what we generate.
            return default_provider().key_provider.load_private_key(encoded);
        };
        let pair = Arc::new(pair);
        KEPT.set(Some(Kept {
            encoded: encoded.to_vec(),
            pair: pair.clone(),
        }));
        Ok(Box::new(P256Key(pair)))
    }
}

struct P256Key(Arc<EcdsaKeyPair>);

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256Key")
    }
}

impl SigningKey for P256Key {
    fn sign(
        &mut self,
        data: &[u8],
        hash: HashAlgorithm,
        signature: &mut Buf,
    ) -> Result<(), CryptoError> {
        let key_hash = self.hash_algorithm();
        if hash != key_hash {
            return Err(CryptoError::SigningKeyHashMismatch {
                key_hash,
                requested: hash,
            });
        }
        let signed = self
            .0
            .sign(&SystemRandom::new(), data)
            .map_err(|_| CryptoError::OperationFailed(CryptoOperation::Sign))?;
        signature.clear();
        signature.extend_from_slice(signed.as_ref());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}
