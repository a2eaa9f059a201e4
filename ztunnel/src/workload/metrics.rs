//! Metrics of the workload manager (docs/wire.md, "Telemetry").

use observe::recorder::Recorder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::PodInfo;

/// Shared by clones.
#[derive(Clone, Debug, Default)]
pub struct WorkloadMetrics {
    pub(super) active: Gauge,
    pub(super) pending: Gauge,
    pub(super) started: Counter,
    pub(super) stopped: Counter,
    recorder: Recorder,
}

impl WorkloadMetrics {
    /// Makes them and puts them into `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        registry.register(
            "workload_manager_active_proxy_count",
            "Pods that are served",
            made.active.clone(),
        );
        registry.register(
            "workload_manager_pending_proxy_count",
            "Pods whose start failed and is tried again",
            made.pending.clone(),
        );
        registry.register(
            "workload_manager_proxies_started",
            "Pods' proxies started",
            made.started.clone(),
        );
        registry.register(
            "workload_manager_proxies_stopped",
            "Pods' proxies stopped",
            made.stopped.clone(),
        );
        made
    }

    /// The same, which also remembers which pods come and go.
    #[must_use]
    pub fn remembering(mut self, recorder: Recorder) -> Self {
        self.recorder = recorder;
        self
    }

    /// A pod is served.
    pub(super) fn served(&self, pod: &PodInfo) {
        self.started.inc();
        let text = "its traffic goes through this proxy".to_owned();
        self.recorder.event("enrolled", "info", subject(pod), text);
    }

    /// A pod cannot be served yet.
    pub(super) fn refused(&self, pod: &PodInfo, error: &str) {
        let text = format!("it cannot be served yet: {error}");
        self.recorder.event("enrolled", "error", subject(pod), text);
    }

    /// A pod is served no longer.
    pub(super) fn withdrawn(&self, pod: &PodInfo) {
        self.stopped.inc();
        let text = "its traffic goes through this proxy no longer".to_owned();
        self.recorder.event("unenrolled", "info", subject(pod), text);
    }
}

fn subject(pod: &PodInfo) -> String {
    format!("Pod {}/{}", pod.namespace, pod.name)
}
