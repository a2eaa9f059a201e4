//! TLS to the control plane: a server known by name, the client known by its token.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::provider::{ALPN_H2, crypto_provider};

/// Why a bundle of roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// Nothing to trust: without roots we would have to trust anybody, so we trust nobody.
    #[error("no certificate in the root bundle; expected PEM with at least one CERTIFICATE")]
    Empty,
    /// TLS refused the configuration.
    #[error("the TLS configuration is refused")]
    Tls(#[from] rustls::Error),
}

/// TLS 1.3 to a server whose certificate has the dialled name and comes from one of
/// `roots_pem`; ALPN `h2`. Roots that cannot be parsed are skipped.
pub fn control_plane_client_config(roots_pem: &[u8]) -> Result<Arc<ClientConfig>, RootsError> {
    let roots = root_store(roots_pem)?;
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a PEM bundle that can be trust anchors; line ends and blank lines
/// around them do not matter.
pub(super) fn root_store(pem: &[u8]) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map(|c| roots.add(c));
        if !matches!(added, Ok(Ok(()))) {
            tracing::warn!("a root certificate cannot be parsed and is skipped");
        }
    }
    if roots.is_empty() { Err(RootsError::Empty) } else { Ok(roots) }
}
