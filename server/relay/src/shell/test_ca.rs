//! A certificate authority for a first fleet and for tests.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use thiserror::Error;

use crate::id::NodeId;

/// The authority could not be made.
#[derive(Debug, Error)]
pub enum TestCaError {
    /// A file could not be written; an existing one is never overwritten.
    #[error("cannot write {}: {cause}; name a folder without certificates", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        cause: io::Error,
    },
    /// A name is no DNS name.
    #[error("cannot make a certificate: {0}; node names have to be DNS names such as tokyo-1")]
    Certificate(#[from] rcgen::Error),
}

/// Writes `ca.crt`, and `NODE.crt` and `NODE.key` for every node, into `folder`. The authority's key is not kept, so nobody
/// can add nodes to it later; a fleet that lasts needs an authority of its own.
///
/// # Errors
/// When a name is no DNS name, or a file exists or cannot be written.
pub fn create_test_ca(folder: &Path, nodes: &[NodeId]) -> Result<(), TestCaError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|cause| TestCaError::File {
            file: folder.to_owned(),
            cause,
        })?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "Tradewind test authority");
    let authority_key = KeyPair::generate()?;
    let certificate = authority.self_signed(&authority_key)?;
    write(&folder.join("ca.crt"), 0o644, &certificate.pem())?;
    let issuer = Issuer::new(authority, authority_key);
    for node in nodes {
        let mut params = CertificateParams::new(vec![node.to_string()])?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, node.as_str());
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        write(
            &folder.join(format!("{node}.crt")),
            0o644,
            &certificate.pem(),
        )?;
        write(
            &folder.join(format!("{node}.key")),
            0o600,
            &key.serialize_pem(),
        )?;
    }
    Ok(())
}

fn write(file: &Path, mode: u32, text: &str) -> Result<(), TestCaError> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|cause| TestCaError::File {
            file: file.to_owned(),
            cause,
        })
}
