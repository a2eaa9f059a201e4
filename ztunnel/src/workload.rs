//! The pods that the node agent hands over (docs/wire.md, "Pods of a node").
//!
//! - [`WorkloadManager`]: stays connected to the agent, starts and stops pods' proxies
//! - [`PodProxies`]: what serves a pod once it is handed over
//! - [`Manager`](manager::Manager): the rules of snapshot, Add, Keep and Del
//! - `session`, `socket`: one connection, and its packets
//! - `retire`: how a withdrawn pod's connections end

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hbone::netns::Netns;
use hbone::serve::Pending;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod manager;
mod metrics;
mod retire;
mod session;
mod socket;

use manager::Manager;
pub use metrics::WorkloadMetrics;

/// First pause before a new connection to the agent; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A pod as the agent announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodInfo {
    /// Kubernetes UID, the key.
    #[serde(skip)]
    pub uid: String,
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its service account, possibly empty.
    pub service_account: String,
}

/// How a pod's proxy is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Accept nothing new, let open connections end by themselves: the pod lives on outside
    /// the mesh, or this proxy shuts down.
    Drain,
    /// Close everything: the pod is gone.
    Now,
}

/// A cause of failure in text; it goes to the agent.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Serves pods; implemented by the data path.
pub trait PodProxies: Send + Sync + 'static {
    /// The proxy of one pod.
    type Running: RunningPod;

    /// Opens the pod's listeners inside `netns`. Does not wait for the pod to appear in
    /// discovery.
    ///
    /// # Errors
    /// Nothing of the pod's proxy is left behind then; the start is tried again.
    fn start(
        &self,
        pod: &PodInfo,
        netns: Arc<Netns>,
    ) -> impl Future<Output = Result<Self::Running, StartError>> + Send;
}

/// The proxy of one pod.
pub trait RunningPod: Send + Sync + 'static {
    /// Begins to stop, and returns at once. May be called again with a harder [`Stop`].
    fn stop(&self, how: Stop);

    /// Whether it was stopped and its last connection has ended.
    fn is_finished(&self) -> bool;
}

/// What is served, for `/config_dump`.
#[derive(Clone, Debug, Default)]
pub struct WorkloadView(Arc<Mutex<BTreeMap<String, WorkloadEntry>>>);

/// One pod in [`WorkloadView`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadEntry {
    /// `Pending` or `Up`.
    pub state: WorkloadState,
    /// What the agent said.
    pub info: PodInfo,
}

/// Whether a pod is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum WorkloadState {
    /// Its start failed and is tried again.
    Pending,
    /// Served.
    Up,
}

impl WorkloadView {
    /// By pod UID.
    pub fn list(&self) -> BTreeMap<String, WorkloadEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, entries: BTreeMap<String, WorkloadEntry>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = entries;
    }
}

/// Stays connected to the node agent and serves the pods that it hands over.
///
/// While the connection is lost the pods are served on, and readiness is false until the
/// next snapshot. To be run only after the first discovery state is there.
pub struct WorkloadManager<P: PodProxies> {
    path: PathBuf,
    manager: Manager<P>,
    ready: Pending,
    view: WorkloadView,
}

impl<P: PodProxies> WorkloadManager<P> {
    /// Name of the task that blocks readiness.
    pub const TASK: &str = "workload proxy manager";
    /// Default path of the agent's socket. `INPOD_UDS`.
    pub const DEFAULT_SOCKET: &str = "/var/run/ztunnel/ztunnel.sock";

    /// Not yet connected. `ready` comes from [`hbone::serve::Readiness::task`].
    pub fn new(path: PathBuf, proxies: Arc<P>, metrics: WorkloadMetrics, ready: Pending) -> Self {
        let view = WorkloadView::default();
        Self { path, manager: Manager::new(proxies, metrics, view.clone()), ready, view }
    }

    /// What is served, kept up to date.
    pub fn view(&self) -> WorkloadView {
        self.view.clone()
    }

    /// Runs until `shutdown`; then stops reading and drains every pod. The pods' own
    /// connections may outlive this.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                connected = session::connect(&self.path) => match connected {
                    Ok(socket) => self.session(socket, &shutdown).await,
                    Err(error) => session::Ended { error: error.into(), complete: false },
                },
            };
            self.ready.set_ready(false);
            if shutdown.is_cancelled() {
                break;
            }
            if ended.complete {
                pause = FIRST_PAUSE;
            }
            let path = self.path.display();
            warn!(%path, ?pause, error = %ended.error, "no connection to the node agent, pods are served on");
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.ready.set_ready(false);
        info!("draining every pod");
        self.manager.drain_all();
    }
}

#[cfg(test)]
mod tests;
