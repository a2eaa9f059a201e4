//! Answers as a Prometheus writes them, and what they become.

use observe::pb::{Answer, Query};
use observe::query::Checked;
use serde_json::{Value, json};

use super::*;

const SPAN: Span = Span { from_ms: 600_000, to_ms: 1_200_000, step_ms: 300_000 };

fn answer(read_of: impl FnOnce(&mut Sum)) -> Answer {
    let want = vec!["edges".to_owned()];
    let (from_ms, to_ms) = (SPAN.from_ms, SPAN.to_ms);
    let query = Query { from_ms, to_ms, step_ms: SPAN.step_ms, want, ..Query::default() };
    let mut sum = Sum::new(Checked::new(&query).expect("in bounds"), "");
    read_of(&mut sum);
    sum.finish()
}

fn body(series: &[(Value, Value)]) -> Vec<u8> {
    let result: Vec<Value> =
        series.iter().map(|(metric, values)| json!({"metric": metric, "values": values})).collect();
    let data = json!({"resultType": "matrix", "result": result});
    serde_json::to_vec(&json!({"status": "success", "data": data})).expect("JSON")
}

fn labels(more: Value) -> Value {
    let mut labels = json!({
        "reporter": "destination",
        "source_workload_namespace": "shop", "source_workload": "web",
        "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
        "destination_workload_namespace": "shop", "destination_workload": "store",
        "destination_principal": "unknown",
        "destination_service_namespace": "shop",
        "destination_service": "store.shop.svc.cluster.local",
        "request_protocol": "tcp", "connection_security_policy": "mutual_tls",
        "response_flags": "-", "namespace": "ambit-system",
    });
    let Value::Object(more) = more else { panic!("an object") };
    labels.as_object_mut().expect("an object").extend(more);
    labels
}

fn counters(answer: &Answer, edge: usize, bucket: usize) -> &Counters {
    answer.edges[edge].buckets[bucket].counters.as_ref().expect("counters")
}

#[test]
fn what_grew_until_a_moment_belongs_to_the_step_before_it() {
    let values = json!([[900, "2.6"], [1200.0, "4"]]);
    let body = body(&[(labels(json!({})), values)]);
    let answer = answer(|sum| read(&body, Measure::Opened, SPAN, sum).expect("read"));
    let key = answer.edges[0].key.as_ref().expect("a key");
    assert_eq!(key.service, "shop/store.shop.svc.cluster.local");
    assert_eq!((key.security.as_str(), key.failure.as_str()), ("mtls", ""));
    assert_eq!(key.destination.as_ref().expect("a party").identity, "", "unknown is nothing");
    assert_eq!(key.waypoint, "");
    let at: Vec<i64> = answer.edges[0].buckets.iter().map(|bucket| bucket.at_ms).collect();
    assert_eq!(at, [600_000, 900_000]);
    assert_eq!((counters(&answer, 0, 0).opened, counters(&answer, 0, 1).opened), (3, 4));
}

#[test]
fn measures_of_one_edge_are_one_edge() {
    let grown = |n: &str, flag: &str| (labels(json!({"response_flags": flag})), json!([[900, n]]));
    let answer = answer(|sum| {
        read(&body(&[grown("5", "-")]), Measure::Opened, SPAN, sum).expect("read");
        read(&body(&[grown("4", "-"), grown("1", "DENY")]), Measure::Closed, SPAN, sum)
            .expect("read");
        read(&body(&[grown("1", "DENY")]), Measure::Failed, SPAN, sum).expect("read");
        read(&body(&[grown("700", "-")]), Measure::Sent, SPAN, sum).expect("read");
    });
    assert_eq!(answer.edges.len(), 2);
    let whole = counters(&answer, 0, 0);
    assert_eq!((whole.opened, whole.closed, whole.sent_bytes), (5, 4, 700));
    let refused = counters(&answer, 1, 0);
    assert_eq!((refused.closed, refused.failed, refused.refused), (1, 1, 1));
    assert_eq!(answer.edges[1].key.as_ref().expect("a key").failure, "DENY");
}

#[test]
fn requests_have_their_status_and_a_waypoint_its_name() {
    let of = |code: &str, flag: &str, n: &str| {
        let more = json!({"reporter": "waypoint", "response_code": code, "response_flags": flag,
            "namespace": "shop", "gateway": "waypoint", "request_protocol": "http"});
        (labels(more), json!([[900, n]]))
    };
    let body = body(&[
        of("200", "-", "10"),
        of("503", "UF", "2"),
        of("0", "DC", "1"),
        of("404", "-", "3"),
    ]);
    let answer = answer(|sum| read(&body, Measure::Requests, SPAN, sum).expect("read"));
    let mut all = Counters::default();
    for edge in &answer.edges {
        assert_eq!(edge.key.as_ref().expect("a key").waypoint, "shop/waypoint");
        edge.buckets.iter().for_each(|bucket| all.merge(bucket.counters.as_ref().unwrap()));
    }
    assert_eq!(all.statuses, [1, 0, 10, 0, 3, 2]);
    assert_eq!((all.requests, all.failed, all.errors()), (16, 3, 3));
}

#[test]
fn a_histogram_becomes_times() {
    let of =
        |le: &str, n: &str| (labels(json!({"reporter": "waypoint", "le": le})), json!([[900, n]]));
    // In any order; half of them below 1 ms, the others between 100 and 250 ms, and one above all.
    let body = body(&[
        of("+Inf", "101"),
        of("1", "50"),
        of("0.5", "0"),
        of("250", "100"),
        of("100", "50"),
    ]);
    let answer = answer(|sum| read(&body, Measure::Latencies, SPAN, sum).expect("read"));
    let times = counters(&answer, 0, 0).latencies.as_ref().expect("times");
    assert_eq!(times.count(), 101);
    let near = |q, want: f64| {
        let got = times.quantile(q).expect("a value") as f64;
        assert!((got - want).abs() / want < 0.05, "{q}: {got}");
    };
    near(0.25, 750.0);
    near(0.9, 175_000.0);
    near(1.0, 250_000.0);
}

#[test]
fn what_is_no_number_or_no_time_of_the_window_is_left_out() {
    let values =
        json!([[600, "9"], [900, "NaN"], [1200, "+Inf"], [1500, "7"], [900, "-3"], [900, "0.2"]]);
    let body = body(&[(labels(json!({})), values)]);
    let answer = answer(|sum| read(&body, Measure::Opened, SPAN, sum).expect("read"));
    assert!(answer.edges.is_empty(), "{answer:?}");
}

#[test]
fn what_is_no_answer_says_so() {
    for wrong in ["", "{}", "[1]", r#"{"data":{"result":[{"metric":{},"values":[[1,2]]}]}}"#] {
        let error = Sum::new(Checked::new(&Query { to_ms: 1, ..Query::default() }).unwrap(), "");
        let mut sum = error;
        let error = read(wrong.as_bytes(), Measure::Opened, SPAN, &mut sum).expect_err(wrong);
        assert!(matches!(error, PrometheusError::Answer(_)), "{error}");
    }
}

#[test]
fn so_many_series_are_taken_and_no_more() {
    let series = |n: usize| (json!({"source_workload": n.to_string()}), json!([[900, "1"]]));
    let all: Vec<_> = (0..=MAX_PROMETHEUS_SERIES).map(series).collect();
    let none = answer(|sum| {
        let error = read(&body(&all), Measure::Opened, SPAN, sum).expect_err("too many");
        assert_eq!(error, PrometheusError::TooMany(MAX_PROMETHEUS_SERIES));
    });
    assert!(none.edges.is_empty());
    let most = answer(|sum| read(&body(&all[1..]), Measure::Opened, SPAN, sum).expect("read"));
    assert!(!most.edges.is_empty());
}
