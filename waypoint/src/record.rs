//! A request's one record: metrics and access log are views of it
//! (docs/wire.md, "Layer 7 telemetry").

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hbone::wire::workload::{Service, Workload};
use http::{HeaderMap, HeaderValue, StatusCode};
use tracing::info;

use crate::config::object::ObjectName;
use crate::config::route::Rule;
use crate::directory::balance::Endpoint;
use crate::failure::Failure;
use crate::http::body::Cut;
use crate::http::head::{Head, REQUEST_ID};
use crate::inbound::Inbound;
use crate::pipeline::Destination;
use crate::token::Bearer;
use metrics::RequestLabels;
pub use metrics::{Limit, Metrics};
pub use series::SeriesOfTunnel;
use series::{Outcome, Series};

mod labels;
pub mod metrics;
pub(crate) mod remembered;
mod series;

/// What is recorded of a request while it runs; written when its answer has ended, or was
/// cut, or when the request is dropped.
pub struct Record {
    metrics: Arc<Metrics>,
    inbound: Arc<Inbound>,
    arrived: Instant,
    head: Option<Arc<Head>>,
    route: Option<ObjectName>,
    rule: Option<Arc<str>>,
    policy: Option<ObjectName>,
    principal: Option<Arc<str>>,
    backend: Option<Arc<Service>>,
    tried: Option<Tried>,
    attempts: u32,
    answer: Answer,
    sent: Arc<std::sync::atomic::AtomicU64>,
    /// Set by what ends the exchange from outside.
    cut: Arc<OnceLock<Cut>>,
    written: bool,
}

/// The endpoint of the last try.
struct Tried {
    workload: Option<Arc<Workload>>,
    address: SocketAddr,
}

#[derive(Default)]
struct Answer {
    status: Option<StatusCode>,
    failure: Option<Failure>,
    after: Option<std::time::Duration>,
    bytes: u64,
    grpc_status: Option<u16>,
    complete: bool,
}

impl Record {
    /// Begins a record.
    pub fn new(metrics: Arc<Metrics>, inbound: Arc<Inbound>, arrived: Instant) -> Self {
        Self {
            metrics,
            inbound,
            arrived,
            head: None,
            route: None,
            rule: None,
            policy: None,
            principal: None,
            backend: None,
            tried: None,
            attempts: 0,
            answer: Answer::default(),
            sent: Arc::default(),
            cut: Arc::default(),
            written: false,
        }
    }

    /// The request, once it is read.
    pub fn request(&mut self, head: &Arc<Head>) {
        self.head = Some(Arc::clone(head));
    }

    /// The rule that matched.
    pub fn route(&mut self, rule: Option<&Rule>) {
        self.route = rule.map(|rule| rule.object.clone());
        self.rule = rule.map(|rule| rule.name.clone());
    }

    /// The policy that allowed it.
    pub fn policy(&mut self, policy: Option<&ObjectName>) {
        self.policy = policy.cloned();
    }

    /// Whose token it carries.
    pub fn bearer(&mut self, bearer: &Bearer) {
        self.principal = bearer.principal().map(Arc::from);
    }

    /// Where it is sent.
    pub fn destination(&mut self, destination: Option<&Destination>) {
        self.backend = match destination {
            Some(Destination::Service(service, _)) => Some(Arc::clone(service)),
            Some(Destination::Addressed) | None => None,
        };
    }

    /// A try begins.
    pub fn attempt(&mut self, endpoint: &Endpoint) {
        self.attempts += 1;
        self.tried = Some(Tried { workload: endpoint.workload.clone(), address: endpoint.address });
    }

    /// The endpoint of the last try.
    pub fn endpoint_address(&self) -> Option<SocketAddr> {
        self.tried.as_ref().map(|tried| tried.address)
    }

    /// Counts the bytes of the request's body.
    pub fn sent(&self) -> Arc<std::sync::atomic::AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// The head of the answer.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.answer.status = Some(status);
        self.answer.after = Some(self.arrived.elapsed());
        self.grpc_status(headers);
    }

    /// The waypoint answers itself, or cuts the answer.
    pub fn failed(&mut self, failure: &Failure) {
        if failure.policy().is_some() || matches!(failure, Failure::Revoked(_)) {
            self.policy = failure.policy().cloned();
        }
        self.answer.failure = Some(failure.clone());
    }

    /// The answer broke off, not by the client's will; `late` is what it is to be late.
    pub fn cut(&mut self, why: Cut, late: Option<Failure>) {
        let address = self.endpoint_address();
        let broken = |reason| Some(Failure::AnswerBroken { address: address?, reason });
        let failure = match why {
            Cut::Revoked(revoked) => Some(revoked.into()),
            Cut::Late => late,
            Cut::Broken(reason) => broken(reason),
        };
        if let Some(failure) = failure {
            self.failed(&failure);
        }
    }

    /// Where something that ends the exchange from outside says why.
    pub fn cut_from_outside(&self) -> Arc<OnceLock<Cut>> {
        Arc::clone(&self.cut)
    }

    /// Bytes of the answer's body.
    pub fn received(&mut self, n: u64) {
        self.answer.bytes += n;
    }

    /// `grpc-status`, from the trailers or from an answer without body.
    pub fn grpc_status(&mut self, headers: &HeaderMap) {
        let status =
            headers.get("grpc-status").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        self.answer.grpc_status = status.or(self.answer.grpc_status);
    }

    /// The answer ended in order.
    pub fn complete(&mut self) {
        self.answer.complete = true;
        self.write();
    }

    fn flag(&self) -> &'static str {
        match &self.answer.failure {
            Some(failure) => failure.flag(),
            None if self.answer.complete => "-",
            None => "DC",
        }
    }

    /// The metrics that it counts in.
    fn series(&self) -> Series {
        let grpc = self.head.as_ref().is_some_and(|head| head.is_grpc());
        let outcome = Outcome {
            endpoint: self.tried.as_ref().and_then(|tried| tried.workload.clone()),
            protocol: if grpc { "grpc" } else { "http" },
            flag: self.flag(),
            code: self.answer.status.map_or(0, |s| s.as_u16()),
            grpc_status: self.answer.grpc_status.filter(|_| grpc).map(known_grpc_status),
        };
        self.inbound.series.of(outcome, |outcome| {
            self.metrics.series(&RequestLabels {
                traffic: labels::traffic(
                    &self.inbound,
                    outcome.endpoint.as_deref(),
                    outcome.protocol,
                    outcome.flag,
                ),
                response_code: outcome.code,
                grpc_response_status: outcome.grpc_status,
            })
        })
    }

    fn write(&mut self) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        let duration = self.arrived.elapsed();
        let sent = self.sent.load(std::sync::atomic::Ordering::Relaxed);
        self.series().count(duration, sent, self.answer.bytes);
        self.remember(duration, sent);
        self.log(duration, sent);
    }

    fn log(&self, duration: std::time::Duration, sent: u64) {
        let head = self.head.as_deref();
        let field = |name: &str| head.and_then(|head| head.headers.get(name)).map(lossy);
        let (agent, id, forwarded) =
            (field("user-agent"), field(REQUEST_ID.as_str()), field("x-forwarded-for"));
        let tried = self.tried.as_ref();
        let serving = tried.and_then(|tried| tried.workload.as_deref());
        info!(
            target: "access",
            method = head.map(|head| head.method.as_str()).unwrap_or_default(),
            path = head.map(Head::target).unwrap_or_default(),
            protocol = head.map_or("-", |head| protocol(head.version)),
            response_code = self.answer.status.map_or(0, |s| s.as_u16()),
            grpc_status = self.answer.grpc_status,
            response_flags = self.flag(),
            response_code_details = self.details(),
            failed_at = self.answer.failure.as_ref().map(|failure| display(failure.hop())),
            error = self.answer.failure.as_ref().map(display),
            bytes_received = sent,
            bytes_sent = self.answer.bytes,
            duration_us = duration.as_micros() as u64,
            upstream_service_time_us = self.answer.after.map(|d| d.as_micros() as u64),
            attempts = self.attempts,
            x_forwarded_for = forwarded.as_deref().unwrap_or_default(),
            user_agent = agent.as_deref().unwrap_or_default(),
            request_id = id.as_deref().unwrap_or_default(),
            authority = head.map(Head::authority).unwrap_or_default(),
            upstream_host = tried.map(|tried| display(tried.address)),
            downstream_remote_address = %self.inbound.client,
            downstream_local_address = %self.inbound.target.address(),
            src.identity = %self.inbound.peer,
            dst.workload = serving.map(|workload| &*workload.name),
            dst.identity = serving.and_then(|workload| workload.identity.as_ref()).map(display),
            route_name = self.route.as_ref().map(display),
            rule = self.rule.as_deref(),
            policy = self.policy.as_ref().map(display),
            request_principal = self.principal.as_deref(),
            "request"
        );
    }

    /// Why it ended so.
    fn details(&self) -> &'static str {
        match &self.answer.failure {
            Some(failure) => failure.reason(),
            None if self.answer.status.is_some() => "via_upstream",
            None => "downstream_remote_disconnect",
        }
    }
}

/// An application may send any number; metrics have a series for each that means something.
fn known_grpc_status(status: u16) -> u16 {
    const UNKNOWN: u16 = 2;
    if status <= 16 { status } else { UNKNOWN }
}

fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// A request that is dropped, because its client is gone, is recorded too.
impl Drop for Record {
    fn drop(&mut self) {
        self.write();
    }
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Labels of a connection that carries no HTTP.
pub fn connection_labels(
    inbound: &Inbound,
    endpoint: Option<&Endpoint>,
    flag: &'static str,
) -> hbone::telemetry::TrafficLabels {
    labels::traffic(
        inbound,
        endpoint.and_then(|endpoint| endpoint.workload.as_deref()),
        "tcp",
        flag,
    )
}

#[cfg(test)]
mod tests;
