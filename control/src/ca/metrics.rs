//! What the authority counts, under the names that dashboards know. docs/wire.md,
//! "Certificates".

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The authority's metrics.
#[derive(Clone, Debug, Default)]
pub struct CaMetrics {
    pub(super) requests: Counter,
    pub(super) refused: Counter,
    pub(super) unreadable: Counter,
    pub(super) no_identity: Counter,
    pub(super) sign_failed: Counter,
    pub(super) issued: Counter,
}

impl CaMetrics {
    /// Registers them; the root's end is known already.
    pub fn register(registry: &mut Registry, root_not_after: i64) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            ("csr_count", "Certificate requests received", &metrics.requests),
            (
                "authentication_failure_count",
                "Callers not let in, and identities refused",
                &metrics.refused,
            ),
            ("csr_parsing_err_count", "Requests that cannot be read", &metrics.unreadable),
            ("id_extraction_err_count", "Requests without identity", &metrics.no_identity),
            ("csr_sign_err_count", "Failures to sign", &metrics.sign_failed),
            ("success_cert_issuance_count", "Certificates issued", &metrics.issued),
        ] {
            // The encoder appends `_total`, as OpenMetrics wants it.
            registry.register(format!("citadel_server_{name}"), help, counter.clone());
        }
        for (name, help) in [
            ("root_cert_expiry_timestamp", "When the root ends, seconds since 1970"),
            ("cert_chain_expiry_timestamp", "When the signing chain ends, seconds since 1970"),
        ] {
            let gauge = Gauge::<i64, AtomicI64>::default();
            gauge.set(root_not_after);
            registry.register(format!("citadel_server_{name}"), help, gauge);
        }
        metrics
    }
}
