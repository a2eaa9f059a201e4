//! A workload's certificate with everything that TLS needs of it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::control_plane::{RootsError, root_store};
use super::leaf::{LeafError, leaf_identity};
use super::provider::{ALPN_H2, crypto_provider};
use super::request::CertificateRequest;
use super::verify::{ClientVerifier, ServerVerifier};
use crate::identity::{SpiffeId, TrustDomain};

/// A leaf, its intermediates, its private key and the roots that peers are verified against.
///
/// Immutable: a rotation makes a new value, and connections keep the one they began with.
#[derive(Debug)]
pub struct WorkloadCertificate {
    identity: SpiffeId,
    key: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    chain_pem: Vec<String>,
    roots_pem: String,
    not_before: SystemTime,
    not_after: SystemTime,
    server: OnceLock<Arc<ServerConfig>>,
}

/// Why an authority's answer is no certificate for us.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Leaf and roots are the least (docs/wire.md, "Certificates").
    #[error(
        "the certificate chain has {0} elements; expected the leaf, its intermediates, and the roots last"
    )]
    TooShort(usize),
    /// Not PEM, or not a certificate.
    #[error("element {0} of the certificate chain is no PEM certificate")]
    Encoding(usize),
    /// The leaf names nobody.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The leaf names somebody else than was asked for: never used in another's place.
    #[error("the certificate is for {found}, but asked for was {expected}")]
    WrongIdentity {
        /// Whom it names.
        found: SpiffeId,
        /// Whom it should name.
        expected: SpiffeId,
    },
    /// The last element holds no root.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The key does not belong to the leaf, or cannot be used.
    #[error("the key and the certificate do not fit together")]
    Key(#[from] rustls::Error),
}

impl WorkloadCertificate {
    /// Joins a request with the authority's answer to it: leaf, intermediates one by one,
    /// and in the last element all roots.
    pub fn from_chain(
        request: CertificateRequest,
        chain: &[String],
    ) -> Result<Self, CertificateError> {
        let [leaf_and_intermediates @ .., roots_pem] = chain else {
            return Err(CertificateError::TooShort(chain.len()));
        };
        if leaf_and_intermediates.is_empty() {
            return Err(CertificateError::TooShort(chain.len()));
        }
        let ders = decode_chain(leaf_and_intermediates)?;
        let leaf = ders.first().ok_or(CertificateError::TooShort(chain.len()))?;
        let found = leaf_identity(leaf)?;
        if found != *request.identity() {
            let expected = request.identity().clone();
            return Err(CertificateError::WrongIdentity { found, expected });
        }
        let (not_before, not_after) = validity(leaf)?;
        let roots = Arc::new(root_store(roots_pem.as_bytes())?);
        let key = PrivatePkcs8KeyDer::from(request.into_key().serialize_der());
        let key = CertifiedKey::from_der(ders, PrivateKeyDer::Pkcs8(key), &crypto_provider())?;
        Ok(Self {
            identity: found,
            key: Arc::new(key),
            roots,
            chain_pem: leaf_and_intermediates.to_vec(),
            roots_pem: roots_pem.clone(),
            not_before,
            not_after,
            server: OnceLock::new(),
        })
    }

    /// Whose certificate it is.
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// When it begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When a new one is due: at half of its life, as it stands in the certificate.
    pub fn refresh_at(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life / 2
    }

    /// Leaf and intermediates, each in PEM.
    pub fn chain_pem(&self) -> &[String] {
        &self.chain_pem
    }

    /// All roots in one PEM text.
    pub fn roots_pem(&self) -> &str {
        &self.roots_pem
    }

    /// TLS of the accepting side: our certificate, a client of our trust domain required,
    /// no resumption. Made once per certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        if let Some(config) = self.server.get() {
            return Ok(Arc::clone(config));
        }
        let config = self.server_config_with(&[])?;
        Ok(Arc::clone(self.server.get_or_init(|| config)))
    }

    /// The same for clients of `others` too: aliases of our trust domain. Not kept.
    pub fn server_config_with(
        &self,
        others: &[TrustDomain],
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let own = self.identity.trust_domain();
        self.make_server_config(std::iter::once(own).chain(others).cloned().collect())
    }

    fn make_server_config(
        &self,
        trusted: Vec<TrustDomain>,
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let chain =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), crypto_provider())
                .build()
                .map_err(|e| rustls::Error::General(e.to_string()))?;
        let verifier = ClientVerifier::new(chain, trusted);
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(Fixed(Arc::clone(&self.key))));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// TLS of the dialling side: our certificate, a server that is one of `expected`,
    /// no SNI, no resumption. With none expected every server is refused.
    pub fn client_config(
        &self,
        expected: &[SpiffeId],
    ) -> Result<Arc<ClientConfig>, CertificateError> {
        let verifier = ServerVerifier::new(Arc::clone(&self.roots), expected.to_vec());
        let mut config = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Fixed(Arc::clone(&self.key))));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Presents one certificate to every peer: which one was settled by the pod before TLS began.
#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Fixed {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl rustls::client::ResolvesClientCert for Fixed {
    fn resolve(
        &self,
        _root_hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn decode_chain(pems: &[String]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut ders = Vec::with_capacity(pems.len());
    for (index, pem) in pems.iter().enumerate() {
        let before = ders.len();
        for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            ders.push(der.map_err(|_| CertificateError::Encoding(index))?);
        }
        if ders.len() == before {
            return Err(CertificateError::Encoding(index));
        }
    }
    Ok(ders)
}

fn validity(leaf: &[u8]) -> Result<(SystemTime, SystemTime), CertificateError> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| LeafError::Encoding)?;
    let time = |seconds: i64| {
        let since_1970 = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        SystemTime::UNIX_EPOCH + since_1970
    };
    let validity = parsed.validity();
    Ok((time(validity.not_before.timestamp()), time(validity.not_after.timestamp())))
}
