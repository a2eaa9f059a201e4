//! What a customer got.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The latest answers whose times are kept.
const TIMES_LIMIT: usize = 1_024;
/// The latest failures that are kept.
const FAILURES_LIMIT: usize = 16;
/// Versions told apart; more are counted together under an empty name.
const VERSIONS_LIMIT: usize = 8;

/// A tally; all times are milliseconds after the customer's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// When this was read.
    pub now_ms: u64,
    /// Good answers.
    pub ok: u64,
    /// Everything else.
    pub failed: u64,
    /// Good answers since the last failure.
    pub streak: u64,
    /// When the first answer of the streak came.
    pub streak_since_ms: u64,
    /// The longest time without a good answer: from the start of the first request that failed
    /// to the next good answer, or to now.
    pub outage_ms: u64,
    /// The median of the latest good answers, in microseconds.
    pub p50_us: u64,
    /// Their 99th percentile, in microseconds.
    pub p99_us: u64,
    /// Good answers by the version of payments that took part.
    pub versions: BTreeMap<String, u64>,
    /// The latest failures.
    pub failures: Vec<Failure>,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was over.
    pub at_ms: u64,
    /// Why.
    pub why: String,
}

/// A tally that many tasks count in.
#[derive(Debug)]
pub(super) struct Counter {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    times: VecDeque<u64>,
    failures: VecDeque<Failure>,
    /// When the first request of the failures in a row began.
    failing_since_ms: Option<u64>,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that is over: the version that served it, or why it failed.
    pub(super) fn count(&self, result: Result<String, String>, took: Duration) {
        let at_ms = self.began.elapsed().as_millis() as u64;
        self.lock().count(at_ms, result, took);
    }

    /// The tally at this moment.
    pub(super) fn read(&self) -> Tally {
        let now_ms = self.began.elapsed().as_millis() as u64;
        self.lock().read(now_ms)
    }
}

impl State {
    fn count(&mut self, at_ms: u64, result: Result<String, String>, took: Duration) {
        let tally = &mut self.tally;
        match result {
            Ok(version) => {
                tally.ok += 1;
                tally.streak += 1;
                if let Some(since) = self.failing_since_ms.take() {
                    tally.outage_ms = tally.outage_ms.max(at_ms.saturating_sub(since));
                }
                if tally.streak == 1 {
                    tally.streak_since_ms = at_ms;
                }
                let known = tally.versions.contains_key(&version);
                let room = tally.versions.len() < VERSIONS_LIMIT;
                let version = if known || room { version } else { String::new() };
                *tally.versions.entry(version).or_default() += 1;
                push(&mut self.times, took.as_micros() as u64, TIMES_LIMIT);
            }
            Err(why) => {
                tally.failed += 1;
                tally.streak = 0;
                let began = at_ms.saturating_sub(took.as_millis() as u64);
                self.failing_since_ms.get_or_insert(began);
                push(&mut self.failures, Failure { at_ms, why }, FAILURES_LIMIT);
            }
        }
    }

    fn read(&self, now_ms: u64) -> Tally {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(index).copied().unwrap_or(0)
        };
        let now = self.failing_since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        Tally {
            now_ms,
            outage_ms: self.tally.outage_ms.max(now),
            p50_us: at(50),
            p99_us: at(99),
            failures: self.failures.iter().cloned().collect(),
            ..self.tally.clone()
        }
    }
}

/// Adds at the end; the oldest makes room.
fn push<T>(queue: &mut VecDeque<T>, value: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests;
