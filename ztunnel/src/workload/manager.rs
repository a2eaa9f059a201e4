//! The rules of the agent's protocol: what is served, what is pending, what a snapshot keeps
//! (docs/wire.md, "Pods of a node").

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hbone::netns::Netns;
use tracing::{info, warn};

use super::metrics::WorkloadMetrics;
use super::retire::retire;
use super::{PodInfo, PodProxies, RunningPod, Stop, WorkloadEntry, WorkloadState, WorkloadView};

/// Pods of one node, served and pending; Kubernetes itself allows some hundreds.
pub(super) const MAX_PODS: usize = 4096;

/// Why a request is answered with an error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// The pod stays pending and the connection goes on.
    #[error("pod {0} cannot be served: {1}")]
    Start(String, String),
    /// A bound that only a fault can reach; the connection goes on.
    #[error("pod {0} is refused: {MAX_PODS} pods are known already")]
    TooMany(String),
    /// The peer speaks another protocol; the connection ends.
    #[error("{0}")]
    Protocol(&'static str),
}

/// All pods of the node. Outlives connections to the agent.
pub(super) struct Manager<P: PodProxies> {
    proxies: Arc<P>,
    metrics: WorkloadMetrics,
    view: WorkloadView,
    running: HashMap<String, Served<P::Running>>,
    pending: HashMap<String, (PodInfo, Arc<Netns>)>,
    /// UIDs named since the connection began; none after `SnapshotSent`.
    snapshot: Option<HashSet<String>>,
}

struct Served<R> {
    info: PodInfo,
    netns: Arc<Netns>,
    proxy: R,
}

impl<P: PodProxies> Manager<P> {
    pub(super) fn new(proxies: Arc<P>, metrics: WorkloadMetrics, view: WorkloadView) -> Self {
        Self {
            proxies,
            metrics,
            view,
            running: HashMap::new(),
            pending: HashMap::new(),
            snapshot: None,
        }
    }

    /// A new connection: a full snapshot follows, and what was pending is named in it again.
    pub(super) fn begin(&mut self) {
        self.snapshot = Some(HashSet::new());
        self.pending.clear();
        self.publish();
    }

    /// Notes that the snapshot names a pod, even if what it says of it cannot be used.
    pub(super) fn name(&mut self, uid: &str) {
        if let Some(named) = &mut self.snapshot {
            named.insert(uid.to_owned());
        }
    }

    /// Add: starts the pod unless it runs in this very namespace already.
    pub(super) async fn add(&mut self, info: PodInfo, netns: Netns) -> Result<(), RequestError> {
        self.name(&info.uid);
        let known = self.running.get(&info.uid);
        if known.is_some_and(|served| served.netns.id() == netns.id()) {
            return Ok(());
        }
        let all = self.running.len() + self.pending.len();
        if known.is_none() && !self.pending.contains_key(&info.uid) && all >= MAX_PODS {
            return Err(RequestError::TooMany(info.uid));
        }
        self.stop(&info.uid);
        let netns = Arc::new(netns);
        let started = self.start(&info, Arc::clone(&netns)).await;
        if started.is_err() {
            self.pending.insert(info.uid.clone(), (info, netns));
        }
        self.publish();
        started
    }

    /// Keep: the pod is enrolled but the agent has no handle; what runs goes on.
    pub(super) fn keep(&mut self, uid: String) -> Result<(), RequestError> {
        let outside = RequestError::Protocol("Keep after the snapshot");
        self.snapshot.as_mut().ok_or(outside)?.insert(uid);
        Ok(())
    }

    /// Del: in a snapshot takes the name back, later stops the pod.
    pub(super) fn del(&mut self, uid: &str) {
        self.pending.remove(uid);
        match &mut self.snapshot {
            Some(named) => {
                named.remove(uid);
            }
            None => self.stop(uid),
        }
        self.publish();
    }

    /// `SnapshotSent`: stops every pod that was not named.
    pub(super) fn snapshot_sent(&mut self) -> Result<(), RequestError> {
        let outside = RequestError::Protocol("SnapshotSent after the snapshot");
        let named = self.snapshot.take().ok_or(outside)?;
        let unnamed = self.running.keys().filter(|uid| !named.contains(*uid));
        for uid in unnamed.cloned().collect::<Vec<_>>() {
            self.stop(&uid);
        }
        info!(
            pods = self.running.len(),
            pending = self.pending.len(),
            "snapshot of the node agent received"
        );
        self.publish();
        Ok(())
    }

    /// Tries again to start what could not be started.
    pub(super) async fn retry(&mut self) {
        for (uid, (info, netns)) in self.pending.clone() {
            if self.start(&info, netns).await.is_ok() {
                self.pending.remove(&uid);
            }
        }
        self.publish();
    }

    /// Whether the snapshot is complete and everything in it is served.
    pub(super) fn is_settled(&self) -> bool {
        self.snapshot.is_none() && self.pending.is_empty()
    }

    /// Whether the snapshot of this connection is complete.
    pub(super) fn has_snapshot(&self) -> bool {
        self.snapshot.is_none()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// This proxy ends: its pods go to its successor, open connections end by themselves.
    pub(super) fn drain_all(&mut self) {
        for (_, served) in self.running.drain() {
            served.proxy.stop(Stop::Drain);
            self.metrics.stopped.inc();
        }
        self.pending.clear();
        self.publish();
    }

    async fn start(&mut self, info: &PodInfo, netns: Arc<Netns>) -> Result<(), RequestError> {
        let (pod, namespace) = (&info.name, &info.namespace);
        match self.proxies.start(info, Arc::clone(&netns)).await {
            Ok(proxy) => {
                info!(%pod, %namespace, uid = %info.uid, netns = %netns.id(), "pod is served");
                self.metrics.served(info);
                let served = Served { info: info.clone(), netns, proxy };
                self.running.insert(info.uid.clone(), served);
                Ok(())
            }
            Err(error) => {
                let error = reason(error.as_ref());
                warn!(%pod, %namespace, uid = %info.uid, %error, "pod cannot be served yet");
                self.metrics.refused(info, &error);
                Err(RequestError::Start(info.uid.clone(), error))
            }
        }
    }

    fn stop(&mut self, uid: &str) {
        let Some(served) = self.running.remove(uid) else { return };
        info!(pod = %served.info.name, namespace = %served.info.namespace, %uid, "pod is withdrawn");
        self.metrics.withdrawn(&served.info);
        retire(served.proxy, served.netns);
    }

    fn publish(&self) {
        self.metrics.active.set(i64::try_from(self.running.len()).unwrap_or(i64::MAX));
        self.metrics.pending.set(i64::try_from(self.pending.len()).unwrap_or(i64::MAX));
        let entry =
            |state, info: &PodInfo| (info.uid.clone(), WorkloadEntry { state, info: info.clone() });
        let pending = self.pending.values().map(|(info, _)| entry(WorkloadState::Pending, info));
        let up = self.running.values().map(|served| entry(WorkloadState::Up, &served.info));
        self.view.replace(pending.chain(up).collect::<BTreeMap<_, _>>());
    }
}

/// An error with its causes, short enough for an answer.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text.chars().take(200).collect()
}
