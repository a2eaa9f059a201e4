use hbone::wire::intern::Interner;
use hbone::wire::pb::istio::workload as wire;
use hbone::wire::workload::Address;
use prost::Message;

use super::*;

fn workload(name: &str) -> Arc<Workload> {
    let workload = wire::Workload {
        uid: name.to_owned(),
        name: name.to_owned(),
        addresses: vec![vec![10, 1, 0, 5]],
        ..Default::default()
    };
    let kind = Some(wire::address::Type::Workload(workload));
    let bytes = wire::Address { r#type: kind }.encode_to_vec();
    match Address::decode(&bytes, &mut Interner::default()).expect("an address") {
        Address::Workload(workload) => workload,
        Address::Service(service) => panic!("{service:?}"),
    }
}

fn outcome(endpoint: Option<&Arc<Workload>>, code: u16) -> Outcome {
    let endpoint = endpoint.cloned();
    Outcome { endpoint, protocol: "http", flag: "-", code, grpc_status: None }
}

fn series() -> Series {
    let histogram = || Histogram::new([1.0]);
    Series {
        requests: Counter::default(),
        duration: histogram(),
        request_bytes: histogram(),
        response_bytes: histogram(),
    }
}

/// Uses the series of `outcome`, and says whether it had to be looked up.
fn is_new(of: &SeriesOfTunnel, outcome: Outcome) -> bool {
    let mut looked_up = false;
    of.of(outcome, |_| {
        looked_up = true;
        series()
    })
    .requests
    .inc();
    looked_up
}

#[test]
fn a_thousand_like_requests_look_their_series_up_once() {
    let (tunnel, store) = (SeriesOfTunnel::default(), workload("store"));
    let lookups = (0..1000).filter(|_| is_new(&tunnel, outcome(Some(&store), 200))).count();
    assert_eq!(lookups, 1);
    let series = tunnel.of(outcome(Some(&store), 200), |_| series());
    assert_eq!(series.requests.get(), 1000, "all of them count in one place");
}

#[test]
fn whatever_labels_tell_apart_is_another_series() {
    let (tunnel, store) = (SeriesOfTunnel::default(), workload("store"));
    let first = outcome(Some(&store), 200);
    for (case, outcome) in [
        ("the first", first.clone()),
        ("another code", outcome(Some(&store), 503)),
        ("another endpoint", outcome(Some(&workload("v2")), 200)),
        ("the same workload, changed", outcome(Some(&workload("store")), 200)),
        ("no endpoint", outcome(None, 200)),
        ("another flag", Outcome { flag: "UT", ..first.clone() }),
        ("gRPC", Outcome { protocol: "grpc", ..first.clone() }),
        ("a gRPC status", Outcome { grpc_status: Some(0), ..first.clone() }),
    ] {
        assert!(is_new(&tunnel, outcome.clone()), "{case}");
        assert!(!is_new(&tunnel, outcome), "{case}, again");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let tunnel = SeriesOfTunnel::default();
    for code in 0..1000 {
        assert!(is_new(&tunnel, outcome(None, code)));
        assert!(tunnel.0.load().len() <= MAX_SERIES);
    }
    assert!(!is_new(&tunnel, outcome(None, 999)));
}
