//! What is published, and for which derivation: a new one takes the place of the old.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::bytes::Bytes;

use super::Tables;
use super::rollout::{self, InForce, Step};
use crate::model::dirty::Dirty;
use crate::model::object::ObjectRef;
use crate::status::Board;
use crate::translate::guard::Guard;
use crate::translate::{Derived, Family};

/// What a derivation left behind.
#[derive(Debug, Default)]
struct Footprint {
    resources: BTreeSet<(Family, String)>,
    guards: BTreeSet<Guard>,
    conditions: BTreeSet<ObjectRef>,
    looked_at: BTreeSet<ObjectRef>,
}

/// The published state.
#[derive(Debug)]
pub(super) struct Publisher {
    tables: Tables,
    board: Board,
    footprints: HashMap<Dirty, Footprint>,
    /// Who looked at an object by name.
    lookers: HashMap<ObjectRef, BTreeSet<Dirty>>,
    /// How many workloads need a guard.
    guards: BTreeMap<Guard, usize>,
}

impl Publisher {
    pub(super) fn new(tables: Tables, board: Board) -> Self {
        Self {
            tables,
            board,
            footprints: HashMap::new(),
            lookers: HashMap::new(),
            guards: BTreeMap::new(),
        }
    }

    /// What looked an object up by its name.
    pub(super) fn lookers(&self, name: &ObjectRef) -> impl Iterator<Item = &Dirty> {
        self.lookers.get(name).into_iter().flatten()
    }

    /// What is in force of a thing; none of what is new or goes.
    pub(super) fn in_force(&self, dirty: &Dirty, derived: &Derived) -> Option<InForce> {
        let footprint = self.footprints.get(dirty)?;
        let names = rollout::addresses(derived).map(|resource| &resource.name);
        let known =
            names.filter_map(|name| Some((name.clone(), self.tables.address.get(name)?.body)));
        let addresses: BTreeMap<String, Bytes> = known.collect();
        // What is served now and was not before is as strict as it will be.
        if addresses.is_empty() && rollout::addresses(derived).next().is_some() {
            return None;
        }
        let held = footprint.resources.iter().filter(|(family, _)| rollout::is_held(*family));
        let holders = held.filter_map(|key| {
            let entry = self.tables.of(key.0).get(&key.1)?;
            Some((key.clone(), entry.groups.to_vec()))
        });
        Some(InForce { guards: footprint.guards.clone(), addresses, holders: holders.collect() })
    }

    /// Publishes a step. Policies reach their table before the workloads that name them: a
    /// node proxy passes over names that it does not know.
    pub(super) fn publish(&mut self, step: Step) {
        for (_, derived) in &step {
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
        for (dirty, derived) in step {
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
        for resource in derived.resources {
            self.tables.of(resource.family).put(resource);
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
}
