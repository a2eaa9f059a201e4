//! Resources as they arrive, and the snapshot that requests read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::ConfigError;
use super::gateway::Gateway;
use super::object::ObjectName;
use super::policy::{Policy, Target};
use super::provider::Provider;
use super::route::{Route, RouteTable};

/// The kinds of resource, each with its type URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The Gateway itself.
    Gateway,
    /// HTTPRoute.
    Route,
    /// AuthorizationPolicy.
    Policy,
    /// External authorizer.
    Provider,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Route, Self::Policy, Self::Provider];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Gateway => "type.googleapis.com/ambit.waypoint.v1.Gateway",
            Self::Route => "type.googleapis.com/ambit.waypoint.v1.Route",
            Self::Policy => "type.googleapis.com/ambit.waypoint.v1.Policy",
            Self::Provider => "type.googleapis.com/ambit.waypoint.v1.Provider",
        }
    }
}

/// Every resource, compiled, by name. Changed by the xDS client only.
#[derive(Debug, Default)]
pub struct Store {
    gateways: BTreeMap<String, Gateway>,
    routes: BTreeMap<String, Arc<Route>>,
    policies: BTreeMap<String, Arc<Policy>>,
    providers: BTreeMap<String, Arc<Provider>>,
    policy_generation: u64,
}

/// What requests are decided on; never changes.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The Gateway of this waypoint; none until it is known, and then nothing is served.
    pub gateway: Option<Gateway>,
    /// Grows whenever policies, or who is trusted, have changed.
    pub policy_generation: u64,
    services: HashMap<NamespacedHostname, ServiceConfig>,
    gateway_routes: HashMap<Option<u16>, RouteTable>,
    gateway_policies: Vec<Arc<Policy>>,
    providers: HashMap<Arc<str>, Arc<Provider>>,
}

#[derive(Debug, Default)]
struct ServiceConfig {
    /// By port; `None` holds what is attached to every port.
    routes: HashMap<Option<u16>, RouteTable>,
    policies: Vec<Arc<Policy>>,
}

impl Store {
    /// Takes a resource of `kind`.
    pub fn insert(&mut self, kind: Kind, name: &str, bytes: &[u8]) -> Result<(), ConfigError> {
        match kind {
            Kind::Gateway => {
                let gateway = Gateway::compile(name, &decode(name, bytes)?)?;
                self.gateways.insert(name.to_owned(), gateway);
                self.policy_generation += 1;
            }
            Kind::Route => {
                let route = Route::compile(&decode(name, bytes)?);
                self.routes.insert(name.to_owned(), Arc::new(route));
            }
            Kind::Policy => {
                let policy = Policy::compile(&decode::<pb::Policy>(name, bytes)?);
                for why in policy.unreadable() {
                    tracing::warn!(policy = %policy.object, why, "policy made stricter: a rule is not understood");
                }
                self.policies.insert(name.to_owned(), Arc::new(policy));
                self.policy_generation += 1;
            }
            Kind::Provider => {
                let provider = Provider::compile(&decode(name, bytes)?);
                self.providers.insert(name.to_owned(), Arc::new(provider));
            }
        }
        Ok(())
    }

    /// Forgets a resource.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Gateway | Kind::Policy => self.policy_generation += 1,
            Kind::Route | Kind::Provider => {}
        }
        match kind {
            Kind::Gateway => drop(self.gateways.remove(name)),
            Kind::Route => drop(self.routes.remove(name)),
            Kind::Policy => drop(self.policies.remove(name)),
            Kind::Provider => drop(self.providers.remove(name)),
        }
    }

    /// The snapshot of what is held now.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            gateway: self.gateways.values().next().cloned(),
            policy_generation: self.policy_generation,
            providers: self.providers.values().map(|p| (p.name().clone(), p.clone())).collect(),
            ..Snapshot::default()
        };
        snapshot.add_routes(self.routes.values());
        for policy in self.policies.values().filter(|policy| !policy.dry_run) {
            snapshot.add_policy(policy);
        }
        snapshot
    }
}

impl Snapshot {
    fn add_routes<'a>(&mut self, routes: impl Iterator<Item = &'a Arc<Route>>) {
        type ByPort = HashMap<Option<u16>, Vec<Arc<Route>>>;
        let mut attached: HashMap<Option<NamespacedHostname>, ByPort> = HashMap::new();
        for route in routes {
            for parent in &route.parents {
                let key = match &parent.target {
                    Target::Service(service) => Some(service.clone()),
                    Target::Gateway(gateway) if self.is_own(gateway) => None,
                    Target::Gateway(_) => continue,
                };
                let ports = attached.entry(key).or_default();
                ports.entry(parent.port).or_default().push(route.clone());
            }
        }
        for (service, mut ports) in attached {
            let everywhere = ports.get(&None).cloned().unwrap_or_default();
            for (port, routes) in &mut ports {
                if port.is_some() {
                    routes.extend(everywhere.iter().cloned());
                }
            }
            let tables = ports.into_iter().map(|(port, routes)| (port, RouteTable::new(&routes)));
            match service {
                Some(service) => {
                    self.services.entry(service).or_default().routes = tables.collect();
                }
                None => self.gateway_routes = tables.collect(),
            }
        }
    }

    fn is_own(&self, gateway: &ObjectName) -> bool {
        self.gateway.as_ref().is_some_and(|own| own.is(gateway))
    }

    fn add_policy(&mut self, policy: &Arc<Policy>) {
        for target in &policy.targets {
            match target {
                Target::Gateway(gateway) if self.is_own(gateway) => {
                    self.gateway_policies.push(policy.clone());
                }
                Target::Gateway(_) => {}
                Target::Service(service) => {
                    self.services.entry(service.clone()).or_default().policies.push(policy.clone());
                }
            }
        }
    }

    /// The routes of a service port: its own, else those of the Gateway. None means that the
    /// service itself is the backend.
    pub fn routes(&self, service: &NamespacedHostname, port: u16) -> Option<&RouteTable> {
        let own = self.services.get(service).map(|service| &service.routes);
        [own, Some(&self.gateway_routes)]
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
        self.gateway_policies.iter().chain(of_services.flat_map(|service| &service.policies))
    }

    /// The provider of that name.
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name)
    }
}

fn decode<M: Message + Default>(name: &str, bytes: &[u8]) -> Result<M, ConfigError> {
    M::decode(bytes).map_err(|source| ConfigError::Decode { object: name.to_owned(), source })
}
