//! Where the seam is, and that nothing is counted on both sides of it.

use observe::pb::{Bucket, Counters, Edge, Party};
use observe::recorder::Recorder;

use super::*;
use crate::prometheus::client::Client;
use crate::prometheus::endpoint::Endpoint;

/// One that asks nobody yet.
fn nobody() -> Older {
    let endpoint = Endpoint::parse("http://127.0.0.1:1").expect("an endpoint");
    let prometheus = Prometheus::new(Client::new(endpoint, None), Duration::from_mins(2));
    Older::new(Fleet::new(Recorder::default()), prometheus)
}

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_000 * HOUR;

fn heard(kind: &str, name: &str, oldest_ms: i64, edges: Vec<Edge>) -> Heard {
    let origin = Origin { kind: kind.into(), name: name.into(), ..Origin::default() };
    let result = Ok(Answer { oldest_ms, edges, ..Answer::default() });
    Heard { origin, connected_ms: 1, part: None, result }
}

fn edge(key: EdgeKey, opened: u64) -> Edge {
    let counters = Some(Counters { opened, ..Counters::default() });
    Edge { key: Some(key), buckets: vec![Bucket { at_ms: 0, counters }], ..Edge::default() }
}

fn key(destination: &str, port: u32) -> EdgeKey {
    let party = |workload: &str| Some(Party { workload: workload.into(), ..Party::default() });
    let service = format!("shop/{destination}");
    EdgeKey {
        source: party("web"),
        destination: party(destination),
        service,
        port,
        ..EdgeKey::default()
    }
}

#[test]
fn the_seam_is_where_the_fullest_ring_begins() {
    let of = |all: &[(&str, i64)]| {
        let all: Vec<_> =
            all.iter().map(|(kind, age)| heard(kind, "x", NOW - age, Vec::new())).collect();
        NOW - oldest_of(&all, NOW)
    };
    for (case, all, age) in [
        ("one", &[("ztunnel", 5 * HOUR)][..], 5 * HOUR),
        ("a busy and a quiet one", &[("ztunnel", 5 * HOUR), ("ztunnel", 90 * HOUR)], 5 * HOUR),
        ("control is no proxy", &[("control", HOUR * 2), ("ztunnel", 9 * HOUR)], 9 * HOUR),
        ("one was replaced", &[("waypoint", HOUR / 2), ("ztunnel", 9 * HOUR)], 9 * HOUR),
        ("all are new", &[("ztunnel", 7), ("ztunnel", 60_000)], 7),
        ("nobody", &[], 0),
    ] {
        assert_eq!(of(all), age, "{case}");
    }
}

#[test]
fn a_part_has_whole_steps_of_both() {
    for (case, from, to, step, oldest, want) in [
        // From, to and step of the question; where rings begin; from, to, step of the part.
        ("one step", 100_000, 7_000_000, 0, 3_000_001, (60_000, 3_060_000, 3_000_000)),
        ("steps", 600_000, 7_200_000, 600_000, 3_000_001, (600_000, 3_600_000, 600_000)),
        ("on a step", 600_000, 7_200_000, 600_000, 3_000_000, (600_000, 3_000_000, 600_000)),
        ("narrow steps", 600_000, 1_200_000, 50_000, 700_000, (600_000, 750_000, 150_000)),
        ("all of it", 600_000, 1_200_000, 300_000, i64::MAX, (600_000, 1_200_000, 300_000)),
    ] {
        let query = Query { from_ms: from, to_ms: to, step_ms: step, ..Query::default() };
        let checked = Checked::new(&query).expect("in bounds");
        let Span { from_ms, to_ms, step_ms } = span(&checked, oldest, 120_000);
        assert_eq!((from_ms, to_ms, step_ms), want, "{case}");
        assert_eq!((to_ms - from_ms) % step_ms, 0, "{case}");
        assert_eq!(step_ms % checked.step_ms.min(step_ms), 0, "{case}");
    }
}

#[test]
fn only_what_metrics_can_tell_is_asked_of_them() {
    let query = |want: &[&str], group: &[&str]| Query {
        want: want.iter().map(|text| (*text).to_owned()).collect(),
        group: group.iter().map(|text| (*text).to_owned()).collect(),
        ..Query::default()
    };
    assert!(is_known_there(&query(&["edges", "state"], &[])));
    assert!(is_known_there(&query(&["edges"], &["reporter", "source", "failure"])));
    for no in [
        query(&["incidents", "events"], &[]),
        query(&["edges", "costs"], &[]),
        query(&["edges"], &["policy"]),
        query(&["edges"], &["waypoint", "route"]),
    ] {
        assert!(!is_known_there(&no), "{no:?}");
    }
    let mut of_policy = query(&["edges"], &[]);
    of_policy.filter.get_or_insert_default().policy = "shop/deny".into();
    assert!(!is_known_there(&of_policy));
}

#[test]
fn each_proxy_gets_its_own_edges_and_one_that_fell_silent_is_missing() {
    let now = Query { to_ms: 60_000, ..Query::default() };
    let checked = Checked::new(&now).expect("in bounds");
    let mut all = vec![heard("ztunnel", "a", 0, Vec::new()), heard("ztunnel", "b", 0, Vec::new())];
    let mut silent = heard("ztunnel", "b", 0, Vec::new());
    silent.result = Err("no answer within 2 s".into());
    join(
        &mut all,
        vec![heard("ztunnel", "a", 0, vec![edge(key("store", 80), 3)]), silent],
        &checked,
    );
    let answer = all[0].result.as_ref().expect("an answer");
    assert_eq!((answer.edges.len(), answer.to_ms), (1, 60_000));
    assert!(all[1].result.is_err());
}

#[test]
fn a_link_has_the_port_that_the_rings_know() {
    let waypoint = |waypoint: &str, to: &str| EdgeKey {
        reporter: "waypoint".into(),
        waypoint: waypoint.into(),
        ..key(to, 0)
    };
    let rings = [heard(
        "ztunnel",
        "a",
        0,
        vec![
            edge(key("store", 8080), 1),
            edge(key("two", 80), 1),
            edge(key("two", 443), 1),
            edge(waypoint("shop/entry", "store"), 1),
        ],
    )];
    let older = [
        key("store", 0),
        key("two", 0),
        key("gone", 0),
        waypoint("", "store"),
        waypoint("", "gone"),
    ];
    let edges = older.into_iter().map(|key| edge(key, 1)).collect();
    let mut answer = Answer { edges, ..Answer::default() };
    complete(&mut answer, &rings);
    let keys: Vec<_> = answer.edges.iter().filter_map(|edge| edge.key.as_ref()).collect();
    assert_eq!(keys.iter().map(|key| key.port).collect::<Vec<_>>()[..3], [8080, 0, 0]);
    assert_eq!(keys.len(), 4, "nobody knows whose waypoint the last one is");
    assert_eq!(keys[3].waypoint, "shop/entry");
}

#[test]
fn answers_are_kept_for_a_moment_and_so_many_of_them() {
    let older = nobody();
    for n in 0..MAX_KEPT + 3 {
        older.keep(n.to_string(), Ok(Answer::default()));
    }
    assert_eq!(lock(&older.kept).len(), MAX_KEPT);
    assert!(older.known("0").is_some() && older.known(&MAX_KEPT.to_string()).is_none());
}

#[tokio::test]
async fn without_prometheus_the_rings_answer_and_the_miss_is_named() {
    let older = nobody();
    let now = now_ms();
    let want = vec!["edges".to_owned()];
    let long = Query { from_ms: now - 24 * HOUR, to_ms: now, want, ..Query::default() };
    let heard = older.ask(long.clone()).await.expect("in bounds");
    let (last, proxies) = heard.split_last().expect("somebody");
    assert!(proxies.iter().all(|heard| heard.result.is_ok() && heard.part.is_none()));
    let error = last.result.as_ref().expect_err("nobody is there");
    assert!(error.contains("127.0.0.1:1 cannot be reached"), "{error}");
    assert_eq!(last.origin.name, PROMETHEUS);
    assert!(last.part.is_some_and(|(from, to)| from <= now - 24 * HOUR && to > from));
    let wrong = Query { to_ms: 0, ..long };
    assert!(older.ask(wrong).await.is_err());
}
