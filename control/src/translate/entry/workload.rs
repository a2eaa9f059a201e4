//! Endpoints of ServiceEntries, and WorkloadEntries, as workloads.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hbone::wire::pb::istio::workload as pb;
use prost::Message;

use crate::model::entry::{Endpoint, Place, Resolution, ServiceEntry, WorkloadEntry};
use crate::model::object::{Key, Kind, Map, Meta, ObjectRef};
use crate::model::world::World;
use crate::translate::guard::{self, Guard};
use crate::translate::membership::{Member, member_of, members_of_entry, wire_services};
use crate::translate::service::bound_condition;
use crate::translate::waypoint::{self, Binding, Bound};
use crate::translate::workload::{
    aliases, bytes, canonical_name, canonical_revision, trust_domain, tunnel,
};
use crate::translate::{Derived, Family, Resource, authorization, peer};

/// The label by which an instance says that it ends HBONE by itself.
const TUNNEL: &str = "networking.istio.io/tunnel";

/// Adds the endpoints that an entry names; without any, of a name one for each host.
pub(super) fn endpoints(
    world: &World,
    entry: &ServiceEntry,
    bound: Option<Bound>,
    derived: &mut Derived,
) {
    let named = matches!(entry.resolution, Resolution::Dns | Resolution::DynamicDns);
    if entry.endpoints.is_empty() && entry.selector.is_none() && named {
        for host in &entry.hosts {
            derived.resources.extend(implicit(world, entry, host));
        }
        return;
    }
    let bound = bound.filter(|_| !waypoint::allows_bypass(&entry.meta));
    let own = waypoint::of_entry_workloads(world, entry, &mut derived.looked_at).bound();
    for endpoint in &entry.endpoints {
        let member = member_of(entry, endpoint);
        let bindings = bindings(world, &entry.meta, &[(&member, bound.clone())], own.clone());
        derived.guards.extend(bindings.guards.iter().cloned());
        let uid = format!("{}/{}", uid(world, "ServiceEntry", &entry.meta.key), endpoint.place);
        let instance = Instance::of(entry, endpoint);
        let workload = instance.workload(world, uid, &[member], &bindings);
        derived.resources.push(resource(workload, endpoint.place.ip()));
    }
}

/// Derives a WorkloadEntry's workload and its condition.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(entry) = world.workload_entry(key) else { return derived };
    let looked_at = &mut derived.looked_at;
    let binding = waypoint::of_workload_entry(world, entry, looked_at);
    // What its namespace's waypoint does not serve says nothing of the entry.
    let asked = entry.meta.label(waypoint::USE).is_some();
    let told = asked || matches!(binding, Binding::Bound(_));
    let condition = bound_condition(&binding).filter(|_| told);
    let members = members_of_entry(world, entry);
    let services: Vec<_> = members
        .iter()
        .filter(|member| !waypoint::allows_bypass(member.of.meta()))
        .map(|member| (member, member.of.binding(world, looked_at).bound()))
        .collect();
    let bindings = bindings(world, &entry.meta, &services, binding.bound());
    let instance = Instance {
        meta: &entry.meta,
        labels: &entry.meta.labels,
        endpoint: &entry.endpoint,
        redirected: entry.meta.annotation(hbone::label::REDIRECTION) == Some("enabled"),
    };
    let uid = uid(world, "WorkloadEntry", key);
    let mut workload = instance.workload(world, uid, &members, &bindings);
    workload.workload_name = name_of(entry);
    workload.canonical_name = canonical_name(&entry.meta.labels, &workload.workload_name);
    let name = ObjectRef::new(Kind::WorkloadEntry, &key.namespace, &key.name);
    derived.conditions.push((name, condition.into_iter().collect()));
    derived.resources.push(resource(workload, entry.endpoint.place.ip()));
    derived.guards = bindings.guards;
    derived
}

/// The name of the group that it belongs to.
fn name_of(entry: &WorkloadEntry) -> String {
    let group = entry.meta.annotation("istio.io/autoRegistrationGroup");
    let named = group.or_else(|| entry.meta.label("service.istio.io/workload-name"));
    named.filter(|name| !name.is_empty()).unwrap_or(&entry.meta.key.name).to_owned()
}

/// The waypoint of an instance's own address, and its guards.
struct Bindings {
    own: Option<Bound>,
    guards: BTreeSet<Guard>,
}

/// As of pods: what is bound as a service is bound by its address too, and guarded.
fn bindings(
    world: &World,
    meta: &Meta,
    services: &[(&Member<'_>, Option<Bound>)],
    own: Option<Bound>,
) -> Bindings {
    let bound: Vec<_> = services.iter().filter_map(|(m, b)| Some((*m, b.as_ref()?))).collect();
    let guards = guard::of_workload(world, &meta.key.namespace, &bound, own.as_ref());
    let inherited = bound.first().map(|(_, bound)| (*bound).clone());
    let opted_out = meta.label(waypoint::USE) == Some("none");
    Bindings { own: own.or(inherited.filter(|_| !opted_out)), guards }
}

/// What stands for the instance: the object, the labels that describe it, and where it is.
struct Instance<'a> {
    meta: &'a Meta,
    labels: &'a Map,
    endpoint: &'a Endpoint,
    /// Whether a node proxy has its traffic.
    redirected: bool,
}

impl<'a> Instance<'a> {
    fn of(entry: &'a ServiceEntry, endpoint: &'a Endpoint) -> Self {
        Self { meta: &entry.meta, labels: &endpoint.labels, endpoint, redirected: false }
    }

    fn workload(
        &self,
        world: &World,
        uid: String,
        members: &[Member<'_>],
        bindings: &Bindings,
    ) -> pb::Workload {
        let Self { meta, labels, endpoint, redirected } = self;
        let name = &meta.key.name;
        let native = labels.get(TUNNEL).is_some_and(|t| t.contains("http"));
        let (addresses, hostname) = match &endpoint.place {
            Place::Ip(ip) => (vec![bytes(ip)], String::new()),
            Place::Host(host) => (Vec::new(), host.clone()),
        };
        pb::Workload {
            uid,
            name: name.clone(),
            namespace: meta.key.namespace.clone(),
            addresses,
            hostname,
            network: network(world, &endpoint.network),
            tunnel_protocol: tunnel(native || *redirected).into(),
            native_tunnel: native,
            trust_domain: trust_domain(world),
            service_account: endpoint.service_account.clone(),
            waypoint: bindings.own.as_ref().map(|b| waypoint::address(world, &b.primary)),
            canonical_name: canonical_name(labels, name),
            canonical_revision: canonical_revision(labels),
            workload_type: pb::WorkloadType::Pod.into(),
            workload_name: name.clone(),
            authorization_policies: policies(world, meta, labels, &bindings.guards),
            cluster_id: world.site.cluster.clone(),
            services: wire_services(world, members),
            locality: locality(&endpoint.locality),
            capacity: (endpoint.weight > 0).then_some(endpoint.weight),
            ..pb::Workload::default()
        }
    }
}

/// The names of the policies that choose an instance, sorted.
fn policies(world: &World, meta: &Meta, labels: &Map, guards: &BTreeSet<Guard>) -> Vec<String> {
    let namespace = &meta.key.namespace;
    let mut names: BTreeSet<String> = authorization::choosing(world, namespace, labels).collect();
    names.extend(peer::choosing(world, namespace, labels));
    names.extend(guards.iter().map(Guard::full_name));
    names.into_iter().collect()
}

/// The endpoint that a name is itself. Who dials the name meets the waypoint; who dials an
/// address of it cannot be known.
fn implicit(world: &World, entry: &ServiceEntry, host: &str) -> Option<Resource> {
    let service = format!("{}/{host}", entry.meta.key.namespace);
    super::names(world, entry).find(|name| *name == service)?;
    let endpoint = Endpoint::named(host);
    let instance = Instance::of(entry, &endpoint);
    let uid = format!("{}/{host}", uid(world, "ServiceEntry", &entry.meta.key));
    let bindings = Bindings { own: None, guards: BTreeSet::new() };
    let member = member_of(entry, &endpoint);
    let mut workload = instance.workload(world, uid, &[member], &bindings);
    workload.services.retain(|name, _| *name == service);
    Some(resource(workload, None))
}

fn uid(world: &World, kind: &str, key: &Key) -> String {
    format!("{}/networking.istio.io/{kind}/{key}", world.site.cluster)
}

fn network(world: &World, own: &str) -> String {
    if own.is_empty() { world.site.network.clone() } else { own.to_owned() }
}

fn locality(parts: &[String; 3]) -> Option<pb::Locality> {
    let [region, zone, subzone] = parts.clone();
    let locality = pb::Locality { region, zone, subzone };
    (locality != pb::Locality::default()).then_some(locality)
}

fn resource(workload: pb::Workload, ip: Option<IpAddr>) -> Resource {
    Resource {
        family: Family::Address,
        name: workload.uid.clone(),
        aliases: aliases(&workload.network, ip.as_slice()),
        groups: workload.services.keys().cloned().collect(),
        body: pb::Address { r#type: Some(pb::address::Type::Workload(workload)) }.encode_to_vec(),
    }
}
