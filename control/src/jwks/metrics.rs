//! What is counted of key sets.

use std::sync::atomic::AtomicI64;

use hbone::brand::METRIC_PREFIX;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FetchLabels {
    /// At most `MAX_KEY_SETS`, since only they are fetched.
    host: String,
    /// `ok`, or a label of an error.
    result: &'static str,
}

/// The metrics.
#[derive(Clone, Debug, Default)]
pub struct JwksMetrics {
    fetches: Family<FetchLabels, Counter>,
    /// Key sets that are fetched.
    pub(super) sets: Gauge<i64, AtomicI64>,
    /// Of them, those of which there is none.
    pub(super) missing: Gauge<i64, AtomicI64>,
    /// Key sets that are not fetched, since there are too many.
    pub(super) refused: Gauge<i64, AtomicI64>,
}

impl JwksMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let registry = registry.sub_registry_with_prefix(METRIC_PREFIX);
        registry.register("jwks_fetches", "Fetches of key sets", m.fetches.clone());
        for (name, help, gauge) in [
            ("jwks_sets", "Key sets that are fetched", &m.sets),
            ("jwks_sets_missing", "Key sets of which there is none yet", &m.missing),
            ("jwks_sets_refused", "Key sets over the limit", &m.refused),
        ] {
            registry.register(name, help, gauge.clone());
        }
        m
    }

    pub(super) fn fetched(&self, host: &str, result: &'static str) {
        self.fetches.get_or_create(&FetchLabels { host: host.to_owned(), result }).inc();
    }
}
