//! The root: made once, then only read.
//!
//! - [`bundle`]: PEM files with several certificates

mod bundle;

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

/// What an authority is made of, as files have it.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// The certificate that signs, PEM.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: Vec<u8>,
    /// What leads from it to a root, PEM; empty if it is a root itself.
    pub chain: Vec<u8>,
    /// What proxies trust, PEM; empty if it is the certificate itself.
    pub roots: Vec<u8>,
}

/// How the parts of a [`Material`] are called in messages.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// [`Material::certificate`]
    pub certificate: &'static str,
    /// [`Material::key`]
    pub key: &'static str,
    /// [`Material::chain`]
    pub chain: &'static str,
    /// [`Material::roots`]
    pub roots: &'static str,
}

const FILES: Names =
    Names { certificate: CERTIFICATE, key: KEY, chain: CERTIFICATE, roots: CERTIFICATE };

/// The authority: what signs, and what is trusted.
pub struct Root {
    pem: String,
    /// From the one that signs to the last before a root, PEM and DER.
    chain: Vec<(String, Vec<u8>)>,
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
                let made = Material::make(now)?;
                // The key first: a certificate alone would refuse every later start.
                state.create(KEY, &made.key, 0o600)?;
                state.create(CERTIFICATE, &made.certificate, 0o644)?;
                Self::read(&made, FILES)
            }
            (Some(certificate), Some(key)) => {
                Self::read(&Material { certificate, key, ..Material::default() }, FILES)
            }
            (Some(_), None) => Err(RootError::Half { missing: KEY, there: CERTIFICATE }),
            (None, Some(_)) => Err(RootError::Half { missing: CERTIFICATE, there: KEY }),
        }
    }

    /// Takes an authority that somebody made; `names` are for messages.
    ///
    /// # Errors
    /// [`RootError::Corrupt`]
    pub fn read(material: &Material, names: Names) -> Result<Self, RootError> {
        let corrupt = |file, problem| RootError::Corrupt { file, problem };
        let key = std::str::from_utf8(&material.key).ok().and_then(|p| KeyPair::from_pem(p).ok());
        let key = key.ok_or(corrupt(names.key, "holds no private key"))?;
        let own = bundle::split(&material.certificate);
        let own = own.and_then(|all| all.into_iter().next());
        let (_, der) = own.ok_or(corrupt(names.certificate, "holds no certificate"))?;
        let (_, parsed) = X509Certificate::from_der(&der)
            .map_err(|_| corrupt(names.certificate, "holds no certificate"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(corrupt(names.key, "is not the key of the certificate beside it"));
        }
        if !parsed.is_ca() {
            return Err(corrupt(names.certificate, "is not the certificate of an authority"));
        }
        let given = if material.roots.is_empty() { &material.certificate } else { &material.roots };
        let roots = bundle::split(given).ok_or(corrupt(names.roots, "holds no certificate"))?;
        let chain = match material.chain.as_slice() {
            [] => Vec::new(),
            chain => bundle::split(chain).ok_or(corrupt(names.chain, "holds no certificate"))?,
        };
        let not_after = parsed.validity().not_after.timestamp();
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
            .map_err(|_| corrupt(names.certificate, "cannot sign"))?;
        let pem = roots.iter().map(|(pem, _)| pem.as_str()).collect();
        let root = Self { pem, chain, issuer, not_after };
        bundle::leads_to_a_root(&root, &roots).map_err(|problem| corrupt(names.roots, problem))?;
        Ok(root)
    }

    /// The root bundle, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What is between leaves and the root, PEM, one certificate each.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().map(|(pem, _)| pem.as_str())
    }

    /// The same, DER.
    pub fn chain_der(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(|(_, der)| der.as_slice())
    }

    /// When what signs ends, seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

impl Material {
    /// A new root that signs by itself.
    ///
    /// # Errors
    /// [`RootError::Make`]
    pub fn make(now: SystemTime) -> Result<Self, RootError> {
        let (certificate, key) = make(now).map_err(RootError::Make)?;
        let (certificate, key) = (certificate.into_bytes(), key.into_bytes());
        Ok(Self { certificate, key, ..Self::default() })
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

#[cfg(test)]
mod tests;
