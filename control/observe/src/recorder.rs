//! What happens now: edges, open connections, incidents, events.
//!
//! A connection finds its edge once, when it opens; its bytes are two atomics that are read when
//! a step ends, when it closes, or when somebody asks. So the path of the bytes has no lock, and
//! what an idle connection costs is its entry here.
//!
//! - [`edges`]: counters of the step that runs, by edge
//! - [`flow`]: open connections
//! - [`incidents`]: what failed, as fast as it may be kept
//! - [`refusals`]: how often each policy refused
//! - [`seldom`]: events that would come in floods
//! - [`discovery`]: what the control plane sent
//! - [`collector`]: ends a step

pub mod collector;
pub mod discovery;
mod edges;
mod flow;
mod incidents;
mod refusals;
mod seldom;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::broadcast;

use self::edges::Edges;
use self::flow::Flows;
pub use self::flow::{Ends, Flow};
use self::incidents::Incidents;
use self::refusals::Refusals;
use self::seldom::Seldom;
use crate::now_ms;
use crate::pb::{EdgeKey, Event, Incident, Origin, Party, State};
use crate::ring::{Ring, RingSettings};

/// Edges with traffic in one step, or open connections; others are folded into "other".
pub const MAX_EDGES: usize = 10_000;
/// What a listener may lag behind before it misses something.
const LAG: usize = 256;

/// Something that happened, told at once.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Something failed or was refused.
    Incident(Arc<Incident>),
    /// Something changed.
    Event(Arc<Event>),
}

/// What a proxy remembers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    edges: Edges,
    flows: Flows,
    incidents: Incidents,
    refusals: Refusals,
    seldom: Seldom,
    handshakes: AtomicU64,
    handshake_failures: AtomicU64,
    told: broadcast::Sender<Happened>,
    ring: Ring,
    state: OnceLock<StateOf>,
}

/// How a proxy says how it stands.
type Tell = Box<dyn Fn() -> State + Send + Sync>;

struct StateOf(Tell);

impl std::fmt::Debug for StateOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateOf")
    }
}

/// How a connection ended, or a request.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// Its class, such as `DENY`: `failure` of the edge.
    pub class: String,
    /// Whether a policy refused it.
    pub refused: bool,
    /// The policy that did, `namespace/name`.
    pub policy: String,
    /// The reason, for a person.
    pub error: String,
    /// Where.
    pub hop: String,
}

/// A request that ended.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// From its arrival to the end of its answer.
    pub latency: Duration,
    /// Of the answer; 0 is none.
    pub status: u16,
    /// Tries after the first.
    pub retries: u32,
    /// Bytes of the request's body.
    pub sent_bytes: u64,
    /// Bytes of the answer's body.
    pub received_bytes: u64,
    /// Who spoke to whom.
    pub ends: Ends,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The request's line and name, for people: only what failed keeps them.
    pub line: Line,
}

/// What names a request.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The method.
    pub method: String,
    /// Path as sent. A query is not kept: it may hold what nobody else should read.
    pub path: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// `x-request-id`.
    pub request_id: String,
}

impl Default for Recorder {
    /// Of nobody, and without a place to keep what it counts.
    fn default() -> Self {
        Self::new(Origin::default(), RingSettings { directory: None, limit: 0 })
    }
}

impl Recorder {
    /// A recorder of `origin` that keeps what it counts in a ring. [`collector::run`] ends its
    /// steps.
    pub fn new(origin: Origin, ring: RingSettings) -> Self {
        Self(Arc::new(Inner {
            origin,
            edges: Edges::new(MAX_EDGES),
            flows: Flows::default(),
            incidents: Incidents::default(),
            refusals: Refusals::default(),
            seldom: Seldom::default(),
            handshakes: AtomicU64::new(0),
            handshake_failures: AtomicU64::new(0),
            told: broadcast::Sender::new(LAG),
            ring: Ring::open(ring),
            state: OnceLock::new(),
        }))
    }

    /// Who remembers.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// What it has kept.
    pub fn ring(&self) -> &Ring {
        &self.0.ring
    }

    /// Says how the proxy stands, to whoever asks. The first that is given counts.
    pub fn tell_state(&self, state: impl Fn() -> State + Send + Sync + 'static) {
        let _ = self.0.state.set(StateOf(Box::new(state)));
    }

    /// How the proxy stands, with what is known here.
    pub fn state(&self) -> State {
        let told = self.0.state.get().map(|state| (state.0)()).unwrap_or_default();
        let (edges, open) = self.in_use();
        State {
            open_connections: open as u64,
            edges: edges as u64,
            edge_limit: MAX_EDGES as u64,
            disk_bytes: self.0.ring.size(),
            disk_limit: self.0.ring.limit(),
            ..told
        }
    }

    /// Tells what happens from now on; one that is too slow misses some.
    pub fn watch(&self) -> broadcast::Receiver<Happened> {
        self.0.told.subscribe()
    }

    /// A connection opened.
    pub fn open(&self, key: EdgeKey, ends: Ends) -> Arc<Flow> {
        let edge = self.0.edges.of(key);
        edge.count(|counters| counters.opened += 1);
        self.0.flows.open(edge, ends)
    }

    /// A connection ended: in order, or by a failure, which counts on an edge of its own.
    pub fn close(&self, flow: &Arc<Flow>, failure: Option<Failure>) {
        self.0.flows.close(flow);
        flow.count_bytes();
        let life = flow.age();
        let closed = |counters: &mut crate::pb::Counters| {
            counters.closed += 1;
            counters.durations.get_or_insert_default().record(micros(life));
        };
        let Some(failure) = failure else { return flow.edge().count(closed) };
        let key = failed(flow.edge().key(), &failure);
        let refused = failure.refused;
        self.0.edges.of(key.clone()).count(|counters| {
            closed(counters);
            counters.failed += 1;
            counters.refused += u64::from(refused);
        });
        let (sent_bytes, received_bytes) = flow.bytes();
        let mut incident = self.incident(key, flow.ends(), failure);
        (incident.sent_bytes, incident.received_bytes) = (sent_bytes, received_bytes);
        incident.duration_us = i64::try_from(micros(life)).unwrap_or(i64::MAX);
        self.tell(incident);
    }

    /// A request ended.
    pub fn request(&self, key: EdgeKey, exchange: Exchange) {
        let failure = exchange.failure;
        let key = failure.as_ref().map(|failure| failed(&key, failure)).unwrap_or(key);
        let edge = self.0.edges.of(key);
        edge.count(|counters| {
            counters.requests += 1;
            counters.retries += u64::from(exchange.retries);
            counters.sent_bytes += exchange.sent_bytes;
            counters.received_bytes += exchange.received_bytes;
            counters.status(exchange.status);
            counters.latencies.get_or_insert_default().record(micros(exchange.latency));
            counters.failed += u64::from(failure.is_some());
            counters.refused += u64::from(failure.as_ref().is_some_and(|f| f.refused));
        });
        let Some(failure) = failure else { return };
        let incident = self.incident((**edge.key()).clone(), &exchange.ends, failure);
        self.tell(Incident {
            duration_us: i64::try_from(micros(exchange.latency)).unwrap_or(i64::MAX),
            sent_bytes: exchange.sent_bytes,
            received_bytes: exchange.received_bytes,
            method: exchange.line.method,
            path: shortened(without_query(exchange.line.path)),
            authority: shortened(exchange.line.authority),
            request_id: shortened(exchange.line.request_id),
            status: exchange.status.into(),
            ..incident
        });
    }

    /// Something changed.
    pub fn event(&self, kind: &str, level: &str, subject: String, text: String) {
        self.event_on(&self.0.origin.node, (kind, level), subject, text);
    }

    /// Something changed on a node: kind and level, subject, text.
    pub fn event_on(&self, node: &str, of: (&str, &str), subject: String, text: String) {
        let (kind, level) = of;
        let event = Event {
            at_ms: now_ms(),
            kind: kind.to_owned(),
            level: level.to_owned(),
            subject,
            text: shortened(text),
            node: node.to_owned(),
        };
        let event = Arc::new(event);
        self.0.incidents.event(Arc::clone(&event));
        // Nobody may be listening.
        let _ = self.0.told.send(Happened::Event(event));
    }

    /// A TLS handshake ended.
    pub fn handshake(&self, good: bool) {
        let counter = if good { &self.0.handshakes } else { &self.0.handshake_failures };
        counter.fetch_add(1, Relaxed);
    }

    fn incident(&self, key: EdgeKey, ends: &Ends, failure: Failure) -> Incident {
        if failure.refused {
            self.0.refusals.count(&failure.policy);
        }
        Incident {
            at_ms: now_ms(),
            key: Some(key),
            source_pod: ends.source_pod.to_string(),
            destination_pod: ends.destination_pod.to_string(),
            source_address: ends.source.map(|at| at.to_string()).unwrap_or_default(),
            destination_address: ends.destination.map(|at| at.to_string()).unwrap_or_default(),
            error: shortened(failure.error),
            hop: failure.hop,
            refused: failure.refused,
            node: self.0.origin.node.clone(),
            ..Incident::default()
        }
    }

    fn tell(&self, incident: Incident) {
        let incident = Arc::new(incident);
        if self.0.incidents.incident(Arc::clone(&incident)) {
            let _ = self.0.told.send(Happened::Incident(incident));
        }
    }
}

/// The edge of what failed on `key`.
fn failed(key: &EdgeKey, failure: &Failure) -> EdgeKey {
    let policy = if failure.policy.is_empty() { &key.policy } else { &failure.policy };
    let policy = if failure.refused { failure.policy.clone() } else { policy.clone() };
    EdgeKey { failure: failure.class.clone(), policy, ..key.clone() }
}

/// The edge of what is beyond a limit: of it only is said what `kept` says.
pub(crate) fn other(kept: EdgeKey) -> EdgeKey {
    let party = || Some(Party { workload: "other".to_owned(), ..Party::default() });
    EdgeKey { source: party(), destination: party(), ..kept }
}

fn without_query(mut path: String) -> String {
    if let Some(at) = path.find('?') {
        path.truncate(at);
    }
    path
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What a client may have sent is kept up to a length.
fn shortened(mut text: String) -> String {
    const LONGEST: usize = 512;
    if text.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
