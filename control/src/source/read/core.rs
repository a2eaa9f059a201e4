//! The kinds of the Kubernetes core.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hbone::brand;
use k8s_openapi::api::core::v1 as k8s;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::{Note, ReadError, check_name, decode, meta};
use crate::deploy::place;
use crate::model::object::{
    Endpoint, EndpointSlice, IpFamilies, Key, Kind, Namespace, Node, Object, Owner, Pod, Service,
    ServiceAccount, ServicePort, TargetPort,
};
use crate::state::digest;

type Result<T> = std::result::Result<T, ReadError>;

pub(super) fn namespace(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: k8s::Namespace = decode(value, "", notes)?;
    Ok(Object::Namespace(Namespace { meta: meta(raw.metadata, Kind::Namespace)? }))
}

pub(super) fn node(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: k8s::Node = decode(value, "", notes)?;
    let node = Node { meta: meta(raw.metadata, Kind::Node)? };
    if let Err(part) = place::blocks(&node) {
        let field = format!("metadata.annotations[{}]", brand::WAYPOINT_ADDRESSES);
        let right = "write blocks such as 10.1.0.240/28,fd00:1::f0/124";
        notes.push(Note::new(field, format!("has {part:?}; no waypoint runs there: {right}")));
    }
    Ok(Object::Node(node))
}

pub(super) fn service_account(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: k8s::ServiceAccount = decode(value, "", notes)?;
    let meta = meta(raw.metadata, Kind::ServiceAccount)?;
    Ok(Object::ServiceAccount(ServiceAccount { meta }))
}

pub(super) fn pod(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: k8s::Pod = decode(value, "", notes)?;
    let uid = raw.metadata.uid.clone().unwrap_or_default();
    let generated_name = raw.metadata.generate_name.is_some();
    let owner = raw.metadata.owner_references.iter().flatten();
    let owner = owner
        .filter(|o| o.controller == Some(true))
        .map(|o| Owner { kind: o.kind.clone(), name: o.name.clone() })
        .next();
    let deleting = raw.metadata.deletion_timestamp.is_some();
    let meta = meta(raw.metadata, Kind::Pod)?;
    let spec = raw.spec.unwrap_or_default();
    let status = raw.status.unwrap_or_default();
    let node = spec.node_name.clone().unwrap_or_default();
    if !node.is_empty() {
        check_name("spec.nodeName", &node)?;
    }
    let service_account = spec.service_account_name.clone().filter(|s| !s.is_empty());
    // What the API server's admission would have written.
    let service_account = service_account.unwrap_or_else(|| "default".to_owned());
    check_name("spec.serviceAccountName", &service_account)?;
    let phase = status.phase.clone().unwrap_or_default();
    Ok(Object::Pod(Box::new(Pod {
        uid: if uid.is_empty() { derived_uid(&meta.key) } else { uid },
        node,
        service_account,
        ips: pod_ips(&status)?,
        host_network: spec.host_network == Some(true),
        terminated: phase == "Succeeded" || phase == "Failed",
        failed: phase == "Failed",
        ready: is_ready(&status),
        deployed: false,
        deleting,
        ports: named_ports(&spec),
        generated_name,
        owner,
        meta,
    })))
}

/// A UID for a pod whose document has none: the same for the same name.
fn derived_uid(key: &Key) -> String {
    digest::uid(&format!("pod {key}"))
}

fn pod_ips(status: &k8s::PodStatus) -> Result<Vec<IpAddr>> {
    let mut ips = Vec::new();
    let single = status.pod_ip.iter().map(|ip| ("status.podIP".to_owned(), ip));
    let many = status.pod_ips.iter().flatten().enumerate();
    let many = many.map(|(i, ip)| (format!("status.podIPs[{i}].ip"), &ip.ip));
    for (field, text) in single.chain(many) {
        let ip = address(&field, text)?;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    Ok(ips)
}

fn address(field: &str, text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        ReadError::field(field, format!("is {text:?}; write an address such as 10.1.0.5"))
    })
}

/// A pod that nobody watches has no conditions; it counts as ready.
fn is_ready(status: &k8s::PodStatus) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready");
    conditions.is_empty() || ready.is_some_and(|c| c.status == "True")
}

fn named_ports(spec: &k8s::PodSpec) -> BTreeMap<String, u16> {
    let sidecars = spec.init_containers.iter().flatten();
    let containers = spec.containers.iter().chain(sidecars);
    let ports = containers.flat_map(|c| c.ports.iter().flatten());
    ports
        .filter(|p| p.protocol.as_deref().is_none_or(|p| p == "TCP"))
        .filter_map(|p| Some((p.name.clone()?, u16::try_from(p.container_port).ok()?)))
        .collect()
}

pub(super) fn service(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: k8s::Service = decode(value, "", notes)?;
    let meta = meta(raw.metadata, Kind::Service)?;
    let spec = raw.spec.unwrap_or_default();
    let external_name = spec.type_.as_deref() == Some("ExternalName");
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let mut ports = Vec::new();
    for (i, port) in spec.ports.iter().flatten().enumerate() {
        match port.protocol.as_deref() {
            None | Some("TCP") => ports.push(service_port(i, port)?),
            // The mesh leaves them alone. Every cluster's DNS has one: that is no mistake.
            Some("UDP" | "SCTP") => {}
            Some(other) => {
                let field = format!("spec.ports[{i}].protocol");
                let message = format!("{other:?} is none; write TCP, UDP or SCTP");
                notes.push(Note::new(field, message));
            }
        }
    }
    Ok(Object::Service(Box::new(Service {
        vips: vips(&spec)?,
        headless,
        external_name,
        selector: spec.selector.unwrap_or_default(),
        ports,
        traffic_distribution: spec.traffic_distribution.unwrap_or_default(),
        internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        families: families(
            spec.ip_families.as_deref().unwrap_or_default(),
            spec.ip_family_policy.as_deref(),
        ),
        meta,
    })))
}

fn families(families: &[String], policy: Option<&str>) -> IpFamilies {
    let has = |f: &str| families.iter().any(|x| x == f);
    match (has("IPv4"), has("IPv6")) {
        (true, true) => IpFamilies::Dual,
        (true, false) if policy != Some("PreferDualStack") => IpFamilies::V4,
        (false, true) if policy != Some("PreferDualStack") => IpFamilies::V6,
        _ => IpFamilies::Automatic,
    }
}

fn vips(spec: &k8s::ServiceSpec) -> Result<Vec<IpAddr>> {
    let mut vips = Vec::new();
    let one = spec.cluster_ip.iter().map(|ip| ("spec.clusterIP".to_owned(), ip));
    let many = spec.cluster_ips.iter().flatten().enumerate();
    let many = many.map(|(i, ip)| (format!("spec.clusterIPs[{i}]"), ip));
    for (field, text) in one.chain(many) {
        if text.is_empty() || text == "None" {
            continue;
        }
        let ip = address(&field, text)?;
        if !vips.contains(&ip) {
            vips.push(ip);
        }
    }
    Ok(vips)
}

fn service_port(i: usize, port: &k8s::ServicePort) -> Result<ServicePort> {
    let number = port_number(&format!("spec.ports[{i}].port"), port.port)?;
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
        Some(IntOrString::Int(n)) => {
            TargetPort::Number(port_number(&format!("spec.ports[{i}].targetPort"), *n)?)
        }
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(n) => TargetPort::Number(n),
            Err(_) => TargetPort::Name(name.clone()),
        },
    };
    Ok(ServicePort {
        name: port.name.clone().unwrap_or_default(),
        port: number,
        target,
        app_protocol: port.app_protocol.clone().unwrap_or_default(),
    })
}

fn port_number(field: &str, number: i32) -> Result<u16> {
    let checked = u16::try_from(number).ok().filter(|n| *n > 0);
    checked.ok_or_else(|| ReadError::field(field, format!("is {number}; write 1 to 65535")))
}

pub(super) fn endpoint_slice(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let raw: discovery::EndpointSlice = decode(value, "", notes)?;
    let meta = meta(raw.metadata, Kind::EndpointSlice)?;
    let service = meta.label("kubernetes.io/service-name").unwrap_or_default().to_owned();
    let mut endpoints = Vec::new();
    if raw.address_type != "FQDN" {
        for (i, endpoint) in raw.endpoints.iter().flatten().enumerate() {
            // The other addresses of an endpoint have no meaning (Kubernetes API, v1).
            let Some(text) = endpoint.addresses.first() else { continue };
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let target = endpoint.target_ref.as_ref();
            let pod = target.filter(|t| t.kind.as_deref() == Some("Pod"));
            endpoints.push(Endpoint {
                ip: address(&format!("endpoints[{i}].addresses[0]"), text)?,
                pod: pod.and_then(|t| t.name.clone()),
                ready: conditions.ready != Some(false),
            });
        }
    }
    let mut ports = BTreeMap::new();
    for (i, port) in raw.ports.iter().flatten().enumerate() {
        if let (None | Some("TCP"), Some(number)) = (port.protocol.as_deref(), port.port) {
            let number = port_number(&format!("ports[{i}].port"), number)?;
            ports.insert(port.name.clone().unwrap_or_default(), number);
        }
    }
    Ok(Object::EndpointSlice(EndpointSlice { meta, service, endpoints, ports }))
}
