//! Metrics of the discovery client (docs/wire.md, "Telemetry").

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use prost::Message;

use super::backoff::{Class, End};
use crate::brand::METRIC_PREFIX;
use crate::wire::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Termination {
    reason: Reason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Reason(&'static str);

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TypeUrl {
    url: String,
}

/// Types of which messages are counted apart; the rest share one series, so that a server
/// cannot make series without end.
pub(super) const MAX_TYPES: usize = 16;
const OTHER_TYPES: &str = "other";

/// Counters and gauges of one discovery client. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct XdsMetrics {
    terminations: Family<Termination, Counter>,
    messages: Family<TypeUrl, Counter>,
    bytes: Family<TypeUrl, Counter>,
    connected: Gauge,
    last_response: Gauge<f64, AtomicU64>,
    types: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl XdsMetrics {
    /// Makes them and puts them into `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        made.register_in(registry);
        made
    }

    pub(super) fn register_in(&self, registry: &mut Registry) {
        registry.register(
            "istio_xds_connection_terminations",
            "Discovery streams that ended, by reason",
            self.terminations.clone(),
        );
        registry.register(
            "istio_xds_message",
            "Discovery responses received",
            self.messages.clone(),
        );
        registry.register(
            "istio_xds_message_bytes",
            "Bytes of discovery responses received",
            self.bytes.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_xds_connected"),
            "Whether a discovery stream is open: 1 or 0; at 0 the state grows stale",
            self.connected.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_xds_last_response_timestamp_seconds"),
            "When the last discovery response came, seconds since 1970; 0 before the first",
            self.last_response.clone(),
        );
    }

    pub(super) fn connected(&self) {
        self.connected.set(1);
    }

    pub(super) fn disconnected(&self) {
        self.connected.set(0);
    }

    pub(super) fn ended(&self, end: &End) {
        let reason = Reason(match end.class() {
            Class::ConnectionError => "ConnectionError",
            Class::Error => "Error",
            Class::Reconnect => "Reconnect",
            Class::Complete => "Complete",
        });
        self.terminations.get_or_create(&Termination { reason }).inc();
    }

    pub(super) fn received(&self, response: &DeltaDiscoveryResponse) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_response.set(now.as_secs_f64());
        let url = TypeUrl { url: self.bounded(&response.type_url) };
        self.messages.get_or_create(&url).inc();
        self.bytes.get_or_create(&url).inc_by(response.encoded_len() as u64);
    }

    fn bounded(&self, url: &str) -> String {
        let mut types = self.types.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = types.iter().any(|seen| seen == url);
        if !known && types.len() >= MAX_TYPES {
            return OTHER_TYPES.to_owned();
        }
        if !known {
            types.push(url.to_owned());
        }
        url.to_owned()
    }
}
