//! What discovery counts.

use std::sync::atomic::AtomicI64;

use hbone::brand::METRIC_PREFIX;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Discovery's metrics.
#[derive(Clone, Debug, Default)]
pub struct XdsMetrics {
    pub(super) streams: Gauge<i64, AtomicI64>,
    pub(super) refused: Counter,
    pub(super) responses: Counter,
    pub(super) resources: Counter,
    pub(super) rejected: Counter,
    pub(super) cut: Counter,
}

impl XdsMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let registry = registry.sub_registry_with_prefix(METRIC_PREFIX);
        registry.register("xds_streams", "Discovery streams open", m.streams.clone());
        for (name, help, counter) in [
            ("xds_streams_refused", "Discovery streams refused", &m.refused),
            ("xds_responses", "Responses sent", &m.responses),
            ("xds_resources_sent", "Resources sent", &m.resources),
            ("xds_responses_rejected", "Responses that a client rejected", &m.rejected),
            ("xds_streams_cut", "Streams cut because the client does not read", &m.cut),
        ] {
            registry.register(name, help, counter.clone());
        }
        m
    }
}
