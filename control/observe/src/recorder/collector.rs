//! Ends a step: what was counted goes to the ring.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hbone::telemetry::process;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::incidents::Taken;
use super::{MAX_EDGES, Recorder};
use crate::pb::{Connection, Cost, Counters, EdgeKey, Event, Incident};
use crate::ring::Batch;
use crate::{RESOLUTION_MS, now_ms, step_of};

/// Ends steps until `quit`, and then the last one.
pub async fn run(recorder: Recorder, quit: CancellationToken) {
    let mut watch = Watch::begin();
    loop {
        let now = now_ms();
        let left = step_of(now, RESOLUTION_MS) + RESOLUTION_MS - now;
        let wait = Duration::from_millis(left.max(1).cast_unsigned());
        let last = tokio::select! {
            () = tokio::time::sleep(wait) => false,
            () = quit.cancelled() => true,
        };
        let recorder = recorder.clone();
        // A file is written.
        let ended = tokio::task::spawn_blocking(move || {
            recorder.end_step(&mut watch);
            watch
        });
        match ended.await {
            Ok(back) => watch = back,
            Err(error) => {
                warn!(%error, "a step of what happens was lost");
                watch = Watch::begin();
            }
        }
        if last {
            return;
        }
    }
}

/// What the process had used when the step began.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    began_ms: i64,
    cpu_us: i64,
    handshakes: (u64, u64),
}

impl Watch {
    pub(super) fn begin() -> Self {
        let cpu_us = process::cpu_us().unwrap_or_default();
        Self { began: Instant::now(), began_ms: now_ms(), cpu_us, handshakes: (0, 0) }
    }
}

/// What has been counted in the step that runs.
pub(crate) struct Partial {
    pub(crate) rows: Vec<(Arc<EdgeKey>, Counters)>,
    pub(crate) incidents: Vec<Arc<Incident>>,
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) cost: Option<Cost>,
    pub(crate) folded: u64,
    pub(crate) dropped: u64,
}

impl Recorder {
    /// What has been counted since the last step ended; it stays where it is.
    pub(crate) fn partial(&self) -> Partial {
        self.0.flows.settle();
        let (rows, folded) = self.0.edges.peek();
        let Taken { incidents, events, dropped } = self.0.incidents.peek();
        Partial { rows, incidents, events, cost: None, folded, dropped }
    }

    /// Open connections that `wanted` wants, the busiest first.
    pub(crate) fn busiest(
        &self,
        limit: usize,
        wanted: impl Fn(&Connection) -> bool,
    ) -> Vec<Connection> {
        self.0.flows.busiest(&self.0.origin.node, limit, wanted)
    }

    /// Edges in use, and connections that are open.
    pub fn in_use(&self) -> (usize, usize) {
        (self.0.edges.len(), self.0.flows.len())
    }

    /// Ends the step that `watch` saw begin, and begins the next.
    pub(super) fn end_step(&self, watch: &mut Watch) {
        let inner = &self.0;
        inner.flows.end_step(watch.began.elapsed());
        let at_ms = step_of(watch.began_ms, RESOLUTION_MS);
        let cost = self.cost(watch);
        let (rows, folded) = inner.edges.take();
        if folded > 0 {
            self.limit("memory of edges", || {
                format!(
                    "{folded} connections or requests of 10 s count as of others: more than \
                     {MAX_EDGES} edges are in use"
                )
            });
        }
        let pending = inner.incidents.take();
        *watch = Watch {
            handshakes: (inner.handshakes.load(Relaxed), inner.handshake_failures.load(Relaxed)),
            ..Watch::begin()
        };
        let batch = Batch {
            rows,
            incidents: pending.incidents.into_iter().map(Arc::unwrap_or_clone).collect(),
            events: pending.events.into_iter().map(Arc::unwrap_or_clone).collect(),
            cost: Some(cost),
            folded,
            dropped: pending.dropped,
        };
        if let Err(error) = inner.ring.append(at_ms, batch) {
            warn!(%error, "what happened in the last 10 s cannot be kept; is the disk full?");
            self.limit("memory on disk", || format!("10 s of what happened were lost: {error}"));
        }
    }

    fn cost(&self, watch: &Watch) -> Cost {
        let inner = &self.0;
        let taken = i64::try_from(watch.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let since = |now: &std::sync::atomic::AtomicU64, before: u64| now.load(Relaxed) - before;
        Cost {
            at_ms: step_of(watch.began_ms, RESOLUTION_MS),
            duration_ms: taken,
            cpu_us: process::cpu_us().map_or(0, |now| (now - watch.cpu_us).max(0)),
            resident_bytes: told(process::resident_bytes()),
            descriptors: told(process::open_fds()),
            handshakes: since(&inner.handshakes, watch.handshakes.0),
            handshake_failures: since(&inner.handshake_failures, watch.handshakes.1),
            connections: inner.flows.len() as u64,
            node: inner.origin.node.clone(),
            kind: inner.origin.kind.clone(),
            name: inner.origin.name.clone(),
        }
    }
}

/// What `/proc` does not tell is 0.
fn told<T: TryFrom<i64> + Default>(number: Option<i64>) -> T {
    number.and_then(|number| T::try_from(number).ok()).unwrap_or_default()
}
