//! A fresh key and the request that has it certified.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};

use crate::identity::SpiffeId;

/// A certificate request (RFC 2986) with its private key, which never leaves this value but
/// into a [`WorkloadCertificate`](super::WorkloadCertificate).
///
/// ECDSA P-256, empty subject, one critical URI SAN (docs/wire.md, "Certificates").
#[derive(Debug)]
pub struct CertificateRequest {
    identity: SpiffeId,
    key: KeyPair,
    pem: String,
}

/// No request could be made.
#[derive(Debug, thiserror::Error)]
#[error("no certificate request for {identity}")]
pub struct RequestError {
    identity: SpiffeId,
    source: rcgen::Error,
}

impl CertificateRequest {
    /// Makes a key and signs a request for `identity` with it.
    pub fn generate(identity: &SpiffeId) -> Result<Self, RequestError> {
        let fail = |source| RequestError { identity: identity.clone(), source };
        let key = KeyPair::generate().map_err(fail)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let uri = identity.to_string().as_str().try_into().map_err(fail)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        let pem = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(fail)?;
        Ok(Self { identity: identity.clone(), key, pem })
    }

    /// The request in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The identity that is asked for.
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// The key, PKCS#8.
    pub(super) fn into_key(self) -> KeyPair {
        self.key
    }
}
