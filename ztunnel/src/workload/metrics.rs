//! Metrics of the workload manager (docs/wire.md, "Telemetry").

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Shared by clones.
#[derive(Clone, Debug, Default)]
pub struct WorkloadMetrics {
    pub(super) active: Gauge,
    pub(super) pending: Gauge,
    pub(super) started: Counter,
    pub(super) stopped: Counter,
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
}
