//! Leaves. docs/wire.md, "Certificates".

use std::time::{Duration, SystemTime};

use hbone::identity::SpiffeId;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::OffsetDateTime;

use super::root::Root;

/// The largest skew of clocks that a certificate's beginning allows for.
const MAX_BACKDATE: Duration = Duration::from_mins(2);

/// Why no leaf is made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is malformed, its signature wrong, or its key too weak.
    #[error("certificate request: {0}")]
    Request(&'static str),
    /// The wanted life.
    #[error("validity_duration is {wanted} s; ask for at most {max} s")]
    Life {
        /// What was asked for, seconds.
        wanted: i64,
        /// The maximum, seconds.
        max: u64,
    },
    /// The root has ended.
    #[error("the root certificate has expired")]
    RootExpired,
    /// The signing itself.
    #[error("signing failed")]
    Sign(#[source] rcgen::Error),
}

/// The lives of leaves.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// Where the client names none.
    pub default: Duration,
    /// A longer one is refused.
    pub max: Duration,
}

impl Lives {
    /// The life for a wish in seconds; 0 and less is the default.
    ///
    /// # Errors
    /// [`IssueError::Life`]
    pub fn choose(&self, wanted: i64) -> Result<Duration, IssueError> {
        match u64::try_from(wanted) {
            Err(_) | Ok(0) => Ok(self.default),
            Ok(seconds) if seconds <= self.max.as_secs() => Ok(Duration::from_secs(seconds)),
            Ok(_) => Err(IssueError::Life { wanted, max: self.max.as_secs() }),
        }
    }
}

/// A request whose signature was verified. Nothing of it but the key is used: names that it
/// asks for are ignored.
#[derive(Debug)]
pub struct Request(CertificateSigningRequestParams);

impl Request {
    /// Reads and verifies a PKCS#10 request in PEM.
    ///
    /// # Errors
    /// [`IssueError::Request`]
    pub fn read(pem: &str) -> Result<Self, IssueError> {
        let request = CertificateSigningRequestParams::from_pem(pem).map_err(|e| match e {
            rcgen::Error::InvalidCertificationRequestSignature => {
                IssueError::Request("its signature does not fit its key")
            }
            rcgen::Error::UnsupportedExtension => {
                IssueError::Request("it asks for an extension that is not given")
            }
            _ => IssueError::Request("it is no PKCS#10 request in PEM"),
        })?;
        let key = &request.public_key;
        let rsa =
            ![&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
                .contains(&key.algorithm());
        // The modulus and some bytes of structure: 2,048 bits are 256 bytes.
        if rsa && key.der_bytes().len() < 256 {
            return Err(IssueError::Request("its RSA key has less than 2048 bits"));
        }
        Ok(Self(request))
    }
}

/// A leaf for `id`, PEM. It begins a little earlier, so that clocks may differ: by two minutes
/// or a tenth of its life, whichever is less.
///
/// # Errors
/// See [`IssueError`].
pub fn workload(
    root: &Root,
    request: &Request,
    id: &SpiffeId,
    life: Duration,
    now: SystemTime,
) -> Result<String, IssueError> {
    let uri = id.to_string().try_into().map_err(IssueError::Sign)?;
    let params = leaf(root, vec![SanType::URI(uri)], life, now)?;
    let signed = params.signed_by(&request.0.public_key, &root.issuer);
    Ok(signed.map_err(IssueError::Sign)?.pem())
}

/// A certificate for the control plane's own address, with its key, both DER.
///
/// # Errors
/// See [`IssueError`].
pub fn server(
    root: &Root,
    names: &[String],
    life: Duration,
    now: SystemTime,
) -> Result<(Vec<u8>, Vec<u8>), IssueError> {
    let mut sans = Vec::new();
    for name in names {
        sans.push(match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(name.clone().try_into().map_err(IssueError::Sign)?),
        });
    }
    let key = KeyPair::generate().map_err(IssueError::Sign)?;
    let params = leaf(root, sans, life, now)?;
    let signed = params.signed_by(&key, &root.issuer).map_err(IssueError::Sign)?;
    Ok((signed.der().to_vec(), key.serialize_der()))
}

fn leaf(
    root: &Root,
    sans: Vec<SanType>,
    life: Duration,
    now: SystemTime,
) -> Result<CertificateParams, IssueError> {
    let now = OffsetDateTime::from(now);
    let end = OffsetDateTime::from_unix_timestamp(root.not_after());
    let end = end.map_err(|_| IssueError::RootExpired)?;
    if now >= end {
        return Err(IssueError::RootExpired);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = sans;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - MAX_BACKDATE.min(life / 10);
    params.not_after = (now + life).min(end);
    Ok(params)
}

#[cfg(test)]
mod tests;
