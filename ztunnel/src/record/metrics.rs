//! The counters of connections.

use hbone::brand::METRIC_PREFIX;
use hbone::telemetry::{Reporter, ResponseFlag, TrafficLabels};
use observe::recorder::Recorder;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// `istio_tcp_*` (docs/wire.md, "Telemetry").
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    opened: Family<TrafficLabels, Counter>,
    closed: Family<TrafficLabels, Counter>,
    failed: Family<TrafficLabels, Counter>,
    received: Family<TrafficLabels, Counter>,
    sent: Family<TrafficLabels, Counter>,
    sockets: Family<SocketLabels, Gauge>,
    limits: Family<LimitLabels, Counter>,
    recorder: Recorder,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SocketLabels {
    reporter: Reporter,
}

/// A limit of one pod that was reached (docs/operations.md, "Limits").
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Limit {
    /// Connections of a pod: what is beyond is reset.
    PodConnections,
    /// Handshakes of a pod: what is beyond waits.
    PodHandshakes,
    /// Handshakes of one client: what is beyond is reset.
    SourceHandshakes,
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        let text = match self {
            Self::PodConnections => "pod_connections",
            Self::PodHandshakes => "pod_handshakes",
            Self::SourceHandshakes => "source_handshakes",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: Limit,
}

/// Counts one open socket for as long as it lives.
#[derive(Debug)]
pub struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ConnectionMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let counters = [
            ("connections_opened", "Connections opened", &m.opened),
            ("connections_closed", "Connections closed", &m.closed),
            ("connections_failed", "Connections failed or refused", &m.failed),
            ("received_bytes", "Bytes from client to server", &m.received),
            ("sent_bytes", "Bytes from server to client", &m.sent),
        ];
        for (name, help, family) in counters {
            registry.register(format!("istio_tcp_{name}"), help, family.clone());
        }
        registry.register("istio_tcp_sockets_open", "Sockets open now", m.sockets.clone());
        registry.register(
            format!("{METRIC_PREFIX}_ztunnel_limits_reached"),
            "Connections and handshakes that met a limit of their pod",
            m.limits.clone(),
        );
        m
    }

    /// The same, whose connections are remembered too.
    #[must_use]
    pub fn remembering(mut self, recorder: Recorder) -> Self {
        self.recorder = recorder;
        self
    }

    /// Who remembers connections.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Counts a socket until the value is dropped.
    pub fn socket(&self, reporter: Reporter) -> OpenSocket {
        let gauge = self.sockets.get_or_create_owned(&SocketLabels { reporter });
        gauge.inc();
        OpenSocket(gauge)
    }

    /// A limit was reached.
    pub fn limit_reached(&self, limit: Limit) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    pub(super) fn opened(&self, labels: &TrafficLabels) {
        self.opened.get_or_create(labels).inc();
    }

    pub(super) fn closed(&self, labels: &TrafficLabels, flag: ResponseFlag) {
        self.closed.get_or_create(labels).inc();
        if flag != ResponseFlag::None {
            self.failed.get_or_create(labels).inc();
        }
    }

    /// Received and sent, to be kept for the life of a connection.
    pub(super) fn byte_counters(&self, labels: &TrafficLabels) -> (Counter, Counter) {
        (self.received.get_or_create_owned(labels), self.sent.get_or_create_owned(labels))
    }
}
