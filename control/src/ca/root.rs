//! The root: made once, then only read.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::state::{StateDir, StateError};

/// The root bundle in the state directory: what proxies trust.
pub const CERTIFICATE: &str = "root-cert.pem";
const KEY: &str = "root-key.pem";

/// The life of a root that we make.
const LIFE: Duration = Duration::from_hours(87600);

/// Why there is no root. None of these is mended by making a new one: every proxy would lose
/// its trust.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The disk.
    #[error("root of the mesh")]
    State(#[from] StateError),
    /// One of the two files is missing.
    #[error(
        "{missing} is missing beside {there}; restore it from a backup (a new root would cut off every proxy)"
    )]
    Half {
        /// The file that is not there.
        missing: &'static str,
        /// The file that is.
        there: &'static str,
    },
    /// A file's content.
    #[error("{file} {problem}; restore it from a backup (a new root would cut off every proxy)")]
    Corrupt {
        /// The file.
        file: &'static str,
        /// What was found.
        problem: &'static str,
    },
    /// The making.
    #[error("cannot make the root certificate")]
    Make(#[source] rcgen::Error),
}

/// The root and its key.
pub struct Root {
    pem: String,
    der: Vec<u8>,
    pub(super) issuer: Issuer<'static, KeyPair>,
    not_after: i64,
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Root {
    /// Opens the root of the state directory; it is made if there is neither certificate nor
    /// key.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn open(state: &StateDir, now: SystemTime) -> Result<Self, RootError> {
        match (state.read(CERTIFICATE)?, state.read(KEY)?) {
            (None, None) => {
                let (certificate, key) = make(now).map_err(RootError::Make)?;
                // The key first: a certificate alone would refuse every later start.
                state.create(KEY, key.as_bytes(), 0o600)?;
                state.create(CERTIFICATE, certificate.as_bytes(), 0o644)?;
                Self::read(certificate.as_bytes(), key.as_bytes())
            }
            (Some(certificate), Some(key)) => Self::read(&certificate, &key),
            (Some(_), None) => Err(RootError::Half { missing: KEY, there: CERTIFICATE }),
            (None, Some(_)) => Err(RootError::Half { missing: CERTIFICATE, there: KEY }),
        }
    }

    fn read(certificate: &[u8], key: &[u8]) -> Result<Self, RootError> {
        let corrupt = |file, problem| RootError::Corrupt { file, problem };
        let key = std::str::from_utf8(key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or(corrupt(KEY, "holds no private key"))?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate)
            .map_err(|_| corrupt(CERTIFICATE, "holds no certificate"))?;
        let (_, parsed) = X509Certificate::from_der(&pem.contents)
            .map_err(|_| corrupt(CERTIFICATE, "holds no certificate"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(corrupt(KEY, "is not the key of root-cert.pem"));
        }
        if !parsed.is_ca() {
            return Err(corrupt(CERTIFICATE, "is not the certificate of an authority"));
        }
        let not_after = parsed.validity().not_after.timestamp();
        let text = String::from_utf8(certificate.to_vec())
            .map_err(|_| corrupt(CERTIFICATE, "holds no certificate"))?;
        let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), key)
            .map_err(|_| corrupt(CERTIFICATE, "cannot sign"))?;
        // Readers split bundles at lines: always exactly one at the end.
        let text = format!("{}\n", text.trim_end());
        let der = pem.contents;
        Ok(Self { pem: text, der, issuer, not_after })
    }

    /// The root bundle, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The root certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When the root ends, seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

fn make(now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Ambit");
    name.push(DnType::CommonName, "Ambit mesh root");
    params.distinguished_name = name;
    // No intermediates: a leaf's key signs nothing.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::from(now);
    params.not_before = now - Duration::from_hours(1);
    params.not_after = now + LIFE;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
