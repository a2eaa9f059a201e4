//! What a reference to a waypoint means (docs/wire.md, "Waypoints").

use std::net::IpAddr;

use hbone::wire::workload::{GatewayAddress, GatewayDestination, Workload};

use crate::state::{Found, Snapshot};

/// Resolves a reference for a client in `namespace`: a host name is a service or else a
/// workload of exactly that namespace and name, an address a VIP or else a workload's.
pub(super) fn resolve<'a>(
    snapshot: &'a Snapshot,
    gateway: &GatewayAddress,
    namespace: &str,
) -> Option<Found<'a>> {
    match &gateway.destination {
        GatewayDestination::Hostname(name) => {
            let service = snapshot.service(name).map(Found::Service);
            service.or_else(|| snapshot.workload_named(name).map(Found::Workload))
        }
        GatewayDestination::Address(address) => snapshot.upstream(address, namespace),
    }
}

/// Whether `workload` is an instance of the waypoint.
pub(super) fn is_instance(
    snapshot: &Snapshot,
    gateway: &GatewayAddress,
    workload: &Workload,
) -> bool {
    match resolve(snapshot, gateway, &workload.namespace) {
        Some(Found::Service(service)) => workload.membership(&service.key).is_some(),
        Some(Found::Workload(instance)) => instance.uid == workload.uid,
        None => false,
    }
}

/// Whether a connection of `source` from `address` comes from the waypoint itself: the same
/// identity, and the address of one of its instances. Either alone can be had by others.
pub(super) fn is_source(
    snapshot: &Snapshot,
    gateway: &GatewayAddress,
    source: &Workload,
    address: IpAddr,
) -> bool {
    let is_it = |instance: &Workload| {
        instance.identity.is_some()
            && instance.identity == source.identity
            && instance.network == snapshot.place().network
            && instance.has_address(address)
    };
    match resolve(snapshot, gateway, &source.namespace) {
        Some(Found::Service(service)) => snapshot.endpoints(&service.key).any(|w| is_it(w)),
        Some(Found::Workload(instance)) => is_it(instance),
        None => false,
    }
}
