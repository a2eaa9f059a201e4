//! A pod that we serve: its sockets, pool, limits and end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hbone::identity::SpiffeId;
use hbone::netns::Netns;
use hbone::telemetry::Reporter;
use hbone::tunnel::{Drain, Pool};
use hbone::wire::workload::Workload;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handshakes::Handshakes;
use super::live::Live;
use super::{HBONE_PORT, OUTBOUND_PORT, PLAINTEXT_PORT, Shared};
use super::{inbound, listener, outbound, plaintext};
use crate::record::Limit;
use crate::sockets::{InPod, Peer, Sockets};
use crate::state::PodName;

/// How long a connection waits for its pod's workload to be known.
const WORKLOAD_WAIT: Duration = Duration::from_secs(5);

/// One pod, with everything that is only its own.
pub struct Pod {
    /// Kubernetes UID.
    pub uid: String,
    /// How the node agent names it.
    pub id: PodName,
    /// `namespace/name`, for logs and limits.
    pub name: Arc<str>,
    /// What is open.
    pub live: Arc<Live>,
    pub(super) shared: Arc<Shared>,
    pub(super) sockets: Arc<InPod>,
    pub(super) pool: Pool,
    pub(super) connections: Arc<Semaphore>,
    pub(super) handshakes: Handshakes,
    pub(super) tasks: TaskTracker,
    refused: AtomicU64,
    drain: watch::Sender<bool>,
    draining: Drain,
    kill: CancellationToken,
}

impl std::fmt::Debug for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pod")
            .field("uid", &self.uid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A pod that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} in pod {pod}")]
pub struct StartError {
    port: u16,
    pod: String,
    source: io::Error,
}

impl Pod {
    /// Listens in the pod's namespace and serves what comes.
    pub fn start(
        shared: &Arc<Shared>,
        uid: String,
        id: PodName,
        netns: Arc<Netns>,
    ) -> Result<Arc<Self>, StartError> {
        let name: Arc<str> = format!("{}/{}", id.namespace, id.name).into();
        let config = &shared.config;
        let home = Arc::clone(&shared.home);
        let sockets = Arc::new(InPod::new(netns, home, config.sockets.clone()));
        let (drain, draining) = Drain::channel();
        let pod = Arc::new(Self {
            uid,
            id,
            name,
            live: Arc::default(),
            pool: Pool::new(
                Arc::clone(&sockets) as _,
                Arc::clone(&config.tunnel),
                shared.pools.clone(),
            ),
            sockets,
            connections: Arc::new(Semaphore::new(config.pod_connections as usize)),
            handshakes: Handshakes::new(config.pod_handshakes, config.source_handshakes),
            tasks: TaskTracker::new(),
            refused: AtomicU64::new(0),
            drain,
            draining,
            kill: CancellationToken::new(),
            shared: Arc::clone(shared),
        });
        pod.listen()?;
        Ok(pod)
    }

    /// All listeners, or none.
    fn listen(self: &Arc<Self>) -> Result<(), StartError> {
        // Sockets belong to the reactor of the data path.
        let _data = self.shared.data.enter();
        let bind = |port, peers| {
            let pod = self.name.to_string();
            self.sockets.listen(port, peers).map_err(|source| StartError { port, pod, source })
        };
        let out = bind(OUTBOUND_PORT, Peer::Application)?;
        let hbone = bind(HBONE_PORT, Peer::Remote)?;
        let plain = bind(PLAINTEXT_PORT, Peer::Remote)?;
        let (source, destination) = (Reporter::Source, Reporter::Destination);
        self.spawn(listener::accept(Arc::clone(self), out, source, outbound::serve));
        self.spawn(listener::accept(Arc::clone(self), hbone, destination, inbound::serve));
        self.spawn(listener::accept(Arc::clone(self), plain, destination, plaintext::serve));
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.shared.data);
    }

    /// Takes no new connections and lets the open ones end by themselves.
    pub fn drain_begin(&self) {
        self.drain.send_replace(true);
        self.pool.close();
        self.tasks.close();
    }

    /// Completes when the last connection of a drained pod has ended.
    pub async fn drained(&self) {
        self.tasks.wait().await;
    }

    /// Whether it was drained or killed, and its last connection has ended.
    pub fn is_finished(&self) -> bool {
        self.tasks.is_closed() && self.tasks.is_empty()
    }

    /// Resets everything that is open: the pod is gone, or the time for draining is over.
    pub fn kill(&self) {
        self.drain_begin();
        self.kill.cancel();
    }

    /// Completes when the pod is killed. Cancel safe.
    pub(super) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    pub(super) fn drain(&self) -> Drain {
        self.draining.clone()
    }

    /// This pod's workload, as the control plane last had it; waits for one that is not known
    /// yet.
    pub(super) async fn workload(&self) -> Option<Arc<Workload>> {
        let state = &self.shared.state;
        if let Some(workload) = state.snapshot().pod(&self.id) {
            return Some(Arc::clone(workload));
        }
        state.wait_for_pod(&self.id, WORKLOAD_WAIT).await
    }

    /// Who this pod is; none if the workload names nobody.
    pub(super) fn identity(workload: &Workload) -> Option<&SpiffeId> {
        workload.identity.as_ref()
    }

    /// Notes a limit of the pod that was reached; `text` is for people.
    pub(super) fn reached(&self, limit: Limit, text: impl FnOnce() -> String) {
        let metrics = &self.shared.metrics;
        metrics.limit_reached(limit);
        metrics.recorder().limit(&format!("Pod {}", self.name), text);
    }

    /// Notes a connection refused at the pod's limit; one line for the first and then for
    /// each thousandth, so that a flood does not fill the log.
    pub(super) fn limit_reached(&self) {
        let limit = self.shared.config.pod_connections;
        self.reached(Limit::PodConnections, || {
            format!("connections are refused: {limit} are open (AMBIT_POD_MAX_CONNECTIONS)")
        });
        let before = self.refused.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(1000) {
            tracing::warn!(
                pod = %self.name,
                limit,
                refused = before + 1,
                "connection reset: the pod has too many open (AMBIT_POD_MAX_CONNECTIONS)"
            );
        }
    }
}
