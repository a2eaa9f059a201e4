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
        Kind::Gateway => drop(out.insert(Dirty::Gateway(key))),
        Kind::HTTPRoute => drop(out.insert(Dirty::Route(key))),
        Kind::GRPCRoute => drop(out.insert(Dirty::GrpcRoute(key))),
        Kind::ReferenceGrant => grant(world, &key.namespace, out),
        Kind::MeshConfig => everything(world, out),
        // Its pods and services look it up by name.
        Kind::Namespace => drop(out.insert(Dirty::Namespace(key.name))),
        // Only looked up by name.
        Kind::Node | Kind::ServiceAccount | Kind::GatewayClass => {}
    }
}

fn pod(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    if let Some(pod) = world.pod(&key) {
        let services = world.services_in(&key.namespace);
        let chosen = services.filter(|s| selects(&s.selector, &pod.meta.labels));
        out.extend(chosen.map(|s| Dirty::Service(s.meta.key.clone())));
    }
    out.extend(world.slices_with(&key).map(|s| Dirty::Slice(s.meta.key.clone())));
    waypoint_of(world, &key, out);
    out.insert(Dirty::Pod(key));
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
    if let Some(service) = world.service(&key) {
        chosen_pods(world, &key.namespace, &service.selector, out);
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
            chosen_pods(world, &namespace, selector, out);
        }
    }
    out.insert(Dirty::Policy(key));
}

fn peer(world: &World, key: Key, out: &mut BTreeSet<Dirty>) {
    match world.peer(&key).map(|p| p.selector.as_ref()) {
        Some(Some(selector)) => chosen_pods(world, &key.namespace, selector, out),
        Some(None) => {
            for namespace in scope(world, &key.namespace) {
                out.extend(world.pods_in(&namespace).map(|p| Dirty::Pod(p.meta.key.clone())));
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
        world.refs(Kind::Pod).into_iter().map(|pod| pod.namespace).collect()
    } else {
        BTreeSet::from([namespace.to_owned()])
    }
}

fn chosen_pods(world: &World, namespace: &str, selector: &Map, out: &mut BTreeSet<Dirty>) {
    let pods = world.pods_in(namespace).filter(|p| selects(selector, &p.meta.labels));
    out.extend(pods.map(|p| Dirty::Pod(p.meta.key.clone())));
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
    let kinds: [(Kind, Make); 9] = [
        (Kind::Namespace, |key| Dirty::Namespace(key.name)),
        (Kind::Pod, Dirty::Pod),
        (Kind::EndpointSlice, Dirty::Slice),
        (Kind::Service, Dirty::Service),
        (Kind::AuthorizationPolicy, Dirty::Policy),
        (Kind::PeerAuthentication, Dirty::Peer),
        (Kind::Gateway, Dirty::Gateway),
        (Kind::HTTPRoute, Dirty::Route),
        (Kind::GRPCRoute, Dirty::GrpcRoute),
    ];
    for (kind, dirty) in kinds {
        let refs = world.refs(kind).into_iter();
        out.extend(refs.map(|r| dirty(Key { namespace: r.namespace, name: r.name })));
    }
}

#[cfg(test)]
mod tests;
