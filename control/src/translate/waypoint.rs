//! Who goes through which waypoint.
//!
//! A waypoint cannot be bypassed: it is named on the wire as soon as a label asks for it, also
//! while its Gateway is missing, not ready or does not accept the caller. docs/wire.md,
//! "Waypoints".

pub mod authentication;
pub(crate) mod duration;
mod filter;
pub mod gateway;
pub(super) mod offer;
pub mod policy;
pub mod provider;
pub mod route;
#[cfg(test)]
mod shop;

use std::collections::BTreeSet;

use hbone::brand;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::gateway_address::Destination;
use hbone::wire::pb::istio::workload::{GatewayAddress, NamespacedHostname, WeightedWaypoint};

use super::membership::hostname;
use crate::api::gateway::{Gateway, Listener};
use crate::model::entry::{ServiceEntry, Visibility, WorkloadEntry};
use crate::model::object::{Key, Kind, Meta, Namespace, ObjectRef, Pod, Service, boolean};
use crate::model::world::World;

/// The label that binds to a waypoint.
pub const USE: &str = "istio.io/use-waypoint";
const USE_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
const CANARY: &str = "istio.io/use-waypoint-canary";
const CANARY_NAMESPACE: &str = "istio.io/use-waypoint-canary-namespace";
const CANARY_WEIGHT: &str = "istio.io/use-waypoint-canary-weight";
const FOR: &str = "istio.io/waypoint-for";

/// The port on which waypoints take HBONE.
pub const PORT: u16 = 15008;
/// The label of a deployed object that names its Gateway.
pub const GATEWAY_NAME: &str = hbone::label::GATEWAY_NAME;
/// The label of a deployed object that names who deployed it.
pub const MANAGED: &str = "gateway.istio.io/managed";

/// The classes whose Gateways are waypoints, without any GatewayClass object.
const CLASSES: [&str; 2] = [brand::WAYPOINT_CLASS, "istio-waypoint"];
const CONTROLLERS: [&str; 2] = [brand::WAYPOINT_CONTROLLER, "istio.io/mesh-controller"];

/// A binding that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The waypoint's Gateway, there or not.
    pub primary: Key,
    /// The second one and its share of a hundred.
    pub canary: Option<(Key, u32)>,
    /// What is wrong with it, for the status.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No such Gateway, or none of a waypoint's class.
    Missing(Key),
    /// The Gateway does not let this namespace attach.
    Denied(Key),
    /// The Gateway is of a namespace that does not see what is bound.
    Forbidden(Key),
    /// Only in the message.
    Canary(String),
}

/// The outcome of a look for a waypoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// No label asks for one, or `none`.
    None,
    /// The Gateway serves the other kind of traffic.
    Unsupported(Key),
    /// One is to be used.
    Bound(Bound),
}

impl Binding {
    /// The binding in force, if any.
    pub fn bound(self) -> Option<Bound> {
        match self {
            Self::Bound(bound) => Some(bound),
            Self::None | Self::Unsupported(_) => None,
        }
    }
}

/// The kind of traffic: what is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    Service,
    Workload,
}

type LookedAt = BTreeSet<ObjectRef>;

/// The waypoint of a service.
pub fn of_service(world: &World, service: &Service, looked_at: &mut LookedAt) -> Binding {
    if is_waypoint_service(world, service, looked_at) {
        return Binding::None;
    }
    resolve(world, &service.meta, Traffic::Service, looked_at)
}

/// The waypoint for what is dialled by a pod's own address, by the labels of pod and namespace
/// alone. See [`opts_out`] for a pod whose own label says `none`.
pub fn of_pod(world: &World, pod: &Pod, looked_at: &mut LookedAt) -> Binding {
    if is_waypoint_pod(pod) {
        return Binding::None;
    }
    resolve(world, &pod.meta, Traffic::Workload, looked_at)
}

/// The waypoint of a ServiceEntry. One that only its own namespace sees cannot be served by a
/// waypoint of another.
pub fn of_entry(world: &World, entry: &ServiceEntry, looked_at: &mut LookedAt) -> Binding {
    let binding = resolve(world, &entry.meta, Traffic::Service, looked_at);
    match binding {
        Binding::Bound(mut bound) if entry.visibility != Visibility::Public => {
            let canary = bound.canary.iter().map(|(gateway, _)| gateway);
            let mut all = std::iter::once(&bound.primary).chain(canary);
            let foreign = all.find(|g| g.namespace != entry.meta.key.namespace).cloned();
            bound.trouble = foreign.map(Trouble::Forbidden).or(bound.trouble);
            Binding::Bound(bound)
        }
        other => other,
    }
}

/// The waypoint for what is dialled by the address of an endpoint that a ServiceEntry names.
pub fn of_entry_workloads(
    world: &World,
    entry: &ServiceEntry,
    looked_at: &mut LookedAt,
) -> Binding {
    resolve(world, &entry.meta, Traffic::Workload, looked_at)
}

/// The waypoint for what is dialled by a WorkloadEntry's own address.
pub fn of_workload_entry(
    world: &World,
    entry: &WorkloadEntry,
    looked_at: &mut LookedAt,
) -> Binding {
    resolve(world, &entry.meta, Traffic::Workload, looked_at)
}

/// The waypoint that the services of a namespace inherit.
pub fn of_namespace(world: &World, namespace: &Namespace, looked_at: &mut LookedAt) -> Binding {
    let meta = Meta { key: Key::new(&namespace.meta.key.name, ""), ..Meta::default() };
    resolve(world, &meta, Traffic::Service, looked_at)
}

/// Whether a pod's own label ends the search.
pub fn opts_out(pod: &Pod) -> bool {
    pod.meta.label(USE) == Some("none") || is_waypoint_pod(pod)
}

/// Whether a pod is itself a waypoint or gateway.
pub fn is_waypoint_pod(pod: &Pod) -> bool {
    pod.meta.label(GATEWAY_NAME).is_some()
}

fn is_waypoint_service(world: &World, service: &Service, looked_at: &mut LookedAt) -> bool {
    let key = &service.meta.key;
    if service.meta.label(MANAGED).is_some() || service.meta.label(GATEWAY_NAME).is_some() {
        return true;
    }
    looked_at.insert(ObjectRef::new(Kind::Gateway, &key.namespace, &key.name));
    world.gateway(key).is_some_and(|g| is_waypoint(world, g, looked_at))
}

fn resolve(world: &World, meta: &Meta, traffic: Traffic, looked_at: &mut LookedAt) -> Binding {
    let namespace = &meta.key.namespace;
    looked_at.insert(ObjectRef::new(Kind::Namespace, "", namespace));
    let namespace_meta = world.namespace(namespace).map(|n| &n.meta);
    let own = meta.label(USE).is_some();
    let Some(source) = (if own { Some(meta) } else { namespace_meta }) else {
        return Binding::None;
    };
    let primary = match source.label(USE) {
        None | Some("" | "none") => return Binding::None,
        Some(name) => Key::new(source.label(USE_NAMESPACE).unwrap_or(namespace), name),
    };
    let trouble = match judge(world, &primary, namespace, traffic, looked_at) {
        Judged::Unsupported => return Binding::Unsupported(primary),
        Judged::Fine => None,
        Judged::Missing => Some(Trouble::Missing(primary.clone())),
        Judged::Denied => Some(Trouble::Denied(primary.clone())),
    };
    let (canary, canary_trouble) = match traffic {
        Traffic::Service => canary(world, source, namespace, &primary, looked_at),
        Traffic::Workload => (None, None),
    };
    let trouble = trouble.or(canary_trouble.map(Trouble::Canary));
    Binding::Bound(Bound { primary, canary, trouble })
}

/// The second waypoint; it must be in order in every way, or the first serves alone.
fn canary(
    world: &World,
    source: &Meta,
    namespace: &str,
    primary: &Key,
    looked_at: &mut LookedAt,
) -> (Option<(Key, u32)>, Option<String>) {
    let Some(name) = source.label(CANARY).filter(|n| !n.is_empty()) else { return (None, None) };
    let key = Key::new(source.label(CANARY_NAMESPACE).unwrap_or(namespace), name);
    let weight = match source.annotation(CANARY_WEIGHT) {
        None => 0,
        Some(text) => match text.parse::<u32>() {
            Ok(weight) if weight <= 100 => weight,
            _ => {
                let message = format!("CanaryInvalidWeight: {text:?}; write 0 to 100");
                return (None, Some(message));
            }
        },
    };
    if key == *primary {
        return (None, Some(format!("CanarySameAsPrimary: {key}; name another waypoint")));
    }
    match judge(world, &key, namespace, Traffic::Service, looked_at) {
        Judged::Fine => (Some((key, weight)), None),
        Judged::Missing => (None, Some(format!("CanaryIsNotReady: no waypoint {key}"))),
        Judged::Denied => (None, Some(format!("CanaryAttachmentDenied: by {key}"))),
        Judged::Unsupported => (None, Some(format!("CanaryUnsupportedTrafficType: of {key}"))),
    }
}

enum Judged {
    Fine,
    Missing,
    Denied,
    Unsupported,
}

fn judge(
    world: &World,
    gateway: &Key,
    from: &str,
    traffic: Traffic,
    looked_at: &mut LookedAt,
) -> Judged {
    looked_at.insert(ObjectRef::new(Kind::Gateway, &gateway.namespace, &gateway.name));
    let Some(object) = world.gateway(gateway).filter(|g| is_waypoint(world, g, looked_at)) else {
        return Judged::Missing;
    };
    if !serves(world, object, traffic) {
        return Judged::Unsupported;
    }
    if attaches(world, object, from, looked_at) { Judged::Fine } else { Judged::Denied }
}

/// Whether a Gateway is a waypoint.
pub fn is_waypoint(world: &World, gateway: &Gateway, looked_at: &mut LookedAt) -> bool {
    let class = gateway.spec.gateway_class_name.as_str();
    looked_at.insert(ObjectRef::new(Kind::GatewayClass, "", class));
    match world.class(class) {
        Some(class) => CONTROLLERS.contains(&class.controller.as_str()),
        None => CLASSES.contains(&class),
    }
}

fn serves(world: &World, gateway: &Gateway, traffic: Traffic) -> bool {
    let class = world.class(&gateway.spec.gateway_class_name);
    let own = gateway.meta.label(FOR);
    let said = own.or_else(|| class.and_then(|c| c.meta.label(FOR))).unwrap_or("service");
    match traffic {
        Traffic::Service => matches!(said, "service" | "all"),
        Traffic::Workload => matches!(said, "workload" | "all"),
    }
}

fn attaches(world: &World, gateway: &Gateway, from: &str, looked_at: &mut LookedAt) -> bool {
    let same = from == gateway.meta.key.namespace;
    let Some(listener) = hbone_listener(gateway) else { return same };
    let namespaces = listener.allowed_routes.as_ref().and_then(|a| a.namespaces.as_ref());
    let Some(namespaces) = namespaces else { return same };
    match namespaces.from.as_deref().unwrap_or("Same") {
        "Same" => same,
        "All" => true,
        "Selector" => {
            looked_at.insert(ObjectRef::new(Kind::Namespace, "", from));
            let labels = world.namespace(from).map(|n| n.meta.labels.clone()).unwrap_or_default();
            namespaces.selector.as_ref().is_some_and(|s| s.fits(&labels))
        }
        _ => false,
    }
}

/// The listener that takes the mesh's traffic.
pub fn hbone_listener(gateway: &Gateway) -> Option<&Listener> {
    gateway.spec.listeners.iter().find(|l| l.protocol == "HBONE" && l.port == PORT)
}

/// The name that a Gateway's deployed objects have.
pub fn deployed_name<'a>(world: &'a World, gateway: &'a Key) -> &'a str {
    let object = world.gateway(gateway);
    let given = object.and_then(|g| g.meta.annotation("gateway.istio.io/name-override"));
    given.unwrap_or(&gateway.name)
}

/// The service account of a Gateway's pods.
pub fn account<'a>(world: &'a World, gateway: &'a Key) -> &'a str {
    let object = world.gateway(gateway);
    let given = object.and_then(|g| g.meta.annotation("gateway.istio.io/service-account"));
    given.unwrap_or_else(|| deployed_name(world, gateway))
}

/// A waypoint's identity as policies write it.
pub fn principal(world: &World, gateway: &Key) -> String {
    let account = account(world, gateway);
    format!("{}/ns/{}/sa/{account}", world.mesh().trust_domain, gateway.namespace)
}

/// The subscribers that are pods of a waypoint, by the identity that they prove:
/// `namespace/account`.
pub fn group(world: &World, gateway: &Key) -> String {
    format!("{}/{}", gateway.namespace, account(world, gateway))
}

fn object(kind: &str, key: &Key) -> pb::ObjectRef {
    pb::ObjectRef {
        kind: kind.to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// A waypoint as the wire names it.
pub fn address(world: &World, gateway: &Key) -> GatewayAddress {
    let service = Key::new(&gateway.namespace, deployed_name(world, gateway));
    GatewayAddress {
        destination: Some(Destination::Hostname(NamespacedHostname {
            namespace: gateway.namespace.clone(),
            hostname: hostname(world, &service),
        })),
        hbone_mtls_port: u32::from(PORT),
    }
}

/// Both waypoints with their weights, where there is a canary.
pub fn weighted(world: &World, bound: &Bound) -> Vec<WeightedWaypoint> {
    let Some((canary, weight)) = &bound.canary else { return Vec::new() };
    let entry = |gateway: &Key, weight| WeightedWaypoint {
        destination: Some(address(world, gateway)),
        weight,
    };
    vec![entry(&bound.primary, 100 - weight), entry(canary, *weight)]
}

/// Whether a service lets callers around its waypoint.
pub fn allows_bypass(service: &Meta) -> bool {
    service.label(brand::ALLOW_WAYPOINT_BYPASS).and_then(boolean) == Some(true)
}
