//! The Gateway that a waypoint serves.

use std::net::IpAddr;
use std::sync::Arc;

use hbone::identity::{SpiffeId, TrustDomain};
use hbone::wire::address::{NamespacedHostname, NetworkAddress};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload as wire;
use hbone::wire::workload::{GatewayAddress, GatewayDestination};

use super::ConfigError;
use super::object::ObjectName;

/// A Gateway, compiled.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How services name it.
    pub addresses: Vec<GatewayDestination>,
    /// Whose identities may call.
    pub trust_domains: Vec<TrustDomain>,
    /// Send x-forwarded-client-cert to applications.
    pub forward_client_identity: bool,
}

impl Gateway {
    pub(super) fn compile(name: &str, gateway: &pb::Gateway) -> Result<Self, ConfigError> {
        let domain = |text: &String| {
            TrustDomain::new(text)
                .map_err(|source| ConfigError::TrustDomain { object: name.to_owned(), source })
        };
        Ok(Self {
            namespace: gateway.namespace.as_str().into(),
            name: gateway.name.as_str().into(),
            addresses: gateway.addresses.iter().filter_map(destination).collect(),
            trust_domains: gateway.trust_domains.iter().map(domain).collect::<Result<_, _>>()?,
            forward_client_identity: gateway.forward_client_identity,
        })
    }

    /// Whether identities like `peer`'s may call.
    pub fn trusts(&self, peer: &SpiffeId) -> bool {
        self.trust_domains.contains(peer.trust_domain())
    }

    /// Its name, as routes and policies give it.
    pub fn object(&self) -> ObjectName {
        ObjectName {
            kind: "Gateway".into(),
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(&self.name),
        }
    }

    /// Whether a route or policy that names `object` means this Gateway.
    pub fn is(&self, object: &ObjectName) -> bool {
        object.namespace == self.namespace && object.name == self.name
    }

    /// Whether `waypoint` (of a service or workload) is this Gateway.
    pub fn is_at(&self, waypoint: &GatewayAddress) -> bool {
        self.addresses.contains(&waypoint.destination)
    }
}

fn destination(address: &wire::GatewayAddress) -> Option<GatewayDestination> {
    Some(match address.destination.as_ref()? {
        wire::gateway_address::Destination::Hostname(name) => {
            GatewayDestination::Hostname(NamespacedHostname {
                namespace: name.namespace.as_str().into(),
                hostname: name.hostname.as_str().into(),
            })
        }
        wire::gateway_address::Destination::Address(address) => {
            let v4 = <[u8; 4]>::try_from(address.address.as_slice()).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(address.address.as_slice()).map(IpAddr::from);
            GatewayDestination::Address(NetworkAddress {
                network: address.network.as_str().into(),
                address: v4.or_else(|_| v6()).ok()?.to_canonical(),
            })
        }
    })
}

#[cfg(test)]
mod tests;
