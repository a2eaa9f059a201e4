//! Configuration from the control plane: wire messages to what requests are decided on.
//!
//! - [`object`]: names of the user's objects
//! - [`gateway`], [`route`], [`policy`], [`authentication`], [`provider`]: one compiled type per
//!   resource
//! - [`view`]: what they see of a request
//! - [`store`]: resources as they arrive; [`snapshot`]: what requests read

use hbone::identity::IdentityError;
use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::ambit::waypoint::v1 as pb;

pub mod authentication;
pub mod gateway;
pub mod object;
pub mod policy;
pub mod provider;
pub mod route;
pub mod snapshot;
pub mod store;
pub mod view;

/// Why a resource is refused; the last good version stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The bytes are no message of the type.
    #[error("{object}: not a message of its type")]
    Decode {
        /// The resource.
        object: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// A trust domain that is none.
    #[error("{object}: trust_domains is not readable")]
    TrustDomain {
        /// The resource.
        object: String,
        /// Why.
        source: IdentityError,
    },
}

/// A service as configuration names it.
pub(crate) fn service_name(wire: &pb::ServiceRef) -> NamespacedHostname {
    NamespacedHostname {
        namespace: wire.namespace.as_str().into(),
        hostname: wire.hostname.as_str().into(),
    }
}
