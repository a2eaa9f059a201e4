//! Which machines have a stream, and which have had none for too long. Pure.
//!
//! A machine that is gone says nothing any more, so what it last said of its waypoints would
//! hold for ever. After a grace it is silent; after a start of `control` every machine has that
//! grace anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// The machines of which something is known.
#[derive(Debug)]
pub struct Presence {
    grace: Duration,
    /// Open streams: a new one may begin before the old one has ended.
    streams: BTreeMap<String, usize>,
    /// Without a stream, and since when.
    gone: BTreeMap<String, Instant>,
    silent: BTreeSet<String>,
}

impl Presence {
    /// `nodes` had a stream before the start, it seems.
    pub fn new(grace: Duration, nodes: impl Iterator<Item = String>, now: Instant) -> Self {
        Self {
            grace,
            streams: BTreeMap::new(),
            gone: nodes.map(|node| (node, now)).collect(),
            silent: BTreeSet::new(),
        }
    }

    /// A stream of a machine began; whether the machine had been silent.
    pub fn came(&mut self, node: &str) -> bool {
        *self.streams.entry(node.to_owned()).or_default() += 1;
        self.gone.remove(node);
        self.silent.remove(node)
    }

    /// A stream of a machine ended.
    pub fn left(&mut self, node: &str, now: Instant) {
        let Some(streams) = self.streams.get_mut(node) else { return };
        *streams -= 1;
        if *streams == 0 {
            self.streams.remove(node);
            self.gone.insert(node.to_owned(), now);
        }
    }

    /// When the next machine falls silent.
    pub fn due(&self) -> Option<Instant> {
        self.gone.values().min().map(|since| *since + self.grace)
    }

    /// The machines that fall silent now.
    pub fn fall_silent(&mut self, now: Instant) -> Vec<String> {
        let over = |since: &Instant| *since + self.grace <= now;
        let nodes: Vec<String> =
            self.gone.iter().filter(|(_, since)| over(since)).map(|(n, _)| n.clone()).collect();
        for node in &nodes {
            self.gone.remove(node);
            self.silent.insert(node.clone());
        }
        nodes
    }

    /// Forgets a machine that will not come back.
    pub fn forget(&mut self, node: &str) {
        self.gone.remove(node);
        self.silent.remove(node);
    }
}

#[cfg(test)]
mod tests;
