//! What a route's reference to a backend means: the same for its conditions and for waypoints.

use super::Derived;
use super::route::Matches;
use crate::api::gateway::{BackendRef, Route};
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

/// The service of a backend of `route`, whose kind is `M::KIND`. Whether it is there is told only
/// to who may refer to it. A service that is the route's own parent needs no grant: that is where
/// its requests go without the route.
///
/// # Errors
/// See [`BackendError`].
pub fn resolve<'a, M: Matches>(
    world: &'a World,
    route: &Route<M>,
    backend: &BackendRef,
    derived: &mut Derived,
) -> Result<&'a Service, BackendError> {
    let group = backend.group.as_deref().unwrap_or_default();
    let kind = backend.kind.as_deref().unwrap_or("Service");
    if kind != "Service" || !matches!(group, "" | "core") {
        let full = if group.is_empty() { kind.to_owned() } else { format!("{group}/{kind}") };
        return Err(BackendError::InvalidKind(full));
    }
    let from = &route.meta.key.namespace;
    let key = Key::new(backend.namespace.as_deref().unwrap_or(from), &backend.name);
    let name = format!("{:?}", M::KIND);
    let granted = || world.grants_in(&key.namespace).any(|g| g.lets_routes(&name, from, &key.name));
    let own =
        || route.spec.parent_refs.iter().any(|parent| parent.service(from).as_ref() == Some(&key));
    if key.namespace != *from && !own() && !granted() {
        let from = from.clone();
        return Err(BackendError::RefNotPermitted { kind: M::KIND, service: key, from });
    }
    derived.looked_at.insert(ObjectRef::new(Kind::Service, &key.namespace, &key.name));
    let service = world.service(&key).ok_or_else(|| BackendError::NotFound(key.clone()))?;
    let port = backend.port.ok_or_else(|| BackendError::NoPort(key.clone()))?;
    if !service.ports.iter().any(|p| p.port == port) {
        return Err(BackendError::NoSuchPort { service: key, port });
    }
    Ok(service)
}
