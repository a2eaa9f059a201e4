//! Parts of pages (docs/observe.md, "HTTP API"). Names are those of the API.

use serde::Serialize;

use crate::pb::{Counters, Sketch};
use crate::source::Heard;

/// Every page of a window.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Framed<T> {
    from_ms: i64,
    to_ms: i64,
    step_ms: i64,
    oldest_ms: i64,
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<History>,
    #[serde(flatten)]
    page: T,
}

/// A proxy that did not answer.
#[derive(Debug, Serialize)]
struct Missing {
    node: String,
    name: String,
    error: String,
}

/// The part of a window that is older than what proxies remember.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    from_ms: i64,
    to_ms: i64,
    /// Where it comes from.
    source: String,
    /// Why it is not there; empty if it is.
    error: String,
}

impl History {
    fn of(heard: &Heard) -> Option<Self> {
        let (from_ms, to_ms) = heard.part?;
        let error = heard.result.as_ref().err().cloned().unwrap_or_default();
        Some(Self { from_ms, to_ms, source: heard.origin.kind.clone(), error })
    }
}

impl<T: Serialize> Framed<T> {
    /// The page as JSON, with the window as the answers have it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn of(heard: &[Heard], page: T) -> serde_json::Result<Vec<u8>> {
        let answers: Vec<_> = heard.iter().filter_map(|h| h.result.as_ref().ok()).collect();
        let first = answers.first();
        let missing = heard.iter().filter_map(|heard| {
            let error = heard.result.as_ref().err()?.clone();
            let origin = &heard.origin;
            Some(Missing { node: origin.node.clone(), name: origin.name.clone(), error })
        });
        serde_json::to_vec(&Self {
            from_ms: first.map_or(0, |answer| answer.from_ms),
            to_ms: first.map_or(0, |answer| answer.to_ms),
            step_ms: first.map_or(0, |answer| answer.step_ms),
            oldest_ms: answers.iter().map(|answer| answer.oldest_ms).min().unwrap_or(0),
            missing: missing.collect(),
            history: heard.iter().find_map(History::of),
            page,
        })
    }
}

/// Sums of a window or a step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Totals {
    pub opened: u64,
    pub closed: u64,
    pub failed: u64,
    pub refused: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub requests: u64,
    pub errors: u64,
    pub retries: u64,
    pub statuses: Vec<u64>,
    pub duration_p50_us: Option<u64>,
    pub duration_p99_us: Option<u64>,
    pub latency_p50_us: Option<u64>,
    pub latency_p90_us: Option<u64>,
    pub latency_p99_us: Option<u64>,
}

impl From<&Counters> for Totals {
    fn from(of: &Counters) -> Self {
        let quantile = |sketch: &Option<Sketch>, q| sketch.as_ref().and_then(|s| s.quantile(q));
        Self {
            opened: of.opened,
            closed: of.closed,
            failed: of.failed,
            refused: of.refused,
            sent_bytes: of.sent_bytes,
            received_bytes: of.received_bytes,
            requests: of.requests,
            errors: of.errors(),
            retries: of.retries,
            statuses: of.statuses.clone(),
            duration_p50_us: quantile(&of.durations, 0.5),
            duration_p99_us: quantile(&of.durations, 0.99),
            latency_p50_us: quantile(&of.latencies, 0.5),
            latency_p90_us: quantile(&of.latencies, 0.9),
            latency_p99_us: quantile(&of.latencies, 0.99),
        }
    }
}

/// Sums of one step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When it begins.
    pub at_ms: i64,
    /// What was counted.
    #[serde(flatten)]
    pub totals: Totals,
}

/// How well something goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No traffic.
    #[default]
    Idle,
    /// Nothing failed.
    Ok,
    /// Something failed.
    Warning,
    /// At least one in twenty failed.
    Failing,
}

impl Health {
    /// Of what was counted.
    pub fn of(counters: &Counters) -> Self {
        let bad = counters.failed.max(counters.errors());
        let all = counters.opened.max(counters.requests).max(counters.closed);
        match (all, bad) {
            (0, 0) => Self::Idle,
            (_, 0) => Self::Ok,
            (all, bad) if bad.saturating_mul(20) >= all => Self::Failing,
            _ => Self::Warning,
        }
    }
}

/// A pod, waypoint, namespace or whatever else talks.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Vertex {
    pub id: String,
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub nodes: Vec<String>,
    pub pods: usize,
    pub enrolled: usize,
    pub identity: String,
    pub health: Health,
}

/// Who called whom.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Link {
    pub from: String,
    pub to: String,
    pub service: String,
    pub port: u32,
    pub protocol: String,
    pub security: &'static str,
    pub identity: String,
    pub totals: Totals,
    pub health: Health,
    pub policies: Vec<String>,
    pub failures: Vec<FailureCount>,
}

/// How often something failed in one way.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct FailureCount {
    pub failure: String,
    pub policy: String,
    pub count: u64,
}
