//! What a policy or a route names: a Service or a ServiceEntry, and its waypoints.

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::waypoint::v1 as pb;

use super::{Bound, group};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::translate::Derived;
use crate::translate::membership::{Offer, hostname};

/// The API group of ServiceEntries.
pub(in crate::translate) const NETWORKING: &str = "networking.istio.io";

/// What a reference of a policy or route with `group` and `kind` names.
///
/// # Errors
/// What is wrong with it, to follow the name of its field.
pub(super) fn offer<'a>(
    world: &'a World,
    group: &str,
    kind: &str,
    key: &Key,
    derived: &mut Derived,
) -> Result<Offer<'a>, String> {
    let missing = || format!("names {kind} {key}, which is not there");
    if kind == "ServiceEntry" {
        if group != NETWORKING {
            return Err(format!("has group {group:?}; for a ServiceEntry write {NETWORKING}"));
        }
        derived.looked_at.insert(ObjectRef::new(Kind::ServiceEntry, &key.namespace, &key.name));
        return world.entry(key).map(Offer::Entry).ok_or_else(missing);
    }
    derived.looked_at.insert(ObjectRef::new(Kind::Service, &key.namespace, &key.name));
    world.service(key).map(Offer::Service).ok_or_else(missing)
}

/// The services of an offer, by which waypoints know them: of a ServiceEntry every host's, also
/// where another object of its namespace has the host.
pub(super) fn services(world: &World, offer: Offer<'_>) -> Vec<pb::ServiceRef> {
    let namespace = &offer.meta().key.namespace;
    let hosts = match offer {
        Offer::Service(service) => vec![hostname(world, &service.meta.key)],
        Offer::Entry(entry) => entry.hosts.clone(),
    };
    let service = |hostname| pb::ServiceRef { namespace: namespace.clone(), hostname };
    hosts.into_iter().map(service).collect()
}

/// The groups of the waypoints of a binding.
pub(super) fn groups(world: &World, bound: &Bound) -> BTreeSet<String> {
    let canary = bound.canary.iter().map(|(gateway, _)| gateway);
    std::iter::once(&bound.primary).chain(canary).map(|g| group(world, g)).collect()
}
