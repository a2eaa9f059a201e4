//! Finding workloads and services (docs/wire.md, "Client state").

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use hbone::wire::address::{NamespacedHostname, NetworkAddress, NetworkBlock};
use hbone::wire::workload::{Service, Workload};
use ipnet::IpNet;

use super::index::all;
use super::snapshot::Snapshot;

/// What an address belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A workload.
    Workload(&'a Arc<Workload>),
    /// A service.
    Service(&'a Arc<Service>),
}

impl Snapshot {
    /// The workload of that key.
    pub fn workload(&self, uid: &str) -> Option<&Arc<Workload>> {
        self.workloads.get(uid)
    }

    /// The service of that key.
    pub fn service(&self, key: &NamespacedHostname) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The workloads of a service, whether or not the service is known, in order of uid.
    pub fn endpoints<'a>(
        &'a self,
        key: &NamespacedHostname,
    ) -> impl Iterator<Item = &'a Arc<Workload>> + use<'a> {
        self.members.get(key).into_iter().flat_map(|members| members.values())
    }

    /// All workloads, in no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// All services, in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// `address` as an address of the own network.
    pub fn here(&self, address: IpAddr) -> NetworkAddress {
        let network = Arc::clone(&self.place.network);
        NetworkAddress { network, address: address.to_canonical() }
    }

    /// The workload that has `address`. A pod wins over others, HBONE over plain.
    pub fn workload_at(&self, address: &NetworkAddress) -> Option<&Arc<Workload>> {
        all(&self.by_address, address).first()
    }

    /// The workload of that namespace and host name.
    pub fn workload_named(&self, name: &NamespacedHostname) -> Option<&Arc<Workload>> {
        all(&self.by_hostname, name).first()
    }

    /// All services of a host name, exactly as written (a wildcard is the name `*.x`).
    pub fn services_named(&self, hostname: &str) -> &[Arc<Service>] {
        self.hosts.get(hostname).map_or(&[], |bucket| bucket)
    }

    /// The service of a host name for a client in `namespace`: of those visible to it, its
    /// own, else the canonical one, else the first.
    pub fn service_named(&self, hostname: &str, namespace: &str) -> Option<&Arc<Service>> {
        prefer(self.services_named(hostname), namespace)
    }

    /// The service that has `address` as a virtual address or in a block of them, for a client
    /// in `namespace`. Blocks count only if no service has just that address.
    pub fn service_at(&self, address: &NetworkAddress, namespace: &str) -> Option<&Arc<Service>> {
        prefer(all(&self.vips, address), namespace)
            .or_else(|| self.service_around(address, namespace))
    }

    /// Whose address this is: a workload's, or else a service's.
    pub fn address(&self, address: &NetworkAddress, namespace: &str) -> Option<Found<'_>> {
        let workload = self.workload_at(address).map(Found::Workload);
        workload.or_else(|| self.service_at(address, namespace).map(Found::Service))
    }

    /// Where traffic to an address goes: to a service's endpoint, or else to a workload.
    pub fn upstream(&self, address: &NetworkAddress, namespace: &str) -> Option<Found<'_>> {
        let service = self.service_at(address, namespace).map(Found::Service);
        service.or_else(|| self.workload_at(address).map(Found::Workload))
    }

    /// The best service with a block around `address`: the client's namespace, then the
    /// longest prefix, then the canonical one.
    fn service_around(&self, address: &NetworkAddress, namespace: &str) -> Option<&Arc<Service>> {
        let v6 = address.address.is_ipv6();
        let lengths = self.block_lengths.range((v6, 0)..=(v6, u8::MAX));
        let candidates = lengths.filter_map(|((_, length), _)| {
            let block = IpNet::new(address.address, *length).ok()?.trunc();
            let key = NetworkBlock { network: Arc::clone(&address.network), block };
            let service = prefer(all(&self.blocks, &key), namespace)?;
            Some((*length, service))
        });
        let best = candidates.min_by_key(|(length, service)| {
            (*service.key.namespace != *namespace, Reverse(*length), !service.canonical)
        });
        best.map(|(_, service)| service)
    }
}

/// Of the services that a client in `namespace` sees: its own, the canonical one, the first.
fn prefer<'a>(all: &'a [Arc<Service>], namespace: &str) -> Option<&'a Arc<Service>> {
    let visible = all.iter().filter(|service| service.visible_to(namespace));
    visible.min_by_key(|service| (*service.key.namespace != *namespace, !service.canonical))
}
