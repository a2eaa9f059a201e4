//! Addresses for hosts of ServiceEntries where no API server keeps them: in the state directory,
//! so that a host has the same ones after a restart, however its clients cache names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::dirty::Dirty;
use crate::model::entry::Given;
use crate::model::object::Key;
use crate::model::world::World;
use crate::state::StateDir;

/// Name of the file in the state directory.
const FILE: &str = "addresses.json";

/// Gives addresses and keeps them.
#[derive(Debug, Default)]
pub struct Addresses {
    state: Option<StateDir>,
    stored: Kept,
    /// Entries with a host for which nothing was left.
    without: BTreeSet<Key>,
}

/// Addresses by `namespace/name` of the entry and by host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct Kept {
    entries: BTreeMap<String, Given>,
}

impl Addresses {
    /// Takes what was given before into `world`, so that nothing new gets it. What cannot be
    /// read is forgotten: addresses are then given anew, and mostly the same ones.
    pub fn load(state: StateDir, world: &mut World) -> Self {
        let read = match state.read(FILE) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) => {
                warn!(%error, cause = %error.source, "given addresses are unreadable");
                Vec::new()
            }
        };
        let stored = match serde_json::from_slice::<Kept>(&read) {
            Ok(kept) => kept,
            Err(_) if read.is_empty() => Kept::default(),
            Err(error) => {
                warn!(%error, "given addresses are unreadable and given anew");
                Kept::default()
            }
        };
        for (entry, given) in &stored.entries {
            if let Some((namespace, name)) = entry.split_once('/') {
                world.vips.set(&Key::new(namespace, name), given.clone());
            }
        }
        Self { state: Some(state), stored, without: BTreeSet::new() }
    }

    /// Follows a change of `entries`: what has to be derived again. The `first` time the state
    /// is whole, and what has gone meanwhile gives its addresses back.
    pub(super) fn follow(
        &mut self,
        world: &mut World,
        mut entries: BTreeSet<Key>,
        first: bool,
        dirty: &mut BTreeSet<Dirty>,
    ) {
        if world.site.kubernetes {
            return;
        }
        let written = entries.iter().filter_map(|key| world.entry(key));
        let written: Vec<_> = written.flat_map(|entry| entry.written_addresses()).collect();
        let moved = world.vips.claimants(written).map(|(key, _)| key.clone());
        let moved: BTreeSet<Key> = moved.collect();
        entries.extend(moved);
        if first {
            entries.extend(world.vips.entries().map(|(key, _)| key.clone()));
        }
        let changed: Vec<Key> = entries.into_iter().collect();
        let mut any = false;
        for key in &changed {
            any |= self.settle(world, key, dirty);
        }
        // Something may be free now.
        if any || first {
            for key in std::mem::take(&mut self.without) {
                any |= self.settle(world, &key, dirty);
            }
        }
        if any {
            self.keep(world);
        }
    }

    /// Gives one entry what it shall have; whether that is something else than before.
    fn settle(&mut self, world: &mut World, key: &Key, dirty: &mut BTreeSet<Dirty>) -> bool {
        let (given, without) = match world.entry(key) {
            Some(entry) => world.vips.allot(entry, |_| false),
            None => (Given::new(), Vec::new()),
        };
        if without.is_empty() {
            self.without.remove(key);
        } else {
            self.without.insert(key.clone());
        }
        let old = world.vips.given(key).cloned().unwrap_or_default();
        if old == given {
            return false;
        }
        let hosts = old.keys().chain(given.keys());
        dirty.extend(hosts.map(|host| Dirty::Host(Key::new(&key.namespace, host))));
        dirty.insert(Dirty::Entry(key.clone()));
        world.vips.set(key, given);
        true
    }

    /// Writes them down if they changed, before anybody hears of them.
    fn keep(&mut self, world: &World) {
        let Some(state) = &self.state else { return };
        let entries = world.vips.entries().map(|(key, given)| (key.to_string(), given.clone()));
        let kept = Kept { entries: entries.collect() };
        if kept == self.stored {
            return;
        }
        let bytes = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        match state.write(FILE, &bytes, 0o600) {
            Ok(()) => self.stored = kept,
            Err(error) => warn!(%error, cause = %error.source, "given addresses not kept"),
        }
    }
}

#[cfg(test)]
mod tests;
