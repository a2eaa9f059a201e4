//! What machines say about their pods, kept over a restart: a control plane that forgot it
//! would turn every pod to plaintext.

use std::collections::BTreeMap;

use hbone::wire::pb::ambit::node::v1::PodReport;
use hbone::wire::pb::ambit::node::v1::pod_report::State;

use crate::limits;
use crate::model::report::{Enrolment, Report};
use crate::state::{StateDir, StateError, digest};

const FOLDER: &str = "reports";

/// The reports of one machine, by UID.
pub type Reports = BTreeMap<String, Report>;

/// Reads a report from the wire.
pub fn read(report: &PodReport) -> Report {
    let state = match report.state() {
        State::NotEnrolled => Enrolment::NotEnrolled,
        State::Pending => Enrolment::Pending,
        State::Enrolled => Enrolment::Enrolled,
        State::Failed => Enrolment::Failed,
    };
    Report {
        state,
        reason: report.reason.chars().take(limits::MAX_REASON).collect(),
        older_connections: report.older_connections,
        waypoint_ready: report.waypoint_ready,
    }
}

/// Keeps the reports of a machine.
///
/// # Errors
/// The disk.
pub fn store(state: &StateDir, node: &str, reports: &Reports) -> Result<(), StateError> {
    state.folder(FOLDER)?;
    let bytes = serde_json::to_vec(&(node, reports)).unwrap_or_default();
    state.write(&name(node), &bytes, 0o600)
}

/// Forgets the reports of a machine.
///
/// # Errors
/// The disk. That there are none is no error.
pub fn remove(state: &StateDir, node: &str) -> std::io::Result<()> {
    match std::fs::remove_file(state.path(&name(node))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The reports of all machines.
pub fn load(state: &StateDir) -> BTreeMap<String, Reports> {
    let mut all = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(state.path(FOLDER)) else { return all };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let read = std::fs::read(&path).ok();
        if let Some((node, reports)) =
            read.and_then(|b| serde_json::from_slice::<(String, Reports)>(&b).ok())
        {
            all.insert(node, reports);
        } else {
            tracing::warn!(path = %path.display(), "reports of a node are unreadable");
        }
    }
    all
}

fn name(node: &str) -> String {
    format!("{FOLDER}/{}.json", digest::hex(node.as_bytes()))
}

#[cfg(test)]
mod tests;
