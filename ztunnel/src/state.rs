//! What the proxy knows of the mesh: workloads, services, endpoints and policies.
//!
//! A [`Snapshot`] is immutable; [`State`] holds the current one. Its maps are persistent hash
//! tries (`rpds`): an update copies the few nodes on the way to what changed and shares the
//! rest, so the cost of one change does not grow with the cluster, a reader loads one pointer
//! and takes no lock, and every reader sees one consistent state. A sharded or left-right map
//! would read as fast, but could not show a connection all its facts as of one moment, which
//! permits and replay need.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hbone::wire::intern::Interner;
use hbone::wire::workload::Workload;
use tokio::sync::watch;

pub use apply::{ADDRESSES, AUTHORIZATIONS, TypeHandler};
pub use dump::Dump;
pub use file::{StaticError, StaticState};
pub use local::PodName;
pub use lookup::Found;
pub use snapshot::{Place, Snapshot};

mod apply;
mod dump;
mod edit;
mod file;
mod index;
mod local;
mod lookup;
mod policies;
mod snapshot;

/// The current state, and who is told when it changes.
///
/// One writer at a time; readers never wait for it.
#[derive(Debug)]
pub struct State {
    current: ArcSwap<Snapshot>,
    interner: Mutex<Interner>,
    policy_changes: watch::Sender<u64>,
    local_changes: watch::Sender<u64>,
}

/// What a batch of updates touched that somebody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// A policy, or the policies of a workload of this node.
    pub(crate) policies: bool,
    /// Which workloads or identities this node has.
    pub(crate) local: bool,
}

impl State {
    /// An empty state, as seen from `place`. Nothing is known yet: policies deny.
    pub fn new(place: Place) -> Self {
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(place)),
            interner: Mutex::default(),
            policy_changes: watch::Sender::new(0),
            local_changes: watch::Sender::new(0),
        }
    }

    /// The state as of now. Lock-free; hold it for one decision, not for a connection's life.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Counts batches in which a policy, or a local workload's list of policies, changed: one
    /// wake-up for each batch. Live connections then ask their permit again.
    pub fn policy_changes(&self) -> watch::Receiver<u64> {
        self.policy_changes.subscribe()
    }

    /// Counts batches in which this node's workloads came, went or changed identity.
    pub fn local_changes(&self) -> watch::Receiver<u64> {
        self.local_changes.subscribe()
    }

    /// Waits until the workload of `pod` is known, at most `limit` (docs/wire.md, "Own pods":
    /// 5 s). Cancel safe.
    pub async fn wait_for_pod(&self, pod: &PodName, limit: Duration) -> Option<Arc<Workload>> {
        let mut changes = self.local_changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(workload) = self.snapshot().pod(pod) {
                    return Some(Arc::clone(workload));
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, wait).await.ok().flatten()
    }

    /// Changes the state: `edit` works on a copy that then becomes current, in one step.
    fn edit<T>(&self, edit: impl FnOnce(&mut Snapshot, &mut Interner, &mut Touched) -> T) -> T {
        // A panic while editing leaves the current snapshot as it was, and the interner is
        // sound after any step.
        let mut interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        let mut touched = Touched::default();
        let result = edit(&mut next, &mut interner, &mut touched);
        self.current.store(Arc::new(next));
        drop(interner);
        if touched.policies {
            self.policy_changes.send_modify(|generation| *generation += 1);
        }
        if touched.local {
            self.local_changes.send_modify(|generation| *generation += 1);
        }
        result
    }
}

#[cfg(test)]
mod tests;
