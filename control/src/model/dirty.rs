//! What has to be derived again after a change.
//!
//! Two ways lead from a changed object to what depends on it. Where a derivation looks an
//! object up by name, it says so (`Derived::looked_at`), and the engine follows that back.
//! Where objects choose others by labels, the rule is here: asked before and after the change,
//! it names what the old and the new object choose.

use std::collections::BTreeSet;

use super::object::{Key, Kind, Map, ObjectRef};
use super::world::{World, pods_named_by, selects};
use crate::api::gateway::Route;
use crate::translate::membership::hostname;
use crate::translate::waypoint::GATEWAY_NAME;

/// Something that is derived.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dirty {
    /// A pod's workload, its place on its node, its condition.
    Pod(Key),
    /// The workloads of a slice's endpoints that are no pods.
    Slice(Key),
    /// A service and its condition.
    Service(Key),
    /// An AuthorizationPolicy.
    Policy(Key),
    /// The policy of a PeerAuthentication's single ports.
    Peer(Key),
    /// The policy that refuses whoever has no identity.
    Strict,
    /// A gateway's condition.
    Gateway(Key),
    /// An HTTPRoute and its conditions.
    Route(Key),
    /// A namespace's condition.
    Namespace(String),
    /// A GRPCRoute and its conditions.
    GrpcRoute(Key),
    /// The external authorizers of the mesh configuration.
    Providers,
    /// The endpoints that a ServiceEntry names, and its condition.
    Entry(Key),
    /// The service of a host name of ServiceEntries: namespace and host.
    Host(Key),
    /// A WorkloadEntry's workload and its condition.
    WorkloadEntry(Key),
    /// A RequestAuthentication.
    Authentication(Key),
}

/// What the object `name`, as it is in `world` now, makes dirty.
pub fn dirtied_by(world: &World, name: &ObjectRef, out: &mut BTreeSet<Dirty>) {
    let key = Key::new(&name.namespace, &name.name);
    match name.kind {
        Kind::Pod => pod(world, key, out),
        Kind::Service => service(world, key, out),
        Kind::EndpointSlice => slice(world, key, out),
        Kind::AuthorizationPolicy => policy(world, key, out),
        Kind::PeerAuthentication => peer(world, key, out),
        Kind::RequestAuthentication => drop(out.insert(Dirty::Authentication(key))),
        Kind::Gateway => drop(out.insert(Dirty::Gateway(key))),
        Kind::HTTPRoute => drop(out.insert(Dirty::Route(key))),
        Kind::GRPCRoute => drop(out.insert(Dirty::GrpcRoute(key))),
        Kind::ReferenceGrant => grant(world, &key.namespace, out),
        Kind::ServiceEntry => entry(world, &key, out),
        Kind::WorkloadEntry => workload_entry(world, key, out),
        Kind::MeshConfig => everything(world, out),
        // Its pods and services look it up by name.
        Kind::Namespace => drop(out.insert(Dirty::Namespace(key.name))),
        // Only looked up by name.
        Kind::Node | Kind::ServiceAccount | Kind::GatewayClass => {}
    }
}

fn pod(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    if let Some(pod) = world.pod(&key) {
        choosing(world, &key.namespace, &pod.meta.labels, out);
    }
    out.extend(world.slices_with(&key).map(|s| Dirty::Slice(s.meta.key.clone())));
    waypoint_of(world, &key, out);
    out.insert(Dirty::Pod(key));
}

/// What chooses an instance with these labels: whether anybody stands behind it may have changed.
fn choosing(world: &World, namespace: &str, labels: &Map, out: &mut BTreeSet<Dirty>) {
    let services = world.services_in(namespace).filter(|s| selects(&s.selector, labels));
    out.extend(services.map(|s| Dirty::Service(s.meta.key.clone())));
    let entries = world.entries_in(namespace);
    let entries = entries.filter(|e| e.selector.as_ref().is_some_and(|s| selects(s, labels)));
    out.extend(entries.map(|e| Dirty::Entry(e.meta.key.clone())));
}

fn workload_entry(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    if let Some(entry) = world.workload_entry(&key) {
        choosing(world, &key.namespace, &entry.meta.labels, out);
    }
    out.insert(Dirty::WorkloadEntry(key));
}

/// A ServiceEntry, those of its hosts in every namespace, and those whose addresses depend on
/// it: which of several counts may have changed.
fn entry(world: &World, key: &Key, out: &mut BTreeSet<Dirty>) {
    out.insert(Dirty::Entry(key.clone()));
    let Some(entry) = world.entry(key) else { return };
    for host in &entry.hosts {
        of_host(world, host, out);
    }
    let given = entry.given.values().flatten().copied();
    let addresses = entry.written_addresses().chain(given);
    let claimants = world.vips.claimants(addresses);
    for (key, host) in claimants {
        out.insert(Dirty::Host(Key::new(&key.namespace, host)));
        out.insert(Dirty::Entry(key.clone()));
    }
}

/// The services of a host name in every namespace, and who stands behind them.
fn of_host(world: &World, host: &str, out: &mut BTreeSet<Dirty>) {
    for entry in world.entries_of(host) {
        let namespace = &entry.meta.key.namespace;
        out.insert(Dirty::Host(Key::new(namespace, host)));
        out.insert(Dirty::Entry(entry.meta.key.clone()));
        if let Some(selector) = &entry.selector {
            chosen(world, namespace, selector, out);
        }
    }
}

/// The Gateway whose waypoint a pod is: its condition counts its pods. And its other deployed
/// instances: whether one on a silent node counts as ready depends on the others.
pub fn waypoint_of(world: &World, pod: &Key, out: &mut BTreeSet<Dirty>) {
    let Some(pod) = world.pod(pod) else { return };
    let Some(name) = pod.meta.label(GATEWAY_NAME) else { return };
    let namespace = &pod.meta.key.namespace;
    out.insert(Dirty::Gateway(Key::new(namespace, name)));
    if pod.deployed {
        let instances = world.instances(pod);
        out.extend(instances.map(|pod| Dirty::Pod(pod.meta.key.clone())));
    }
}

fn service(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    // A ServiceEntry of the same host counts only where there is no Service.
    of_host(world, &hostname(world, &key), out);
    if let Some(service) = world.service(&key) {
        chosen(world, &key.namespace, &service.selector, out);
    }
    for slice in world.slices_of(&key) {
        out.insert(Dirty::Slice(slice.meta.key.clone()));
        named_pods(&key.namespace, pods_named_by(slice), out);
    }
    out.insert(Dirty::Service(key));
}

fn slice(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    if let Some(slice) = world.slice(&key) {
        named_pods(&key.namespace, pods_named_by(slice), out);
        out.insert(Dirty::Service(Key::new(&key.namespace, &slice.service)));
    }
    out.insert(Dirty::Slice(key));
}

fn policy(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    if let Some(selector) = world.policy(&key).and_then(|p| p.selector.as_ref()) {
        for namespace in scope(world, &key.namespace) {
            chosen(world, &namespace, selector, out);
        }
    }
    out.insert(Dirty::Policy(key));
}

fn peer(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    match world.peer(&key).map(|p| p.selector.as_ref()) {
        Some(Some(selector)) => chosen(world, &key.namespace, selector, out),
        Some(None) => {
            for namespace in scope(world, &key.namespace) {
                out.extend(world.pods_in(&namespace).map(|p| Dirty::Pod(p.meta.key.clone())));
                let entries = world.workload_entries_in(&namespace);
                out.extend(entries.map(|e| Dirty::WorkloadEntry(e.meta.key.clone())));
                let entries = world.entries_in(&namespace);
                out.extend(entries.map(|e| Dirty::Entry(e.meta.key.clone())));
            }
            let peers = world.refs(Kind::PeerAuthentication).into_iter();
            out.extend(peers.map(|r| Dirty::Peer(Key { namespace: r.namespace, name: r.name })));
        }
        None => {}
    }
    out.insert(Dirty::Strict);
    out.insert(Dirty::Peer(key));
}

/// The routes of others with a backend in `namespace`.
fn grant(world: &World, namespace: &str, out: &mut BTreeSet<Dirty>) {
    let routes = world.routes().filter(|route| refers_to(route, namespace));
    out.extend(routes.map(|route| Dirty::Route(route.meta.key.clone())));
    let routes = world.grpc_routes().filter(|route| refers_to(route, namespace));
    out.extend(routes.map(|route| Dirty::GrpcRoute(route.meta.key.clone())));
}

fn refers_to<M>(route: &Route<M>, namespace: &str) -> bool {
    let mut refs = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
    refs.any(|backend| backend.namespace.as_deref() == Some(namespace))
}

/// The namespaces that a policy in `namespace` concerns.
fn scope(world: &World, namespace: &str) -> BTreeSet<String> {
    if namespace == world.mesh().root_namespace {
        let pods = world.refs(Kind::Pod).into_iter();
        let outside = [Kind::WorkloadEntry, Kind::ServiceEntry].map(|kind| world.refs(kind));
        pods.chain(outside.into_iter().flatten()).map(|name| name.namespace).collect()
    } else {
        BTreeSet::from([namespace.to_owned()])
    }
}

fn chosen(world: &World, namespace: &str, selector: &Map, out: &mut BTreeSet<Dirty>) {
    let pods = world.pods_in(namespace).filter(|p| selects(selector, &p.meta.labels));
    out.extend(pods.map(|p| Dirty::Pod(p.meta.key.clone())));
    let entries = world.workload_entries_in(namespace);
    let entries = entries.filter(|e| selects(selector, &e.meta.labels));
    out.extend(entries.map(|e| Dirty::WorkloadEntry(e.meta.key.clone())));
    let entries = world.entries_in(namespace);
    let entries = entries.filter(|e| e.endpoints.iter().any(|one| selects(selector, &one.labels)));
    out.extend(entries.map(|e| Dirty::Entry(e.meta.key.clone())));
}

fn named_pods<'a>(
    namespace: &str,
    names: impl Iterator<Item = &'a str>,
    out: &mut BTreeSet<Dirty>,
) {
    out.extend(names.map(|name| Dirty::Pod(Key::new(namespace, name))));
}

/// Makes the dirty thing of a kind.
type Make = fn(Key) -> Dirty;

/// The mesh configuration is in everything.
fn everything(world: &World, out: &mut BTreeSet<Dirty>) {
    out.insert(Dirty::Strict);
    out.insert(Dirty::Providers);
    for entry in world.refs(Kind::ServiceEntry) {
        self::entry(world, &Key { namespace: entry.namespace, name: entry.name }, out);
    }
    let kinds: [(Kind, Make); 11] = [
        (Kind::Namespace, |key| Dirty::Namespace(key.name)),
        (Kind::Pod, Dirty::Pod),
        (Kind::EndpointSlice, Dirty::Slice),
        (Kind::Service, Dirty::Service),
        (Kind::AuthorizationPolicy, Dirty::Policy),
        (Kind::PeerAuthentication, Dirty::Peer),
        (Kind::RequestAuthentication, Dirty::Authentication),
        (Kind::Gateway, Dirty::Gateway),
        (Kind::HTTPRoute, Dirty::Route),
        (Kind::GRPCRoute, Dirty::GrpcRoute),
        (Kind::WorkloadEntry, Dirty::WorkloadEntry),
    ];
    for (kind, dirty) in kinds {
        let refs = world.refs(kind).into_iter();
        out.extend(refs.map(|r| dirty(Key { namespace: r.namespace, name: r.name })));
    }
}

#[cfg(test)]
mod tests;
