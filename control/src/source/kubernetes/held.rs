//! What is in force of a cluster's objects. Nothing here touches a network.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kube::api::DynamicObject;
use serde_json::Value;

use super::UNKNOWN;
use super::kinds::{ALL, Watched};
use crate::kubernetes::observed::Observed;
use crate::limits;
use crate::model::object::{Kind, Object, ObjectRef};
use crate::source::read::{Context, IGNORED, LAST_GOOD, NOTHING, identify, read, stand_in};
use crate::source::{Problem, Update};

/// The state of one kind's watch.
#[derive(Debug, Default)]
struct Progress {
    /// Whether its objects have been listed once, or it is known to be unknown.
    known: bool,
    /// Names in a list that is not complete yet.
    list: BTreeSet<ObjectRef>,
    /// Since when the server has not known the kind.
    unknown: Option<Instant>,
}

/// Objects, what is wrong with them, and what has changed since the last update.
#[derive(Debug)]
pub(super) struct Held {
    context: Context,
    observed: Observed,
    objects: BTreeMap<ObjectRef, Object>,
    /// Which of them stand in for what cannot be read.
    stand_ins: BTreeSet<ObjectRef>,
    problems: BTreeMap<ObjectRef, Vec<Problem>>,
    progress: BTreeMap<Kind, Progress>,
    changes: BTreeMap<ObjectRef, Option<Object>>,
    /// Whether problems or readiness have changed.
    told: bool,
}

impl Held {
    pub(super) fn new(context: Context, observed: Observed) -> Self {
        Self {
            context,
            observed,
            objects: BTreeMap::new(),
            stand_ins: BTreeSet::new(),
            problems: BTreeMap::new(),
            progress: ALL.iter().map(|watched| (watched.kind, Progress::default())).collect(),
            changes: BTreeMap::new(),
            told: true,
        }
    }

    /// Changes that wait for the next update.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// What has changed since the last one; none before every kind is known.
    pub(super) fn update(&mut self) -> Option<Update> {
        let synced = self.progress.values().all(|progress| progress.known);
        if !synced || (self.changes.is_empty() && self.told) {
            return None;
        }
        self.told = true;
        let problems = self.problems.values().flatten().take(limits::MAX_PROBLEMS);
        Some(Update {
            problems: problems.cloned().collect(),
            changes: std::mem::take(&mut self.changes).into_iter().collect(),
            synced,
        })
    }

    fn progress(&mut self, watched: Watched) -> &mut Progress {
        self.progress.entry(watched.kind).or_default()
    }

    pub(super) fn list_begins(&mut self, watched: Watched) {
        self.progress(watched).list.clear();
    }

    /// An object of a list.
    pub(super) fn listed(&mut self, watched: Watched, object: &DynamicObject) {
        if let Some(name) = self.take(watched, object) {
            self.progress(watched).list.insert(name);
        }
    }

    /// What the list lacks is gone.
    pub(super) fn list_is_complete(&mut self, watched: Watched) {
        let progress = self.progress(watched);
        progress.unknown = None;
        self.told &= std::mem::replace(&mut progress.known, true);
        let list = std::mem::take(&mut self.progress(watched).list);
        self.keep_only(watched, &list);
    }

    fn keep_only(&mut self, watched: Watched, list: &BTreeSet<ObjectRef>) {
        let held = self.objects.keys().chain(self.problems.keys());
        let gone: BTreeSet<ObjectRef> = held
            .filter(|name| name.kind == watched.kind && !list.contains(name))
            .cloned()
            .collect();
        for name in gone {
            self.remove(&name);
        }
    }

    /// The server does not know the kind. True the first time.
    pub(super) fn is_unknown(&mut self, watched: Watched, now: Instant) -> bool {
        let progress = self.progress(watched);
        let first = progress.unknown.is_none();
        let since = *progress.unknown.get_or_insert(now);
        let was_known = std::mem::replace(&mut progress.known, true);
        self.told &= was_known;
        if now.duration_since(since) >= UNKNOWN {
            self.keep_only(watched, &BTreeSet::new());
        }
        first
    }

    /// An object that is new or different.
    pub(super) fn apply(&mut self, watched: Watched, object: &DynamicObject) {
        self.take(watched, object);
    }

    /// An object that is gone.
    pub(super) fn delete(&mut self, watched: Watched, namespace: &str, name: &str) {
        self.remove(&ObjectRef::new(watched.kind, namespace, name));
    }

    fn remove(&mut self, name: &ObjectRef) {
        self.told &= self.problems.remove(name).is_none();
        self.observed.forget(name);
        self.stand_ins.remove(name);
        if self.objects.remove(name).is_some() {
            self.changes.insert(name.clone(), None);
        }
    }

    /// Reads an object. One that cannot be read keeps its last good version; without one,
    /// something stricter stands in for it.
    fn take(&mut self, watched: Watched, object: &DynamicObject) -> Option<ObjectRef> {
        let value = value_of(watched, object);
        let name = identify(&value, &self.context)?;
        self.observed.see(&name, object);
        let problem = |field: &str, message: String| Problem {
            object: name.to_string(),
            field: field.to_owned(),
            message,
            ..Problem::default()
        };
        let problems = match read(&value, &self.context) {
            Ok(read) => {
                self.stand_ins.remove(&name);
                self.put(&name, read.value);
                let notes = read.notes.into_iter();
                // The server knows its own kinds better than we do, and a newer one knows more.
                let notes = notes.filter(|note| !watched.is_built_in() || note.message != IGNORED);
                notes.map(|note| problem(&note.field, note.message)).collect()
            }
            Err(error) => {
                let message = format!("{error}; {}", self.in_its_place(&name, &value));
                vec![Problem { refused: true, ..problem(error.path(), message) }]
            }
        };
        self.note(&name, problems);
        Some(name)
    }

    fn put(&mut self, name: &ObjectRef, object: Object) {
        if self.objects.get(name) != Some(&object) {
            self.objects.insert(name.clone(), object.clone());
            self.changes.insert(name.clone(), Some(object));
        }
    }

    /// Sees to what is in force of an object that cannot be read, and says what it is.
    fn in_its_place(&mut self, name: &ObjectRef, value: &Value) -> String {
        if self.objects.contains_key(name) && !self.stand_ins.contains(name) {
            return LAST_GOOD.to_owned();
        }
        match stand_in(value, &self.context) {
            Some(stand_in) => {
                self.stand_ins.insert(name.clone());
                self.put(name, stand_in.value);
                stand_in.effect
            }
            None if self.stand_ins.contains(name) => "what stands in for it stays".to_owned(),
            None => NOTHING.to_owned(),
        }
    }

    fn note(&mut self, name: &ObjectRef, problems: Vec<Problem>) {
        let before = if problems.is_empty() {
            self.problems.remove(name)
        } else {
            self.problems.insert(name.clone(), problems)
        };
        self.told &= before.as_ref() == self.problems.get(name);
    }
}

/// The object as JSON, with what items of a list lack and without what controllers say of it.
fn value_of(watched: Watched, object: &DynamicObject) -> Value {
    let (version, kind) = watched.version_and_kind();
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        if !watched.has_status_of_use() {
            map.remove("status");
        }
        map.insert("apiVersion".to_owned(), version.into());
        map.insert("kind".to_owned(), kind.into());
    }
    value
}

#[cfg(test)]
mod tests;
