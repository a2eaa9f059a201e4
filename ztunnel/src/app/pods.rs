//! The pods that are served: what the node agent hands over, made into proxies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hbone::netns::Netns;
use tokio::time::timeout;

use crate::proxy::{LiveConnection, Pod, Shared};
use crate::state::PodName;
use crate::workload::{PodInfo, PodProxies, RunningPod, StartError, Stop};

/// Every pod with a proxy, those that end included.
pub(super) struct Pods {
    shared: Arc<Shared>,
    running: Arc<Mutex<Running>>,
}

/// Pods by UID; a pod in a new namespace may stand beside its predecessor that still ends.
type Running = HashMap<String, Vec<Weak<Pod>>>;

/// A pod's proxy, as the workload manager holds it.
#[derive(Debug)]
pub(super) struct Proxy(Arc<Pod>);

impl Pods {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: Arc::default() }
    }

    /// The open connections of a pod, in no order.
    pub(super) fn connections(&self, uid: &str) -> Vec<LiveConnection> {
        let running = self.lock();
        let pods = running.get(uid).into_iter().flatten().filter_map(Weak::upgrade);
        pods.flat_map(|pod| pod.live.list()).collect()
    }

    /// Lets what is open end by itself for at most `deadline`, then resets the rest.
    pub(super) async fn drain(&self, deadline: Duration) {
        let pods: Vec<Arc<Pod>> =
            self.lock().values().flatten().filter_map(Weak::upgrade).collect();
        for pod in &pods {
            pod.drain_begin();
        }
        let all = async {
            for pod in &pods {
                pod.drained().await;
            }
        };
        if timeout(deadline, all).await.is_ok() {
            return;
        }
        for pod in &pods {
            let open = pod.live.len();
            tracing::warn!(pod = %pod.name, open, "drain deadline passed; resetting");
            pod.kill();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PodProxies for Pods {
    type Running = Proxy;

    async fn start(&self, pod: &PodInfo, netns: Arc<Netns>) -> Result<Proxy, StartError> {
        let id = PodName {
            name: pod.name.as_str().into(),
            namespace: pod.namespace.as_str().into(),
            service_account: pod.service_account.as_str().into(),
        };
        let started = Pod::start(&self.shared, pod.uid.clone(), id, netns)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let mut running = self.lock();
        running.retain(|_, pods| {
            pods.retain(|pod| pod.strong_count() > 0);
            !pods.is_empty()
        });
        running.entry(pod.uid.clone()).or_default().push(Arc::downgrade(&started));
        tracing::info!(pod = %started.name, uid = %started.uid, "pod is served");
        Ok(Proxy(started))
    }
}

impl RunningPod for Proxy {
    fn stop(&self, how: Stop) {
        tracing::info!(pod = %self.0.name, ?how, open = self.0.live.len(), "pod is given up");
        match how {
            Stop::Drain => self.0.drain_begin(),
            Stop::Now => self.0.kill(),
        }
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}
