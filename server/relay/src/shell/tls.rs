//! Certificates on both sides: the peer's name is the one its certificate carries.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

use super::transport::transport;
use crate::congestion::RateLimits;
use crate::id::NodeId;

/// Name of the protocol and its major version: nodes that differ do not connect.
const ALPN: &[u8] = b"tradewind-relay/1";

/// Certificates cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing or holds something else.
    #[error("cannot read {}: {cause}; it has to be a PEM file", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        cause: rustls::pki_types::pem::Error,
    },
    /// The files do not fit each other.
    #[error("certificate, key and authority do not fit together: {0}")]
    Mismatch(String),
}

/// Both roles of a node.
pub(crate) struct Tls {
    pub(crate) server: quinn::ServerConfig,
    pub(crate) client: quinn::ClientConfig,
}

pub(crate) fn load(
    certificate_file: &Path,
    key_file: &Path,
    ca_file: &Path,
    limits: RateLimits,
) -> Result<Tls, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(certificate_file)?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|cause| unreadable(key_file, cause))?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca_file)? {
        roots.add(authority).map_err(mismatch)?;
    }
    let roots = Arc::new(roots);

    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(mismatch)?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(mismatch)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(mismatch)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(mismatch)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(mismatch)?;
    client.alpn_protocols = vec![ALPN.to_vec()];

    let mut server = quinn::ServerConfig::with_crypto(Arc::new(
        QuicServerConfig::try_from(server).map_err(mismatch)?,
    ));
    server.transport_config(transport(limits));
    let mut client = quinn::ClientConfig::new(Arc::new(
        QuicClientConfig::try_from(client).map_err(mismatch)?,
    ));
    client.transport_config(transport(limits));
    Ok(Tls { server, client })
}

/// Whether the peer of a connection proved to be this node.
pub(crate) fn is_node(connection: &quinn::Connection, node: &NodeId) -> bool {
    let Some(identity) = connection.peer_identity() else {
        return false;
    };
    let Ok(chain) = identity.downcast::<Vec<CertificateDer<'static>>>() else {
        return false;
    };
    let Some(Ok(certificate)) = chain.first().map(ParsedCertificate::try_from) else {
        return false;
    };
    let Ok(name) = ServerName::try_from(node.as_str()) else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| unreadable(file, cause))
}

fn unreadable(file: &Path, cause: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        cause,
    }
}

fn mismatch(error: impl ToString) -> TlsError {
    TlsError::Mismatch(error.to_string())
}
