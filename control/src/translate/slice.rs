//! Endpoints that are no pods. docs/wire.md, "Workload state".

use hbone::wire::pb::istio::workload as pb;
use prost::Message;

use super::membership::service_name;
use super::workload::{aliases, bytes, network_mode, status, trust_domain};
use super::{Derived, Family, Resource};
use crate::model::object::{Endpoint, EndpointSlice, Key, Service, ServicePort, TargetPort};
use crate::model::world::World;

/// Derives a workload for each endpoint without a pod.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(slice) = world.slice(key) else { return derived };
    let service = Key::new(&key.namespace, &slice.service);
    let Some(service) = world.service(&service).filter(|s| !s.external_name) else {
        return derived;
    };
    for endpoint in slice.endpoints.iter().filter(|e| e.pod.is_none()) {
        derived.resources.push(resource(world, slice, endpoint, service));
    }
    derived
}

fn resource(
    world: &World,
    slice: &EndpointSlice,
    endpoint: &Endpoint,
    service: &Service,
) -> Resource {
    let key = &slice.meta.key;
    let group = service_name(world, &service.meta.key);
    let ports = service.ports.iter().filter_map(|port| wire_port(port, slice)).collect();
    let workload = pb::Workload {
        uid: format!(
            "{}/discovery.k8s.io/EndpointSlice/{}/{}/{}",
            world.site.cluster, key.namespace, key.name, endpoint.ip
        ),
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        addresses: vec![bytes(&endpoint.ip)],
        network: world.site.network.clone(),
        trust_domain: trust_domain(world),
        workload_type: pb::WorkloadType::Pod.into(),
        workload_name: key.name.clone(),
        canonical_name: key.name.clone(),
        canonical_revision: "latest".to_owned(),
        status: status(endpoint.ready).into(),
        cluster_id: world.site.cluster.clone(),
        services: [(group.clone(), pb::PortList { ports })].into(),
        network_mode: network_mode(true).into(),
        ..pb::Workload::default()
    };
    Resource {
        family: Family::Address,
        name: workload.uid.clone(),
        aliases: aliases(&workload.network, &[endpoint.ip]),
        groups: vec![group],
        body: pb::Address { r#type: Some(pb::address::Type::Workload(workload)) }.encode_to_vec(),
    }
}

/// The slice's own number counts; the service's is the fallback.
fn wire_port(port: &ServicePort, slice: &EndpointSlice) -> Option<pb::Port> {
    let own = slice.ports.get(&port.name).copied();
    let target = own.or(match port.target {
        TargetPort::Number(number) => Some(number),
        TargetPort::Name(_) => None,
    })?;
    Some(pb::Port {
        service_port: u32::from(port.port),
        target_port: u32::from(target),
        app_protocol: 0,
    })
}
