//! SPIFFE identities and trust domains (docs/wire.md, "Identity").

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest identity that is read, in bytes (SPIFFE-ID section 2.3: 2048).
const MAX_ID: usize = 2048;

/// The trust domain of a mesh, such as `cluster.local`: lower-case letters, digits, `.`, `-`
/// and `_`, at most 255 bytes (SPIFFE-ID section 2.1).
///
/// Equality is literal: no aliases at layer 4.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// A workload's identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    namespace: Arc<str>,
    service_account: Arc<str>,
}

/// Why a text is no identity of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not of the form that the mesh uses.
    #[error("{0:?} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
    Form(String),
    /// A character that no trust domain has, or a wrong length.
    #[error("{0:?} is no trust domain: write a-z, 0-9, '.', '-' or '_', 1 to 255 of them")]
    TrustDomain(String),
    /// A namespace or service account that no Kubernetes object can have.
    #[error("{0:?} is no name of a namespace or service account: write a-z, 0-9, '.' or '-'")]
    Name(String),
}

impl TrustDomain {
    /// Checks `name` against SPIFFE-ID section 2.1.
    pub fn new(name: &str) -> Result<Self, IdentityError> {
        let fits = (1..=255).contains(&name.len());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if fits && name.bytes().all(plain) {
            Ok(Self(name.into()))
        } else {
            Err(IdentityError::TrustDomain(shorten(name)))
        }
    }

    /// The name, such as `cluster.local`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    /// `cluster.local`: what an empty trust domain on the wire means.
    fn default() -> Self {
        Self("cluster.local".into())
    }
}

impl SpiffeId {
    /// The identity of `service_account` in `namespace`; an empty account means `default`.
    pub fn new(
        trust_domain: TrustDomain,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self, IdentityError> {
        let account = if service_account.is_empty() { "default" } else { service_account };
        for name in [namespace, account] {
            check_name(name)?;
        }
        Ok(Self { trust_domain, namespace: namespace.into(), service_account: account.into() })
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Kubernetes service account.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// The form that policies compare: without the scheme, `td/ns/NS/sa/SA`.
    pub fn principal(&self) -> Principal<'_> {
        Principal(self)
    }
}

/// An identity as policies write it; displays as `td/ns/NS/sa/SA`.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a>(&'a SpiffeId);

impl fmt::Display for Principal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(f, "{}/ns/{}/sa/{}", id.trust_domain, id.namespace, id.service_account)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.principal())
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let form = || IdentityError::Form(shorten(text));
        let rest = text.strip_prefix("spiffe://").filter(|_| text.len() <= MAX_ID);
        let mut parts = rest.ok_or_else(form)?.split('/');
        let parts: [Option<&str>; 6] = std::array::from_fn(|_| parts.next());
        let [Some(domain), Some("ns"), Some(namespace), Some("sa"), Some(account), None] = parts
        else {
            return Err(form());
        };
        check_name(account)?;
        Self::new(TrustDomain::new(domain)?, namespace, account)
    }
}

/// A DNS-like name as Kubernetes gives to namespaces and service accounts (RFC 1123
/// subdomain). It keeps `%2f`, NUL, spaces and upper case out of identities.
fn check_name(name: &str) -> Result<(), IdentityError> {
    let fits = (1..=253).contains(&name.len());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    let dots = name.split('.').all(|label| !label.is_empty());
    if fits && dots && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(IdentityError::Name(shorten(name)))
    }
}

/// Keeps a hostile text from filling a log line.
fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests;
