//! The objects that one Gateway wants. Pure but for the places that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hbone::brand;

use super::leases::Leases;
use super::place;
use crate::api::gateway::Gateway;
use crate::model::object::{
    Key, Kind, Map, Meta, Node, Object, ObjectRef, Owner, Pod, Service, ServiceAccount,
    ServicePort, TargetPort,
};
use crate::model::world::World;
use crate::state::digest;
use crate::translate::waypoint::{GATEWAY_NAME, MANAGED, PORT, account, deployed_name};

/// Instances without the annotation [`brand::WAYPOINT_REPLICAS`].
pub const REPLICAS: usize = 2;

/// Most instances of one waypoint.
pub const MAX_REPLICAS: usize = 16;

/// The port of readiness, as deployed Services have it.
const STATUS_PORT: u16 = 15021;

/// What the label [`MANAGED`] says of a waypoint's objects.
pub const CONTROLLER: &str = "istio.io-mesh-controller";

/// How many instances a Gateway asks for.
///
/// # Errors
/// What its annotation says instead; [`REPLICAS`] then run.
pub fn replicas(gateway: &Gateway) -> Result<usize, String> {
    let Some(text) = gateway.meta.annotation(brand::WAYPOINT_REPLICAS) else { return Ok(REPLICAS) };
    let count = text.parse().ok().filter(|count| (1..=MAX_REPLICAS).contains(count));
    count.ok_or_else(|| text.chars().take(120).collect())
}

/// Whether a change of the object `name` can change what a Gateway gets.
pub fn concerns(world: &World, gateway: &Gateway, name: &ObjectRef) -> bool {
    let own = deployed_name(world, &gateway.meta.key);
    match name.kind {
        Kind::Service | Kind::ServiceAccount => {
            name.name == own || name.name == account(world, &gateway.meta.key)
        }
        _ => {
            let pod = world.pod(&Key::new(&name.namespace, &name.name));
            let labelled = pod.and_then(|pod| pod.meta.label(GATEWAY_NAME));
            labelled == Some(&gateway.meta.key.name) || name.name.starts_with(own)
        }
    }
}

/// Whether the world's object of this name is a deployed one, or there is none to spare.
pub fn is_ours(world: &World, name: &ObjectRef) -> bool {
    let meta = meta(world, name);
    meta.is_some_and(|meta| meta.label(MANAGED) == Some(CONTROLLER))
}

fn meta<'a>(world: &'a World, name: &ObjectRef) -> Option<&'a Meta> {
    let key = Key::new(&name.namespace, &name.name);
    match name.kind {
        Kind::Pod => world.pod(&key).map(|o| &o.meta),
        Kind::Service => world.service(&key).map(|o| &o.meta),
        Kind::ServiceAccount => world.account(&key).map(|o| &o.meta),
        _ => None,
    }
}

/// What the Gateway `key` wants: nothing if it is none of ours or gone. An object that the
/// source has under one of these names is left alone.
pub fn objects(world: &World, key: &Key, leases: &mut Leases) -> BTreeMap<ObjectRef, Object> {
    let Some(gateway) = world.gateway(key).filter(|gateway| deploys(world, gateway)) else {
        leases.set(key, BTreeMap::new());
        return BTreeMap::new();
    };
    let labels = labels(gateway);
    let (name, account) = (deployed_name(world, key), account(world, key));
    let mut objects = vec![service_account(key, account, &labels), service(key, name, &labels)];
    let places =
        if has_own_pods(world, key) { BTreeMap::new() } else { places(world, gateway, leases) };
    for (node, ips) in &places {
        objects.push(pod(key, name, account, node, ips, &labels));
    }
    leases.set(key, places);
    let named = objects
        .into_iter()
        .map(|(name, object)| (ObjectRef::new(object.kind(), &key.namespace, &name), object));
    let free = named.filter(|(name, _)| meta(world, name).is_none() || is_ours(world, name));
    free.collect()
}

/// Only Gateways of our own class: another's may be a controller's that runs elsewhere.
fn deploys(world: &World, gateway: &Gateway) -> bool {
    let class = gateway.spec.gateway_class_name.as_str();
    match world.class(class) {
        Some(class) => class.controller == brand::WAYPOINT_CONTROLLER,
        None => class == brand::WAYPOINT_CLASS,
    }
}

/// Whether the source has pods of this Gateway: then their author deploys it.
fn has_own_pods(world: &World, gateway: &Key) -> bool {
    world.pods_in(&gateway.namespace).any(|pod| {
        pod.meta.label(GATEWAY_NAME) == Some(&gateway.name)
            && pod.meta.label(MANAGED) != Some(CONTROLLER)
    })
}

/// Where its instances run: where they do already, as long as those nodes give addresses.
fn places(world: &World, gateway: &Gateway, leases: &Leases) -> BTreeMap<String, Vec<IpAddr>> {
    let key = &gateway.meta.key;
    let old = leases.of(key);
    let kept: BTreeSet<String> = old.keys().cloned().collect();
    let count = replicas(gateway).unwrap_or(REPLICAS);
    let mut taken = leases.taken(key);
    let mut places = BTreeMap::new();
    let giving = world.nodes().filter(|node| place::blocks(node).is_ok_and(|all| !all.is_empty()));
    for node in place::choose(giving, key, &kept, usize::MAX) {
        if places.len() == count {
            break;
        }
        let name = &node.meta.key.name;
        let ips = if let Some(ips) = old.get(name).filter(|ips| gives(node, ips)) {
            ips.clone()
        } else {
            taken.extend(others_on(world, name, key));
            place::addresses(node, key, &taken)
        };
        if !ips.is_empty() {
            places.insert(name.clone(), ips);
        }
    }
    places
}

/// Whether a node still gives these addresses.
fn gives(node: &Node, ips: &[IpAddr]) -> bool {
    let blocks = place::blocks(node).unwrap_or_default();
    ips.iter().all(|ip| blocks.iter().any(|block| block.contains(ip)))
}

/// Addresses on a node that pods of the source or of other Gateways have.
fn others_on(world: &World, node: &str, gateway: &Key) -> Vec<IpAddr> {
    let own = |pod: &&Pod| {
        pod.deployed
            && pod.meta.key.namespace == gateway.namespace
            && pod.meta.label(GATEWAY_NAME) == Some(&gateway.name)
    };
    world.pods_on(node).filter(|pod| !own(pod)).flat_map(|pod| pod.ips.clone()).collect()
}

fn labels(gateway: &Gateway) -> Map {
    let pairs = [
        (GATEWAY_NAME, gateway.meta.key.name.as_str()),
        ("gateway.networking.k8s.io/gateway-class-name", &gateway.spec.gateway_class_name),
        (MANAGED, CONTROLLER),
        // Its instances are one workload to whoever looks at telemetry.
        ("service.istio.io/workload-name", gateway.meta.key.name.as_str()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn named(gateway: &Key, name: &str, labels: &Map) -> Meta {
    let key = Key::new(&gateway.namespace, name);
    Meta { key, labels: labels.clone(), ..Meta::default() }
}

/// An object and its name in the Gateway's namespace.
type Named = (String, Object);

fn service_account(gateway: &Key, name: &str, labels: &Map) -> Named {
    let account = ServiceAccount { meta: named(gateway, name, labels) };
    (name.to_owned(), Object::ServiceAccount(account))
}

/// Without an address of its own: proxies find the instances by its name.
fn service(gateway: &Key, name: &str, labels: &Map) -> Named {
    let mut meta = named(gateway, name, labels);
    let close = ("networking.istio.io/traffic-distribution", "PreferClose");
    meta.annotations.insert(close.0.to_owned(), close.1.to_owned());
    let port = |name: &str, port| ServicePort {
        name: name.to_owned(),
        port,
        target: TargetPort::Number(port),
        app_protocol: String::new(),
    };
    let service = Service {
        meta,
        headless: true,
        selector: Map::from([(GATEWAY_NAME.to_owned(), gateway.name.clone())]),
        ports: vec![
            port("status-port", STATUS_PORT),
            ServicePort { app_protocol: "hbone".to_owned(), ..port("mesh", PORT) },
        ],
        ..Service::default()
    };
    (name.to_owned(), Object::Service(Box::new(service)))
}

/// The name of an instance. Names of Gateways and nodes have the same letters, so that two pairs
/// may read alike side by side: `a` on `b-c`, and `a-b` on `c`. A hash keeps them apart.
pub(super) fn instance(gateway: &Key, name: &str, node: &str) -> String {
    let mut hash = digest::short(format!("{gateway} {node}").as_bytes());
    hash.truncate(6);
    format!("{name}-{node}-{hash}")
}

fn pod(
    gateway: &Key,
    name: &str,
    account: &str,
    node: &str,
    ips: &[IpAddr],
    labels: &Map,
) -> Named {
    let name_here = instance(gateway, name, node);
    let mut meta = named(gateway, &name_here, labels);
    for (key, value) in [
        ("istio.io/dataplane-mode", "none"),
        ("service.istio.io/canonical-name", name),
        ("service.istio.io/canonical-revision", "latest"),
    ] {
        meta.labels.insert(key.to_owned(), value.to_owned());
    }
    let pod = Pod {
        uid: digest::uid(&format!("waypoint {} {node} {ips:?}", meta.key)),
        node: node.to_owned(),
        service_account: account.to_owned(),
        ips: ips.to_vec(),
        deployed: true,
        generated_name: true,
        owner: Some(Owner { kind: "Gateway".to_owned(), name: name.to_owned() }),
        meta,
        ..Pod::default()
    };
    (name_here, Object::Pod(Box::new(pod)))
}

#[cfg(test)]
mod tests;
