//! Resources as they arrive, and what a change of them touches.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::ConfigError;
use super::authentication::Authentication;
use super::gateway::Gateway;
use super::object::ObjectName;
use super::policy::{Policy, Target};
use super::provider::Provider;
use super::route::Route;
use super::snapshot::{Attached, Snapshot};
use kept::Kept;

mod kept;

/// The kinds of resource, each with its type URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The Gateway itself.
    Gateway,
    /// HTTPRoute.
    Route,
    /// AuthorizationPolicy.
    Policy,
    /// RequestAuthentication.
    Authentication,
    /// External authorizer.
    Provider,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Gateway, Self::Route, Self::Policy, Self::Provider, Self::Authentication];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Gateway => "type.googleapis.com/ambit.waypoint.v1.Gateway",
            Self::Route => "type.googleapis.com/ambit.waypoint.v1.Route",
            Self::Policy => "type.googleapis.com/ambit.waypoint.v1.Policy",
            Self::Authentication => "type.googleapis.com/ambit.waypoint.v1.Authentication",
            Self::Provider => "type.googleapis.com/ambit.waypoint.v1.Provider",
        }
    }
}

/// Every resource, compiled, by name, and the snapshot of them. Changed by the xDS client only.
///
/// A change costs what it touches: only services and Gateways to which a changed route or
/// policy is or was attached are merged anew.
#[derive(Debug, Default)]
pub struct Store {
    gateways: BTreeMap<String, Arc<Gateway>>,
    routes: Kept<Route>,
    policies: Kept<Policy>,
    authentications: Kept<Authentication>,
    /// Names of providers by the names of their resources.
    providers: BTreeMap<String, Arc<str>>,
    dirty: HashSet<Target>,
    snapshot: Snapshot,
}

impl Store {
    /// All routes, in the order of names.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.all()
    }

    /// All policies, in the order of names.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.all()
    }

    /// Takes a resource of `kind`.
    ///
    /// # Errors
    /// If it cannot be read; its last good version stays.
    pub fn insert(&mut self, kind: Kind, name: &str, bytes: &[u8]) -> Result<(), ConfigError> {
        match kind {
            Kind::Gateway => {
                let gateway = Gateway::compile(name, &decode(name, bytes)?)?;
                self.gateways.insert(name.to_owned(), Arc::new(gateway));
                self.gateway_changed();
            }
            Kind::Route => {
                let route = Route::compile(&decode(name, bytes)?);
                self.routes.put(name, route, &mut self.dirty);
            }
            Kind::Policy => {
                let policy = Policy::compile(&decode::<pb::Policy>(name, bytes)?);
                for why in policy.unreadable() {
                    tracing::warn!(policy = %policy.object, why, "policy made stricter: a rule is not understood");
                }
                self.policies.put(name, policy, &mut self.dirty);
                self.snapshot.policy_generation += 1;
            }
            Kind::Authentication => {
                let wire = decode::<pb::Authentication>(name, bytes)?;
                let authentication = Authentication::compile(&wire);
                for why in authentication.not_understood() {
                    tracing::warn!(policy = %authentication.object, why, "tokens are refused: a rule is not understood");
                }
                self.authentications.put(name, authentication, &mut self.dirty);
                self.snapshot.policy_generation += 1;
            }
            Kind::Provider => {
                let provider = Arc::new(Provider::compile(&decode(name, bytes)?));
                self.remove(Kind::Provider, name);
                self.providers.insert(name.to_owned(), provider.name().clone());
                self.snapshot.put_provider(provider);
            }
        }
        Ok(())
    }

    /// Forgets a resource.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Gateway => {
                self.gateways.remove(name);
                self.gateway_changed();
            }
            Kind::Route => self.routes.remove(name, &mut self.dirty),
            Kind::Policy => {
                self.policies.remove(name, &mut self.dirty);
                self.snapshot.policy_generation += 1;
            }
            Kind::Authentication => {
                self.authentications.remove(name, &mut self.dirty);
                self.snapshot.policy_generation += 1;
            }
            Kind::Provider => {
                if let Some(provider) = self.providers.remove(name) {
                    self.snapshot.remove_provider(&provider);
                }
            }
        }
    }

    /// What is attached to our Gateway is what names it.
    fn gateway_changed(&mut self) {
        self.snapshot.gateway = self.gateways.values().next().cloned();
        self.snapshot.policy_generation += 1;
        match &self.snapshot.gateway {
            Some(gateway) => drop(self.dirty.insert(Target::Gateway(gateway.object()))),
            None => self
                .snapshot
                .attach(Target::Gateway(ObjectName::from_wire(None)), Attached::default()),
        }
    }

    /// The snapshot of what is held now.
    pub fn snapshot(&mut self) -> Snapshot {
        for target in std::mem::take(&mut self.dirty) {
            let own = self.snapshot.gateway.as_ref();
            let matters = match &target {
                Target::Service(_) => true,
                Target::Gateway(named) => own.is_some_and(|own| own.is(named)),
            };
            if matters {
                let (routes, policies) = (self.routes.of(&target), self.policies.of(&target));
                let authentications = self.authentications.of(&target);
                let attached = Attached::new(&target, routes, policies, authentications);
                self.snapshot.attach(target, attached);
            }
        }
        self.snapshot.clone()
    }
}

fn decode<M: Message + Default>(name: &str, bytes: &[u8]) -> Result<M, ConfigError> {
    M::decode(bytes).map_err(|source| ConfigError::Decode { object: name.to_owned(), source })
}

#[cfg(test)]
mod tests;
