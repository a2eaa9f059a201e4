//! The resources of one family, with a log of their latest changes.
//!
//! A subscriber is a position in the log. Each name is in the log once, at its last change, so
//! a subscriber that was slow hears only the latest of each, and one that never reads costs
//! nothing but its position.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use prost::bytes::Bytes;

use crate::limits;
use crate::state::digest;
use crate::sync;
use crate::translate::Resource;

/// A name of a resource.
pub type Name = Arc<str>;

/// A resource as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A hash of the body: the same after a restart.
    pub version: Arc<str>,
    /// The encoded message.
    pub body: Bytes,
    /// Other keys that it answers.
    pub aliases: Arc<[String]>,
    /// What it belongs to.
    pub groups: Arc<[String]>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    entries: BTreeMap<Name, (Entry, u64)>,
    /// Removed names and when.
    tombstones: HashMap<Name, u64>,
    log: BTreeMap<u64, Name>,
    aliases: HashMap<String, BTreeSet<Name>>,
    groups: HashMap<String, BTreeSet<Name>>,
    /// Removals before this were forgotten.
    horizon: u64,
}

/// What a subscriber has to hear.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New or different.
    pub updated: Vec<(Name, Entry)>,
    /// Gone.
    pub removed: Vec<Name>,
    /// The position after them.
    pub revision: u64,
}

/// A subscriber is too far behind to be told what is gone; it has to begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber is further behind than MAX_TOMBSTONES removals; it has to resync")]
pub struct TooFarBehind;

/// The resources of one family. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Table {
    inner: Arc<RwLock<Inner>>,
}

impl Table {
    /// Puts a resource; whether that changed anything.
    pub fn put(&self, resource: Resource) -> bool {
        let entry = Entry {
            version: digest::short(&resource.body).into(),
            body: resource.body.into(),
            aliases: resource.aliases.into(),
            groups: resource.groups.into(),
        };
        let mut inner = sync::write(&self.inner);
        let name: Name = resource.name.into();
        if inner.entries.get(&name).is_some_and(|(old, _)| *old == entry) {
            return false;
        }
        inner.forget(&name);
        let revision = inner.log(&name);
        inner.index(&name, &entry);
        inner.entries.insert(name, (entry, revision));
        true
    }

    /// Removes a resource; whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        let mut inner = sync::write(&self.inner);
        let Some((name, _)) = inner.entries.get_key_value(name) else { return false };
        let name = name.clone();
        inner.forget(&name);
        let revision = inner.log(&name);
        inner.tombstones.insert(name, revision);
        inner.bury();
        true
    }

    /// The position of the last change.
    pub fn revision(&self) -> u64 {
        sync::read(&self.inner).revision
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        sync::read(&self.inner).entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, by name.
    pub fn all(&self) -> Changes {
        let inner = sync::read(&self.inner);
        let updated = inner.entries.iter().map(|(n, (e, _))| (n.clone(), e.clone())).collect();
        Changes { updated, removed: Vec::new(), revision: inner.revision }
    }

    /// What changed after `revision`, oldest change first.
    ///
    /// # Errors
    /// [`TooFarBehind`]
    pub fn since(&self, revision: u64) -> Result<Changes, TooFarBehind> {
        let inner = sync::read(&self.inner);
        if revision < inner.horizon {
            return Err(TooFarBehind);
        }
        let mut changes = Changes { revision: inner.revision, ..Changes::default() };
        for name in inner.log.range(revision + 1..).map(|(_, name)| name) {
            match inner.entries.get(name) {
                Some((entry, _)) => changes.updated.push((name.clone(), entry.clone())),
                None => changes.removed.push(name.clone()),
            }
        }
        Ok(changes)
    }

    /// Whether anything changed after `revision`.
    pub fn is_after(&self, revision: u64) -> bool {
        self.revision() > revision
    }

    /// A resource by its name.
    pub fn get(&self, name: &str) -> Option<Entry> {
        sync::read(&self.inner).entries.get(name).map(|(entry, _)| entry.clone())
    }

    /// The resources that a key asks for: by name, by alias, and what belongs to the group.
    pub fn find(&self, key: &str) -> Vec<(Name, Entry)> {
        let inner = sync::read(&self.inner);
        let mut names = BTreeSet::new();
        names.extend(inner.entries.get_key_value(key).map(|(name, _)| name.clone()));
        names.extend(inner.aliases.get(key).into_iter().flatten().cloned());
        // A service that an alias names brings its pods too.
        let asked: Vec<Name> = names.iter().cloned().collect();
        let groups = asked.iter().map(|n| &**n).chain([key]);
        names.extend(groups.filter_map(|g| inner.groups.get(g)).flatten().cloned());
        let entry = |name: Name| inner.entries.get(&name).map(|(e, _)| (name, e.clone()));
        names.into_iter().filter_map(entry).collect()
    }

    /// The resources of a group.
    pub fn group(&self, group: &str) -> Vec<(Name, Entry)> {
        let inner = sync::read(&self.inner);
        let names = inner.groups.get(group).into_iter().flatten();
        names.filter_map(|name| Some((name.clone(), inner.entries.get(name)?.0.clone()))).collect()
    }
}

impl Inner {
    fn log(&mut self, name: &Name) -> u64 {
        self.revision += 1;
        self.log.insert(self.revision, name.clone());
        self.revision
    }

    /// Takes a name out of everything.
    fn forget(&mut self, name: &Name) {
        if let Some(revision) = self.tombstones.remove(name) {
            self.log.remove(&revision);
        }
        let Some((entry, revision)) = self.entries.remove(name) else { return };
        self.log.remove(&revision);
        for (index, keys) in
            [(&mut self.aliases, &entry.aliases), (&mut self.groups, &entry.groups)]
        {
            for key in keys.iter() {
                if let Some(names) = index.get_mut(key) {
                    names.remove(name);
                    if names.is_empty() {
                        index.remove(key);
                    }
                }
            }
        }
    }

    fn index(&mut self, name: &Name, entry: &Entry) {
        for (index, keys) in
            [(&mut self.aliases, &entry.aliases), (&mut self.groups, &entry.groups)]
        {
            for key in keys.iter() {
                index.entry(key.clone()).or_default().insert(name.clone());
            }
        }
    }

    /// Forgets the oldest removals beyond the limit.
    fn bury(&mut self) {
        if self.tombstones.len() <= limits::MAX_TOMBSTONES {
            return;
        }
        let mut revisions: Vec<(u64, Name)> =
            self.tombstones.iter().map(|(n, r)| (*r, n.clone())).collect();
        revisions.sort_unstable();
        // A tenth at once, so that the sorting is rare.
        for (revision, name) in revisions.into_iter().take(limits::MAX_TOMBSTONES / 10) {
            self.tombstones.remove(&name);
            self.log.remove(&revision);
            self.horizon = self.horizon.max(revision);
        }
    }
}

#[cfg(test)]
mod tests;
