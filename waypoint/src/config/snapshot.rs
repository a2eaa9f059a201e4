//! What requests are decided on.

use std::collections::HashMap;
use std::sync::Arc;

use hbone::wire::address::NamespacedHostname;
use rpds::HashTrieMapSync;

use super::authentication::Authentication;
use super::gateway::Gateway;
use super::policy::{Policy, Target};
use super::provider::Provider;
use super::route::{Route, RouteTable};

/// Routes, policies and providers of one moment; never changes. The next one shares with it
/// all that did not change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The Gateway of this waypoint; none until it is known, and then nothing is served.
    pub gateway: Option<Arc<Gateway>>,
    /// Grows whenever policies, or who is trusted, have changed.
    pub policy_generation: u64,
    services: HashTrieMapSync<NamespacedHostname, Arc<Attached>>,
    own: Arc<Attached>,
    providers: HashTrieMapSync<Arc<str>, Arc<Provider>>,
}

/// Routes by port; `None` holds what is attached to every port.
type Tables = HashMap<Option<u16>, RouteTable>;

/// What the objects of the user attach to a service, or to the whole Gateway.
#[derive(Debug, Default)]
pub(super) struct Attached {
    routes: Tables,
    /// The routes of consumers, by their namespace.
    consumers: HashMap<Arc<str>, Tables>,
    policies: Vec<Arc<Policy>>,
    authentications: Vec<Arc<Authentication>>,
}

impl Attached {
    /// Merges what is attached to `target`.
    pub(super) fn new<'a>(
        target: &Target,
        routes: impl Iterator<Item = &'a Arc<Route>>,
        policies: impl Iterator<Item = &'a Arc<Policy>>,
        authentications: impl Iterator<Item = &'a Arc<Authentication>>,
    ) -> Self {
        let mut by_consumer: HashMap<Option<Arc<str>>, ByPort> = HashMap::new();
        for route in routes {
            for parent in route.parents.iter().filter(|parent| parent.target == *target) {
                let ports = by_consumer.entry(parent.consumer.clone()).or_default();
                ports.entry(parent.port).or_default().push(route.clone());
            }
        }
        let routes = by_consumer.remove(&None).map(tables).unwrap_or_default();
        let consumers =
            by_consumer.into_iter().filter_map(|(of, ports)| Some((of?, tables(ports))));
        let policies = policies.filter(|policy| !policy.dry_run).cloned();
        Self {
            routes,
            consumers: consumers.collect(),
            policies: policies.collect(),
            authentications: authentications.cloned().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        let unrouted = self.routes.is_empty() && self.consumers.is_empty();
        unrouted && self.policies.is_empty() && self.authentications.is_empty()
    }
}

type ByPort = HashMap<Option<u16>, Vec<Arc<Route>>>;

/// Each port's routes, and with them those of every port.
fn tables(mut ports: ByPort) -> Tables {
    let everywhere = ports.get(&None).cloned().unwrap_or_default();
    for (port, routes) in &mut ports {
        if port.is_some() {
            routes.extend(everywhere.iter().cloned());
        }
    }
    ports.into_iter().map(|(port, routes)| (port, RouteTable::new(&routes))).collect()
}

impl Snapshot {
    /// Replaces what is attached to `target`; of Gateways only our own matters.
    pub(super) fn attach(&mut self, target: Target, attached: Attached) {
        match target {
            Target::Service(service) if attached.is_empty() => {
                self.services.remove_mut(&service);
            }
            Target::Service(service) => self.services.insert_mut(service, Arc::new(attached)),
            Target::Gateway(_) => self.own = Arc::new(attached),
        }
    }

    /// Adds or replaces a provider.
    pub(super) fn put_provider(&mut self, provider: Arc<Provider>) {
        self.providers.insert_mut(provider.name().clone(), provider);
    }

    /// Forgets a provider.
    pub(super) fn remove_provider(&mut self, name: &str) {
        self.providers.remove_mut(name);
    }

    /// The routes of a service port for requests from a namespace: those that the namespace has
    /// written for itself (GEP-1426: they win), else the service's own, else those of the
    /// Gateway. None means that the service itself is the backend.
    pub fn routes(
        &self,
        service: &NamespacedHostname,
        port: u16,
        from: &str,
    ) -> Option<&RouteTable> {
        let service = self.services.get(service);
        let consumer = service.and_then(|service| service.consumers.get(from));
        [consumer, service.map(|service| &service.routes), Some(&self.own.routes)]
            .into_iter()
            .flatten()
            .find_map(|by_port| by_port.get(&Some(port)).or_else(|| by_port.get(&None)))
    }

    /// The policies that guard any of `services`, and those of the Gateway.
    pub fn policies<'a>(
        &'a self,
        services: &'a [NamespacedHostname],
    ) -> impl Iterator<Item = &'a Arc<Policy>> + Clone {
        let of_services = services.iter().filter_map(|service| self.services.get(service));
        self.own.policies.iter().chain(of_services.flat_map(|service| &service.policies))
    }

    /// Every policy that is in force here; one with several targets as often.
    pub fn all_policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let attached = std::iter::once(&self.own).chain(self.services.values());
        attached.flat_map(|attached| &attached.policies)
    }

    /// What says of tokens to any of `services`, and of those to the Gateway.
    pub fn authentications<'a>(
        &'a self,
        services: &'a [NamespacedHostname],
    ) -> impl Iterator<Item = &'a Arc<Authentication>> + Clone {
        let of_services = services.iter().filter_map(|service| self.services.get(service));
        let own = self.own.authentications.iter();
        own.chain(of_services.flat_map(|service| &service.authentications))
    }

    /// The provider of that name.
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name)
    }

    /// How many services, and whether the whole Gateway, `other` has merged anew.
    #[cfg(test)]
    pub(super) fn merged_since(&self, other: &Self) -> (usize, bool) {
        let same = |(service, attached): &(&NamespacedHostname, &Arc<Attached>)| {
            other.services.get(*service).is_some_and(|was| Arc::ptr_eq(was, attached))
        };
        let anew = self.services.iter().filter(|entry| !same(entry)).count();
        (anew, !Arc::ptr_eq(&self.own, &other.own))
    }
}
