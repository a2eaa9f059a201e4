//! ServiceEntries: endpoints and conditions. docs/wire.md, "Services outside the cluster".
//!
//! - [`host`]: the service of each host
//! - [`workload`]: endpoints, and WorkloadEntries, as workloads

pub mod host;
pub mod workload;

use hbone::brand;

use super::Derived;
use super::membership::has_instances;
use super::service::bound_condition;
use super::waypoint::{self, Binding};
use crate::model::entry::{Resolution, ServiceEntry, Visibility, is_wildcard};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

/// The annotation by which the quickest of several addresses is taken.
const CONNECT: &str = "istio.io/connect-strategy";

/// Derives the endpoints that an entry names, and its conditions.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(entry) = world.entry(key) else { return derived };
    let binding = waypoint::of_entry(world, entry, &mut derived.looked_at);
    let name = ObjectRef::new(Kind::ServiceEntry, &key.namespace, &key.name);
    let conditions = conditions(world, entry, &binding);
    derived.conditions.push((name, conditions));
    // Of what has no host nothing is reached.
    if names(world, entry).next().is_some() {
        workload::endpoints(world, entry, binding.bound(), &mut derived);
    }
    derived
}

/// The services of an entry on the wire: of its hosts those that are no other object's.
pub fn names<'a>(world: &'a World, entry: &'a ServiceEntry) -> impl Iterator<Item = String> + 'a {
    let namespace = &entry.meta.key.namespace;
    let own = entry.hosts.iter().filter(|host| {
        host::owner(world, namespace, host).is_some_and(|o| o.meta.key == entry.meta.key)
    });
    own.map(move |host| format!("{namespace}/{host}"))
}

fn conditions(world: &World, entry: &ServiceEntry, binding: &Binding) -> Vec<Condition> {
    let all = [
        bound_condition(binding),
        missing(entry, matches!(binding, Binding::Bound(_))),
        endpoints(world, entry),
        hosts(world, entry),
        addresses(world, entry),
    ];
    all.into_iter().flatten().collect()
}

/// That it cannot work without a waypoint, and has none.
fn missing(entry: &ServiceEntry, bound: bool) -> Option<Condition> {
    let wildcard = entry.resolution == Resolution::DynamicDns
        && entry.hosts.iter().any(|host| is_wildcard(host));
    let racing = entry.meta.annotation(CONNECT) == Some("RACE_FIRST_TCP_CONNECT");
    let (reason, what) = match (bound, wildcard, racing) {
        (false, true, _) => ("NoWaypointForWildcardService", "a wildcard host"),
        (false, false, true) => ("NoWaypointForRacingConnectStrategy", "its connect strategy"),
        (true, ..) | (false, false, false) => return None,
    };
    let message = format!("{what} needs a waypoint; write label {}", waypoint::USE);
    Some(Condition::new("istio.io/WaypointMissing", true, reason, message))
}

fn endpoints(world: &World, entry: &ServiceEntry) -> Option<Condition> {
    let selector = entry.selector.as_ref()?;
    let message = "its workloadSelector matches no pod and no WorkloadEntry of its namespace";
    let none = !has_instances(world, &entry.meta.key.namespace, selector);
    none.then(|| Condition::new(brand::ENDPOINTS, false, "NoEndpoints", message))
}

/// Hosts that another object of the namespace has.
fn hosts(world: &World, entry: &ServiceEntry) -> Option<Condition> {
    let namespace = &entry.meta.key.namespace;
    let taken = entry.hosts.iter().filter_map(|host| {
        let by = host::holder(world, namespace, host)?;
        let own = by.kind == Kind::ServiceEntry && by.name == entry.meta.key.name;
        (!own).then(|| format!("{host} is that of {by}"))
    });
    let taken: Vec<String> = taken.collect();
    (!taken.is_empty() && entry.visibility != Visibility::Nobody).then(|| {
        let message = format!("{}, which counts; name each host once", taken.join("; "));
        Condition::new(brand::HOSTS, false, "HostTaken", message)
    })
}

/// Hosts that have no address: none was left, or in a cluster the one who gives them has not yet.
fn addresses(world: &World, entry: &ServiceEntry) -> Option<Condition> {
    let key = &entry.meta.key;
    let without = entry.wants_addresses().iter();
    let without: Vec<&str> =
        without.filter(|h| world.vips.of(key, h).is_empty()).map(String::as_str).collect();
    match (without.is_empty(), world.site.kubernetes) {
        (true, _) => None,
        (false, false) => Some(exhausted(&without)),
        (false, true) => {
            let message = format!("{} are about to get addresses", without.join(", "));
            Some(Condition::new(brand::ADDRESSES, false, "Pending", message))
        }
    }
}

/// That no address is left for these hosts.
pub fn exhausted(hosts: &[&str]) -> Condition {
    let message = format!(
        "no address is left for {}; remove hosts that nobody calls, or write spec.addresses",
        hosts.join(", ")
    );
    Condition::new(brand::ADDRESSES, false, "Exhausted", message)
}

#[cfg(test)]
mod tests;
