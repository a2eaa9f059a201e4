//! A request's one record: metrics and access log are views of it
//! (docs/wire.md, "Layer 7 telemetry").

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use tracing::info;

use crate::config::object::ObjectName;
use crate::config::route::Rule;
use crate::directory::balance::Endpoint;
use crate::failure::{Failure, Hop};
use crate::http::head::{Head, REQUEST_ID};
use crate::inbound::Inbound;
use metrics::RequestLabels;
pub use metrics::{Limit, Metrics};

mod labels;
pub mod metrics;

/// What is recorded of a request while it runs; written when its answer has ended, or was
/// cut, or when the request is dropped.
pub struct Record {
    metrics: Arc<Metrics>,
    inbound: Arc<Inbound>,
    arrived: Instant,
    request: Request,
    route: Option<ObjectName>,
    rule: Option<Arc<str>>,
    policy: Option<ObjectName>,
    endpoint: Option<Endpoint>,
    attempts: u32,
    answer: Answer,
    sent: Arc<std::sync::atomic::AtomicU64>,
    written: bool,
}

#[derive(Default)]
struct Request {
    method: String,
    path: String,
    protocol: &'static str,
    grpc: bool,
    authority: String,
    user_agent: String,
    id: String,
    forwarded_for: String,
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
            request: Request { protocol: "-", ..Request::default() },
            route: None,
            rule: None,
            policy: None,
            endpoint: None,
            attempts: 0,
            answer: Answer::default(),
            sent: Arc::default(),
            written: false,
        }
    }

    /// The request, once it is read.
    pub fn request(&mut self, head: &Head) {
        let text = |name: &str| {
            head.headers
                .get(name)
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
                .unwrap_or_default()
        };
        self.request = Request {
            method: head.method.to_string(),
            path: head.target(),
            protocol: protocol(head.version),
            grpc: head.is_grpc(),
            authority: head.authority(),
            user_agent: text("user-agent"),
            id: text(REQUEST_ID.as_str()),
            forwarded_for: text("x-forwarded-for"),
        };
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

    /// A try begins.
    pub fn attempt(&mut self, endpoint: &Endpoint) {
        self.attempts += 1;
        self.endpoint = Some(endpoint.clone());
    }

    /// The endpoint of the last try.
    pub fn endpoint_address(&self) -> Option<std::net::SocketAddr> {
        self.endpoint.as_ref().map(|endpoint| endpoint.address)
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

    /// Bytes of the answer's body.
    pub fn received(&mut self, n: usize) {
        self.answer.bytes += n as u64;
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

    fn labels(&self) -> RequestLabels {
        let protocol = if self.request.grpc { "grpc" } else { "http" };
        RequestLabels {
            traffic: labels::traffic(&self.inbound, self.endpoint.as_ref(), protocol, self.flag()),
            response_code: self.answer.status.map_or(0, |s| s.as_u16()),
            grpc_response_status: self.answer.grpc_status.filter(|_| self.request.grpc),
        }
    }

    fn write(&mut self) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        let duration = self.arrived.elapsed();
        let sent = self.sent.load(std::sync::atomic::Ordering::Relaxed);
        self.metrics.request(&self.labels(), duration, sent, self.answer.bytes);
        self.log(duration, sent);
    }

    fn log(&self, duration: std::time::Duration, sent: u64) {
        let request = &self.request;
        let hop = self.answer.failure.as_ref().map(Failure::hop);
        let details = match (&self.answer.failure, hop) {
            (Some(failure), _) => failure.reason(),
            (None, _) if self.answer.status.is_some() => "via_upstream",
            (None, _) => "downstream_remote_disconnect",
        };
        let workload = self.endpoint.as_ref().map(|e| e.workload.name.to_string());
        info!(
            target: "access",
            method = request.method,
            path = request.path,
            protocol = request.protocol,
            response_code = self.answer.status.map_or(0, |s| s.as_u16()),
            grpc_status = self.answer.grpc_status,
            response_flags = self.flag(),
            response_code_details = details,
            failed_at = hop.map(|hop: Hop| hop.to_string()),
            error = self.answer.failure.as_ref().map(ToString::to_string),
            bytes_received = sent,
            bytes_sent = self.answer.bytes,
            duration_us = duration.as_micros() as u64,
            upstream_service_time_us = self.answer.after.map(|d| d.as_micros() as u64),
            attempts = self.attempts,
            x_forwarded_for = request.forwarded_for,
            user_agent = request.user_agent,
            request_id = request.id,
            authority = request.authority,
            upstream_host = self.endpoint.as_ref().map(|e| e.address.to_string()),
            downstream_remote_address = %self.inbound.client,
            downstream_local_address = %self.inbound.target.address(),
            src.identity = %self.inbound.peer,
            dst.workload = workload,
            dst.identity = self.endpoint.as_ref().and_then(|e| e.workload.identity.as_ref()).map(ToString::to_string),
            route_name = self.route.as_ref().map(ToString::to_string),
            rule = self.rule.as_deref(),
            policy = self.policy.as_ref().map(ToString::to_string),
            "request"
        );
    }
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
    labels::traffic(inbound, endpoint, "tcp", flag)
}
