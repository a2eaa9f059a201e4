//! What all pods' tasks share.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hbone::netns::{Netns, NetnsId};
use tokio::sync::Semaphore;

use super::EnrolError;
use crate::enrol::Exclusions;
use crate::handle::{Place, search::search};
use crate::metrics::AgentMetrics;
use crate::pod::{Pod, Uid};
use crate::redirect::host::HostProbes;
use crate::saved::Saved;
use crate::source::Reports;
use crate::zds::Zds;

/// Times of the agent; the defaults are right outside tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two comparisons of a pod's rules with what should be there, default 10 s.
    pub verify: Duration,
    /// Between the report that a pod left and the withdrawal of its listeners: how long
    /// peers have to hear of it. Default 5 s.
    pub settle: Duration,
    /// Longest wait between two looks at the open connections of a pod that left, default
    /// 10 s.
    pub recheck: Duration,
    /// Longest wait between two attempts to enrol a pod, default 15 s.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            verify: Duration::from_secs(10),
            settle: Duration::from_secs(5),
            recheck: Duration::from_secs(10),
            retry: Duration::from_secs(15),
        }
    }
}

/// What is decided for a whole node.
#[derive(Clone, Default)]
pub struct Settings {
    /// Who is never enrolled.
    pub exclusions: Exclusions,
    /// Times.
    pub timing: Timing,
    /// How kubelet's probes reach captured pods.
    pub probes: HostProbes,
}

/// What all pods' tasks share.
pub struct Context {
    /// The proxy.
    pub zds: Zds,
    /// Where reports go.
    pub reports: Reports,
    /// What survives a restart.
    pub saved: Saved,
    /// Counters.
    pub metrics: AgentMetrics,
    /// Who is never enrolled.
    pub exclusions: Exclusions,
    /// Times.
    pub timing: Timing,
    /// How kubelet's probes reach captured pods.
    pub probes: HostProbes,
    /// Namespaces of the node itself, which no pod may name.
    pub node: Vec<NetnsId>,
    claims: Mutex<HashMap<Uid, Arc<Netns>>>,
    searching: Semaphore,
}

impl Context {
    /// Puts them together.
    pub fn new(
        zds: Zds,
        reports: Reports,
        saved: Saved,
        metrics: AgentMetrics,
        settings: Settings,
        node: Vec<NetnsId>,
    ) -> Arc<Self> {
        let (claims, searching) = (Mutex::default(), Semaphore::new(1));
        let Settings { exclusions, timing, probes } = settings;
        Arc::new(Self {
            zds,
            reports,
            saved,
            metrics,
            exclusions,
            timing,
            probes,
            node,
            claims,
            searching,
        })
    }

    /// Notes that a namespace is a pod's, so that no other is looked for there.
    pub(crate) fn claim(&self, uid: &Uid, netns: &Arc<Netns>) {
        self.claims().insert(uid.clone(), netns.clone());
    }

    pub(crate) fn unclaim(&self, uid: &Uid) {
        self.claims().remove(uid);
    }

    /// The namespace of a pod, once it is known.
    pub(crate) fn netns(&self, uid: &Uid) -> Option<Arc<Netns>> {
        self.claims().get(uid).cloned()
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<Uid, Arc<Netns>>> {
        // No code under the lock panics halfway through a change.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a running pod's namespace, one pod at a time.
    pub(crate) async fn search(&self, pod: &Pod) -> Result<Place, EnrolError> {
        // The semaphore is never closed.
        let _one = self.searching.acquire().await.map_err(|_| EnrolError::NoNetns)?;
        let mut skip: BTreeSet<NetnsId> = self.node.iter().copied().collect();
        skip.extend(self.claims().values().map(|netns| netns.id()));
        let ips = pod.ips.clone();
        let found = tokio::task::spawn_blocking(move || search(&ips, &skip)).await;
        let died = |error| EnrolError::Search(std::io::Error::other(error));
        found.map_err(died)?.map_err(EnrolError::Search)?.ok_or(EnrolError::NoNetns)
    }
}
