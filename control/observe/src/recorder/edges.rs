//! Counters of the step that runs, by edge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::other;
use crate::pb::{Counters, EdgeKey};

/// The edges that were used in this step, or that an open connection holds.
#[derive(Debug)]
pub(super) struct Edges {
    limit: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    edges: HashMap<Arc<EdgeKey>, Arc<Edge>>,
    folded: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Edge {
    key: Arc<EdgeKey>,
    counters: Mutex<Counters>,
}

impl Edge {
    /// Who calls whom.
    pub(super) fn key(&self) -> &Arc<EdgeKey> {
        &self.key
    }

    /// Counts.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        // Sums are whole between two statements.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edges {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, known: Mutex::default() }
    }

    /// The edge of a key; beyond the limit that of all others.
    pub(super) fn of(&self, key: EdgeKey) -> Arc<Edge> {
        let mut known = self.lock();
        if let Some(edge) = known.edges.get(&key) {
            return Arc::clone(edge);
        }
        let key = if known.edges.len() < self.limit {
            key
        } else {
            known.folded += 1;
            let EdgeKey { reporter, failure, .. } = key;
            other(EdgeKey { reporter, failure, ..EdgeKey::default() })
        };
        let key = Arc::new(key);
        let made = || Arc::new(Edge { key: Arc::clone(&key), counters: Mutex::default() });
        Arc::clone(known.edges.entry(Arc::clone(&key)).or_insert_with(made))
    }

    /// What was counted since the last time, and how often an edge was folded. Edges that
    /// nothing uses any longer are forgotten.
    pub(super) fn take(&self) -> (Vec<(Arc<EdgeKey>, Counters)>, u64) {
        let mut known = self.lock();
        let mut rows = Vec::new();
        known.edges.retain(|key, edge| {
            let counters = std::mem::take(&mut *edge.lock());
            let used = !counters.is_empty();
            if used {
                rows.push((Arc::clone(key), counters));
            }
            // Connections hold their edge; nobody takes one without the lock.
            used || Arc::strong_count(edge) > 1
        });
        (rows, std::mem::take(&mut known.folded))
    }

    /// The same without taking anything.
    pub(super) fn peek(&self) -> (Vec<(Arc<EdgeKey>, Counters)>, u64) {
        let known = self.lock();
        let rows = known.edges.iter().map(|(key, edge)| (Arc::clone(key), edge.lock().clone()));
        (rows.filter(|(_, counters)| !counters.is_empty()).collect(), known.folded)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().edges.len()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Entries are whole between two statements.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
