//! A connection's one record, of which metrics and access log are views
//! (docs/wire.md, "Telemetry").

mod labels;
mod metrics;
mod remembered;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hbone::identity::SpiffeId;
use hbone::relay::Meter;
use hbone::telemetry::{Reporter, ResponseFlag};
use hbone::wire::workload::{Service, Workload};
use observe::recorder::Flow;
use prometheus_client::metrics::counter::Counter;
use tracing::field::{DisplayValue, display};

pub use metrics::{ConnectionMetrics, Limit, OpenSocket};

/// Which way a connection runs, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The pod is the client.
    Outbound,
    /// The pod is the server.
    Inbound,
}

impl Direction {
    /// As logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }

    /// Who counts it.
    fn reporter(self) -> Reporter {
        match self {
            Self::Outbound => Reporter::Source,
            Self::Inbound => Reporter::Destination,
        }
    }
}

/// What is known of a connection once its way is decided.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which way it runs.
    pub direction: Direction,
    /// The client's address.
    pub src_addr: SocketAddr,
    /// The client's workload.
    pub src_workload: Option<Arc<Workload>>,
    /// What the client's proxy says of it, where we do not know the workload.
    pub src_baggage: Option<Box<hbone::tunnel::headers::Baggage>>,
    /// Who the client proved to be.
    pub src_identity: Option<SpiffeId>,
    /// The address dialled, or the local one that accepted a tunnel.
    pub dst_addr: SocketAddr,
    /// `:authority`, if a tunnel carries it.
    pub hbone_addr: Option<String>,
    /// The service that was called.
    pub dst_service: Option<Arc<Service>>,
    /// The workload dialled.
    pub dst_workload: Option<Arc<Workload>>,
    /// Who the server proved to be.
    pub dst_identity: Option<SpiffeId>,
    /// Whether mutual TLS carries it.
    pub mutual_tls: bool,
    /// The policy that allowed it, `namespace/name`.
    pub policy: Option<Arc<str>>,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Outcome {
    /// In order, or as programs end connections every day.
    Ended,
    /// The proxy ended it, being drained or the pod being gone.
    Drained,
    /// It failed, or was refused.
    Failed {
        /// The metrics' word for it.
        flag: ResponseFlag,
        /// A person's.
        error: String,
        /// The policy that refused it, `namespace/name`.
        policy: Option<Arc<str>>,
    },
}

/// An open connection; dropping it without [`Record::close`] counts as drained.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<ConnectionMetrics>,
    /// Boxed: a task that moves them keeps room for each place where they were.
    facts: Box<Facts>,
    began: Instant,
    received: Counter,
    sent: Counter,
    flow: Arc<Flow>,
    closed: bool,
}

impl Record {
    /// Counts a connection as opened.
    pub fn open(metrics: &Arc<ConnectionMetrics>, facts: Box<Facts>) -> Self {
        let labels = labels::of(&facts, ResponseFlag::None);
        metrics.opened(&labels);
        let (received, sent) = metrics.byte_counters(&labels);
        let flow = metrics.recorder().open(remembered::key(&facts), remembered::ends(&facts));
        tracing::event!(
            target: "access",
            tracing::Level::DEBUG,
            src.addr = %facts.src_addr,
            dst.addr = %facts.dst_addr,
            direction = facts.direction.as_str(),
            "connection opened"
        );
        Self {
            metrics: Arc::clone(metrics),
            facts,
            began: Instant::now(),
            received,
            sent,
            flow,
            closed: false,
        }
    }

    /// What is known of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Counts a connection as closed and writes its line.
    pub fn close(mut self, outcome: &Outcome) {
        self.end(outcome);
    }

    /// A meter for a relay whose first end is the client.
    pub fn from_client(&self) -> impl Meter + '_ {
        Metered { record: self, forward_is_received: true }
    }

    /// A meter for a relay whose first end is the server.
    pub fn from_server(&self) -> impl Meter + '_ {
        Metered { record: self, forward_is_received: false }
    }

    fn end(&mut self, outcome: &Outcome) {
        self.closed = true;
        let flag = match outcome {
            Outcome::Ended | Outcome::Drained => ResponseFlag::None,
            Outcome::Failed { flag, .. } => *flag,
        };
        self.metrics.closed(&labels::of(&self.facts, flag), flag);
        let failure = remembered::failure(&self.facts, outcome);
        self.metrics.recorder().close(&self.flow, failure);
        self.log(outcome);
    }

    fn log(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Ended => self.line(None, self.facts.policy.as_deref()),
            Outcome::Drained => {
                self.line(Some("connection closed due to connection drain"), None);
            }
            Outcome::Failed { error, policy, .. } => self.line(Some(error), policy.as_deref()),
        }
    }

    /// One line, at level error if there is an error. Absent values are left out.
    fn line(&self, error: Option<&str>, policy: Option<&str>) {
        let facts = &self.facts;
        let (from_client, from_server) = self.flow.bytes();
        // The log tells what the pod sent and received, not what client and server did.
        let (bytes_sent, bytes_recv) = match facts.direction {
            Direction::Outbound => (from_client, from_server),
            Direction::Inbound => (from_server, from_client),
        };
        let src = Party::source(facts);
        let dst = Party::of(facts.dst_workload.as_deref());
        macro_rules! access {
            ($level:expr) => {
                tracing::event!(
                    target: "access",
                    $level,
                    src.addr = %facts.src_addr,
                    src.workload = src.workload,
                    src.namespace = src.namespace,
                    src.cluster = src.cluster,
                    src.identity = shown(facts.src_identity.as_ref()),
                    dst.addr = %facts.dst_addr,
                    dst.hbone_addr = facts.hbone_addr.as_deref(),
                    dst.service = facts.dst_service.as_ref().map(|s| &*s.key.hostname),
                    dst.workload = dst.workload,
                    dst.namespace = dst.namespace,
                    dst.cluster = dst.cluster,
                    dst.identity = shown(facts.dst_identity.as_ref()),
                    direction = facts.direction.as_str(),
                    bytes_sent,
                    bytes_recv,
                    duration = %format_args!("{}ms", self.began.elapsed().as_millis()),
                    policy,
                    error,
                    "connection complete"
                )
            };
        }
        if error.is_some() {
            access!(tracing::Level::ERROR);
        } else {
            access!(tracing::Level::INFO);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.closed {
            self.end(&Outcome::Drained);
        }
    }
}

fn shown(id: Option<&SpiffeId>) -> Option<DisplayValue<&SpiffeId>> {
    id.map(display)
}

/// One side of a log line.
#[derive(Default)]
struct Party<'a> {
    workload: Option<&'a str>,
    namespace: Option<&'a str>,
    cluster: Option<&'a str>,
}

impl<'a> Party<'a> {
    fn of(workload: Option<&'a Workload>) -> Self {
        let Some(w) = workload else { return Self::default() };
        let some = |text: &'a str| Some(text).filter(|t| !t.is_empty());
        Self { workload: some(&w.name), namespace: some(&w.namespace), cluster: some(&w.cluster) }
    }

    fn source(facts: &'a Facts) -> Self {
        let baggage = facts.src_baggage.as_deref();
        match (facts.src_workload.as_deref(), baggage) {
            (None, Some(b)) => {
                let some = |text: &'a str| Some(text).filter(|t| !t.is_empty());
                Self {
                    workload: some(&b.service).or(some(&b.workload)),
                    namespace: some(&b.namespace),
                    cluster: some(&b.cluster),
                }
            }
            (workload, _) => Self::of(workload),
        }
    }
}

struct Metered<'a> {
    record: &'a Record,
    forward_is_received: bool,
}

impl Metered<'_> {
    /// Metrics say it as the server sees it: what the client sends is received.
    fn count(&self, received: bool, n: u64) {
        let record = self.record;
        if received {
            record.received.inc_by(n);
            record.flow.sent(n);
        } else {
            record.sent.inc_by(n);
            record.flow.received(n);
        }
    }
}

impl Meter for Metered<'_> {
    fn forward(&self, n: u64) {
        self.count(self.forward_is_received, n);
    }

    fn back(&self, n: u64) {
        self.count(!self.forward_is_received, n);
    }
}

/// A connection that ended before its way was known: one line, no counters.
pub fn early_failure(
    direction: Direction,
    src: Option<SocketAddr>,
    dst: Option<SocketAddr>,
    error: &(dyn std::fmt::Display + Sync),
) {
    tracing::event!(
        target: "access",
        tracing::Level::WARN,
        src.addr = src.map(display),
        dst.addr = dst.map(display),
        direction = direction.as_str(),
        error = %error,
        "connection failed"
    );
}
