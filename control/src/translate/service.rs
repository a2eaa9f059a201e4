//! Services. docs/wire.md, "Workload state".

use hbone::brand;
use hbone::wire::pb::istio::workload as pb;
use prost::Message;

use super::membership::{has_endpoints, hostname, service_name};
use super::waypoint::{self, Binding, Trouble};
use super::workload::{aliases, bytes};
use super::{Derived, Family, Resource};
use crate::model::object::{
    IpFamilies, Key, Kind, Meta, ObjectRef, Service, ServicePort, TargetPort, boolean,
};
use crate::model::world::World;
use crate::status::Condition;

/// Derives a service and its conditions.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(service) = world.service(key).filter(|s| !s.external_name) else { return derived };
    let binding = waypoint::of_service(world, service, &mut derived.looked_at);
    let mut conditions: Vec<Condition> = bound_condition(&binding).into_iter().collect();
    if !has_endpoints(world, service) {
        let message = if service.selector.is_empty() {
            "has no selector and no slice names an endpoint of it"
        } else {
            "its selector matches no pod of its namespace"
        };
        conditions.push(Condition::new(brand::ENDPOINTS, false, "NoEndpoints", message));
    }
    let name = ObjectRef::new(Kind::Service, &key.namespace, &key.name);
    derived.conditions.push((name, conditions));
    let group = service_name(world, key);
    let service = message(world, service, binding, &mut derived);
    derived.resources.push(Resource {
        family: Family::Address,
        name: group.clone(),
        aliases: aliases(&world.site.network, &world.service(key).map_or(vec![], vips)),
        groups: vec![group],
        body: pb::Address { r#type: Some(pb::address::Type::Service(service)) }.encode_to_vec(),
    });
    derived
}

fn vips(service: &Service) -> Vec<std::net::IpAddr> {
    service.vips.clone()
}

fn message(
    world: &World,
    service: &Service,
    binding: Binding,
    derived: &mut Derived,
) -> pb::Service {
    let key = &service.meta.key;
    let bound = binding.bound();
    pb::Service {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        hostname: hostname(world, key),
        addresses: service
            .vips
            .iter()
            .map(|ip| pb::NetworkAddress {
                network: world.site.network.clone(),
                address: bytes(ip),
                length: None,
            })
            .collect(),
        ports: service.ports.iter().map(port).collect(),
        waypoint: bound.as_ref().map(|b| waypoint::address(world, &b.primary)),
        weighted_waypoints: bound
            .as_ref()
            .map(|b| waypoint::weighted(world, b))
            .unwrap_or_default(),
        load_balancing: load_balancing(world, service, derived),
        ip_families: families(service.families).into(),
        canonical: true,
        ingress_use_waypoint: ingress(world, &service.meta),
        ..pb::Service::default()
    }
}

fn port(port: &ServicePort) -> pb::Port {
    pb::Port {
        service_port: u32::from(port.port),
        target_port: match &port.target {
            TargetPort::Number(number) => u32::from(*number),
            // Each workload resolves the name.
            TargetPort::Name(_) => 0,
        },
        app_protocol: app_protocol(port).into(),
    }
}

/// By `appProtocol`, else by the part of the name before the first `-`.
fn app_protocol(port: &ServicePort) -> pb::AppProtocol {
    let by_name = port.name.split('-').next().unwrap_or_default();
    let text = if port.app_protocol.is_empty() { by_name } else { &port.app_protocol };
    match text.to_ascii_lowercase().as_str() {
        "http" | "http1" | "kubernetes.io/ws" => pb::AppProtocol::Http11,
        "http2" | "h2c" | "kubernetes.io/h2c" => pb::AppProtocol::Http2,
        "grpc" => pb::AppProtocol::Grpc,
        "tcp" => pb::AppProtocol::Tcp,
        "tls" | "https" | "kubernetes.io/wss" => pb::AppProtocol::Tls,
        _ => pb::AppProtocol::Unknown,
    }
}

fn families(families: IpFamilies) -> pb::IpFamilies {
    match families {
        IpFamilies::Automatic => pb::IpFamilies::Automatic,
        IpFamilies::V4 => pb::IpFamilies::Ipv4Only,
        IpFamilies::V6 => pb::IpFamilies::Ipv6Only,
        IpFamilies::Dual => pb::IpFamilies::Dual,
    }
}

/// Where the endpoints should be, and whether they must be healthy.
fn load_balancing(
    world: &World,
    service: &Service,
    derived: &mut Derived,
) -> Option<pb::LoadBalancing> {
    use pb::load_balancing::{HealthPolicy, Mode, Scope};
    let (mode, scopes) = if service.internal_local {
        (Mode::Strict, vec![Scope::Node])
    } else {
        let own = service.traffic_distribution.as_str();
        let known = matches!(own, "PreferClose" | "PreferSameZone" | "PreferSameNode");
        let own = known.then(|| own.to_ascii_lowercase());
        preference(own.or_else(|| distribution(world, &service.meta, derived)).as_deref())
    };
    let health =
        if service.publish_not_ready { HealthPolicy::AllowAll } else { HealthPolicy::OnlyHealthy };
    let message = pb::LoadBalancing {
        routing_preference: scopes.into_iter().map(Into::into).collect(),
        mode: mode.into(),
        health_policy: health.into(),
    };
    (message != pb::LoadBalancing::default()).then_some(message)
}

/// Where endpoints should be by a word for it, in lower case.
pub(super) fn preference(
    distribution: Option<&str>,
) -> (pb::load_balancing::Mode, Vec<pb::load_balancing::Scope>) {
    use pb::load_balancing::{Mode, Scope};
    match distribution {
        Some("preferclose" | "prefersamezone") => {
            (Mode::Failover, vec![Scope::Network, Scope::Region, Scope::Zone])
        }
        Some("prefersamenode") => (
            Mode::Failover,
            vec![Scope::Network, Scope::Region, Scope::Zone, Scope::Subzone, Scope::Node],
        ),
        _ => (Mode::UnspecifiedMode, Vec::new()),
    }
}

/// The object's annotation, else its namespace's; lower case.
pub(super) fn distribution(world: &World, meta: &Meta, derived: &mut Derived) -> Option<String> {
    const ANNOTATION: &str = "networking.istio.io/traffic-distribution";
    let namespace = &meta.key.namespace;
    derived.looked_at.insert(ObjectRef::new(Kind::Namespace, "", namespace));
    let inherited = || world.namespace(namespace).and_then(|n| n.meta.annotation(ANNOTATION));
    let text = meta.annotation(ANNOTATION).or_else(inherited)?;
    Some(text.to_ascii_lowercase())
}

/// Whether gateways go through its waypoint: its own label, else its namespace's.
pub(super) fn ingress(world: &World, meta: &Meta) -> bool {
    const LABEL: &str = "istio.io/ingress-use-waypoint";
    let inherited = || world.namespace(&meta.key.namespace).and_then(|n| n.meta.label(LABEL));
    let text = meta.label(LABEL).or_else(inherited);
    text.and_then(boolean) == Some(true)
}

/// Whether a wanted waypoint is used, and what is wrong with it.
pub(super) fn bound_condition(binding: &Binding) -> Option<Condition> {
    let condition = |status, reason, message: String| {
        Some(Condition::new("istio.io/WaypointBound", status, reason, message))
    };
    match binding {
        Binding::None => None,
        Binding::Unsupported(gateway) => condition(
            false,
            "UnsupportedTrafficType",
            format!("waypoint {gateway} serves other traffic; see its label istio.io/waypoint-for"),
        ),
        Binding::Bound(bound) => match &bound.trouble {
            None => condition(true, "WaypointAccepted", format!("goes through {}", bound.primary)),
            Some(Trouble::Canary(message)) => condition(true, "WaypointAccepted", message.clone()),
            Some(Trouble::Missing(gateway)) => condition(
                false,
                "WaypointIsNotReady",
                format!("there is no waypoint {gateway}; until there is, calls are refused"),
            ),
            Some(Trouble::Forbidden(gateway)) => condition(
                false,
                "CrossNamespaceWaypointForbidden",
                format!(
                    "{gateway} is of a namespace that does not see it; until spec.exportTo or the \
                     waypoint is another, calls are refused"
                ),
            ),
            Some(Trouble::Denied(gateway)) => condition(
                false,
                "AttachmentDenied",
                format!(
                    "{gateway} does not allow this namespace; until it does, calls are refused"
                ),
            ),
        },
    }
}
