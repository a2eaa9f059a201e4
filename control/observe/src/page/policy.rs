//! What policies decided.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flat;
use super::side::edges;
use crate::pb::{Counters, Incident, Policy};
use crate::source::Heard;

/// Fields by which edges are summed.
pub(super) const GROUP: &[&str] = &["reporter", "policy", "failure"];

#[derive(Debug, Serialize)]
pub(super) struct Page {
    policies: Vec<PolicyRow>,
    refusals: Vec<Incident>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyRow {
    name: String,
    action: String,
    enforced_by: String,
    scope: String,
    dry_run: bool,
    allowed: u64,
    refused: u64,
    points: Vec<PolicyPoint>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyPoint {
    at_ms: i64,
    allowed: u64,
    refused: u64,
}

pub(super) fn page(heard: &[Heard], limit: usize) -> Page {
    let mut refusals = flat::newest_incidents(heard, limit);
    refusals.retain(|incident| incident.refused);
    Page { policies: rows(heard), refusals }
}

/// What a policy allowed and refused: connections where it decided on those, else requests.
fn decided(counters: &Counters) -> (u64, u64) {
    let allowed = counters.opened.max(counters.requests).saturating_sub(counters.refused);
    (allowed, counters.refused)
}

/// A row for each policy that is in force or decided something.
pub(super) fn rows(heard: &[Heard]) -> Vec<PolicyRow> {
    let mut rows: BTreeMap<String, (PolicyRow, BTreeMap<i64, (u64, u64)>)> = BTreeMap::new();
    let states = flat::borrowed(heard).filter_map(|answer| answer.state.as_ref());
    for policy in states.flat_map(|state| &state.policies) {
        describe(&mut rows.entry(policy.name.clone()).or_default().0, policy);
    }
    // The caller's proxy does not decide; it only hears of it.
    let deciding = edges(heard).filter(|(_, key)| key.reporter != "source");
    for (edge, key) in deciding.filter(|(_, key)| !key.policy.is_empty()) {
        let (_, course) = rows.entry(key.policy.clone()).or_default();
        for bucket in &edge.buckets {
            let Some(counters) = &bucket.counters else { continue };
            let (allowed, refused) = decided(counters);
            let sum = course.entry(bucket.at_ms).or_default();
            *sum = (sum.0 + allowed, sum.1 + refused);
        }
    }
    let whole = rows.into_iter().map(|(name, (mut row, course))| {
        row.name = name;
        row.allowed = course.values().map(|(allowed, _)| allowed).sum();
        row.refused = course.values().map(|(_, refused)| refused).sum();
        let point = |(at_ms, (allowed, refused))| PolicyPoint { at_ms, allowed, refused };
        row.points = course.into_iter().map(point).collect();
        row
    });
    whole.collect()
}

fn describe(row: &mut PolicyRow, policy: &Policy) {
    row.action.clone_from(&policy.action);
    row.scope.clone_from(&policy.scope);
    row.dry_run = policy.dry_run;
    if !row.enforced_by.split(", ").any(|by| by == policy.enforced_by) {
        if !row.enforced_by.is_empty() {
            row.enforced_by.push_str(", ");
        }
        row.enforced_by.push_str(&policy.enforced_by);
    }
}
