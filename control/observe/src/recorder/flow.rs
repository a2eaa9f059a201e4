//! Open connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::edges::Edge;
use crate::now_ms;
use crate::pb::Connection;

/// Parts of the table, so that two threads seldom meet.
const SHARDS: usize = 16;

/// Which pods speak, and from where to where.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// The client's pod.
    pub source_pod: Arc<str>,
    /// The server's pod.
    pub destination_pod: Arc<str>,
    /// The client's address.
    pub source: Option<SocketAddr>,
    /// The address that was dialled.
    pub destination: Option<SocketAddr>,
}

/// An open connection.
#[derive(Debug)]
pub struct Flow {
    id: u64,
    edge: Arc<Edge>,
    ends: Ends,
    began: Instant,
    sent: Bytes,
    received: Bytes,
}

/// Bytes in one direction.
#[derive(Debug, Default)]
struct Bytes {
    total: AtomicU64,
    /// How many of them the edge has.
    counted: AtomicU64,
    /// How many there were when the last step ended.
    at_step: AtomicU64,
    /// In the last whole step.
    rate: AtomicU64,
}

impl Bytes {
    /// Bytes that nobody has counted yet. Whoever counts at the same time counts each once.
    fn fresh(&self) -> u64 {
        let total = self.total.load(Relaxed);
        total.saturating_sub(self.counted.fetch_max(total, Relaxed))
    }

    /// A step ended that took so long.
    fn end_step(&self, took: Duration) {
        let total = self.total.load(Relaxed);
        let bytes = total.saturating_sub(self.at_step.swap(total, Relaxed));
        let rate = bytes as f64 / took.as_secs_f64().max(0.001);
        self.rate.store(rate.round() as u64, Relaxed);
    }
}

impl Flow {
    /// Bytes went from client to server.
    pub fn sent(&self, n: u64) {
        self.sent.total.fetch_add(n, Relaxed);
    }

    /// Bytes went from server to client.
    pub fn received(&self, n: u64) {
        self.received.total.fetch_add(n, Relaxed);
    }

    /// Bytes from client to server, and back.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.total.load(Relaxed), self.received.total.load(Relaxed))
    }

    /// Since it opened.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    pub(super) fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Adds to its edge what has passed since the last time.
    pub(super) fn count_bytes(&self) {
        let (sent, received) = (self.sent.fresh(), self.received.fresh());
        if sent + received > 0 {
            self.edge.count(|counters| {
                counters.sent_bytes += sent;
                counters.received_bytes += received;
            });
        }
    }

    fn shown(&self, node: &str) -> Connection {
        let age = i64::try_from(self.age().as_millis()).unwrap_or(i64::MAX);
        let address = |at: Option<SocketAddr>| at.map(|at| at.to_string()).unwrap_or_default();
        let (sent_bytes, received_bytes) = self.bytes();
        Connection {
            id: self.id,
            began_ms: now_ms() - age,
            key: Some((**self.edge.key()).clone()),
            source_pod: self.ends.source_pod.to_string(),
            destination_pod: self.ends.destination_pod.to_string(),
            source_address: address(self.ends.source),
            destination_address: address(self.ends.destination),
            sent_bytes,
            received_bytes,
            sent_rate: self.sent.rate.load(Relaxed),
            received_rate: self.received.rate.load(Relaxed),
            node: node.to_owned(),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    next: AtomicU64,
    shards: [Mutex<HashMap<u64, Arc<Flow>>>; SHARDS],
}

impl Flows {
    /// One opened.
    pub(super) fn open(&self, edge: Arc<Edge>, ends: Ends) -> Arc<Flow> {
        let id = self.next.fetch_add(1, Relaxed);
        let (sent, received) = (Bytes::default(), Bytes::default());
        let flow = Arc::new(Flow { id, edge, ends, began: Instant::now(), sent, received });
        if let Some(mut shard) = self.shard(id) {
            shard.insert(id, Arc::clone(&flow));
        }
        flow
    }

    /// One ended.
    pub(super) fn close(&self, flow: &Flow) {
        if let Some(mut shard) = self.shard(flow.id) {
            shard.remove(&flow.id);
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Counts the bytes of all at the end of a step that took so long.
    pub(super) fn end_step(&self, took: Duration) {
        for flow in self.shards.iter().flat_map(snapshot) {
            flow.count_bytes();
            flow.sent.end_step(took);
            flow.received.end_step(took);
        }
    }

    /// Adds to the edges what has passed, for one who asks in the middle of a step. The rates
    /// stay those of the last step.
    pub(super) fn settle(&self) {
        for flow in self.shards.iter().flat_map(snapshot) {
            flow.count_bytes();
        }
    }

    /// Those that `wanted` wants, the busiest first, at most `limit`.
    pub(super) fn busiest(
        &self,
        node: &str,
        limit: usize,
        wanted: impl Fn(&Connection) -> bool,
    ) -> Vec<Connection> {
        let mut found: Vec<Connection> = self
            .shards
            .iter()
            .flat_map(snapshot)
            .map(|flow| flow.shown(node))
            .filter(wanted)
            .collect();
        found.sort_by_cached_key(|c| {
            let bytes = |n: u64| std::cmp::Reverse(n);
            (bytes(c.sent_rate + c.received_rate), bytes(c.sent_bytes + c.received_bytes), c.id)
        });
        found.truncate(limit);
        found
    }

    fn shard(&self, id: u64) -> Option<MutexGuard<'_, HashMap<u64, Arc<Flow>>>> {
        let at = usize::try_from(id).unwrap_or_default() % SHARDS;
        self.shards.get(at).map(lock)
    }
}

fn snapshot(shard: &Mutex<HashMap<u64, Arc<Flow>>>) -> Vec<Arc<Flow>> {
    lock(shard).values().cloned().collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
