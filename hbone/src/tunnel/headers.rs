//! What a CONNECT says besides its target: all optional, none trusted for policy
//! (docs/wire.md, "CONNECT request").

use std::fmt::Write as _;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;

/// Describes the source workload; not authenticated.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// The client's address and the service that it addressed (RFC 7239).
pub const FORWARDED: HeaderName = http::header::FORWARDED;
/// W3C trace context; for log lines only.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The network where a connection came from.
pub const X_FORWARDED_NETWORK: HeaderName = HeaderName::from_static("x-forwarded-network");

/// Longest baggage that is read, in bytes.
const MAX_BAGGAGE: usize = 8192;

/// What a workload says of itself; empty fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    /// Cluster id.
    pub cluster: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// The workload's owner, such as a Deployment.
    pub workload: String,
    /// The key that `workload` has: `deployment`, `cronjob`, `pod` or `job`.
    pub workload_type: WorkloadKey,
    /// Canonical service name.
    pub service: String,
    /// Canonical revision.
    pub revision: String,
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
}

/// Which kind of owner [`Baggage::workload`] names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkloadKey {
    /// A Deployment.
    #[default]
    Deployment,
    /// A CronJob.
    CronJob,
    /// A bare Pod.
    Pod,
    /// A Job.
    Job,
}

impl WorkloadKey {
    fn key(self) -> &'static str {
        match self {
            Self::Deployment => "k8s.deployment.name",
            Self::CronJob => "k8s.cronjob.name",
            Self::Pod => "k8s.pod.name",
            Self::Job => "k8s.job.name",
        }
    }
}

impl Baggage {
    /// The header's value; `None` if nothing is known or a field cannot stand in a header.
    pub fn to_value(&self) -> Option<HeaderValue> {
        let fields = [
            ("k8s.cluster.name", &self.cluster),
            ("k8s.namespace.name", &self.namespace),
            (self.workload_type.key(), &self.workload),
            ("service.name", &self.service),
            ("service.version", &self.revision),
            ("cloud.region", &self.region),
            ("cloud.availability_zone", &self.zone),
        ];
        let known = fields.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = known.map(|(key, value)| format!("{key}={value}")).collect();
        if pairs.is_empty() { None } else { pairs.join(",").parse().ok() }
    }

    /// Reads all `baggage` lines; the last value of a key wins, unknown keys are ignored.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut baggage = Self::default();
        let mut budget = MAX_BAGGAGE;
        for line in headers.get_all(BAGGAGE).iter().filter_map(|v| v.to_str().ok()) {
            let Some(rest) = budget.checked_sub(line.len()) else { break };
            budget = rest;
            for (key, value) in line.split(',').filter_map(|pair| pair.split_once('=')) {
                baggage.set(key.trim(), value.trim());
            }
        }
        baggage
    }

    fn set(&mut self, key: &str, value: &str) {
        let kind = match key {
            "k8s.deployment.name" => Some(WorkloadKey::Deployment),
            "k8s.cronjob.name" => Some(WorkloadKey::CronJob),
            "k8s.pod.name" => Some(WorkloadKey::Pod),
            "k8s.job.name" => Some(WorkloadKey::Job),
            _ => None,
        };
        if let Some(kind) = kind {
            (self.workload_type, self.workload) = (kind, value.to_owned());
            return;
        }
        let field = match key {
            "k8s.cluster.name" => &mut self.cluster,
            "k8s.namespace.name" => &mut self.namespace,
            "service.name" => &mut self.service,
            "service.version" => &mut self.revision,
            "cloud.region" => &mut self.region,
            "cloud.availability_zone" => &mut self.zone,
            _ => return,
        };
        value.clone_into(field);
    }
}

/// `for="<client>"`, and `;host=<service>` when the client addressed a service.
pub fn forwarded(client: SocketAddr, service: Option<&str>) -> Option<HeaderValue> {
    let mut value = format!("for=\"{client}\"");
    if let Some(service) = service {
        let _ = write!(value, ";host={service}");
    }
    value.parse().ok()
}

/// The service in a `forwarded` header: its first `host=`. Malformed is the same as absent.
pub fn forwarded_host(headers: &HeaderMap) -> Option<&str> {
    forwarded_parameter(headers, "host=").filter(|host| host.is_ascii())
}

/// The client's address in a `forwarded` header: its first `for=`.
pub fn forwarded_for(headers: &HeaderMap) -> Option<SocketAddr> {
    forwarded_parameter(headers, "for=")?.parse().ok()
}

fn forwarded_parameter<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(FORWARDED)?.to_str().ok()?;
    let found = value.split(';').find_map(|p| p.trim().strip_prefix(name))?;
    Some(found.trim_matches('"')).filter(|v| !v.is_empty())
}

/// A fresh `traceparent`, not sampled: `00-<trace>-<span>-00`.
pub fn new_traceparent(random: &mut impl Rng) -> HeaderValue {
    let (trace, span): (u128, u64) = (random.random(), random.random());
    // An all-zero id is invalid (W3C Trace Context section 3.2.2.3).
    let text = format!("00-{:032x}-{:016x}-00", trace.max(1), span.max(1));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The peer's `traceparent` if it is exactly 55 characters and well formed.
pub fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(TRACEPARENT)?.to_str().ok().filter(|v| v.len() == 55)?;
    let mut parts = value.split('-');
    let parts: [Option<&str>; 5] = std::array::from_fn(|_| parts.next());
    let [Some("00"), Some(trace), Some(span), Some(flags), None] = parts else { return None };
    let hex =
        |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(trace, 32) && hex(span, 16) && hex(flags, 2)).then_some(value)
}
