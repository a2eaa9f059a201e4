//! Which services a pod or another instance belongs to, and on which of its ports.
//!
//! docs/wire.md, "Workload state": by the selector of a Service or a ServiceEntry, or through a
//! slice that names the pod.

use std::collections::{BTreeMap, BTreeSet};

use hbone::wire::pb::istio::workload::{Port, PortList};

use super::entry;
use super::waypoint::{self, Binding};
use crate::model::entry::{Endpoint, ServiceEntry, WorkloadEntry};
use crate::model::object::{
    EndpointSlice, Key, Map, Meta, ObjectRef, Pod, Service, ServicePort, TargetPort,
};
use crate::model::world::{World, pods_named_by, selects};

/// What an instance can belong to.
#[derive(Clone, Copy, Debug)]
pub enum Offer<'a> {
    /// A Service.
    Service(&'a Service),
    /// A ServiceEntry.
    Entry(&'a ServiceEntry),
}

impl<'a> Offer<'a> {
    /// Name, labels, annotations.
    pub fn meta(self) -> &'a Meta {
        match self {
            Self::Service(service) => &service.meta,
            Self::Entry(entry) => &entry.meta,
        }
    }

    /// Its services on the wire, `namespace/hostname`: of a ServiceEntry one for each host that
    /// is its own.
    pub fn names(self, world: &World) -> Vec<String> {
        match self {
            Self::Service(service) => vec![service_name(world, &service.meta.key)],
            Self::Entry(entry) => entry::names(world, entry).collect(),
        }
    }

    /// The waypoint of what is sent to it.
    pub fn binding(self, world: &World, looked_at: &mut BTreeSet<ObjectRef>) -> Binding {
        match self {
            Self::Service(service) => waypoint::of_service(world, service, looked_at),
            Self::Entry(entry) => waypoint::of_entry(world, entry, looked_at),
        }
    }
}

/// A service that an instance belongs to, with the ports that it has there.
#[derive(Debug)]
pub struct Member<'a> {
    /// The service.
    pub of: Offer<'a>,
    /// Service port and the instance's own. A named port that it lacks is not there.
    pub ports: Vec<(u16, u16)>,
}

impl Member<'_> {
    /// The ports as the wire has them.
    pub fn wire_ports(&self) -> Vec<Port> {
        let port = |(service, target): &(u16, u16)| Port {
            service_port: u32::from(*service),
            target_port: u32::from(*target),
            app_protocol: 0,
        };
        self.ports.iter().map(port).collect()
    }
}

/// The memberships as the wire has them. Of several that offer one host the first counts.
pub fn wire_services(world: &World, members: &[Member<'_>]) -> BTreeMap<String, PortList> {
    let mut services = BTreeMap::new();
    for member in members {
        for name in member.of.names(world) {
            let ports = || PortList { ports: member.wire_ports() };
            services.entry(name).or_insert_with(ports);
        }
    }
    services
}

/// The services of a pod: Services by key, then ServiceEntries by key.
pub fn members<'a>(world: &'a World, pod: &Pod) -> Vec<Member<'a>> {
    let key = &pod.meta.key;
    let mut slices: BTreeMap<&str, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in world.slices_with(key) {
        slices.entry(slice.service.as_str()).or_default().push(slice);
    }
    let services = world.services_in(&key.namespace).filter(|s| !s.external_name);
    let mut members = Vec::new();
    for service in services {
        let by_slice = slices.get(service.meta.key.name.as_str());
        if selects(&service.selector, &pod.meta.labels) || by_slice.is_some() {
            let slices = by_slice.map(Vec::as_slice).unwrap_or_default();
            let ports = service.ports.iter();
            let ports = ports.filter_map(|p| Some((p.port, target(p, pod, slices)?))).collect();
            members.push(Member { of: Offer::Service(service), ports });
        }
    }
    for entry in entries(world, &key.namespace, &pod.meta.labels) {
        let ports = entry.ports.iter().map(|port| (port.number, port.target)).collect();
        members.push(Member { of: Offer::Entry(entry), ports });
    }
    members
}

/// The services of a WorkloadEntry: Services by key, then ServiceEntries by key.
pub fn members_of_entry<'a>(world: &'a World, workload: &WorkloadEntry) -> Vec<Member<'a>> {
    let (namespace, labels) = (&workload.meta.key.namespace, &workload.meta.labels);
    let services = world.services_in(namespace).filter(|s| !s.external_name);
    let services = services.filter(|s| selects(&s.selector, labels));
    let services = services.map(|service| {
        let target = |p: &ServicePort| Some((p.port, target_of_entry(p, &workload.endpoint)?));
        let ports = service.ports.iter().filter_map(target).collect();
        Member { of: Offer::Service(service), ports }
    });
    let entries = entries(world, namespace, labels);
    services.chain(entries.map(|entry| member_of(entry, &workload.endpoint))).collect()
}

/// An endpoint's part in a ServiceEntry: its own number of a port counts before the entry's.
pub fn member_of<'a>(entry: &'a ServiceEntry, endpoint: &Endpoint) -> Member<'a> {
    let own = |name: &String| endpoint.ports.get(name).copied();
    let ports = entry.ports.iter();
    let ports = ports.map(|port| (port.number, own(&port.name).unwrap_or(port.target)));
    Member { of: Offer::Entry(entry), ports: ports.collect() }
}

/// The ServiceEntries of a namespace that choose these labels and have a host.
fn entries<'a>(
    world: &'a World,
    namespace: &str,
    labels: &Map,
) -> impl Iterator<Item = &'a ServiceEntry> {
    let entries = world.entries_in(namespace);
    let by_labels =
        move |e: &&ServiceEntry| e.selector.as_ref().is_some_and(|s| selects(s, labels));
    entries.filter(by_labels).filter(|e| entry::names(world, e).next().is_some())
}

/// The pod's port behind a service port.
fn target(port: &ServicePort, pod: &Pod, slices: &[&EndpointSlice]) -> Option<u16> {
    let from_slice = || slices.iter().find_map(|s| s.ports.get(&port.name)).copied();
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod.ports.get(name).copied().or_else(from_slice),
    }
}

/// A WorkloadEntry's port behind a service port, by the port's name or by its target's.
fn target_of_entry(port: &ServicePort, endpoint: &Endpoint) -> Option<u16> {
    let own = |name: &String| endpoint.ports.get(name).copied();
    own(&port.name).or(match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => own(name),
    })
}

/// Whether any pod or endpoint stands behind a service.
pub fn has_endpoints(world: &World, service: &Service) -> bool {
    let key = &service.meta.key;
    has_instances(world, &key.namespace, &service.selector)
        || world.slices_of(key).any(|slice| {
            slice.endpoints.iter().any(|e| e.pod.is_none())
                || pods_named_by(slice)
                    .any(|pod| world.pod(&Key::new(&key.namespace, pod)).is_some())
        })
}

/// Whether a selector chooses any pod or WorkloadEntry of a namespace.
pub fn has_instances(world: &World, namespace: &str, selector: &Map) -> bool {
    let mut pods = world.pods_in(namespace);
    let mut entries = world.workload_entries_in(namespace);
    pods.any(|p| !p.terminated && selects(selector, &p.meta.labels))
        || entries.any(|e| selects(selector, &e.meta.labels))
}

/// The name of a service on the wire: `namespace/hostname`.
pub fn service_name(world: &World, service: &Key) -> String {
    format!("{}/{}", service.namespace, hostname(world, service))
}

/// A service's host name.
pub fn hostname(world: &World, service: &Key) -> String {
    format!("{}.{}.svc.{}", service.name, service.namespace, world.site.domain)
}

#[cfg(test)]
mod tests;
