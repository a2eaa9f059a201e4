//! Which services a pod belongs to, and on which of its ports.
//!
//! docs/wire.md, "Workload state": by the service's selector, or through a slice that names
//! the pod.

use std::collections::BTreeMap;

use hbone::wire::pb::istio::workload::Port;

use crate::model::object::{EndpointSlice, Key, Pod, Service, ServicePort, TargetPort};
use crate::model::world::{World, pods_named_by, selects};

/// A service that a pod belongs to, with the ports that it has there.
#[derive(Debug)]
pub struct Member<'a> {
    /// The service.
    pub service: &'a Service,
    /// Service port and the pod's own. A named port that the pod lacks is not there.
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

/// The services of a pod, by key.
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
            members.push(Member { service, ports });
        }
    }
    members
}

/// The pod's port behind a service port.
fn target(port: &ServicePort, pod: &Pod, slices: &[&EndpointSlice]) -> Option<u16> {
    let from_slice = || slices.iter().find_map(|s| s.ports.get(&port.name)).copied();
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod.ports.get(name).copied().or_else(from_slice),
    }
}

/// Whether any pod or endpoint stands behind a service.
pub fn has_endpoints(world: &World, service: &Service) -> bool {
    let key = &service.meta.key;
    let mut pods = world.pods_in(&key.namespace);
    pods.any(|p| !p.terminated && selects(&service.selector, &p.meta.labels))
        || world.slices_of(key).any(|slice| {
            slice.endpoints.iter().any(|e| e.pod.is_none())
                || pods_named_by(slice)
                    .any(|pod| world.pod(&Key::new(&key.namespace, pod)).is_some())
        })
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
