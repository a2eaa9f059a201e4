//! Questions out of bounds are refused by the field; windows and limits hold.

use super::*;
use crate::pb::{Counters, EdgeKey, Origin};
use crate::recorder::Ends;
use crate::ring::{Batch, RingSettings};

fn query() -> Query {
    let want = vec!["edges".to_owned()];
    Query { from_ms: 1_000_000, to_ms: 1_600_000, want, ..Query::default() }
}

#[test]
fn what_is_out_of_bounds_is_refused_by_its_field() {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (field, query) in [
        ("from", Query { from_ms: -1, ..query() }),
        ("to", Query { to_ms: 1_000_000, ..query() }),
        ("to", Query { to_ms: i64::MIN, ..query() }),
        ("from", Query { to_ms: i64::MAX, ..query() }),
        ("step", Query { step_ms: -5, ..query() }),
        ("step", Query { step_ms: i64::MAX, ..query() }),
        ("step", Query { to_ms: 100_000_000, step_ms: 1, ..query() }),
        ("want", Query { want: words(&["passwords"]), ..query() }),
        ("limit", Query { limit: MAX_LIMIT + 1, ..query() }),
        ("group", Query { group: words(&["colour"]), ..query() }),
    ] {
        let error = Checked::new(&query).expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn windows_are_aligned_to_steps() {
    for (from, to, step, want) in [
        (1_000_000, 1_600_000, 0, (1_000_000, 1_600_000, 600_000)),
        (1_000_001, 1_000_002, 0, (1_000_000, 1_010_000, 10_000)),
        (1_005_000, 1_025_000, 1, (1_000_000, 1_030_000, 10_000)),
        (1_005_000, 1_125_000, 60_000, (960_000, 1_140_000, 60_000)),
    ] {
        let query = Query { from_ms: from, to_ms: to, step_ms: step, ..query() };
        let checked = Checked::new(&query).expect("in bounds");
        assert_eq!((checked.from_ms, checked.to_ms, checked.step_ms), want);
    }
}

/// A recorder whose ring has `steps` steps of 10 s from `from`, with `edges` edges each.
fn kept(directory: &std::path::Path, from: i64, steps: i64, edges: usize) -> Recorder {
    let settings = RingSettings { directory: Some(directory.to_owned()), limit: 32 << 20 };
    let recorder = Recorder::new(Origin::default(), settings);
    for step in 0..steps {
        let row = |n: usize| {
            let key = EdgeKey {
                reporter: "source".to_owned(),
                service: format!("shop/service-{n}"),
                policy: format!("shop/policy-{}", n % 2),
                ..EdgeKey::default()
            };
            (Arc::new(key), Counters { opened: 1, ..Counters::default() })
        };
        let batch = Batch { rows: (0..edges).map(row).collect(), ..Batch::default() };
        recorder.ring().append(from + step * RESOLUTION_MS, batch).expect("kept");
    }
    recorder
}

fn opened(answer: &Answer) -> u64 {
    let buckets = answer.edges.iter().flat_map(|edge| &edge.buckets);
    buckets.filter_map(|bucket| bucket.counters.as_ref()).map(|counters| counters.opened).sum()
}

#[test]
fn a_window_has_its_steps_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let from = step_of(now_ms() - 600_000, 60_000);
    let recorder = kept(directory.path(), from, 30, 3);
    let whole = Query { from_ms: from, to_ms: from + 300_000, step_ms: 60_000, ..query() };
    let answer = recorder.answer(&whole).expect("in bounds");
    assert_eq!((opened(&answer), answer.edges.len()), (90, 3));
    assert_eq!(answer.edges[0].buckets.len(), 5);
    assert!(answer.edges[0].buckets.iter().all(|b| b.counters.as_ref().unwrap().opened == 6));
    assert_eq!((answer.edges[0].first_ms, answer.edges[0].last_ms), (from, from + 290_000));
    let part = Query { from_ms: from + 60_000, to_ms: from + 120_000, step_ms: 0, ..whole };
    assert_eq!(opened(&recorder.answer(&part).expect("in bounds")), 18);
}

#[test]
fn edges_are_summed_by_the_fields_that_are_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let from = step_of(now_ms() - 600_000, 60_000);
    let recorder = kept(directory.path(), from, 6, 10);
    let group = vec!["policy".to_owned()];
    let grouped = Query { from_ms: from, to_ms: from + 60_000, group, ..query() };
    let answer = recorder.answer(&grouped).expect("in bounds");
    assert_eq!((answer.edges.len(), opened(&answer)), (2, 60));
    assert!(answer.edges.iter().all(|edge| edge.key.as_ref().unwrap().service.is_empty()));
}

#[test]
fn edges_beyond_the_limit_are_summed_as_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let from = step_of(now_ms() - 600_000, 60_000);
    let recorder = kept(directory.path(), from, 6, 100);
    let few = Query { from_ms: from, to_ms: from + 60_000, limit: 10, ..query() };
    let answer = recorder.answer(&few).expect("in bounds");
    assert_eq!((answer.edges.len(), opened(&answer)), (11, 600), "nothing is lost");
    assert!(answer.folded > 0);
}

#[test]
fn what_happens_now_belongs_to_a_window_that_has_now() {
    let recorder = Recorder::default();
    let _open = recorder.open(EdgeKey::default(), Ends::default());
    let now = now_ms();
    let until = |to_ms| Query { from_ms: now - 60_000, to_ms, ..query() };
    assert_eq!(opened(&recorder.answer(&until(now + 1)).expect("in bounds")), 1);
    assert_eq!(opened(&recorder.answer(&until(now - 20_000)).expect("in bounds")), 0);
}

#[test]
fn an_answer_has_so_many_steps_of_edges_and_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let from = step_of(now_ms() - 7_200_000, 60_000);
    let recorder = kept(directory.path(), from, 300, 1_000);
    let fine = Query { from_ms: from, to_ms: from + 3_000_000, step_ms: 10_000, ..query() };
    let answer = recorder.answer(&fine).expect("in bounds");
    let buckets: usize = answer.edges.iter().map(|edge| edge.buckets.len()).sum();
    assert_eq!(buckets, MAX_BUCKETS);
    assert_eq!(answer.folded, 100_000, "what was left out is counted");
}
