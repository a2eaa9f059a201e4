//! One machine's stream: its pods to it, its reports from it.

use std::collections::BTreeMap;

use hbone::wire::pb::ambit::node::v1::node_report::Report as Incoming;
use hbone::wire::pb::ambit::node::v1::node_update::Update;
use hbone::wire::pb::ambit::node::v1::{NodeReport, NodeUpdate, Pod, RemovedPod, Snapshot};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use super::reports;
use crate::limits;
use crate::model::object::Key;
use crate::model::report::Report;
use crate::xds::table::{Name, Table, TooFarBehind};

/// A report on its way to the engine.
#[derive(Debug)]
pub struct Reported {
    /// The machine.
    pub node: String,
    /// The pod.
    pub pod: Key,
    /// Its UID.
    pub uid: String,
    /// What the machine says.
    pub report: Report,
}

/// What machines say, in the order in which each of them says it.
#[derive(Debug)]
pub enum FromNode {
    /// A stream of this machine began.
    Came(String),
    /// A report on a pod.
    Pod(Reported),
    /// A stream of this machine ended.
    Left(String),
}

/// The pods of a machine, as far as it knows. Pure.
#[derive(Debug)]
pub struct View {
    table: Table,
    node: String,
    revision: u64,
    /// `namespace/name` to UID.
    known: BTreeMap<Name, String>,
}

impl View {
    /// Begins with a snapshot.
    pub fn begin(table: Table, node: &str) -> (Self, NodeUpdate) {
        // The position first: a change in between is told again, none is lost.
        let revision = table.revision();
        let mut view = Self { table, node: node.to_owned(), revision, known: BTreeMap::new() };
        let mut pods = Vec::new();
        for (name, entry) in view.table.group(node) {
            if let Ok(pod) = Pod::decode(entry.body) {
                view.known.insert(name, pod.uid.clone());
                pods.push(pod);
            }
        }
        (view, NodeUpdate { update: Some(Update::Snapshot(Snapshot { pods })) })
    }

    /// What changed for the machine.
    ///
    /// # Errors
    /// It is too far behind.
    pub fn changes(&mut self) -> Result<Vec<NodeUpdate>, TooFarBehind> {
        let changes = self.table.since(self.revision)?;
        self.revision = changes.revision;
        let mut out = Vec::new();
        for name in changes.removed {
            self.leave(&name, &mut out);
        }
        for (name, entry) in changes.updated {
            if !entry.groups.contains(&self.node) {
                self.leave(&name, &mut out);
                continue;
            }
            let Ok(pod) = Pod::decode(entry.body) else { continue };
            if self.known.get(&name).is_some_and(|uid| *uid != pod.uid) {
                self.leave(&name, &mut out);
            }
            self.known.insert(name, pod.uid.clone());
            out.push(NodeUpdate { update: Some(Update::Pod(pod)) });
        }
        Ok(out)
    }

    fn leave(&mut self, name: &Name, out: &mut Vec<NodeUpdate>) {
        if let Some(uid) = self.known.remove(name) {
            out.push(NodeUpdate { update: Some(Update::Removed(RemovedPod { uid })) });
        }
    }

    /// The pod with this UID, if it is on the machine.
    fn pod(&self, uid: &str) -> Option<Key> {
        let (name, _) = self.known.iter().find(|(_, known)| *known == uid)?;
        let (namespace, name) = name.split_once('/')?;
        Some(Key::new(namespace, name))
    }
}

/// One stream.
pub(super) struct Stream {
    pub(super) node: String,
    pub(super) table: Table,
    pub(super) bell: watch::Receiver<u64>,
    pub(super) incoming: Streaming<NodeReport>,
    pub(super) sink: mpsc::Sender<Result<NodeUpdate, Status>>,
    pub(super) reports: mpsc::Sender<FromNode>,
}

impl Stream {
    /// Serves until the machine goes or has to be cut. Its reports stay as they were, but for
    /// what [`super::presence`] says.
    pub(super) async fn run(mut self) {
        info!(node = self.node, "node watches");
        // Who takes them ends with the control plane.
        if self.reports.send(FromNode::Came(self.node.clone())).await.is_err() {
            return;
        }
        let end = self.serve().await;
        let _ = self.reports.send(FromNode::Left(self.node.clone())).await;
        match end {
            Ok(()) => info!(node = self.node, "node no longer watches"),
            Err(status) => {
                info!(node = self.node, reason = status.message(), "node no longer watches");
                let _ = self.sink.try_send(Err(status));
            }
        }
    }

    async fn serve(&mut self) -> Result<(), Status> {
        self.bell.mark_unchanged();
        let (mut view, snapshot) = View::begin(self.table.clone(), &self.node);
        self.send(snapshot).await?;
        loop {
            tokio::select! {
                incoming = self.incoming.message() => match incoming? {
                    Some(report) => self.report(&view, report).await?,
                    None => return Ok(()),
                },
                changed = self.bell.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane is closing"))?;
                    let updates = view.changes();
                    for update in updates.map_err(|e| Status::unavailable(e.to_string()))? {
                        self.send(update).await?;
                    }
                }
                () = self.sink.closed() => return Ok(()),
            }
        }
    }

    async fn report(&self, view: &View, report: NodeReport) -> Result<(), Status> {
        match report.report {
            Some(Incoming::Pod(pod)) => {
                let Some(key) = view.pod(&pod.uid) else {
                    let uid: String = pod.uid.chars().take(100).collect();
                    debug!(node = self.node, uid, "report on a pod that is not on the node");
                    return Ok(());
                };
                let report = reports::read(&pod);
                let node = self.node.clone();
                let reported = Reported { node, pod: key, uid: pod.uid, report };
                let sent = self.reports.send(FromNode::Pod(reported)).await;
                sent.map_err(|_| Status::unavailable("the control plane is closing"))
            }
            Some(Incoming::Hello(hello)) => {
                let version: String = hello.version.chars().take(100).collect();
                info!(node = self.node, version, "node says hello");
                Ok(())
            }
            None => {
                warn!(node = self.node, "report of an unknown kind; a newer node?");
                Ok(())
            }
        }
    }

    async fn send(&self, update: NodeUpdate) -> Result<(), Status> {
        let sent = self.sink.send_timeout(Ok(update), limits::SEND_TIMEOUT).await;
        sent.map_err(|_| Status::unavailable("the node does not read; resync"))
    }
}

#[cfg(test)]
mod tests;
