//! Verification of the other side of a tunnel: by chain and SPIFFE identity, never by host name.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::leaf::{LeafError, Usage, leaf_identity_for};
use super::provider::crypto_provider;
use crate::identity::{SpiffeId, TrustDomain};

/// Why a peer whose chain is in order is still not whom we talk to.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The leaf names nobody.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The server is somebody else.
    #[error("the server is {found}, but expected was {expected}")]
    Unexpected {
        /// Who it is.
        found: SpiffeId,
        /// Who it should be, in words for a person.
        expected: String,
    },
    /// The client is of another trust domain.
    #[error("the client is {found}, outside of trust domain {own}")]
    Foreign {
        /// Who it is.
        found: SpiffeId,
        /// Our trust domain.
        own: TrustDomain,
    },
}

// rustls prints what a verifier says in its debug form; a person should read a sentence.
impl fmt::Debug for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    }
}

/// Accepts a server that is one of the expected identities; with none expected, nobody.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    roots: Arc<RootCertStore>,
    expected: Vec<SpiffeId>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    pub(super) fn new(roots: Arc<RootCertStore>, expected: Vec<SpiffeId>) -> Self {
        let algorithms = crypto_provider().signature_verification_algorithms;
        Self { roots, expected, algorithms }
    }

    fn check(&self, found: SpiffeId) -> Result<(), PeerError> {
        if self.expected.contains(&found) {
            return Ok(());
        }
        let names: Vec<_> = self.expected.iter().take(3).map(ToString::to_string).collect();
        let expected = if names.is_empty() {
            "nobody: no identity is known for it".to_owned()
        } else {
            names.join(" or ")
        };
        Err(PeerError::Unexpected { found, expected })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        let found = leaf_identity_for(end_entity, Usage::Server).map_err(PeerError::from)?;
        self.check(found)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts a client that has any identity of a trusted domain: our own is the first.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    trusted: Vec<TrustDomain>,
}

impl ClientVerifier {
    pub(super) fn new(chain: Arc<dyn ClientCertVerifier>, trusted: Vec<TrustDomain>) -> Self {
        Self { chain, trusted }
    }
}

impl ClientCertVerifier for ClientVerifier {
    // Names of our roots help no peer of a mesh, and would be the largest part of the flight.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let found = leaf_identity_for(end_entity, Usage::Client).map_err(PeerError::from)?;
        if self.trusted.contains(found.trust_domain()) {
            return Ok(verified);
        }
        let own = self.trusted.first().cloned().unwrap_or_default();
        Err(PeerError::Foreign { found, own }.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
