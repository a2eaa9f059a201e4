//! The waypoint deployer: what a Gateway asks for becomes objects of the model, as a controller
//! of Kubernetes would make them in the API server.
//!
//! - [`plan`]: the objects that one Gateway wants
//! - [`place`]: on which nodes, with which addresses
//! - [`leases`]: places that were given, kept over a restart
//!
//! docs/wire.md, "Waypoints on demand". Whatever a source says about an object of the same
//! name wins, and a Gateway with pods of the source's own gets none from here.

pub mod leases;
pub mod place;
pub mod plan;

use std::collections::{BTreeMap, BTreeSet};

use tracing::info;

use self::leases::Leases;
use crate::model::object::{Key, Kind, Object, ObjectRef};
use crate::model::world::World;

/// Changes to make in the world.
pub type Changes = Vec<(ObjectRef, Option<Object>)>;

/// What was deployed for whom.
#[derive(Debug, Default)]
pub struct Deployer {
    leases: Leases,
    deployed: BTreeMap<Key, BTreeMap<ObjectRef, Object>>,
    owners: BTreeMap<ObjectRef, Key>,
    idle: bool,
}

impl Deployer {
    /// Goes on with the places that were given before.
    pub fn new(leases: Leases) -> Self {
        Self { leases, ..Self::default() }
    }

    /// Deploys nothing: in a cluster, waypoints are objects of the API server.
    pub fn idle() -> Self {
        Self { idle: true, ..Self::default() }
    }

    /// The Gateways for which the object `name`, as it is in `world` now, matters. Asked before
    /// and after a change.
    pub fn touched_by(&self, world: &World, name: &ObjectRef, out: &mut BTreeSet<Key>) {
        if self.idle {
            return;
        }
        out.extend(self.owners.get(name).cloned());
        match name.kind {
            Kind::Gateway => drop(out.insert(Key::new(&name.namespace, &name.name))),
            Kind::Pod | Kind::Service | Kind::ServiceAccount => {
                let gateways = world.gateways_in(&name.namespace);
                let near = gateways.filter(|gateway| plan::concerns(world, gateway, name));
                out.extend(near.map(|gateway| gateway.meta.key.clone()));
            }
            Kind::Node | Kind::GatewayClass => {
                let all = world.refs(Kind::Gateway).into_iter();
                out.extend(all.map(|r| Key { namespace: r.namespace, name: r.name }));
            }
            Kind::Namespace
            | Kind::EndpointSlice
            | Kind::HTTPRoute
            | Kind::GRPCRoute
            | Kind::ReferenceGrant
            | Kind::AuthorizationPolicy
            | Kind::PeerAuthentication
            | Kind::ServiceEntry
            | Kind::WorkloadEntry
            | Kind::RequestAuthentication
            | Kind::MeshConfig => {}
        }
    }

    /// The Gateways that had places before the start: some may have gone meanwhile. To be
    /// followed once, when the source is known.
    pub fn from_before(&self) -> Vec<Key> {
        self.leases.gateways()
    }

    /// What has to change in the world so that `gateways` have what they want.
    pub fn follow(&mut self, world: &World, gateways: BTreeSet<Key>) -> Changes {
        let mut changes = Vec::new();
        // What goes gives back its places before others look for one.
        let (stay, gone): (Vec<Key>, Vec<Key>) =
            gateways.into_iter().partition(|key| world.gateway(key).is_some());
        for key in gone.into_iter().chain(stay) {
            let wanted = plan::objects(world, &key, &mut self.leases);
            self.settle(world, &key, wanted, &mut changes);
        }
        self.leases.keep();
        changes
    }

    fn settle(
        &mut self,
        world: &World,
        gateway: &Key,
        wanted: BTreeMap<ObjectRef, Object>,
        changes: &mut Changes,
    ) {
        let old = self.deployed.remove(gateway).unwrap_or_default();
        for name in old.keys().filter(|name| !wanted.contains_key(name)) {
            self.owners.remove(name);
            if plan::is_ours(world, name) {
                info!(%gateway, object = %name, "deployed object removed");
                changes.push((name.clone(), None));
            }
        }
        for (name, object) in &wanted {
            self.owners.insert(name.clone(), gateway.clone());
            if old.get(name) != Some(object) || !plan::is_ours(world, name) {
                info!(%gateway, object = %name, "object deployed");
                changes.push((name.clone(), Some(object.clone())));
            }
        }
        if !wanted.is_empty() {
            self.deployed.insert(gateway.clone(), wanted);
        }
    }
}

#[cfg(test)]
mod tests;
