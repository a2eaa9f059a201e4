//! The metrics of a tunnel's requests, looked up once for each way in which they end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hbone::wire::workload::Workload;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Ways to end that a tunnel remembers; after so many it begins anew.
const MAX_SERIES: usize = 32;

/// The metrics of requests with one set of labels.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) requests: Counter,
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
}

impl Series {
    /// A request ended: bytes from and to the client.
    pub(super) fn count(&self, duration: Duration, received: u64, sent: u64) {
        self.duration.observe(duration.as_secs_f64() * 1000.0);
        self.request_bytes.observe(received as f64);
        self.response_bytes.observe(sent as f64);
        self.requests.inc();
    }
}

/// What differs between two requests of one tunnel, whose caller and target are always the
/// same.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) endpoint: Option<Arc<Workload>>,
    pub(super) protocol: &'static str,
    pub(super) flag: &'static str,
    pub(super) code: u16,
    pub(super) grpc_status: Option<u16>,
}

impl PartialEq for Outcome {
    /// A changed workload is another one: its labels may be others.
    fn eq(&self, other: &Self) -> bool {
        let same_endpoint = match (&self.endpoint, &other.endpoint) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_endpoint
            && self.code == other.code
            && self.grpc_status == other.grpc_status
            && self.flag == other.flag
            && self.protocol == other.protocol
    }
}

/// The series that a tunnel's requests have used; read without a lock.
#[derive(Default)]
pub struct SeriesOfTunnel(ArcSwap<Vec<(Outcome, Series)>>);

impl SeriesOfTunnel {
    /// The series of `outcome`; `find` looks it up if that is the first of its kind.
    pub(super) fn of(&self, outcome: Outcome, find: impl FnOnce(&Outcome) -> Series) -> Series {
        let known = self.0.load();
        if let Some((_, series)) = known.iter().find(|(of, _)| *of == outcome) {
            return series.clone();
        }
        let series = find(&outcome);
        let kept = if known.len() < MAX_SERIES { known.as_slice() } else { &[] };
        let mut next = kept.to_vec();
        next.push((outcome, series.clone()));
        // Of two that add at the same time one is forgotten and looked up again.
        self.0.store(Arc::new(next));
        series
    }
}

impl fmt::Debug for SeriesOfTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesOfTunnel").field("known", &self.0.load().len()).finish()
    }
}

#[cfg(test)]
mod tests;
