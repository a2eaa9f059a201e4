//! What a route's reference to a backend means: the same for its conditions and for waypoints.

use super::Derived;
use crate::api::gateway::BackendRef;
use crate::model::object::{Key, Kind, ObjectRef, Service};
use crate::model::world::World;

/// Why a backend cannot be used; requests that choose it are answered with 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Something else than a Service.
    #[error("kind {0:?} is not served; write Service")]
    InvalidKind(String),
    /// In another namespace, whose owner has not agreed.
    #[error(
        "Service {service} is of another namespace; write a ReferenceGrant there, from {kind:?} \
         of namespace {from} to Service {name}", name = service.name
    )]
    RefNotPermitted {
        /// The kind of route.
        kind: Kind,
        /// The service.
        service: Key,
        /// The route's namespace.
        from: String,
    },
    /// No such service.
    #[error("Service {0} is not there")]
    NotFound(Key),
    /// No port is named.
    #[error("Service {0} is named without port; write one")]
    NoPort(Key),
    /// The service has other ports.
    #[error("Service {service} has no port {port}")]
    NoSuchPort {
        /// The service.
        service: Key,
        /// The port.
        port: u16,
    },
}

impl BackendError {
    /// The reason in the condition ResolvedRefs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidKind(_) => "InvalidKind",
            Self::RefNotPermitted { .. } => "RefNotPermitted",
            Self::NotFound(_) | Self::NoPort(_) | Self::NoSuchPort { .. } => "BackendNotFound",
        }
    }
}

/// The service of a backend of a route of kind `route` in `from`. Whether it is there is told only to who may
/// refer to it.
///
/// # Errors
/// See [`BackendError`].
pub fn resolve<'a>(
    world: &'a World,
    route: Kind,
    from: &str,
    backend: &BackendRef,
    derived: &mut Derived,
) -> Result<&'a Service, BackendError> {
    let group = backend.group.as_deref().unwrap_or_default();
    let kind = backend.kind.as_deref().unwrap_or("Service");
    if kind != "Service" || !matches!(group, "" | "core") {
        let full = if group.is_empty() { kind.to_owned() } else { format!("{group}/{kind}") };
        return Err(BackendError::InvalidKind(full));
    }
    let key = Key::new(backend.namespace.as_deref().unwrap_or(from), &backend.name);
    let name = format!("{route:?}");
    let granted = || world.grants_in(&key.namespace).any(|g| g.lets_routes(&name, from, &key.name));
    if key.namespace != from && !granted() {
        let from = from.to_owned();
        return Err(BackendError::RefNotPermitted { kind: route, service: key, from });
    }
    derived.looked_at.insert(ObjectRef::new(Kind::Service, &key.namespace, &key.name));
    let service = world.service(&key).ok_or_else(|| BackendError::NotFound(key.clone()))?;
    let port = backend.port.ok_or_else(|| BackendError::NoPort(key.clone()))?;
    if !service.ports.iter().any(|p| p.port == port) {
        return Err(BackendError::NoSuchPort { service: key, port });
    }
    Ok(service)
}
