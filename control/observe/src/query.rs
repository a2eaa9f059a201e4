//! What one proxy answers: out of its ring, and of the step that runs.

use std::sync::Arc;

pub use self::sum::Sum;
use crate::pb::{Answer, Connection, Filter, Query};
use crate::recorder::Recorder;
use crate::recorder::collector::Partial;
use crate::{RESOLUTION_MS, now_ms, step_of};

pub(crate) mod filter;
mod group;
mod sum;

/// Steps of one answer at most.
pub const MAX_STEPS: i64 = 1_000;
/// Widest window: longer than any ring.
pub const MAX_WINDOW_MS: i64 = 31 * 24 * 3600 * 1000;
/// Edges, incidents, connections and events of one answer unless less is asked for, each.
pub const DEFAULT_LIMIT: u32 = 2_000;
/// The most that may be asked for.
pub const MAX_LIMIT: u32 = 10_000;
/// Buckets of one answer, over all edges: what an answer may take of memory has a limit.
const MAX_BUCKETS: usize = 200_000;

/// What may be wanted.
const WANTS: [&str; 6] = ["edges", "incidents", "events", "costs", "connections", "state"];

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct QueryError {
    /// The field of the question.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

fn wrong(field: &'static str, problem: impl Into<String>) -> QueryError {
    QueryError { field, problem: problem.into() }
}

/// A question whose bounds hold.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Beginning of the first step.
    pub from_ms: i64,
    /// End of the last step.
    pub to_ms: i64,
    /// Width of a step.
    pub step_ms: i64,
    filter: Filter,
    group: Vec<group::Field>,
    want: Vec<String>,
    limit: usize,
}

impl Checked {
    /// Checks a question and aligns its window.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn new(query: &Query) -> Result<Self, QueryError> {
        let (from, to, step) = (query.from_ms, query.to_ms, query.step_ms);
        if from < 0 {
            return Err(wrong("from", "it is milliseconds since 1970"));
        }
        if to <= from {
            return Err(wrong("to", "it must be later than from"));
        }
        if to - from > MAX_WINDOW_MS {
            return Err(wrong("from", "a window has 31 days at most"));
        }
        let step = match step {
            0 => to - step_of(from, RESOLUTION_MS),
            step if !(0..=MAX_WINDOW_MS).contains(&step) => {
                return Err(wrong("step", "it is milliseconds, of 31 days at most"));
            }
            step => step,
        };
        let step = step.saturating_add(RESOLUTION_MS - 1) / RESOLUTION_MS * RESOLUTION_MS;
        let from =
            if query.step_ms == 0 { step_of(from, RESOLUTION_MS) } else { step_of(from, step) };
        let steps = (to - from + step - 1) / step;
        if steps > MAX_STEPS {
            let least = (to - from) / MAX_STEPS + 1;
            return Err(wrong("step", format!("at most {MAX_STEPS} steps: {least} or more")));
        }
        if let Some(want) = query.want.iter().find(|want| !WANTS.contains(&want.as_str())) {
            let problem = format!("{want:?} is none of {}", WANTS.join(", "));
            return Err(wrong("want", problem));
        }
        let limit = match query.limit {
            0 => DEFAULT_LIMIT,
            limit if limit > MAX_LIMIT => {
                return Err(wrong("limit", format!("at most {MAX_LIMIT}")));
            }
            limit => limit,
        };
        Ok(Self {
            from_ms: from,
            to_ms: from + steps * step,
            step_ms: step,
            filter: query.filter.clone().unwrap_or_default(),
            group: group::parse(&query.group)?,
            want: query.want.clone(),
            limit: limit as usize,
        })
    }

    fn wants(&self, what: &str) -> bool {
        self.want.iter().any(|want| want == what)
    }

    /// How many steps the window has.
    pub fn steps(&self) -> i64 {
        (self.to_ms - self.from_ms) / self.step_ms
    }

    /// At most so many of each.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Recorder {
    /// Answers a question, but for its `state`, which only the proxy itself knows. Reads files:
    /// not for threads that may not wait.
    ///
    /// # Errors
    /// If the question is out of bounds.
    pub fn answer(&self, query: &Query) -> Result<Answer, QueryError> {
        let asked = Checked::new(query)?;
        let mut sum = Sum::new(asked.clone(), &self.origin().node);
        self.ring().read(asked.from_ms, asked.to_ms, |step| sum.step(&step));
        let now = now_ms();
        if (asked.from_ms..asked.to_ms).contains(&now) {
            self.add_partial(&mut sum, now);
        }
        let mut answer = sum.finish();
        answer.origin = Some(self.origin().clone());
        answer.oldest_ms = self.ring().oldest_ms().unwrap_or(now);
        if asked.wants("connections") {
            let wanted = |c: &Connection| filter::connection(&asked.filter, c);
            answer.connections = self.busiest(asked.limit, wanted);
        }
        Ok(answer)
    }

    fn add_partial(&self, sum: &mut Sum, now: i64) {
        let Partial { rows, incidents, events, cost, folded, dropped } = self.partial();
        for (key, counters) in rows {
            sum.add(&key, [(step_of(now, RESOLUTION_MS), counters)]);
        }
        incidents.into_iter().for_each(|incident| sum.incident(Arc::unwrap_or_clone(incident)));
        events.into_iter().for_each(|event| sum.event(Arc::unwrap_or_clone(event)));
        sum.folded += folded;
        sum.dropped += dropped;
        sum.cost(cost);
    }
}

#[cfg(test)]
mod tests;
