//! Workloads and services: who is addressed, and where its endpoints are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::workload::{Address, GatewayAddress, NetworkMode, Service, Workload};
use rpds::HashTrieMapSync;

use crate::config::gateway::Gateway;

use self::left::Left;
use self::vips::Vips;

pub mod balance;
mod left;
mod vips;

/// What is known of workloads and services; requests read it without a lock.
///
/// The maps are persistent: the next version shares with this one all that did not change.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    workloads: HashTrieMapSync<Arc<str>, Arc<Workload>>,
    services: HashTrieMapSync<NamespacedHostname, Arc<Service>>,
    by_ip: HashTrieMapSync<IpAddr, Arc<Workload>>,
    vips: Vips,
    /// Of each service, sorted by uid; copied once for a version that changes it.
    endpoints: HashTrieMapSync<NamespacedHostname, Arc<Vec<Arc<Workload>>>>,
    left: Left,
}

/// What a tunnel is addressed to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A service by its VIP.
    Service {
        /// The service.
        service: Arc<Service>,
        /// The address that was dialled.
        address: SocketAddr,
    },
    /// A workload by its own address.
    Workload {
        /// The workload.
        workload: Arc<Workload>,
        /// The address that was dialled.
        address: SocketAddr,
        /// Services that it serves on that port: their policies hold here too.
        services: Arc<[NamespacedHostname]>,
    },
}

/// Why a tunnel is not for this waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// Nothing has that address.
    #[error("no service or workload has the address")]
    Unknown,
    /// It belongs to no waypoint.
    #[error("the address is not bound to a waypoint")]
    Unbound,
    /// It belongs to another waypoint, which guards it.
    #[error("the address is bound to another waypoint")]
    Elsewhere,
    /// A service without that port.
    #[error("the service has no such port")]
    NoPort,
}

impl Directory {
    /// Takes a workload or service.
    pub fn insert(&mut self, address: Address) {
        if self.rebinds(&address) {
            self.leave_waypoint(&address);
        }
        match address {
            Address::Workload(workload) => self.insert_workload(workload),
            Address::Service(service) => {
                self.remove_service(&service.key);
                self.vips.insert(&service);
                self.services.insert_mut(service.key.clone(), service);
            }
        }
    }

    /// Every workload, in no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// Every service, in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// Whether `address` is known with another waypoint.
    pub fn rebinds(&self, address: &Address) -> bool {
        match address {
            Address::Workload(new) => {
                self.workloads.get(&new.uid).is_some_and(|old| old.waypoint != new.waypoint)
            }
            Address::Service(new) => {
                let other = |old: &Arc<Service>| !waypoints(old).eq(waypoints(new));
                self.services.get(&new.key).is_some_and(other)
            }
        }
    }

    /// Notes the waypoints that it is bound to now as those that it is leaving.
    fn leave_waypoint(&mut self, address: &Address) {
        match address {
            Address::Workload(new) => {
                let old = self.workloads.get(&new.uid).and_then(|old| old.waypoint.clone());
                self.left.note_workload(&new.uid, old.into_iter().collect());
            }
            Address::Service(new) => {
                let old = self.services.get(&new.key);
                let old = old.map(|old| waypoints(old).cloned().collect()).unwrap_or_default();
                self.left.note_service(&new.key, old);
            }
        }
    }

    fn insert_workload(&mut self, workload: Arc<Workload>) {
        if let Some(old) = self.workloads.get(&workload.uid).cloned() {
            self.forget_addresses(&old);
            let gone = |service: &&NamespacedHostname| workload.membership(service).is_none();
            for service in old.services.iter().map(|membership| &membership.service).filter(gone) {
                self.leave(service, &old.uid);
            }
        }
        for ip in addresses(&workload) {
            self.by_ip.insert_mut(ip, workload.clone());
        }
        for membership in &workload.services {
            self.join(&membership.service, &workload);
        }
        self.workloads.insert_mut(workload.uid.clone(), workload);
    }

    /// Adds or replaces an endpoint of a service.
    fn join(&mut self, service: &NamespacedHostname, workload: &Arc<Workload>) {
        let Some(endpoints) = self.endpoints.get_mut(service) else {
            self.endpoints.insert_mut(service.clone(), Arc::new(vec![workload.clone()]));
            return;
        };
        let endpoints = Arc::make_mut(endpoints);
        match endpoints.binary_search_by(|endpoint| endpoint.uid.cmp(&workload.uid)) {
            Ok(at) => {
                if let Some(endpoint) = endpoints.get_mut(at) {
                    *endpoint = workload.clone();
                }
            }
            Err(at) => endpoints.insert(at, workload.clone()),
        }
    }

    /// Takes an endpoint of a service away.
    fn leave(&mut self, service: &NamespacedHostname, uid: &str) {
        let Some(endpoints) = self.endpoints.get_mut(service) else { return };
        let endpoints = Arc::make_mut(endpoints);
        if let Ok(at) = endpoints.binary_search_by(|endpoint| (*endpoint.uid).cmp(uid)) {
            endpoints.remove(at);
        }
        if endpoints.is_empty() {
            self.endpoints.remove_mut(service);
        }
    }

    /// Forgets which bindings are over for so long that nobody comes by them any more.
    pub fn prune(&mut self) {
        self.left.prune();
    }

    /// Forgets what has that resource name: a workload's uid, or `namespace/hostname`.
    pub fn remove(&mut self, name: &str) {
        if !self.remove_workload(name)
            && let Some(key) = NamespacedHostname::parse(name)
        {
            self.remove_service(&key);
        }
    }

    fn remove_workload(&mut self, uid: &str) -> bool {
        let Some(old) = self.workloads.get(uid).cloned() else { return false };
        self.workloads.remove_mut(uid);
        self.forget_addresses(&old);
        for membership in &old.services {
            self.leave(&membership.service, uid);
        }
        true
    }

    fn forget_addresses(&mut self, old: &Workload) {
        for ip in addresses(old) {
            if self.by_ip.get(&ip).is_some_and(|w| w.uid == old.uid) {
                self.by_ip.remove_mut(&ip);
            }
        }
    }

    fn remove_service(&mut self, key: &NamespacedHostname) {
        let Some(old) = self.services.get(key).cloned() else { return };
        self.services.remove_mut(key);
        self.vips.remove(&old);
    }

    /// The service of that name.
    pub fn service(&self, key: &NamespacedHostname) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The workload with that address.
    pub fn workload(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.by_ip.get(&ip.to_canonical())
    }

    /// The workloads that serve `service`.
    pub fn endpoints(&self, service: &NamespacedHostname) -> &[Arc<Workload>] {
        self.endpoints.get(service).map_or(&[], |endpoints| endpoints.as_slice())
    }

    /// What `address` is for `gateway`: a VIP or a workload that is bound to it, or was until
    /// just now (docs/wire.md, "CONNECT request").
    ///
    /// # Errors
    /// Why it is not for this waypoint.
    pub fn target(&self, address: SocketAddr, gateway: &Gateway) -> Result<Target, NotServed> {
        match self.look_up(address, gateway)? {
            (target, Bound::Here | Bound::Lately) => Ok(target),
            (_, Bound::Nowhere) => Err(NotServed::Unbound),
        }
    }

    /// What `old`, which was for `gateway` once, is now; and whether it still is for it. What is
    /// bound to no waypoint any longer may be served to the end of what is open: nobody else
    /// guards it.
    ///
    /// # Errors
    /// If it is another's by now, or gone.
    pub fn again(&self, old: &Target, gateway: &Gateway) -> Result<(Target, Bound), NotServed> {
        let found = self.look_up(old.address(), gateway)?;
        if found.0.is(old) { Ok(found) } else { Err(NotServed::Unknown) }
    }

    /// The service with that address: of several the one that is bound to `gateway`. What the
    /// Gateway's namespace does not see is none of its own.
    fn addressed(&self, ip: IpAddr, gateway: &Gateway) -> Option<&Arc<Service>> {
        let seen = self.vips.at(ip).iter().filter(|s| s.visible_to(&gateway.namespace));
        let here = |s: &&Arc<Service>| waypoints(s).any(|waypoint| gateway.is_at(waypoint));
        seen.clone().find(here).or_else(|| seen.clone().next())
    }

    fn look_up(
        &self,
        address: SocketAddr,
        gateway: &Gateway,
    ) -> Result<(Target, Bound), NotServed> {
        let ip = address.ip().to_canonical();
        if let Some(service) = self.addressed(ip, gateway) {
            let bound = Bound::of(waypoints(service), gateway);
            let bound = left::or_lately(bound, || self.left.service(&service.key), gateway)?;
            if !service.ports.iter().any(|port| port.service == address.port()) {
                return Err(NotServed::NoPort);
            }
            return Ok((Target::Service { service: service.clone(), address }, bound));
        }
        let workload = self.by_ip.get(&ip).ok_or(NotServed::Unknown)?;
        let bound = Bound::of(workload.waypoint.iter(), gateway);
        let bound = left::or_lately(bound, || self.left.workload(&workload.uid), gateway)?;
        let serves = workload.services.iter().filter(|membership| {
            let here = |s: &Arc<Service>| {
                waypoints(s).any(|waypoint| gateway.is_at(waypoint))
                    || self.left.service(&s.key).iter().any(|waypoint| gateway.is_at(waypoint))
            };
            membership.ports.iter().any(|port| port.target == address.port())
                && self.services.get(&membership.service).is_some_and(here)
        });
        let services = serves.map(|membership| membership.service.clone()).collect();
        Ok((Target::Workload { workload: workload.clone(), address, services }, bound))
    }
}

/// Whose something is that may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Bound to the waypoint that asks.
    Here,
    /// Bound to it until just now: callers that have not heard of that yet still come.
    Lately,
    /// Bound to none.
    Nowhere,
}

impl Bound {
    fn of<'a>(
        mut waypoints: impl Iterator<Item = &'a GatewayAddress>,
        gateway: &Gateway,
    ) -> Result<Self, NotServed> {
        let Some(first) = waypoints.next() else { return Ok(Self::Nowhere) };
        let here = gateway.is_at(first) || waypoints.any(|waypoint| gateway.is_at(waypoint));
        if here { Ok(Self::Here) } else { Err(NotServed::Elsewhere) }
    }
}

fn waypoints(service: &Service) -> impl Iterator<Item = &GatewayAddress> {
    let weighted = service.weighted_waypoints.iter().map(|waypoint| &waypoint.destination);
    service.waypoint.iter().chain(weighted)
}

fn addresses(workload: &Workload) -> Vec<IpAddr> {
    match workload.network_mode {
        NetworkMode::Standard => workload.addresses.to_vec(),
        NetworkMode::HostNetwork => Vec::new(),
    }
}

impl Target {
    /// What was dialled.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Service { address, .. } | Self::Workload { address, .. } => *address,
        }
    }

    /// Whether both are the same service or workload, whatever has changed about it.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service { service: one, .. }, Self::Service { service: two, .. }) => {
                one.key == two.key
            }
            (Self::Workload { workload: one, .. }, Self::Workload { workload: two, .. }) => {
                one.uid == two.uid
            }
            (Self::Service { .. }, Self::Workload { .. })
            | (Self::Workload { .. }, Self::Service { .. }) => false,
        }
    }

    /// The services whose policies hold.
    pub fn services(&self) -> &[NamespacedHostname] {
        match self {
            Self::Service { service, .. } => std::slice::from_ref(&service.key),
            Self::Workload { services, .. } => services,
        }
    }
}

#[cfg(test)]
mod tests;
