//! The waypoint's metrics.

use hbone::brand::METRIC_PREFIX;
use hbone::telemetry::TrafficLabels;
use observe::recorder::Recorder;
use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::Series;
use crate::config::object::ObjectName;

/// Envoy's bounds, in milliseconds and in bytes.
const BOUNDS: [f64; 19] = [
    0.5, 1., 5., 10., 25., 50., 100., 250., 500., 1000., 2500., 5000., 10_000., 30_000., 60_000.,
    300_000., 600_000., 1_800_000., 3_600_000.,
];

/// Labels of a request.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct RequestLabels {
    /// Those of any traffic.
    pub traffic: TrafficLabels,
    /// HTTP status; 0 if there was no answer.
    pub response_code: u16,
    /// gRPC status, of gRPC only.
    pub grpc_response_status: Option<u16>,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        self.traffic.encode(encoder)?;
        ("response_code", self.response_code.to_string()).encode(encoder.encode_label())?;
        let status = self.grpc_response_status.map(|s| s.to_string()).unwrap_or_default();
        ("grpc_response_status", status).encode(encoder.encode_label())
    }
}

/// What an authorizer decided.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CheckLabels {
    /// Its name in the mesh configuration.
    pub provider: String,
    /// `ok`, `denied`, `error`, `invalid` or `failure_mode_allowed`.
    pub result: &'static str,
}

/// What became of a token.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TokenLabels {
    /// The RequestAuthentication: `namespace/name`.
    pub policy: String,
    /// `accepted`, or why not.
    pub result: &'static str,
}

/// A limit of the waypoint that was reached; each is a constant of ours.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Limit {
    /// Handshakes that run.
    Handshakes,
    /// Those of one address.
    HandshakesOfOne,
    /// Checks of authorizers that run.
    Checks,
    /// Those for requests of one identity.
    ChecksOfOne,
    /// Bytes of bodies that authorizers are to see.
    Bodies,
    /// Those of one identity.
    BodiesOfOne,
}

impl Limit {
    /// The label's value.
    fn as_str(self) -> &'static str {
        match self {
            Self::Handshakes => "handshakes",
            Self::HandshakesOfOne => "handshakes_of_one",
            Self::Checks => "checks",
            Self::ChecksOfOne => "checks_of_one",
            Self::Bodies => "bodies",
            Self::BodiesOfOne => "bodies_of_one",
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Handshakes => "the limit of handshakes",
            Self::HandshakesOfOne => "the limit of handshakes of one address",
            Self::Checks => "the limit of checks that run",
            Self::ChecksOfOne => "the limit of checks that run for one identity",
            Self::Bodies => "the limit of bodies that wait for authorizers",
            Self::BodiesOfOne => "the limit of bodies of one identity that wait for authorizers",
        })
    }
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: Limit,
}

type Histograms = Family<RequestLabels, Histogram, fn() -> Histogram>;

/// The waypoint's metrics; one registration a process, shared by all of it.
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Histograms,
    request_bytes: Histograms,
    response_bytes: Histograms,
    opened: Family<TrafficLabels, Counter>,
    closed: Family<TrafficLabels, Counter>,
    sent: Family<TrafficLabels, Counter>,
    received: Family<TrafficLabels, Counter>,
    checks: Family<CheckLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    refused: Counter,
    limits: Family<LimitLabels, Counter>,
    recorder: Recorder,
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

fn histograms() -> Histograms {
    Family::new_with_constructor(histogram as fn() -> Histogram)
}

impl Metrics {
    /// The same, whose requests and connections are remembered too.
    #[must_use]
    pub fn remembering(mut self, recorder: Recorder) -> Self {
        self.recorder = recorder;
        self
    }

    /// Who remembers requests and connections.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: histograms(),
            request_bytes: histograms(),
            response_bytes: histograms(),
            opened: Family::default(),
            closed: Family::default(),
            sent: Family::default(),
            received: Family::default(),
            checks: Family::default(),
            tokens: Family::default(),
            refused: Counter::default(),
            limits: Family::default(),
            recorder: Recorder::default(),
        };
        registry.register("istio_requests", "Requests", metrics.requests.clone());
        let mut histogram =
            |name, help, family: &Histograms| registry.register(name, help, family.clone());
        histogram(
            "istio_request_duration_milliseconds",
            "Time from request to the end of its answer",
            &metrics.duration,
        );
        histogram("istio_request_bytes", "Bytes of request bodies", &metrics.request_bytes);
        histogram("istio_response_bytes", "Bytes of response bodies", &metrics.response_bytes);
        let mut tcp = |name, help, family: &Family<TrafficLabels, Counter>| {
            registry.register(name, help, family.clone());
        };
        tcp("istio_tcp_connections_opened", "Connections opened", &metrics.opened);
        tcp("istio_tcp_connections_closed", "Connections closed", &metrics.closed);
        tcp("istio_tcp_sent_bytes", "Bytes sent to clients", &metrics.sent);
        tcp("istio_tcp_received_bytes", "Bytes received from clients", &metrics.received);
        registry.register(
            format!("{METRIC_PREFIX}_waypoint_checks"),
            "Decisions of external authorizers",
            metrics.checks.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_waypoint_tokens"),
            "Tokens of requests that were looked at",
            metrics.tokens.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_waypoint_tunnels_refused"),
            "Tunnels that were not for this waypoint",
            metrics.refused.clone(),
        );
        registry.register(
            format!("{METRIC_PREFIX}_waypoint_limits_reached"),
            "Handshakes, checks and bodies that met a limit",
            metrics.limits.clone(),
        );
        metrics
    }

    /// The metrics of requests with these labels.
    pub(super) fn series(&self, labels: &RequestLabels) -> Series {
        Series {
            requests: self.requests.get_or_create_owned(labels),
            duration: self.duration.get_or_create_owned(labels),
            request_bytes: self.request_bytes.get_or_create_owned(labels),
            response_bytes: self.response_bytes.get_or_create_owned(labels),
        }
    }

    /// A check ended.
    pub fn check(&self, provider: &str, result: &'static str) {
        self.checks.get_or_create(&CheckLabels { provider: provider.to_owned(), result }).inc();
    }

    /// A token was looked at.
    pub fn token(&self, policy: &ObjectName, result: &'static str) {
        let policy = format!("{}/{}", policy.namespace, policy.name);
        self.tokens.get_or_create(&TokenLabels { policy, result }).inc();
    }

    /// A limit was reached.
    pub fn limit(&self, limit: Limit) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
        let name = limit.as_str();
        self.recorder.limit(name, || {
            format!("the limit {name} was reached (docs/operations.md, \"Limits\")")
        });
    }

    /// A tunnel was refused.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A connection that is no HTTP was opened.
    pub fn opened(&self, labels: &TrafficLabels) {
        self.opened.get_or_create(labels).inc();
    }

    /// It was closed; bytes from and to the client.
    pub fn closed(&self, labels: &TrafficLabels, received: u64, sent: u64) {
        self.closed.get_or_create(labels).inc();
        self.received.get_or_create(labels).inc_by(received);
        self.sent.get_or_create(labels).inc_by(sent);
    }
}
