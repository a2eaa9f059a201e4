//! The labels of traffic metrics (docs/wire.md, "Telemetry").

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
};

/// What a missing value is written as: never the empty text.
pub const UNKNOWN: &str = "unknown";

/// Which side of a connection counted it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reporter {
    /// The outbound side, in the client's pod.
    Source,
    /// The inbound side, in the server's pod.
    Destination,
    /// A waypoint between them.
    Waypoint,
}

impl Reporter {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Waypoint => "waypoint",
        }
    }
}

impl EncodeLabelValue for Reporter {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

/// How a connection of a node proxy ended, as its metrics say it.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseFlag {
    /// Nothing to report.
    #[default]
    None,
    /// An authorization policy refused it.
    Deny,
    /// No connection, or a failure of no other class.
    Connect,
    /// The TLS handshake failed.
    TlsFailure,
    /// HTTP/2 did not come up.
    H2HandshakeFailure,
    /// No answer from port 15008: probably a NetworkPolicy.
    NetworkPolicy,
    /// There is no certificate for the source.
    IdentityError,
    /// The peer's certificate is revoked.
    CertRevoked,
}

impl ResponseFlag {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Deny => "DENY",
            Self::Connect => "CONNECT",
            Self::TlsFailure => "TLS_FAILURE",
            Self::H2HandshakeFailure => "H2_HANDSHAKE_FAILURE",
            Self::NetworkPolicy => "NETWORK_POLICY",
            Self::IdentityError => "IDENTITY_ERROR",
            Self::CertRevoked => "CERT_REVOKED",
        }
    }
}

/// A workload as metrics name it; an empty text is unknown. Made once per workload and shared.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct WorkloadLabels {
    /// Owner's name, such as the Deployment.
    pub workload: String,
    /// Canonical name; also the `app`, if that is empty.
    pub canonical_service: String,
    /// Canonical revision; also the `version`.
    pub canonical_revision: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Only where the app differs from the canonical service: facts from baggage.
    pub app: String,
    /// Cluster id.
    pub cluster: String,
    /// Where it runs.
    pub locality: Locality,
}

impl WorkloadLabels {
    fn app(&self) -> &str {
        if self.app.is_empty() { &self.canonical_service } else { &self.app }
    }
}

/// Region and zone of a workload; empty is unknown.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone in it.
    pub zone: String,
}

/// A service as metrics name it; an empty text is unknown.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct ServiceLabels {
    /// Host name.
    pub hostname: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// One connection's labels; written in the contract's order.
///
/// A series is looked up once per connection, so the workloads are shared and not copied.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct TrafficLabels {
    /// Who counted.
    pub reporter: Reporter,
    /// The client, if it is known.
    pub source: Option<Arc<WorkloadLabels>>,
    /// SPIFFE URI of the client, only if the connection proved it.
    pub source_principal: Option<Arc<str>>,
    /// The service that was called.
    pub service: Option<Arc<ServiceLabels>>,
    /// The workload dialled, if it is known.
    pub destination: Option<Arc<WorkloadLabels>>,
    /// SPIFFE URI of the workload dialled.
    pub destination_principal: Option<Arc<str>>,
    /// `tcp` at a node proxy; `http` or `grpc` at a waypoint.
    pub request_protocol: &'static str,
    /// [`ResponseFlag::as_str`], or a waypoint's own short flag.
    pub response_flags: &'static str,
    /// Whether mutual TLS carried it.
    pub mutual_tls: bool,
}

impl EncodeLabelSet for TrafficLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), Error> {
        let none = WorkloadLabels::default();
        let (source, destination) = (self.source.as_deref(), self.destination.as_deref());
        let localities = source.is_some() || destination.is_some();
        let (source, destination) = (source.unwrap_or(&none), destination.unwrap_or(&none));
        let mut put = Labels(encoder);
        put.label("reporter", self.reporter.as_str())?;
        put.source(source, self.source_principal.as_deref())?;
        put.service(self.service.as_deref())?;
        put.destination(destination, self.destination_principal.as_deref())?;
        put.label("request_protocol", self.request_protocol)?;
        put.label("response_flags", self.response_flags)?;
        let security = if self.mutual_tls { "mutual_tls" } else { UNKNOWN };
        put.label("connection_security_policy", security)?;
        if localities {
            put.localities(&source.locality, &destination.locality)?;
        }
        Ok(())
    }
}

struct Labels<'a, 'e>(&'a mut LabelSetEncoder<'e>);

impl Labels<'_, '_> {
    fn label(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let value = if value.is_empty() { UNKNOWN } else { value };
        (name, value).encode(self.0.encode_label())
    }

    fn source(&mut self, of: &WorkloadLabels, principal: Option<&str>) -> Result<(), Error> {
        self.label("source_workload", &of.workload)?;
        self.label("source_canonical_service", &of.canonical_service)?;
        self.label("source_canonical_revision", &of.canonical_revision)?;
        self.label("source_workload_namespace", &of.namespace)?;
        self.label("source_principal", principal.unwrap_or_default())?;
        self.label("source_app", of.app())?;
        self.label("source_version", &of.canonical_revision)?;
        self.label("source_cluster", &of.cluster)
    }

    fn service(&mut self, of: Option<&ServiceLabels>) -> Result<(), Error> {
        let none = ServiceLabels::default();
        let of = of.unwrap_or(&none);
        self.label("destination_service", &of.hostname)?;
        self.label("destination_service_namespace", &of.namespace)?;
        self.label("destination_service_name", &of.name)
    }

    fn destination(&mut self, of: &WorkloadLabels, principal: Option<&str>) -> Result<(), Error> {
        self.label("destination_workload", &of.workload)?;
        self.label("destination_canonical_service", &of.canonical_service)?;
        self.label("destination_canonical_revision", &of.canonical_revision)?;
        self.label("destination_workload_namespace", &of.namespace)?;
        self.label("destination_app", of.app())?;
        self.label("destination_version", &of.canonical_revision)?;
        self.label("destination_cluster", &of.cluster)?;
        self.label("destination_principal", principal.unwrap_or_default())
    }

    fn localities(&mut self, source: &Locality, destination: &Locality) -> Result<(), Error> {
        self.label("source_region", &source.region)?;
        self.label("source_zone", &source.zone)?;
        self.label("destination_region", &destination.region)?;
        self.label("destination_zone", &destination.zone)
    }
}
