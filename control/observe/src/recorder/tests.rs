//! What happens is counted once, and where it belongs.

use super::collector::Watch;
use super::*;
use crate::pb::{Answer, Filter, Query};

fn origin() -> Origin {
    let (node, kind) = ("node-a".to_owned(), "ztunnel".to_owned());
    Origin { node, kind, ..Origin::default() }
}

fn kept(directory: &std::path::Path) -> Recorder {
    let ring = RingSettings { directory: Some(directory.to_owned()), limit: 16 << 20 };
    Recorder::new(origin(), ring)
}

fn key(source: &str, destination: &str) -> EdgeKey {
    let party = |name: &str| {
        let namespace = "shop".to_owned();
        Some(Party { namespace, workload: name.to_owned(), ..Party::default() })
    };
    EdgeKey {
        reporter: "destination".to_owned(),
        source: party(source),
        destination: party(destination),
        service: "shop/orders.shop.svc.cluster.local".to_owned(),
        port: 8080,
        policy: "shop/allow-web".to_owned(),
        ..EdgeKey::default()
    }
}

/// All of the last minute.
fn answer(recorder: &Recorder, filter: Filter) -> Answer {
    let now = now_ms();
    let want = ["edges", "incidents", "events", "costs", "connections"];
    let query = Query {
        from_ms: now - 60_000,
        to_ms: now + 10_000,
        want: want.map(str::to_owned).to_vec(),
        filter: Some(filter),
        ..Query::default()
    };
    recorder.answer(&query).expect("in bounds")
}

fn refusal() -> Failure {
    Failure {
        class: "DENY".to_owned(),
        refused: true,
        policy: "shop/deny-web".to_owned(),
        error: "refused by policy shop/deny-web".to_owned(),
        hop: "destination ztunnel".to_owned(),
    }
}

#[test]
fn a_connection_is_counted_once_however_often_somebody_asks() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorder = kept(directory.path());
    let flow = recorder.open(key("web", "orders"), Ends::default());
    let mut watch = Watch::begin();
    for _ in 0..3 {
        flow.sent(100);
        flow.received(1_000);
        answer(&recorder, Filter::default());
        recorder.end_step(&mut watch);
    }
    flow.sent(1);
    recorder.close(&flow, None);
    recorder.end_step(&mut watch);
    let answer = answer(&recorder, Filter::default());
    assert_eq!(answer.edges.len(), 1, "{:?}", answer.edges);
    let mut sum = crate::pb::Counters::default();
    for bucket in &answer.edges[0].buckets {
        sum.merge(bucket.counters.as_ref().expect("counters"));
    }
    assert_eq!((sum.opened, sum.closed, sum.failed), (1, 1, 0));
    assert_eq!((sum.sent_bytes, sum.received_bytes), (301, 3_000));
    assert_eq!(sum.durations.map(|d| d.count()), Some(1));
    assert!(answer.connections.is_empty(), "it is closed");
    assert_eq!(answer.costs.len(), 4);
    assert!(answer.costs[0].resident_bytes > 0 && answer.costs[0].descriptors > 0);
}

#[test]
fn a_refusal_names_its_policy_and_is_told_at_once() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    let mut told = recorder.watch();
    let ends = Ends { source_pod: "web-1".into(), ..Ends::default() };
    let flow = recorder.open(key("web", "orders"), ends);
    recorder.close(&flow, Some(refusal()));
    let Ok(Happened::Incident(incident)) = told.try_recv() else { panic!("nothing was told") };
    let of = incident.key.clone().expect("a key");
    assert_eq!((of.policy.as_str(), of.failure.as_str()), ("shop/deny-web", "DENY"));
    assert_eq!(incident.source_pod, "web-1");
    let answer = answer(&recorder, Filter { failed: true, ..Filter::default() });
    assert_eq!(answer.incidents.len(), 1);
    let counters = answer.edges[0].buckets[0].counters.clone().expect("counters");
    assert_eq!((counters.opened, counters.failed, counters.refused), (0, 1, 1));
}

#[test]
fn a_storm_of_refusals_fills_no_memory() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    for _ in 0..10_000 {
        let flow = recorder.open(key("web", "orders"), Ends::default());
        recorder.close(&flow, Some(refusal()));
    }
    let answer = answer(&recorder, Filter::default());
    let most = incidents::MAX_INCIDENTS_PER_SECOND as usize;
    // The storm may have met more than one second.
    assert!(answer.incidents.len() <= 30 * most, "{}", answer.incidents.len());
    assert_eq!(answer.dropped + answer.incidents.len() as u64, 10_000, "the others are counted");
}

#[test]
fn edges_beyond_the_limit_are_one() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    for n in 0..MAX_EDGES + 500 {
        let flow = recorder.open(key(&format!("web-{n}"), "orders"), Ends::default());
        recorder.close(&flow, None);
    }
    let (edges, open) = recorder.in_use();
    assert!(edges <= MAX_EDGES + 1, "{edges}");
    assert_eq!(open, 0);
    let others = answer(&recorder, Filter { workload: "other".to_owned(), ..Filter::default() });
    let counters = others.edges[0].buckets[0].counters.clone().expect("counters");
    assert_eq!(counters.opened, 500);
    assert!(others.folded >= 500, "{}", others.folded);
}

#[test]
fn an_edge_that_nobody_uses_is_forgotten() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    let open = recorder.open(key("web", "orders"), Ends::default());
    let other = recorder.open(key("job", "orders"), Ends::default());
    recorder.close(&other, None);
    drop(other);
    let mut watch = Watch::begin();
    recorder.end_step(&mut watch);
    recorder.end_step(&mut watch);
    assert_eq!(recorder.in_use(), (1, 1), "one is still open");
    recorder.close(&open, None);
    drop(open);
    recorder.end_step(&mut watch);
    recorder.end_step(&mut watch);
    assert_eq!(recorder.in_use(), (0, 0));
}

#[test]
fn what_a_client_says_is_shortened_and_its_query_left_out() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    let line = Line { path: "/ä".repeat(100_000) + "?token=secret", ..Line::default() };
    let exchange = Exchange { failure: Some(refusal()), line, status: 403, ..Exchange::default() };
    recorder.request(key("web", "orders"), exchange);
    let answer = answer(&recorder, Filter::default());
    assert!(answer.incidents[0].path.len() < 600);
    assert_eq!(without_query("/a/b?token=secret?".to_owned()), "/a/b");
    assert_eq!(without_query("/a/b".to_owned()), "/a/b");
    let counters = answer.edges[0].buckets[0].counters.clone().expect("counters");
    assert_eq!((counters.requests, counters.statuses[4]), (1, 1));
}

#[test]
fn the_busiest_connection_comes_first() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    let mut watch = Watch::begin();
    let quiet = recorder.open(key("web", "orders"), Ends::default());
    let busy = recorder.open(key("job", "orders"), Ends::default());
    quiet.sent(10);
    busy.sent(10_000);
    std::thread::sleep(Duration::from_millis(20));
    recorder.end_step(&mut watch);
    let open = answer(&recorder, Filter::default()).connections;
    assert_eq!(open.len(), 2);
    let source = open[0].key.as_ref().and_then(|key| key.source.as_ref()).expect("a source");
    assert_eq!(source.workload, "job");
    assert!(open[0].sent_rate > open[1].sent_rate);
}

#[test]
fn a_storm_of_changes_fills_no_memory() {
    let recorder = Recorder::new(origin(), RingSettings { directory: None, limit: 0 });
    for n in 0..10_000 {
        recorder.event("policy", "info", format!("AuthorizationPolicy shop/p{n}"), String::new());
    }
    let events = answer(&recorder, Filter::default()).events.len();
    // The storm may have met more than one second.
    assert!((1..=1_000).contains(&events), "{events}");
}
