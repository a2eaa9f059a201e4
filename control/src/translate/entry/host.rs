//! The service of a host name of ServiceEntries.
//!
//! In a namespace there is one service of a host: a Kubernetes Service's, else that of the
//! oldest ServiceEntry.

use std::net::IpAddr;

use hbone::wire::pb::istio::workload as pb;
use ipnet::IpNet;
use prost::Message;

use crate::model::entry::{EntryPort, Protocol, Resolution, ServiceEntry, Visibility};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::translate::service::{distribution, ingress, preference};
use crate::translate::waypoint;
use crate::translate::workload::{aliases, bytes};
use crate::translate::{Derived, Family, Resource};

/// Derives the service of a host; its key is namespace and host.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(entry) = owner(world, &key.namespace, &key.name) else { return derived };
    let addresses = addresses(world, entry, &key.name);
    let service = message(world, entry, &key.name, &addresses, &mut derived);
    let name = format!("{}/{}", key.namespace, key.name);
    derived.resources.push(Resource {
        family: Family::Address,
        name: name.clone(),
        aliases: aliases(&world.site.network, &single(&addresses)),
        groups: vec![name],
        body: pb::Address { r#type: Some(pb::address::Type::Service(service)) }.encode_to_vec(),
    });
    derived
}

/// The entry whose host it is in that namespace; none if it is a Service's.
pub fn owner<'a>(world: &'a World, namespace: &str, host: &str) -> Option<&'a ServiceEntry> {
    match service(world, host) {
        Some(key) if key.namespace == namespace => None,
        _ => oldest(world.entries_of(host).filter(|e| e.meta.key.namespace == namespace)),
    }
}

/// The object whose host it is in that namespace.
pub fn holder(world: &World, namespace: &str, host: &str) -> Option<ObjectRef> {
    let of = |kind, key: &Key| ObjectRef::new(kind, &key.namespace, &key.name);
    match service(world, host) {
        Some(key) if key.namespace == namespace => Some(of(Kind::Service, &key)),
        _ => Some(of(Kind::ServiceEntry, &owner(world, namespace, host)?.meta.key)),
    }
}

/// The Service of that host name.
fn service(world: &World, host: &str) -> Option<Key> {
    let bare = host.strip_suffix(world.site.domain.as_str())?.strip_suffix(".svc.")?;
    let (name, namespace) = bare.split_once('.')?;
    let key = Key::new(namespace, name);
    world.service(&key).filter(|s| !s.external_name).map(|_| key)
}

fn oldest<'a>(entries: impl Iterator<Item = &'a ServiceEntry>) -> Option<&'a ServiceEntry> {
    entries.filter(|e| e.visibility != Visibility::Nobody).min_by_key(|e| e.age())
}

/// One service of a host is canonical in the mesh: a Service, else the oldest that all see.
fn is_canonical(world: &World, entry: &ServiceEntry, host: &str) -> bool {
    let public = |e: &&ServiceEntry| e.visibility == Visibility::Public;
    let first = oldest(world.entries_of(host).filter(public));
    service(world, host).is_none() && first.is_some_and(|e| e.meta.key == entry.meta.key)
}

fn message(
    world: &World,
    entry: &ServiceEntry,
    host: &str,
    addresses: &[IpNet],
    derived: &mut Derived,
) -> pb::Service {
    let bound = waypoint::of_entry(world, entry, &mut derived.looked_at).bound();
    pb::Service {
        name: entry.meta.key.name.clone(),
        namespace: entry.meta.key.namespace.clone(),
        hostname: host.to_owned(),
        addresses: addresses.iter().map(|block| address(world, block)).collect(),
        ports: entry.ports.iter().map(port).collect(),
        subject_alt_names: entry.subject_alt_names.clone(),
        waypoint: bound.as_ref().map(|b| waypoint::address(world, &b.primary)),
        weighted_waypoints: bound
            .as_ref()
            .map(|b| waypoint::weighted(world, b))
            .unwrap_or_default(),
        load_balancing: load_balancing(world, entry, derived),
        canonical: is_canonical(world, entry, host),
        ingress_use_waypoint: ingress(world, &entry.meta),
        visibility: match entry.visibility {
            Visibility::Public => pb::service::Visibility::Public,
            Visibility::Namespace | Visibility::Nobody => pb::service::Visibility::Namespace,
        }
        .into(),
        ..pb::Service::default()
    }
}

/// What its author wrote, else what the host was given.
fn addresses(world: &World, entry: &ServiceEntry, host: &str) -> Vec<IpNet> {
    if !entry.wants_addresses().iter().any(|wanted| wanted == host) {
        return entry.addresses.clone();
    }
    let given = world.vips.of(&entry.meta.key, host);
    given.into_iter().map(IpNet::from).collect()
}

fn address(world: &World, block: &IpNet) -> pb::NetworkAddress {
    let partial = block.prefix_len() < block.max_prefix_len();
    pb::NetworkAddress {
        network: world.site.network.clone(),
        address: bytes(&block.addr()),
        length: partial.then(|| u32::from(block.prefix_len())),
    }
}

/// Those that are no block.
fn single(addresses: &[IpNet]) -> Vec<IpAddr> {
    let single = addresses.iter().filter(|block| block.prefix_len() == block.max_prefix_len());
    single.map(IpNet::addr).collect()
}

fn port(port: &EntryPort) -> pb::Port {
    let app = match port.protocol {
        Protocol::Unknown => pb::AppProtocol::Unknown,
        Protocol::Http => pb::AppProtocol::Http11,
        Protocol::Http2 => pb::AppProtocol::Http2,
        Protocol::Grpc => pb::AppProtocol::Grpc,
        Protocol::Tcp => pb::AppProtocol::Tcp,
        Protocol::Tls => pb::AppProtocol::Tls,
    };
    pb::Port {
        service_port: u32::from(port.number),
        target_port: u32::from(port.target),
        app_protocol: app.into(),
    }
}

fn load_balancing(
    world: &World,
    entry: &ServiceEntry,
    derived: &mut Derived,
) -> Option<pb::LoadBalancing> {
    use pb::load_balancing::{HealthPolicy, Mode};
    if entry.resolution == Resolution::None {
        return Some(pb::LoadBalancing {
            mode: Mode::Passthrough.into(),
            health_policy: HealthPolicy::AllowAll.into(),
            ..pb::LoadBalancing::default()
        });
    }
    let distribution = distribution(world, &entry.meta, derived);
    let (mode, scopes) = preference(distribution.as_deref());
    let message = pb::LoadBalancing {
        routing_preference: scopes.into_iter().map(Into::into).collect(),
        mode: mode.into(),
        ..pb::LoadBalancing::default()
    };
    (message != pb::LoadBalancing::default()).then_some(message)
}
