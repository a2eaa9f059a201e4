//! The workloads of this node and the identities that they need.

use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::wire::workload::Workload;

use super::index::{all, put, take};
use super::snapshot::Snapshot;

/// How the node agent names a pod: its workload is found by these three and the node
/// (docs/wire.md, "Own pods").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    /// Name of the pod.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its service account.
    pub service_account: Arc<str>,
}

impl PodName {
    /// The name under which `workload` is found.
    pub fn of(workload: &Workload) -> Self {
        Self {
            name: Arc::clone(&workload.name),
            namespace: Arc::clone(&workload.namespace),
            service_account: Arc::clone(&workload.service_account),
        }
    }
}

impl Snapshot {
    /// The workload of a pod on this node.
    pub fn pod(&self, pod: &PodName) -> Option<&Arc<Workload>> {
        all(&self.pods, pod).first()
    }

    /// The workloads of this node, in no order.
    pub fn local_workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.pods.values().flat_map(|bucket| bucket.iter())
    }

    /// The identities of this node's workloads, in no order: what needs a certificate.
    pub fn local_identities(&self) -> impl Iterator<Item = &SpiffeId> {
        self.identities.keys()
    }

    /// Whether a workload of this node has that identity.
    pub fn is_local_identity(&self, identity: &SpiffeId) -> bool {
        self.identities.contains_key(identity)
    }

    /// Whether it runs on this node.
    pub fn is_local(&self, workload: &Workload) -> bool {
        !self.place.node.is_empty() && workload.node == self.place.node
    }

    /// Notes a workload of this node.
    pub(super) fn put_local(&mut self, workload: &Arc<Workload>) {
        put(&mut self.pods, PodName::of(workload), workload);
        if let Some(id) = &workload.identity {
            let users = self.identities.get(id).map_or(1, |users| users + 1);
            self.identities.insert_mut(id.clone(), users);
        }
    }

    /// Forgets a workload of this node.
    pub(super) fn take_local(&mut self, workload: &Workload) {
        take(&mut self.pods, &PodName::of(workload), workload);
        let Some(id) = &workload.identity else { return };
        match self.identities.get(id) {
            Some(users) if *users > 1 => {
                let users = users - 1;
                self.identities.insert_mut(id.clone(), users);
            }
            _ => {
                self.identities.remove_mut(id);
            }
        }
    }
}
