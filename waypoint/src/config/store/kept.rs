//! Objects of one kind, found by name and by what they are attached to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::config::authentication::Authentication;
use crate::config::policy::{Policy, Target};
use crate::config::route::Route;

/// An object that is attached to services or Gateways.
pub(super) trait Attach {
    fn targets(&self) -> impl Iterator<Item = &Target>;
}

impl Attach for Route {
    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.parents.iter().map(|parent| &parent.target)
    }
}

impl Attach for Policy {
    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter()
    }
}

impl Attach for Authentication {
    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter()
    }
}

/// Objects by the name of their resource, and the names by target.
#[derive(Debug)]
pub(super) struct Kept<T> {
    by_name: BTreeMap<Arc<str>, Arc<T>>,
    by_target: HashMap<Target, BTreeSet<Arc<str>>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), by_target: HashMap::new() }
    }
}

impl<T: Attach> Kept<T> {
    /// Adds or replaces an object; the targets of both versions go to `dirty`.
    pub(super) fn put(&mut self, name: &str, object: T, dirty: &mut HashSet<Target>) {
        self.remove(name, dirty);
        let name: Arc<str> = name.into();
        for target in object.targets() {
            self.by_target.entry(target.clone()).or_default().insert(name.clone());
            dirty.insert(target.clone());
        }
        self.by_name.insert(name, Arc::new(object));
    }

    /// Takes an object out; its targets go to `dirty`.
    pub(super) fn remove(&mut self, name: &str, dirty: &mut HashSet<Target>) {
        let Some(old) = self.by_name.remove(name) else { return };
        for target in old.targets() {
            if let Some(names) = self.by_target.get_mut(target) {
                names.remove(name);
                if names.is_empty() {
                    self.by_target.remove(target);
                }
            }
            dirty.insert(target.clone());
        }
    }

    /// All of them, in the order of names.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_name.values()
    }

    /// What is attached to `target`, in the order of names.
    pub(super) fn of(&self, target: &Target) -> impl Iterator<Item = &Arc<T>> {
        let names = self.by_target.get(target).into_iter().flatten();
        names.filter_map(|name| self.by_name.get(name))
    }
}
