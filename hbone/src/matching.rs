//! What policies compare: principals, namespaces, service accounts, addresses and ports.
//!
//! The same primitives serve layer 4 in ztunnel and layer 7 in the waypoint; neither has its
//! own idea of what `*` or an address block means (docs/wire.md, "Authorization").

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::identity::SpiffeId;

pub use text::StringMatch;

pub mod pattern;
mod text;

/// Who calls: the peer's authenticated identity, if it has one, in the forms that policies
/// compare. Made once per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    identity: Option<SpiffeId>,
    principal: Option<Box<str>>,
}

/// A namespace and service account; the trust domain is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccountMatch {
    /// The namespace.
    pub namespace: std::sync::Arc<str>,
    /// The service account.
    pub service_account: std::sync::Arc<str>,
}

impl Caller {
    /// A caller whose certificate was verified.
    pub fn authenticated(identity: SpiffeId) -> Self {
        let principal = Some(identity.principal().to_string().into());
        Self { identity: Some(identity), principal }
    }

    /// A caller in plain text: no policy on identities matches it.
    pub fn anonymous() -> Self {
        Self { identity: None, principal: None }
    }

    /// From what TLS gave, if there was TLS.
    pub fn new(identity: Option<SpiffeId>) -> Self {
        identity.map_or_else(Self::anonymous, Self::authenticated)
    }

    /// The identity, if authenticated.
    pub fn identity(&self) -> Option<&SpiffeId> {
        self.identity.as_ref()
    }

    /// `td/ns/NS/sa/SA`: what principals are compared with. None without identity.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// The namespace of the identity; empty without one, as policies see it.
    pub fn namespace(&self) -> &str {
        self.identity.as_ref().map_or("", SpiffeId::namespace)
    }
}

impl ServiceAccountMatch {
    /// Whether `caller` is that service account, in whatever trust domain.
    pub fn matches(&self, caller: &Caller) -> bool {
        caller.identity().is_some_and(|id| {
            id.namespace() == &*self.namespace && id.service_account() == &*self.service_account
        })
    }
}

/// Whether `block` holds `address`, an IPv4-mapped address being the IPv4 one.
/// `block` must come from [`canonical_block`].
pub fn block_contains(block: &IpNet, address: IpAddr) -> bool {
    block.contains(&address.to_canonical())
}

/// Clears the host bits, and turns a block of IPv4-mapped addresses into one of IPv4.
pub fn canonical_block(block: IpNet) -> IpNet {
    if let IpNet::V6(v6) = block
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(v4, length)
    {
        return IpNet::V4(v4.trunc());
    }
    block.trunc()
}

#[cfg(test)]
mod tests;
