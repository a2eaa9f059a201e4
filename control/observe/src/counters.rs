//! Counters that are added up, and taken as differences.

use crate::pb::{Counters, Sketch};

impl Counters {
    /// Adds all of another one.
    pub fn merge(&mut self, other: &Self) {
        self.merge_connections(other);
        let (failed, refused) = (self.failed, self.refused);
        self.merge_requests(other);
        // Both parts have them.
        (self.failed, self.refused) = (failed, refused);
    }

    /// Adds what another one counted of connections: their failures, bytes and lives.
    pub fn merge_connections(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.opened, other.opened),
            (&mut self.closed, other.closed),
            (&mut self.failed, other.failed),
            (&mut self.refused, other.refused),
            (&mut self.sent_bytes, other.sent_bytes),
            (&mut self.received_bytes, other.received_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
        merge(&mut self.durations, other.durations.as_ref());
    }

    /// Adds what another one counted of requests: their failures, answers and times.
    pub fn merge_requests(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.failed, other.failed),
            (&mut self.refused, other.refused),
            (&mut self.requests, other.requests),
            (&mut self.retries, other.retries),
        ] {
            *sum = sum.saturating_add(more);
        }
        if self.statuses.len() < other.statuses.len() {
            self.statuses.resize(other.statuses.len(), 0);
        }
        for (sum, more) in self.statuses.iter_mut().zip(&other.statuses) {
            *sum = sum.saturating_add(*more);
        }
        merge(&mut self.latencies, other.latencies.as_ref());
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts an answer by its status; 0 is none.
    pub fn status(&mut self, status: u16) {
        let class = usize::from(status / 100).min(5);
        if self.statuses.len() < 6 {
            self.statuses.resize(6, 0);
        }
        if let Some(sum) = self.statuses.get_mut(class) {
            *sum = sum.saturating_add(1);
        }
    }

    /// Requests that were answered with 5xx, or not at all.
    pub fn errors(&self) -> u64 {
        let of = |class: usize| self.statuses.get(class).copied().unwrap_or_default();
        of(0).saturating_add(of(5))
    }
}

fn merge(sum: &mut Option<Sketch>, more: Option<&Sketch>) {
    if let Some(more) = more {
        sum.get_or_insert_default().merge(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_everything() {
        let mut one = Counters { opened: 1, sent_bytes: u64::MAX, ..Counters::default() };
        one.status(204);
        one.latencies.get_or_insert_default().record(100);
        let mut two = Counters { opened: 2, sent_bytes: 5, ..Counters::default() };
        two.status(503);
        two.status(0);
        two.status(999);
        one.merge(&two);
        assert_eq!((one.opened, one.sent_bytes, one.errors()), (3, u64::MAX, 3));
        assert_eq!(one.statuses, [1, 0, 1, 0, 0, 2]);
        assert_eq!(one.latencies.as_ref().map(Sketch::count), Some(1));
        assert!(!one.is_empty() && Counters::default().is_empty());
    }
}
