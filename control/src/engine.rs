//! From changed objects to changed resources.
//!
//! One task owns the engine. A change costs what depends on the changed object: it marks things
//! dirty, those are derived again, and only resources whose bytes differ reach the tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use crate::deploy::Deployer;
use crate::model::dirty::{Dirty, dirtied_by, gateway_of};
use crate::model::object::{Key, Object, ObjectRef};
use crate::model::report::Report;
use crate::model::world::World;
use crate::source::Update;
use crate::status::Board;
use crate::sync;
use crate::translate::guard::Guard;
use crate::translate::{Derived, Family, Resource, derive};
use crate::xds::table::Table;

/// The resources that subscribers read, and the bell that rings when they change.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Layer 4 policies.
    pub authorization: Table,
    /// Workloads and services.
    pub address: Table,
    /// The Gateways of waypoints.
    pub waypoint_gateways: Table,
    /// Routes of waypoints.
    pub waypoint_routes: Table,
    /// Layer 7 policies of waypoints.
    pub waypoint_policies: Table,
    /// External authorizers.
    pub waypoint_providers: Table,
    /// Pods for the nodes that run them.
    pub node_pods: Table,
    bell: watch::Sender<u64>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            authorization: Table::default(),
            address: Table::default(),
            waypoint_gateways: Table::default(),
            waypoint_routes: Table::default(),
            waypoint_policies: Table::default(),
            waypoint_providers: Table::default(),
            node_pods: Table::default(),
            bell: watch::Sender::new(0),
        }
    }
}

impl Tables {
    /// The table of a family.
    pub fn of(&self, family: Family) -> &Table {
        match family {
            Family::Authorization => &self.authorization,
            Family::Address => &self.address,
            Family::WaypointGateway => &self.waypoint_gateways,
            Family::WaypointRoute => &self.waypoint_routes,
            Family::WaypointPolicy => &self.waypoint_policies,
            Family::WaypointProvider => &self.waypoint_providers,
            Family::NodePod => &self.node_pods,
        }
    }

    /// Rings after every batch of changes.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}

/// What a derivation left behind.
#[derive(Debug, Default)]
struct Footprint {
    resources: BTreeSet<(Family, String)>,
    guards: BTreeSet<Guard>,
    conditions: BTreeSet<ObjectRef>,
    looked_at: BTreeSet<ObjectRef>,
}

/// The engine; see the module.
#[derive(Debug)]
pub struct Engine {
    world: Arc<RwLock<World>>,
    tables: Tables,
    board: Board,
    deployer: Deployer,
    footprints: HashMap<Dirty, Footprint>,
    /// Who looked at an object by name.
    lookers: HashMap<ObjectRef, BTreeSet<Dirty>>,
    /// How many workloads need a guard.
    guards: BTreeMap<Guard, usize>,
}

impl Engine {
    /// An engine over `world`, which only it changes.
    pub fn new(
        world: Arc<RwLock<World>>,
        tables: Tables,
        board: Board,
        deployer: Deployer,
    ) -> Self {
        Self {
            world,
            tables,
            board,
            deployer,
            footprints: HashMap::new(),
            lookers: HashMap::new(),
            guards: BTreeMap::new(),
        }
    }

    /// Takes what the source says.
    pub fn update(&mut self, update: Update) {
        let (mut dirty, mut gateways) = (BTreeSet::new(), BTreeSet::new());
        let world = self.world.clone();
        for (name, object) in update.changes {
            let mut world = sync::write(&world);
            self.deployer.touched_by(&world, &name, &mut gateways);
            self.change(&mut world, &name, object, &mut dirty);
            self.deployer.touched_by(&world, &name, &mut gateways);
        }
        let deployed = self.deployer.follow(&sync::read(&world), gateways);
        for (name, object) in deployed {
            self.change(&mut sync::write(&world), &name, object, &mut dirty);
        }
        self.derive_all(dirty);
        self.board.set_source(update.problems, update.synced);
        // Also without a change: the first update may be the one that makes the state ready.
        self.tables.bell.send_modify(|n| *n += 1);
    }

    /// Takes what a node says about a pod.
    pub fn report(&mut self, pod: Key, uid: &str, report: &Report) {
        let changed = sync::write(&self.world).set_report(uid, report);
        if changed {
            let mut dirty = BTreeSet::new();
            gateway_of(&sync::read(&self.world), &pod, &mut dirty);
            dirty.insert(Dirty::Pod(pod));
            self.derive_all(dirty);
            self.tables.bell.send_modify(|n| *n += 1);
        }
    }

    /// Derives again. Policies reach their table before the workloads that name them: a node
    /// proxy passes over names that it does not know.
    fn derive_all(&mut self, dirty: BTreeSet<Dirty>) {
        let world = self.world.clone();
        let world = sync::read(&world);
        let derived: Vec<(Dirty, Derived)> =
            dirty.into_iter().map(|d| (d.clone(), derive(&world, &d))).collect();
        for (_, derived) in &derived {
            for guard in &derived.guards {
                *self.guards.entry(guard.clone()).or_default() += 1;
                self.tables.authorization.put(guard.resource());
            }
            for resource in &derived.resources {
                if resource.family == Family::Authorization {
                    self.tables.authorization.put(resource.clone());
                }
            }
        }
        let mut released = Vec::new();
        for (dirty, derived) in derived {
            released.extend(self.settle(dirty, derived));
        }
        for guard in released {
            self.release(&guard);
        }
    }

    /// Puts what a derivation gave in the place of what it last gave.
    fn settle(&mut self, dirty: Dirty, derived: Derived) -> BTreeSet<Guard> {
        let footprint = Footprint {
            resources: derived.resources.iter().map(|r| (r.family, r.name.clone())).collect(),
            guards: derived.guards,
            conditions: derived.conditions.iter().map(|(name, _)| name.clone()).collect(),
            looked_at: derived.looked_at,
        };
        for Resource { family, name, body, aliases, groups } in derived.resources {
            self.tables.of(family).put(Resource { family, name, body, aliases, groups });
        }
        for (name, conditions) in derived.conditions {
            self.board.set(&name, conditions);
        }
        for name in &footprint.looked_at {
            self.lookers.entry(name.clone()).or_default().insert(dirty.clone());
        }
        let old = self.footprints.remove(&dirty).unwrap_or_default();
        for (family, name) in old.resources.difference(&footprint.resources) {
            self.tables.of(*family).remove(name);
        }
        for name in old.conditions.difference(&footprint.conditions) {
            self.board.set(name, Vec::new());
        }
        for name in old.looked_at.difference(&footprint.looked_at) {
            self.stop_looking(name, &dirty);
        }
        let empty = footprint.resources.is_empty()
            && footprint.conditions.is_empty()
            && footprint.looked_at.is_empty();
        if !empty {
            self.footprints.insert(dirty, footprint);
        }
        old.guards
    }

    fn stop_looking(&mut self, name: &ObjectRef, dirty: &Dirty) {
        if let Some(lookers) = self.lookers.get_mut(name) {
            lookers.remove(dirty);
            if lookers.is_empty() {
                self.lookers.remove(name);
            }
        }
    }

    fn release(&mut self, guard: &Guard) {
        let Some(count) = self.guards.get_mut(guard) else { return };
        *count -= 1;
        if *count == 0 {
            self.guards.remove(guard);
            self.tables.authorization.remove(&guard.full_name());
        }
    }

    /// Puts an object into the world and notes what that makes dirty, before and after.
    fn change(
        &self,
        world: &mut World,
        name: &ObjectRef,
        object: Option<Object>,
        dirty: &mut BTreeSet<Dirty>,
    ) {
        dirtied_by(world, name, dirty);
        world.put(name, object);
        dirtied_by(world, name, dirty);
        dirty.extend(self.lookers.get(name).into_iter().flatten().cloned());
    }
}

#[cfg(test)]
mod tests;
