//! What one proxy answers: out of its ring, and of the step that runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::pb::{Answer, Bucket, Connection, Counters, Edge, EdgeKey, Filter, Incident, Query};
use crate::recorder::collector::Partial;
use crate::recorder::{Recorder, other};
use crate::{RESOLUTION_MS, now_ms, step_of};

pub(crate) mod filter;
mod group;

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
        let mut sum = Sum::new(&asked, &self.origin().node);
        self.ring().read(asked.from_ms, asked.to_ms, |step| {
            sum.dropped += step.frame.dropped;
            sum.folded += step.frame.folded;
            for row in step.frame.rows {
                if let (Some(key), Some(counters)) = (step.keys.get(&row.id), row.counters) {
                    sum.add(step.at_ms, key, &counters);
                }
            }
            step.frame.incidents.into_iter().for_each(|incident| sum.incident(incident));
            step.frame.events.into_iter().for_each(|event| sum.event(event));
            sum.costs.extend(step.frame.cost.filter(|_| asked.wants("costs")));
        });
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

    fn add_partial(&self, sum: &mut Sum<'_>, now: i64) {
        let Partial { rows, incidents, events, cost, folded, dropped } = self.partial();
        for (key, counters) in &rows {
            sum.add(step_of(now, RESOLUTION_MS), key, counters);
        }
        incidents.into_iter().for_each(|incident| sum.incident(Arc::unwrap_or_clone(incident)));
        events.into_iter().for_each(|event| sum.event(Arc::unwrap_or_clone(event)));
        sum.folded += folded;
        sum.dropped += dropped;
        sum.costs.extend(cost.filter(|_| sum.asked.wants("costs")));
    }
}

/// Adds up an answer.
struct Sum<'a> {
    asked: &'a Checked,
    node: &'a str,
    /// What a key is summed under; none if the filter leaves it out. By address: the keys of a
    /// file are shared by its rows.
    keys: HashMap<EdgeKey, Option<Arc<EdgeKey>>>,
    edges: BTreeMap<Arc<EdgeKey>, Summed>,
    buckets: usize,
    incidents: Vec<Incident>,
    events: Vec<crate::pb::Event>,
    costs: Vec<crate::pb::Cost>,
    folded: u64,
    dropped: u64,
}

#[derive(Default)]
struct Summed {
    buckets: BTreeMap<i64, Counters>,
    first_ms: i64,
    last_ms: i64,
}

impl<'a> Sum<'a> {
    fn new(asked: &'a Checked, node: &'a str) -> Self {
        Self {
            asked,
            node,
            keys: HashMap::new(),
            edges: BTreeMap::new(),
            buckets: 0,
            incidents: Vec::new(),
            events: Vec::new(),
            costs: Vec::new(),
            folded: 0,
            dropped: 0,
        }
    }

    fn add(&mut self, at_ms: i64, key: &Arc<EdgeKey>, counters: &Counters) {
        if !self.asked.wants("edges") {
            return;
        }
        let under = match self.keys.get(&**key) {
            Some(known) => known.clone(),
            None => {
                let wanted = filter::edge(&self.asked.filter, key, self.node);
                let under = wanted.then(|| Arc::new(group::reduce(&self.asked.group, key)));
                self.keys.insert((**key).clone(), under.clone());
                under
            }
        };
        let Some(mut under) = under else { return };
        if !self.edges.contains_key(&under) && self.edges.len() >= self.asked.limit {
            self.folded += 1;
            under = Arc::new(other(EdgeKey::default()));
        }
        let summed = self.edges.entry(under).or_default();
        if summed.first_ms == 0 {
            summed.first_ms = at_ms;
        }
        summed.first_ms = summed.first_ms.min(at_ms);
        summed.last_ms = summed.last_ms.max(at_ms);
        let step = self.asked.from_ms + step_of(at_ms - self.asked.from_ms, self.asked.step_ms);
        if !summed.buckets.contains_key(&step) {
            if self.buckets >= MAX_BUCKETS {
                self.folded += 1;
                return;
            }
            self.buckets += 1;
        }
        summed.buckets.entry(step).or_default().merge(counters);
    }

    fn incident(&mut self, incident: Incident) {
        let asked = self.asked;
        let within = (asked.from_ms..asked.to_ms).contains(&incident.at_ms);
        if asked.wants("incidents") && within && filter::incident(&asked.filter, &incident) {
            self.incidents.push(incident);
            shed(&mut self.incidents, asked.limit);
        }
    }

    fn event(&mut self, event: crate::pb::Event) {
        let asked = self.asked;
        let within = (asked.from_ms..asked.to_ms).contains(&event.at_ms);
        if asked.wants("events") && within && filter::event(&asked.filter, &event) {
            self.events.push(event);
            shed(&mut self.events, asked.limit);
        }
    }

    fn finish(mut self) -> Answer {
        self.incidents.sort_by_key(|incident| std::cmp::Reverse(incident.at_ms));
        self.incidents.truncate(self.asked.limit);
        self.events.sort_by_key(|event| std::cmp::Reverse(event.at_ms));
        self.events.truncate(self.asked.limit);
        self.costs.sort_by_key(|cost| cost.at_ms);
        let edges = self.edges.into_iter().map(|(key, summed)| Edge {
            key: Some(Arc::unwrap_or_clone(key)),
            buckets: summed
                .buckets
                .into_iter()
                .map(|(at_ms, counters)| Bucket { at_ms, counters: Some(counters) })
                .collect(),
            node: self.node.to_owned(),
            first_ms: summed.first_ms,
            last_ms: summed.last_ms,
        });
        Answer {
            from_ms: self.asked.from_ms,
            to_ms: self.asked.to_ms,
            step_ms: self.asked.step_ms,
            edges: edges.collect(),
            incidents: self.incidents,
            events: self.events,
            costs: self.costs,
            folded: self.folded,
            dropped: self.dropped,
            ..Answer::default()
        }
    }
}

/// Drops the older half of what has grown to twice the limit; both are read in order of time.
fn shed<T>(list: &mut Vec<T>, limit: usize) {
    if list.len() >= limit.saturating_mul(2).max(2) {
        list.drain(..list.len() - limit);
    }
}

#[cfg(test)]
mod tests;
