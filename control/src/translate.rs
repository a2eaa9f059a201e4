//! The model to the wire. Pure: a derivation is a function of the world and a key.
//!
//! - [`workload`]: pods to workloads; [`membership`]: their services and ports
//! - [`service`]: services; [`slice`]: endpoints without pods
//! - [`entry`]: what runs outside the cluster
//! - [`waypoint`]: who goes through which waypoint; [`guard`]: what keeps others out
//! - [`authorization`]: AuthorizationPolicy; [`peer`]: PeerAuthentication
//! - [`node_pod`]: what a node hears of its pods
//! - [`namespace`]: conditions of namespaces
//! - [`gateway`], [`route`]: conditions of the Gateway API's objects; [`backend`]: what a route
//!   refers to

pub mod authorization;
pub mod backend;
pub mod entry;
pub mod gateway;
pub mod guard;
pub mod membership;
pub mod namespace;
pub mod node_pod;
pub mod peer;
pub mod route;
pub mod service;
pub mod slice;
pub mod waypoint;
pub mod workload;

use std::collections::BTreeSet;

use crate::api::gateway::{GrpcMatch, HttpMatch};
use crate::model::dirty::Dirty;
use crate::model::object::{Key, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

use self::guard::Guard;

/// The group of what every waypoint hears.
pub const EVERY_WAYPOINT: &str = "*";

/// A family of resources that subscribers ask for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Layer 4 policies.
    Authorization,
    /// Workloads and services.
    Address,
    /// A waypoint's own Gateway.
    WaypointGateway,
    /// Routes of waypoints.
    WaypointRoute,
    /// Layer 7 policies of waypoints.
    WaypointPolicy,
    /// Whose tokens waypoints trust.
    WaypointAuthentication,
    /// External authorizers.
    WaypointProvider,
    /// Pods for the nodes that run them; no discovery type.
    NodePod,
}

/// A resource on its way to the subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its family.
    pub family: Family,
    /// Its name on the wire.
    pub name: String,
    /// The encoded message: equal resources have equal bytes.
    pub body: Vec<u8>,
    /// Other keys that it answers.
    pub aliases: Vec<String>,
    /// What it belongs to: a subscriber of the group holds it too.
    pub groups: Vec<String>,
}

/// What a derivation gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// Resources; what an earlier derivation gave and this one does not is removed.
    pub resources: Vec<Resource>,
    /// Policies that it needs.
    pub guards: BTreeSet<Guard>,
    /// Conditions of objects.
    pub conditions: Vec<(ObjectRef, Vec<Condition>)>,
    /// Objects looked up by name, there or not: a change of one makes this dirty.
    pub looked_at: BTreeSet<ObjectRef>,
}

/// Derives one thing.
pub fn derive(world: &World, dirty: &Dirty) -> Derived {
    match dirty {
        Dirty::Pod(key) => workload::derive(world, key),
        Dirty::Slice(key) => slice::derive(world, key),
        Dirty::Service(key) => service::derive(world, key),
        Dirty::Policy(key) => {
            let mut derived = authorization::derive(world, key);
            waypoint::policy::add(world, key, &mut derived);
            derived
        }
        Dirty::Peer(key) => peer::derive(world, key),
        Dirty::Strict => peer::derive_strict(world),
        Dirty::Gateway(key) => {
            let mut derived = gateway::derive(world, key);
            waypoint::gateway::add(world, key, &mut derived);
            derived
        }
        Dirty::Route(key) => of_route::<HttpMatch>(world, key),
        Dirty::GrpcRoute(key) => of_route::<GrpcMatch>(world, key),
        Dirty::Namespace(name) => namespace::derive(world, name),
        Dirty::Providers => waypoint::provider::derive(world),
        Dirty::Entry(key) => entry::derive(world, key),
        Dirty::Host(key) => entry::host::derive(world, key),
        Dirty::WorkloadEntry(key) => entry::workload::derive(world, key),
        Dirty::Authentication(key) => waypoint::authentication::derive(world, key),
    }
}

fn of_route<M: route::Matches + waypoint::route::Compared>(world: &World, key: &Key) -> Derived {
    let mut derived = route::derive::<M>(world, key);
    waypoint::route::add::<M>(world, key, &mut derived);
    derived
}

#[cfg(test)]
pub(crate) mod tests;
