//! Adds up an answer.
//!
//! A key is looked at once in each file that has it, however many rows: after that a row is
//! found by its number.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;

use super::{Checked, MAX_BUCKETS, filter, group};
use crate::pb::{Answer, Bucket, Cost, Counters, Edge, EdgeKey, Event, Incident};
use crate::recorder::other;
use crate::ring::{Part, Step};
use crate::step_of;

/// An answer so far.
#[derive(Debug)]
pub struct Sum {
    asked: Checked,
    node: String,
    wants_edges: bool,
    /// Where the rows of a key go, by its name in the file that is read; none if the filter
    /// leaves it out.
    slots: HashMap<u32, Option<usize>>,
    /// The file of `slots`.
    file: Option<usize>,
    places: HashMap<Arc<EdgeKey>, usize>,
    edges: Vec<Summed>,
    buckets: usize,
    incidents: Vec<Incident>,
    events: Vec<Event>,
    costs: Vec<Cost>,
    pub(super) folded: u64,
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Summed {
    key: Arc<EdgeKey>,
    /// In order of time.
    buckets: Vec<(i64, Counters)>,
    first_ms: i64,
    last_ms: i64,
}

impl Sum {
    /// Nothing yet of what is asked of that node.
    pub fn new(asked: Checked, node: &str) -> Self {
        Self {
            wants_edges: asked.wants("edges"),
            asked,
            node: node.to_owned(),
            slots: HashMap::new(),
            file: None,
            places: HashMap::new(),
            edges: Vec::new(),
            buckets: 0,
            incidents: Vec::new(),
            events: Vec::new(),
            costs: Vec::new(),
            folded: 0,
            dropped: 0,
        }
    }

    /// Adds a step that was kept. What is not wanted is not decoded.
    pub(super) fn step(&mut self, step: &Step<'_>) {
        if self.file != Some(step.file) {
            self.slots.clear();
            self.file = Some(step.file);
        }
        for part in step.parts() {
            match part {
                Part::Row(id, tally) if self.wants_edges => {
                    let slot = match self.slots.get(&id) {
                        Some(known) => *known,
                        None => {
                            let Some(key) = step.keys.get(&id) else { continue };
                            let slot = self.place(key);
                            // Beyond the limit each row is counted as folded.
                            if !matches!(slot, Place::Folded(_)) {
                                self.slots.insert(id, slot.at());
                            }
                            slot.at()
                        }
                    };
                    if let Some(counters) = slot.and_then(|at| self.bucket(at, step.at_ms)) {
                        tally.add_to(counters);
                    }
                }
                Part::Incident(of) if self.asked.wants("incidents") => {
                    Incident::decode(of).into_iter().for_each(|incident| self.incident(incident));
                }
                Part::Event(of) if self.asked.wants("events") => {
                    Event::decode(of).into_iter().for_each(|event| self.event(event));
                }
                Part::Cost(of) if self.asked.wants("costs") => {
                    self.costs.extend(Cost::decode(of).ok());
                }
                Part::Folded(of) => self.folded = self.folded.saturating_add(of),
                Part::Dropped(of) => self.dropped = self.dropped.saturating_add(of),
                Part::Row(..) | Part::Incident(_) | Part::Event(_) | Part::Cost(_) => {}
            }
        }
    }

    /// Adds what was counted of an edge at each of these moments.
    pub fn add(&mut self, key: &EdgeKey, counted: impl IntoIterator<Item = (i64, Counters)>) {
        if !self.wants_edges {
            return;
        }
        let Some(at) = self.place(key).at() else { return };
        for (at_ms, counters) in counted {
            if let Some(sum) = self.bucket(at, at_ms) {
                sum.merge(&counters);
            }
        }
    }

    /// Where an edge is summed.
    fn place(&mut self, key: &EdgeKey) -> Place {
        if !filter::edge(&self.asked.filter, key, &self.node) {
            return Place::Unwanted;
        }
        let under = group::reduce(&self.asked.group, key);
        if let Some(at) = self.places.get(&under) {
            return Place::At(*at);
        }
        let full = self.places.len() >= self.asked.limit;
        let under = if full { other(EdgeKey::default()) } else { under };
        let under = Arc::new(under);
        let next = self.edges.len();
        let at = *self.places.entry(Arc::clone(&under)).or_insert(next);
        if at == next {
            let (buckets, first_ms, last_ms) = (Vec::new(), i64::MAX, 0);
            self.edges.push(Summed { key: under, buckets, first_ms, last_ms });
        }
        if full {
            self.folded += 1;
            return Place::Folded(at);
        }
        Place::At(at)
    }

    /// The counters of an edge in the step of a moment; none if there are too many.
    fn bucket(&mut self, at: usize, at_ms: i64) -> Option<&mut Counters> {
        let summed = self.edges.get_mut(at)?;
        summed.first_ms = summed.first_ms.min(at_ms);
        summed.last_ms = summed.last_ms.max(at_ms);
        let step = self.asked.from_ms + step_of(at_ms - self.asked.from_ms, self.asked.step_ms);
        let buckets = &mut summed.buckets;
        // What is read comes in order of time, but for files of two processes at once.
        let found = match buckets.last() {
            Some((last, _)) if *last == step => Ok(buckets.len() - 1),
            Some((last, _)) if *last > step => buckets.binary_search_by_key(&step, |(at, _)| *at),
            _ => Err(buckets.len()),
        };
        let place = match found {
            Ok(place) => place,
            Err(_) if self.buckets >= MAX_BUCKETS => {
                self.folded += 1;
                return None;
            }
            Err(place) => {
                self.buckets += 1;
                buckets.insert(place, (step, Counters::default()));
                place
            }
        };
        buckets.get_mut(place).map(|(_, counters)| counters)
    }

    pub(super) fn incident(&mut self, incident: Incident) {
        let asked = &self.asked;
        let within = (asked.from_ms..asked.to_ms).contains(&incident.at_ms);
        if asked.wants("incidents") && within && filter::incident(&asked.filter, &incident) {
            self.incidents.push(incident);
            shed(&mut self.incidents, self.asked.limit);
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let asked = &self.asked;
        let within = (asked.from_ms..asked.to_ms).contains(&event.at_ms);
        if asked.wants("events") && within && filter::event(&asked.filter, &event) {
            self.events.push(event);
            shed(&mut self.events, self.asked.limit);
        }
    }

    pub(super) fn cost(&mut self, cost: Option<Cost>) {
        self.costs.extend(cost.filter(|_| self.asked.wants("costs")));
    }

    /// The answer, without who gave it.
    pub fn finish(mut self) -> Answer {
        self.incidents.sort_by_key(|incident| std::cmp::Reverse(incident.at_ms));
        self.incidents.truncate(self.asked.limit);
        self.events.sort_by_key(|event| std::cmp::Reverse(event.at_ms));
        self.events.truncate(self.asked.limit);
        self.costs.sort_by_key(|cost| cost.at_ms);
        drop(self.places);
        self.edges.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let bucket = |(at_ms, counters)| Bucket { at_ms, counters: Some(counters) };
        let edges = self.edges.into_iter().map(|summed| Edge {
            key: Some(Arc::unwrap_or_clone(summed.key)),
            buckets: summed.buckets.into_iter().map(bucket).collect(),
            node: self.node.clone(),
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

/// Where an edge is summed.
enum Place {
    /// The filter leaves it out.
    Unwanted,
    At(usize),
    /// With others, since there are too many.
    Folded(usize),
}

impl Place {
    fn at(&self) -> Option<usize> {
        match self {
            Self::Unwanted => None,
            Self::At(at) | Self::Folded(at) => Some(*at),
        }
    }
}

/// Drops the older half of what has grown to twice the limit; both are read in order of time.
fn shed<T>(list: &mut Vec<T>, limit: usize) {
    if list.len() >= limit.saturating_mul(2).max(2) {
        list.drain(..list.len() - limit);
    }
}
