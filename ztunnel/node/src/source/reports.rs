//! What the node reports about its pods: the latest word on each, and which the source has
//! not been told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hbone::wire::pb::ambit::node::v1 as pb;
use tokio::sync::Notify;

use crate::pod::Uid;

/// How far a pod's enrolment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// It does not take part: peers use plain TCP.
    #[default]
    NotEnrolled,
    /// It should take part, and something is missing; retried.
    Pending,
    /// It takes part: peers tunnel to it.
    Enrolled,
}

/// The latest word on one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How far it is.
    pub state: State,
    /// What is missing, for people.
    pub reason: String,
    /// Open connections that are older than its enrolment.
    pub older_connections: u64,
    /// The waypoint that this node runs in the pod is ready. Who reports on the enrolment
    /// leaves it as it is.
    pub waypoint_ready: bool,
}

/// The reports of a node: one per pod, so the number of pods bounds it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    reports: BTreeMap<Uid, Report>,
    untold: BTreeSet<Uid>,
}

impl Report {
    /// The message for `control`.
    pub fn to_wire(&self, uid: &Uid) -> pb::NodeReport {
        let state = match self.state {
            State::NotEnrolled => pb::pod_report::State::NotEnrolled,
            State::Pending => pb::pod_report::State::Pending,
            State::Enrolled => pb::pod_report::State::Enrolled,
        };
        let report = pb::PodReport {
            uid: uid.to_string(),
            state: state.into(),
            reason: self.reason.clone(),
            older_connections: self.older_connections,
            waypoint_ready: self.waypoint_ready,
        };
        pb::NodeReport { report: Some(pb::node_report::Report::Pod(report)) }
    }
}

impl Reports {
    /// Notes how a pod's enrolment is; true if it differs from the last word.
    pub fn set(&self, uid: &Uid, report: Report) -> bool {
        let ready = |old: Option<&Report>| old.is_some_and(|old| old.waypoint_ready);
        self.change(uid, |old| Some(Report { waypoint_ready: ready(old), ..report }))
    }

    /// Notes whether the waypoint that this node runs in a pod is ready; true if it was not so.
    /// Nothing is noted of a pod without any word: it is gone, or its first is to come.
    pub fn set_waypoint_ready(&self, uid: &Uid, ready: bool) -> bool {
        self.change(uid, |old| Some(Report { waypoint_ready: ready, ..old?.clone() }))
    }

    fn change(&self, uid: &Uid, new: impl FnOnce(Option<&Report>) -> Option<Report>) -> bool {
        let mut table = self.lock();
        let old = table.reports.get(uid);
        let Some(new) = new(old).filter(|new| old != Some(new)) else { return false };
        table.reports.insert(uid.clone(), new);
        table.untold.insert(uid.clone());
        drop(table);
        self.0.changed.notify_one();
        true
    }

    /// Forgets a pod that is gone.
    pub fn forget(&self, uid: &Uid) {
        let mut table = self.lock();
        table.reports.remove(uid);
        table.untold.remove(uid);
    }

    /// After an interruption: everything has to be told again.
    pub fn tell_all(&self) {
        let mut table = self.lock();
        table.untold = table.reports.keys().cloned().collect();
        drop(table);
        self.0.changed.notify_one();
    }

    /// One pod's report has to be told again, if there is one.
    pub fn tell_again(&self, uid: &Uid) {
        let mut table = self.lock();
        if table.reports.contains_key(uid) {
            table.untold.insert(uid.clone());
        }
        drop(table);
        self.0.changed.notify_one();
    }

    /// The next report to tell; waits for one. For one caller at a time. Cancel safe.
    pub async fn next(&self) -> (Uid, Report) {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.changed.notified().await;
        }
    }

    /// All of them as they are, for the metrics.
    pub fn all(&self) -> Vec<(Uid, Report)> {
        self.lock().reports.iter().map(|(uid, report)| (uid.clone(), report.clone())).collect()
    }

    fn take(&self) -> Option<(Uid, Report)> {
        let mut table = self.lock();
        let uid = table.untold.pop_first()?;
        let report = table.reports.get(&uid)?.clone();
        Some((uid, report))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No code under the lock panics halfway through a change.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
