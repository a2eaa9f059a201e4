//! What a leaf certificate says about its holder.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::{IdentityError, SpiffeId};

/// Why a leaf certificate names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not X.509.
    #[error("the leaf certificate cannot be parsed")]
    Encoding,
    /// X509-SVID section 2 asks for exactly one URI; with several, which one speaks is open.
    #[error("the leaf certificate has {0} URI names; exactly one is right")]
    UriCount(usize),
    /// A kind of name, or an encoding of one, that no mesh certificate has.
    #[error("the leaf certificate has a name that is neither URI nor DNS name")]
    OtherName,
    /// The URI is no identity of a mesh.
    #[error("the leaf certificate's URI is no identity")]
    Identity(#[from] IdentityError),
    /// It lacks the extended key usage that its holder needs here.
    #[error("the leaf certificate is not for {0} authentication")]
    Usage(&'static str),
    /// It may sign other certificates.
    #[error("the leaf certificate is a certificate authority")]
    Authority,
}

/// What the holder of a leaf does in the handshake at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Client,
    Server,
}

/// The identity in a leaf certificate in DER: its only URI SAN (X509-SVID section 2).
///
/// The signature and the validity are not looked at: the handshake has done that.
pub fn leaf_identity(der: &[u8]) -> Result<SpiffeId, LeafError> {
    identity_of(&parse(der)?)
}

/// As [`leaf_identity`], and the leaf must be for `usage` and for no signing of others.
pub(super) fn leaf_identity_for(der: &[u8], usage: Usage) -> Result<SpiffeId, LeafError> {
    let leaf = parse(der)?;
    if leaf.is_ca() {
        return Err(LeafError::Authority);
    }
    let extended = leaf.extended_key_usage().map_err(|_| LeafError::Encoding)?;
    let extended = extended.map(|e| e.value);
    match usage {
        Usage::Client if !extended.is_some_and(|e| e.client_auth) => {
            return Err(LeafError::Usage("client"));
        }
        Usage::Server if !extended.is_some_and(|e| e.server_auth) => {
            return Err(LeafError::Usage("server"));
        }
        Usage::Client | Usage::Server => {}
    }
    identity_of(&leaf)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, LeafError> {
    match X509Certificate::from_der(der) {
        Ok(([], leaf)) => Ok(leaf),
        Ok(_) | Err(_) => Err(LeafError::Encoding),
    }
}

fn identity_of(leaf: &X509Certificate<'_>) -> Result<SpiffeId, LeafError> {
    let names = leaf.subject_alternative_name().map_err(|_| LeafError::Encoding)?;
    let names = names.map(|n| n.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(_) => {}
            _ => return Err(LeafError::OtherName),
        }
    }
    match uris.as_slice() {
        [uri] => Ok(uri.parse()?),
        _ => Err(LeafError::UriCount(uris.len())),
    }
}
