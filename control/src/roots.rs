//! The certificates by which servers outside the mesh are verified: those of the platform.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the platform's roots; or why there is none.
pub(crate) fn client() -> Result<Arc<ClientConfig>, Arc<str>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let failed: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    if roots.is_empty() {
        let why = if failed.is_empty() { "none is installed".into() } else { failed.join("; ") };
        return Err(why.into());
    }
    client_of(roots)
}

/// A client that trusts these.
pub(crate) fn client_of(roots: RootCertStore) -> Result<Arc<ClientConfig>, Arc<str>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
    config.map(Arc::new).map_err(|error| error.to_string().into())
}
