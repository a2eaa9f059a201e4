//! Which file holds what, and what is in force.
//!
//! Nothing here touches a disk. The rules of bad input are here: a file that cannot be read in
//! part or in whole keeps what it last held, an object that was never read has something
//! stricter in its place, the first of two equal objects stays, and a change costs what the
//! changed file holds.
//!
//! - [`reading`]: one pass over a file

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use self::reading::Reading;
use super::document::split;
use super::read::{Context, read, stand_in};
use super::{Problem, Update};
use crate::limits;
use crate::model::object::{Object, ObjectRef};

/// An object as it stands in a file.
#[derive(Debug)]
struct Held {
    object: Object,
    /// The document's tree as JSON: what outlives a restart.
    raw: String,
    /// It stands in for an object that cannot be read.
    stand_in: bool,
}

/// What one file holds.
#[derive(Debug, Default)]
struct FileState {
    objects: BTreeMap<ObjectRef, Arc<Held>>,
    problems: Vec<Problem>,
}

/// What all files hold.
#[derive(Debug)]
pub struct Files {
    context: Context,
    by_name: BTreeMap<String, FileState>,
    /// Which files hold an object; the first one counts.
    holders: BTreeMap<ObjectRef, BTreeSet<String>>,
    contested: BTreeSet<ObjectRef>,
}

/// A change of what is in force.
pub type Changes = Vec<(ObjectRef, Option<Object>)>;

impl Files {
    /// Nothing yet.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            by_name: BTreeMap::new(),
            holders: BTreeMap::new(),
            contested: BTreeSet::new(),
        }
    }

    /// How many objects are in force.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The raw objects of a file, for the next start.
    pub fn raw(&self, file: &str) -> Vec<&str> {
        let state = self.by_name.get(file);
        state.into_iter().flat_map(|f| f.objects.values()).map(|h| h.raw.as_str()).collect()
    }

    /// Takes back what [`Files::raw`] gave before a restart.
    pub fn restore(&mut self, file: &str, raw: &[String]) -> Changes {
        let mut state = FileState::default();
        for text in raw {
            let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
            let known = match read(&value, &self.context) {
                Ok(read) => Some((read.object, read.value, false)),
                Err(_) => stand_in(&value, &self.context).map(|s| (s.object, s.value, true)),
            };
            if let Some((name, object, stand_in)) = known {
                let held = Held { object, raw: text.clone(), stand_in };
                state.objects.insert(name, Arc::new(held));
            }
        }
        self.replace(file, Some(state))
    }

    /// Takes the new text of a file.
    pub fn set(&mut self, file: &str, text: &str) -> Changes {
        let mut reading = Reading::new(file, &self.context);
        for document in split(text) {
            reading.document(document);
        }
        let state = reading.finish(self.by_name.get(file));
        let others = self.by_name.iter().filter(|(name, _)| *name != file);
        let total: usize = others.map(|(_, f)| f.objects.len()).sum();
        if total + state.objects.len() > limits::MAX_OBJECTS {
            let message = format!(
                "would make more than MAX_OBJECTS ({}) objects; it is not read",
                limits::MAX_OBJECTS
            );
            return self.fail(file, message);
        }
        self.replace(file, Some(state))
    }

    /// A file that cannot be read: what it held stays.
    pub fn fail(&mut self, file: &str, message: String) -> Changes {
        let state = self.by_name.entry(file.to_owned()).or_default();
        state.problems = vec![whole_file(file, message)];
        Vec::new()
    }

    /// A file that is gone.
    pub fn remove(&mut self, file: &str) -> Changes {
        self.replace(file, None)
    }

    /// Everything that is wrong now.
    pub fn problems(&self) -> Vec<Problem> {
        let own = self.by_name.values().flat_map(|f| f.problems.iter().cloned());
        let twice = self.contested.iter().flat_map(|object| {
            let mut files = self.holders.get(object).into_iter().flatten();
            let first = files.next().cloned().unwrap_or_default();
            files.map(move |file| Problem {
                file: file.clone(),
                object: object.to_string(),
                message: format!("is in {first} too, which counts; keep one of them"),
                ..Problem::default()
            })
        });
        own.chain(twice).take(limits::MAX_PROBLEMS).collect()
    }

    /// Puts `state` in the place of what `file` held, and tells what that changed.
    fn replace(&mut self, file: &str, state: Option<FileState>) -> Changes {
        let old = match state {
            Some(state) => self.by_name.insert(file.to_owned(), state),
            None => self.by_name.remove(file),
        };
        let old = old.map(|f| f.objects).unwrap_or_default();
        let mut touched: BTreeSet<ObjectRef> = old.keys().cloned().collect();
        if let Some(new) = self.by_name.get(file) {
            touched.extend(new.objects.keys().cloned());
        }
        let mut changes = Vec::new();
        for name in touched {
            let before = self.first_holder(&name);
            let before = match before.as_deref() {
                Some(holder) if holder == file => old.get(&name).map(|h| &h.object),
                Some(holder) => self.object(holder, &name),
                None => None,
            };
            let before = before.cloned();
            self.hold(&name, file);
            let after = self.first_holder(&name);
            let after = after.and_then(|holder| self.object(&holder, &name)).cloned();
            if before != after {
                changes.push((name, after));
            }
        }
        changes
    }

    /// Notes whether `file` holds `name` now.
    fn hold(&mut self, name: &ObjectRef, file: &str) {
        let holds = self.object(file, name).is_some();
        let holders = self.holders.entry(name.clone()).or_default();
        if holds {
            holders.insert(file.to_owned());
        } else {
            holders.remove(file);
        }
        match holders.len() {
            0 => {
                self.holders.remove(name);
                self.contested.remove(name);
            }
            1 => {
                self.contested.remove(name);
            }
            _ => {
                self.contested.insert(name.clone());
            }
        }
    }

    fn first_holder(&self, name: &ObjectRef) -> Option<String> {
        self.holders.get(name)?.first().cloned()
    }

    fn object(&self, file: &str, name: &ObjectRef) -> Option<&Object> {
        Some(&self.by_name.get(file)?.objects.get(name)?.object)
    }

    /// Everything that is in force, as an update that a new listener needs.
    pub fn all(&self) -> Update {
        let mut changes = Vec::new();
        for (name, holders) in &self.holders {
            if let Some(object) = holders.first().and_then(|f| self.object(f, name)) {
                changes.push((name.clone(), Some(object.clone())));
            }
        }
        Update { changes, problems: self.problems(), synced: !self.is_empty() }
    }
}

/// A problem of a file as a whole.
pub fn whole_file(file: &str, message: String) -> Problem {
    Problem { file: file.to_owned(), message, ..Problem::default() }
}

#[cfg(test)]
mod tests;
