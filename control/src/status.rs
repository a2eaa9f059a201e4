//! What is to be said about each object: conditions, and problems of the source.
//!
//! In directory mode they go to `status.json` of the state directory and to the admin page,
//! never to the user's files.

pub mod metrics;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::Serialize;
use tokio::sync::watch;

pub use writer::write;

use crate::kubernetes::touched::Touched;
use crate::model::object::ObjectRef;
use crate::source::Problem;

/// A condition, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Such as `istio.io/WaypointBound`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: bool,
    /// One word.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Condition {
    /// A condition.
    pub fn new(
        kind: impl Into<String>,
        status: bool,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind: kind.into(), status, reason: reason.into(), message: message.into() }
    }
}

/// Everything that is to be said now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether there is a state to serve.
    pub synced: bool,
    /// Objects by `Kind namespace/name`.
    pub objects: BTreeMap<String, Vec<Condition>>,
    /// What is not taken as written.
    pub problems: Vec<Problem>,
}

/// The place where the engine puts it and others read it.
#[derive(Clone, Debug)]
pub struct Board {
    report: Arc<RwLock<Report>>,
    changed: watch::Sender<u64>,
    /// Who else writes what is here, and where.
    touched: Option<Touched>,
}

impl Default for Board {
    fn default() -> Self {
        Self { report: Arc::default(), changed: watch::Sender::new(0), touched: None }
    }
}

impl Board {
    /// A board whose changes `touched` hears of.
    pub fn telling(touched: Touched) -> Self {
        Self { touched: Some(touched), ..Self::default() }
    }

    /// The conditions of an object.
    pub fn conditions(&self, object: &ObjectRef) -> Vec<Condition> {
        let report = crate::sync::read(&self.report);
        report.objects.get(&object.to_string()).cloned().unwrap_or_default()
    }

    /// Sets the conditions of an object; none removes it.
    pub fn set(&self, object: &ObjectRef, conditions: Vec<Condition>) {
        if let Some(touched) =
            self.touched.as_ref().filter(|_| self.conditions(object) != conditions)
        {
            touched.touch(object);
        }
        self.edit(|report| {
            if conditions.is_empty() {
                report.objects.remove(&object.to_string());
            } else {
                report.objects.insert(object.to_string(), conditions);
            }
        });
    }

    /// Sets the problems of the source and whether it has a state to serve.
    pub fn set_source(&self, problems: Vec<Problem>, synced: bool) {
        self.edit(|report| {
            report.problems = problems;
            report.synced |= synced;
        });
        if let Some(touched) = &self.touched {
            touched.ring();
        }
    }

    /// There is a state to serve.
    pub fn set_synced(&self) {
        self.edit(|report| report.synced = true);
    }

    /// A copy of everything.
    pub fn report(&self) -> Report {
        crate::sync::read(&self.report).clone()
    }

    /// What is not taken as written.
    pub fn problems(&self) -> Vec<Problem> {
        crate::sync::read(&self.report).problems.clone()
    }

    /// Whether there is a state to serve.
    pub fn synced(&self) -> bool {
        crate::sync::read(&self.report).synced
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn edit(&self, edit: impl FnOnce(&mut Report)) {
        edit(&mut crate::sync::write(&self.report));
        self.changed.send_modify(|n| *n += 1);
    }
}
