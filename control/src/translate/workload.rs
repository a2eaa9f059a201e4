//! Pods to workloads. docs/wire.md, "Workload state".

use std::collections::BTreeSet;
use std::net::IpAddr;

use hbone::wire::pb::istio::workload as pb;
use hbone::{brand, label};
use prost::Message;

use super::membership::{Member, members, wire_services};
use super::waypoint::{self, Bound};
use super::{Derived, Family, Resource, authorization, guard, node_pod, peer};
use crate::model::object::{Key, Kind, Map, ObjectRef, Pod};
use crate::model::report::Enrolment;
use crate::model::world::World;
use crate::status::Condition;

/// Derives a pod's workload, its place on its node and its condition.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(pod) = world.pod(key) else { return derived };
    if let Some(resource) = node_pod::resource(world, pod, &mut derived.looked_at) {
        derived.resources.push(resource);
    }
    if let Some(condition) = enrolment(world, pod) {
        let name = ObjectRef::new(Kind::Pod, &key.namespace, &key.name);
        derived.conditions.push((name, vec![condition]));
    }
    if pod.terminated || pod.ips.is_empty() {
        return derived;
    }
    let members = members(world, pod);
    let workload = workload(world, pod, &members, &mut derived);
    let groups: Vec<String> = workload.services.keys().cloned().collect();
    let node = (!pod.node.is_empty()).then(|| node_group(&pod.node));
    derived.resources.push(Resource {
        family: Family::Address,
        name: workload.uid.clone(),
        aliases: aliases(&workload.network, &pod.ips),
        groups: groups.into_iter().chain(node).collect(),
        body: pb::Address { r#type: Some(pb::address::Type::Workload(workload)) }.encode_to_vec(),
    });
    derived
}

/// The group of what is on a node.
pub fn node_group(node: &str) -> String {
    format!("node:{node}")
}

/// `network/ip` for each address.
pub fn aliases(network: &str, ips: &[IpAddr]) -> Vec<String> {
    ips.iter().map(|ip| format!("{network}/{ip}")).collect()
}

/// An address as the wire has it.
pub fn bytes(ip: &IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn workload(
    world: &World,
    pod: &Pod,
    members: &[Member<'_>],
    derived: &mut Derived,
) -> pb::Workload {
    let meta = &pod.meta;
    let name = workload_name(pod);
    let bindings = bindings(world, pod, members, derived);
    let hbone = is_hbone(world, pod);
    let native = has_native_tunnel(pod);
    pb::Workload {
        uid: format!("{}//Pod/{}/{}", world.site.cluster, meta.key.namespace, meta.key.name),
        name: meta.key.name.clone(),
        namespace: meta.key.namespace.clone(),
        addresses: pod.ips.iter().map(bytes).collect(),
        network: network(world, pod),
        tunnel_protocol: tunnel(hbone || native).into(),
        native_tunnel: native,
        trust_domain: trust_domain(world),
        service_account: pod.service_account.clone(),
        waypoint: bindings.own.as_ref().map(|b| waypoint::address(world, &b.primary)),
        node: pod.node.clone(),
        canonical_name: canonical_name(&meta.labels, &name),
        canonical_revision: canonical_revision(&meta.labels),
        workload_type: pb::WorkloadType::Pod.into(),
        workload_name: name,
        authorization_policies: policies(world, pod, bindings.guards, derived),
        status: status(is_ready(world, pod)).into(),
        cluster_id: world.site.cluster.clone(),
        services: wire_services(world, members),
        locality: locality(world, &pod.node, &mut derived.looked_at),
        network_mode: network_mode(pod.host_network).into(),
        ..pb::Workload::default()
    }
}

/// Whether what runs in a pod can be called: of a deployed one its node says it.
///
/// What a node said before it fell silent counts on only while no other instance of the
/// waypoint is ready: it may still run, and there is no better one.
pub fn is_ready(world: &World, pod: &Pod) -> bool {
    if pod.deleting || !pod.deployed {
        return pod.ready && !pod.deleting;
    }
    let said = |pod: &Pod| world.report(&pod.uid).is_some_and(|report| report.waypoint_ready);
    let sure = |pod: &Pod| !pod.deleting && said(pod) && !world.is_silent(&pod.node);
    sure(pod) || (said(pod) && !world.instances(pod).any(sure))
}

/// How a workload is spoken to, as the wire has it.
pub fn tunnel(hbone: bool) -> pb::TunnelProtocol {
    if hbone { pb::TunnelProtocol::Hbone } else { pb::TunnelProtocol::None }
}

/// Health as the wire has it.
pub fn status(healthy: bool) -> pb::WorkloadStatus {
    if healthy { pb::WorkloadStatus::Healthy } else { pb::WorkloadStatus::Unhealthy }
}

/// Network mode as the wire has it.
pub fn network_mode(host: bool) -> pb::NetworkMode {
    if host { pb::NetworkMode::HostNetwork } else { pb::NetworkMode::Standard }
}

/// Empty stands for `cluster.local`.
pub fn trust_domain(world: &World) -> String {
    match world.mesh().trust_domain.as_str() {
        "cluster.local" => String::new(),
        other => other.to_owned(),
    }
}

fn network(world: &World, pod: &Pod) -> String {
    pod.meta.label("topology.istio.io/network").unwrap_or(&world.site.network).to_owned()
}

/// Its node redirects its traffic: the node's report says so, or the annotation.
pub fn is_hbone(world: &World, pod: &Pod) -> bool {
    let annotated = pod.meta.annotation(label::REDIRECTION) == Some("enabled");
    let reported = world.report(&pod.uid).is_some_and(|r| r.state == Enrolment::Enrolled);
    (annotated || reported) && !pod.host_network
}

/// It ends HBONE by itself: a waypoint does.
fn has_native_tunnel(pod: &Pod) -> bool {
    let label = pod.meta.label("networking.istio.io/tunnel");
    label.is_some_and(|l| l.contains("http"))
}

struct Bindings {
    own: Option<Bound>,
    guards: BTreeSet<guard::Guard>,
}

/// The waypoint of the pod's own address and the guards of its ports. The pods of a bound
/// service are bound too, so that a call to a pod's address takes the same way.
fn bindings(world: &World, pod: &Pod, members: &[Member<'_>], derived: &mut Derived) -> Bindings {
    if waypoint::is_waypoint_pod(pod) {
        return Bindings { own: None, guards: BTreeSet::new() };
    }
    let looked_at = &mut derived.looked_at;
    let own = waypoint::of_pod(world, pod, looked_at).bound();
    let mut services = Vec::new();
    for member in members.iter().filter(|m| !waypoint::allows_bypass(m.of.meta())) {
        if let Some(bound) = member.of.binding(world, looked_at).bound() {
            services.push((member, bound));
        }
    }
    let bound: Vec<_> = services.iter().map(|(m, b)| (*m, b)).collect();
    let guards = guard::of_workload(world, &pod.meta.key.namespace, &bound, own.as_ref());
    let inherited = services.into_iter().map(|(_, bound)| bound).next();
    let own = own.or(inherited.filter(|_| !waypoint::opts_out(pod)));
    Bindings { own, guards }
}

/// The names of the policies that choose this workload, sorted.
fn policies(
    world: &World,
    pod: &Pod,
    guards: BTreeSet<guard::Guard>,
    derived: &mut Derived,
) -> Vec<String> {
    let (namespace, labels) = (&pod.meta.key.namespace, &pod.meta.labels);
    let mut names: BTreeSet<String> = authorization::choosing(world, namespace, labels).collect();
    names.extend(peer::choosing(world, namespace, labels));
    names.extend(guards.iter().map(guard::Guard::full_name));
    derived.guards = guards;
    names.into_iter().collect()
}

/// Where a node is.
pub fn locality(
    world: &World,
    node: &str,
    looked_at: &mut BTreeSet<ObjectRef>,
) -> Option<pb::Locality> {
    if node.is_empty() {
        return None;
    }
    looked_at.insert(ObjectRef::new(Kind::Node, "", node));
    let meta = &world.node(node)?.meta;
    let label = |name| meta.label(name).unwrap_or_default().to_owned();
    let locality = pb::Locality {
        region: label("topology.kubernetes.io/region"),
        zone: label("topology.kubernetes.io/zone"),
        subzone: label("topology.istio.io/subzone"),
    };
    (locality != pb::Locality::default()).then_some(locality)
}

/// What telemetry calls a workload: its labels' word, else `workload`.
pub fn canonical_name(labels: &Map, workload: &str) -> String {
    let names = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
    first_label(labels, &names).unwrap_or(workload).to_owned()
}

/// The revision that telemetry has of a workload.
pub fn canonical_revision(labels: &Map) -> String {
    let names = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
    first_label(labels, &names).unwrap_or("latest").to_owned()
}

fn first_label<'a>(labels: &'a Map, names: &[&str]) -> Option<&'a str> {
    let mut found = names.iter().filter_map(|name| labels.get(*name));
    found.next().map(String::as_str).filter(|v| !v.is_empty())
}

/// The name of what owns a pod (docs/wire.md, "Objects").
pub fn workload_name(pod: &Pod) -> String {
    let name = &pod.meta.key.name;
    if let Some(label) = pod.meta.label("service.istio.io/workload-name") {
        return label.to_owned();
    }
    let Some(owner) = pod.owner.as_ref().filter(|_| pod.generated_name) else {
        return name.clone();
    };
    let shortened = match owner.kind.as_str() {
        "ReplicaSet" => ["pod-template-hash", "rollouts-pod-template-hash"]
            .iter()
            .filter_map(|label| pod.meta.label(label))
            .find_map(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-')),
        "ReplicationController" => pod.meta.label("deploymentconfig"),
        "Job" => owner.name.rsplit_once('-').and_then(|(cron, at)| {
            let digits = (8..=10).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            digits.then_some(cron)
        }),
        _ => None,
    };
    shortened.filter(|s| !s.is_empty()).unwrap_or(&owner.name).to_owned()
}

/// What the node said, as a condition.
fn enrolment(world: &World, pod: &Pod) -> Option<Condition> {
    let report = world.report(&pod.uid)?;
    let (status, reason) = match report.state {
        Enrolment::Enrolled => (true, "Enrolled"),
        Enrolment::NotEnrolled => (false, "NotEnrolled"),
        Enrolment::Pending => (false, "Pending"),
        Enrolment::Failed => (false, "Failed"),
    };
    let message = match (report.reason.as_str(), report.older_connections) {
        (reason, 0) => reason.to_owned(),
        ("", n) => format!("{n} connections are older than the enrolment"),
        (reason, n) => format!("{reason}; {n} connections are older than the enrolment"),
    };
    Some(Condition::new(brand::ENROLLED, status, reason, message))
}
