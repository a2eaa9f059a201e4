//! One pass over a file.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use super::{FileState, Held, whole_file};
use crate::limits;
use crate::model::object::ObjectRef;
use crate::source::Problem;
use crate::source::document::{Document, flatten, parse};
use crate::source::read::{
    Context, LAST_GOOD, NOTHING, Note, ReadError, StandIn, identify, read, stand_in,
};

/// What was found so far.
pub(super) struct Reading<'a> {
    file: &'a str,
    context: &'a Context,
    state: FileState,
    unreadable: Vec<Unreadable>,
    /// A document did not even say what it is.
    unparsable: bool,
}

/// An object that cannot be read.
struct Unreadable {
    document: usize,
    /// As what it may have a last good version.
    name: Option<ObjectRef>,
    error: ReadError,
    value: Value,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a str, context: &'a Context) -> Self {
        Self {
            file,
            context,
            state: FileState::default(),
            unreadable: Vec::new(),
            unparsable: false,
        }
    }

    pub(super) fn document(&mut self, document: Document<'_>) {
        match parse(document.text) {
            Ok(value) => {
                for value in flatten(value) {
                    self.object(document.index, value);
                }
            }
            Err(message) => {
                self.unparsable = true;
                let message =
                    format!("is no YAML ({message}); what the file last held stays in force");
                self.problem(document.index, String::new(), Note { field: String::new(), message });
            }
        }
    }

    fn object(&mut self, document: usize, value: Value) {
        match read(&value, self.context) {
            Ok(read) => {
                let shown = read.object.to_string();
                for note in read.notes {
                    self.problem(document, shown.clone(), note);
                }
                if let Entry::Vacant(entry) = self.state.objects.entry(read.object) {
                    let raw = value.to_string();
                    entry.insert(Arc::new(Held { object: read.value, raw, stand_in: false }));
                } else {
                    let message = "is in this file twice; the first counts: keep one of them";
                    let note = Note { field: String::new(), message: message.to_owned() };
                    self.problem(document, shown, note);
                }
            }
            Err(error) => {
                self.unparsable |= matches!(error, ReadError::NotAnObject);
                let name = identify(&value, self.context);
                self.unreadable.push(Unreadable { document, name, error, value });
            }
        }
    }

    /// What the file holds now, given what it held.
    pub(super) fn finish(mut self, previous: Option<&FileState>) -> FileState {
        let empty = self.state.objects.is_empty()
            && self.state.problems.is_empty()
            && self.unreadable.is_empty();
        for unreadable in std::mem::take(&mut self.unreadable) {
            self.settle(unreadable, previous);
        }
        let kept = previous.map_or(0, |previous| previous.objects.len());
        if empty && kept > 0 {
            let message = format!(
                "is empty; its {kept} objects stay in force: delete the file to remove them"
            );
            self.state.problems.push(whole_file(self.file, message));
        }
        if let Some(previous) = previous.filter(|_| empty || self.unparsable) {
            for (name, held) in &previous.objects {
                self.state.objects.entry(name.clone()).or_insert_with(|| held.clone());
            }
        }
        self.state.problems.sort_by_key(|problem| problem.document);
        self.state
    }

    /// Sees to what is in force of an object that cannot be read, and reports it.
    fn settle(&mut self, unreadable: Unreadable, previous: Option<&FileState>) {
        let Unreadable { document, name, error, value } = unreadable;
        let shown = name.as_ref().map_or_else(|| describe(&value), ObjectRef::to_string);
        let effect = self.in_its_place(name, &value, previous);
        let note = Note { field: error.path().to_owned(), message: format!("{error}; {effect}") };
        self.problem(document, shown, note);
    }

    fn in_its_place(
        &mut self,
        name: Option<ObjectRef>,
        value: &Value,
        previous: Option<&FileState>,
    ) -> String {
        if name.as_ref().is_some_and(|name| self.state.objects.contains_key(name)) {
            return "another document of this file is in force".to_owned();
        }
        let last = name.and_then(|name| Some((previous?.objects.get(&name)?.clone(), name)));
        if let Some((held, name)) = last.clone().filter(|(held, _)| !held.stand_in) {
            self.state.objects.insert(name, held);
            return LAST_GOOD.to_owned();
        }
        match (stand_in(value, self.context), last) {
            (Some(StandIn { object, value: stand_in, effect }), _) => {
                let held = Held { object: stand_in, raw: value.to_string(), stand_in: true };
                self.state.objects.insert(object, Arc::new(held));
                effect
            }
            (None, Some((held, name))) => {
                self.state.objects.insert(name, held);
                "what stands in for it stays".to_owned()
            }
            (None, None) => NOTHING.to_owned(),
        }
    }

    fn problem(&mut self, document: usize, object: String, note: Note) {
        if self.state.problems.len() < limits::MAX_PROBLEMS {
            self.state.problems.push(Problem {
                file: self.file.to_owned(),
                document,
                object,
                field: note.field,
                message: note.message,
                refused: false,
            });
        }
    }
}

/// As much of a stranger's name as it has.
fn describe(value: &Value) -> String {
    let text = |p: &str| value.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) =
        (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    let full = match (kind, namespace) {
        ("", _) => String::new(),
        (kind, "") => format!("{kind} {name}"),
        (kind, namespace) => format!("{kind} {namespace}/{name}"),
    };
    full.chars().take(200).collect()
}
