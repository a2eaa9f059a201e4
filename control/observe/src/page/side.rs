//! Which proxy's count counts for what.
//!
//! A connection inside the mesh is counted by the ztunnels of both its ends, and what passes a
//! waypoint by three. Bytes and connections are taken from node proxies, requests from waypoints,
//! so that nothing is counted twice.

use std::collections::BTreeMap;

use super::shape::Point;
use crate::pb::{Counters, Edge, EdgeKey};
use crate::source::Heard;

/// What counts of what a proxy counted, added to a sum.
pub(super) type Part = fn(&mut Counters, &Counters);

/// Of node proxies: what is no request.
pub(super) const LAYER4: Part = Counters::merge_connections;

/// Of waypoints: requests only.
pub(super) const LAYER7: Part = Counters::merge_requests;

/// All edges of all answers.
pub(super) fn edges(heard: &[Heard]) -> impl Iterator<Item = (&Edge, &EdgeKey)> {
    let answers = heard.iter().filter_map(|heard| heard.result.as_ref().ok());
    answers.flat_map(|answer| &answer.edges).filter_map(|edge| Some((edge, edge.key.as_ref()?)))
}

/// Sums by step.
#[derive(Debug, Default)]
pub(super) struct Course(BTreeMap<i64, Counters>);

impl Course {
    /// Adds an edge, or a part of what it counts.
    pub(super) fn add(&mut self, edge: &Edge, part: Part) {
        for bucket in &edge.buckets {
            if let Some(counters) = &bucket.counters {
                part(self.0.entry(bucket.at_ms).or_default(), counters);
            }
        }
    }

    /// The sum of all steps.
    pub(super) fn total(&self) -> Counters {
        let mut sum = Counters::default();
        self.0.values().for_each(|counters| sum.merge(counters));
        sum
    }

    /// Steps that counted something.
    pub(super) fn points(&self) -> Vec<Point> {
        let point =
            |(at_ms, counters): (&i64, &Counters)| Point { at_ms: *at_ms, totals: counters.into() };
        self.0.iter().map(point).collect()
    }

    /// The steps themselves.
    pub(super) fn steps(&self) -> impl Iterator<Item = (i64, &Counters)> {
        self.0.iter().map(|(at, counters)| (*at, counters))
    }
}
