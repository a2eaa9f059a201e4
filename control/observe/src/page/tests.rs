//! Pages out of what several proxies counted of the same traffic.

use serde_json::Value;

use super::*;
use crate::pb::{
    Answer, Backend, Bucket, Cost, Counters, Edge, EdgeKey, Origin, Party, Pod, Policy, Route,
    State,
};

fn party(namespace: &str, workload: &str) -> Option<Party> {
    let (namespace, workload) = (namespace.to_owned(), workload.to_owned());
    Some(Party { namespace, workload, ..Party::default() })
}

/// From the shop's web to its orders.
fn key(reporter: &str) -> EdgeKey {
    EdgeKey {
        reporter: reporter.to_owned(),
        source: party("shop", "web"),
        destination: party("shop", "orders"),
        service: "shop/orders.shop.svc.cluster.local".to_owned(),
        port: 80,
        protocol: "tcp".to_owned(),
        security: "mtls".to_owned(),
        ..EdgeKey::default()
    }
}

fn edge(key: EdgeKey, counters: Counters) -> Edge {
    let buckets = vec![Bucket { at_ms: 10_000, counters: Some(counters) }];
    Edge { key: Some(key), buckets, ..Edge::default() }
}

fn opened(opened: u64) -> Counters {
    Counters { opened, closed: opened, sent_bytes: 100 * opened, ..Counters::default() }
}

fn requests(requests: u64, status: u16) -> Counters {
    let mut counters = Counters { requests, ..Counters::default() };
    (0..requests).for_each(|_| counters.status(status));
    counters
}

fn heard(node: &str, kind: &str, edges: Vec<Edge>, state: State) -> Heard {
    let mut origin = Origin { node: node.into(), kind: kind.into(), ..Origin::default() };
    if kind == "waypoint" {
        (origin.namespace, origin.gateway) = ("shop".into(), "waypoint".into());
        origin.name = format!("waypoint-{node}");
    }
    let answer = Answer {
        to_ms: 60_000,
        step_ms: 10_000,
        edges,
        state: Some(state),
        origin: Some(origin.clone()),
        ..Answer::default()
    };
    Heard { origin, connected_ms: 1, part: None, result: Ok(answer) }
}

fn show(page: &Page, heard: &[Heard]) -> Value {
    page.show(heard, 100).expect("JSON")
}

fn link<'a>(graph: &'a Value, from: &str, to: &str) -> &'a Value {
    let links = graph["edges"].as_array().expect("links");
    let found = links.iter().find(|link| link["from"] == from && link["to"] == to);
    found.unwrap_or_else(|| panic!("no link from {from} to {to}: {graph:#}"))
}

#[test]
fn a_connection_that_both_ends_counted_is_one() {
    let all = [
        heard("a", "ztunnel", vec![edge(key("source"), opened(10))], State::default()),
        heard("b", "ztunnel", vec![edge(key("destination"), opened(10))], State::default()),
    ];
    let graph = show(&Page::Mesh(graph::Group::Workload), &all);
    let link = link(&graph, "workload:shop/web", "workload:shop/orders");
    assert_eq!(
        (&link["totals"]["opened"], &link["totals"]["sentBytes"]),
        (&10.into(), &1000.into())
    );
    assert_eq!((&link["security"], &link["health"]), (&"mtls".into(), &"ok".into()));
    let page = show(&Page::Workload("shop".into(), "orders".into()), &all);
    assert_eq!(page["inbound"]["totals"]["opened"], 10);
    assert_eq!(page["outbound"]["totals"]["opened"], 0);
    assert_eq!(page["inbound"]["peers"][0]["peer"]["name"], "web");
}

#[test]
fn a_caller_outside_the_mesh_is_counted_by_the_other_end() {
    let plain = EdgeKey { source: party("", ""), security: "plain".into(), ..key("destination") };
    let all = [heard("b", "ztunnel", vec![edge(plain, opened(3))], State::default())];
    let graph = show(&Page::Mesh(graph::Group::Workload), &all);
    let link = link(&graph, "unknown:/unknown", "workload:shop/orders");
    assert_eq!((&link["totals"]["opened"], &link["security"]), (&3.into(), &"plain".into()));
}

#[test]
fn a_refusal_names_its_policy_and_is_not_counted_twice() {
    let failed = Counters { closed: 4, failed: 4, refused: 4, ..Counters::default() };
    let denied = |reporter: &str, failure: &str, policy: &str| EdgeKey {
        failure: failure.into(),
        policy: policy.into(),
        ..key(reporter)
    };
    let all = [
        heard(
            "a",
            "ztunnel",
            vec![
                edge(key("source"), Counters { opened: 4, ..Counters::default() }),
                edge(
                    denied("source", "CONNECT", ""),
                    Counters { failed: 4, ..Counters::default() },
                ),
            ],
            State::default(),
        ),
        heard(
            "b",
            "ztunnel",
            vec![edge(denied("destination", "DENY", "shop/no-web"), failed)],
            State::default(),
        ),
    ];
    let graph = show(&Page::Mesh(graph::Group::Workload), &all);
    let link = link(&graph, "workload:shop/web", "workload:shop/orders");
    assert_eq!((&link["totals"]["failed"], &link["totals"]["refused"]), (&4.into(), &4.into()));
    assert_eq!(link["health"], "failing");
    assert_eq!(link["policies"][0], "shop/no-web");
    let policies = show(&Page::Policies, &all);
    assert_eq!(policies["policies"][0]["name"], "shop/no-web");
    assert_eq!(
        (&policies["policies"][0]["allowed"], &policies["policies"][0]["refused"]),
        (&0.into(), &4.into())
    );
}

fn through_the_waypoint() -> [Heard; 2] {
    let to_waypoint = EdgeKey { destination: party("shop", "waypoint"), ..key("source") };
    let served = |version: &str, status: u16, count: u64| {
        let key = EdgeKey {
            destination: party("shop", &format!("orders-{version}")),
            protocol: "http".into(),
            waypoint: "shop/waypoint".into(),
            route: "shop/split".into(),
            rule: "0".into(),
            backend: format!("shop/orders-{version}.shop.svc.cluster.local"),
            ..key("waypoint")
        };
        edge(key, requests(count, status))
    };
    let backend = |version: &str, weight| Backend {
        service: format!("shop/orders-{version}.shop.svc.cluster.local"),
        port: 80,
        weight,
    };
    let route = Route {
        name: "HTTPRoute shop/split".into(),
        waypoint: "shop/waypoint".into(),
        rule: "0".into(),
        backends: vec![backend("v1", 90), backend("v2", 10)],
        services: vec!["shop/orders.shop.svc.cluster.local".into()],
    };
    let state = State { ready: true, routes: vec![route], ..State::default() };
    [
        heard("a", "ztunnel", vec![edge(to_waypoint, opened(20))], State::default()),
        heard("b", "waypoint", vec![served("v1", 200, 80), served("v2", 503, 20)], state),
    ]
}

#[test]
fn traffic_through_a_waypoint_goes_to_it_and_on_from_it() {
    let all = through_the_waypoint();
    let graph = show(&Page::Mesh(graph::Group::Workload), &all);
    let to = link(&graph, "workload:shop/web", "waypoint:shop/waypoint");
    assert_eq!((&to["totals"]["opened"], &to["totals"]["requests"]), (&20.into(), &100.into()));
    assert_eq!(to["totals"]["errors"], 20);
    let on = link(&graph, "waypoint:shop/waypoint", "workload:shop/orders-v2");
    assert_eq!((&on["totals"]["requests"], &on["health"]), (&20.into(), &"failing".into()));
    let namespaces = show(&Page::Mesh(graph::Group::Namespace), &all);
    assert_eq!(namespaces["vertices"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_split_is_shown_as_configured_and_as_measured() {
    let page = show(&Page::Waypoints, &through_the_waypoint());
    let waypoint = &page["waypoints"][0];
    assert_eq!(
        (&waypoint["name"], &waypoint["instances"][0]["ready"]),
        (&"waypoint".into(), &true.into())
    );
    let backends = waypoint["routes"][0]["backends"].as_array().expect("backends");
    let shares: Vec<_> = backends
        .iter()
        .map(|b| (b["configured"].as_f64().unwrap(), b["measured"].as_f64().unwrap()))
        .collect();
    assert_eq!(shares, [(0.9, 0.8), (0.1, 0.2)]);
    assert_eq!(waypoint["totals"]["requests"], 100);
}

#[test]
fn a_node_has_its_pods_costs_and_traffic() {
    let pod = |name: &str, state: &str, proof: &str| Pod {
        namespace: "shop".into(),
        name: name.into(),
        node: "a".into(),
        state: state.into(),
        proof: proof.into(),
        ..Pod::default()
    };
    let pods = vec![pod("web", "enrolled", "proven"), pod("job", "pending", "")];
    let mut own = heard(
        "a",
        "ztunnel",
        vec![edge(key("source"), opened(5))],
        State { ready: true, ..State::default() },
    );
    let cost = |at_ms, resident_bytes| Cost {
        at_ms,
        duration_ms: 10_000,
        cpu_us: 500_000,
        resident_bytes,
        handshakes: 20,
        kind: "ztunnel".into(),
        ..Cost::default()
    };
    own.result.as_mut().expect("an answer").costs = vec![cost(0, 10), cost(10_000, 20)];
    let all = [heard("", "control", Vec::new(), State { pods, ..State::default() }), own];
    let page = show(&Page::Nodes, &all);
    let node = &page["nodes"][0];
    assert_eq!(page["nodes"].as_array().map(Vec::len), Some(1), "control is no node");
    assert_eq!(
        (&node["pods"], &node["enrolled"], &node["proven"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!((&node["cpuPercent"], &node["residentBytes"]), (&5.0.into(), &20.into()));
    assert_eq!(node["handshakesPerSecond"], 2.0);
    assert_eq!(node["totals"]["opened"], 5);
    assert_eq!(node["points"].as_array().map(Vec::len), Some(2));
    let page = show(&Page::Node("a".into()), &all);
    assert_eq!(
        (&page["node"]["name"], page["pods"].as_array().map(Vec::len)),
        (&"a".into(), Some(2))
    );
}

#[test]
fn policies_that_decided_nothing_are_listed_too() {
    let policy = Policy {
        name: "shop/quiet".into(),
        action: "DENY".into(),
        enforced_by: "ztunnel".into(),
        ..Policy::default()
    };
    let state = || State { policies: vec![policy.clone()], ..State::default() };
    let all =
        [heard("a", "ztunnel", Vec::new(), state()), heard("b", "ztunnel", Vec::new(), state())];
    let page = show(&Page::Policies, &all);
    assert_eq!(page["policies"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&page["policies"][0]["enforcedBy"], &page["policies"][0]["refused"]),
        (&"ztunnel".into(), &0.into())
    );
}

#[test]
fn who_did_not_answer_is_named() {
    let origin = Origin {
        node: "c".into(),
        name: "ztunnel-c".into(),
        kind: "ztunnel".into(),
        ..Origin::default()
    };
    let silent =
        Heard { origin, connected_ms: 1, part: None, result: Err("no answer within 2 s".into()) };
    let all = [heard("a", "ztunnel", Vec::new(), State::default()), silent];
    for page in [
        Page::Mesh(graph::Group::Workload),
        Page::Nodes,
        Page::Policies,
        Page::Events,
        Page::Answer,
    ] {
        let shown = show(&page, &all);
        assert_eq!(shown["missing"][0]["node"], "c", "{page:?}");
        assert_eq!(shown["missing"][0]["error"], "no answer within 2 s", "{page:?}");
        assert_eq!(shown["stepMs"].as_i64(), Some(10_000), "{page:?}");
    }
}

#[test]
fn a_part_that_comes_from_elsewhere_is_said() {
    let mut all = vec![heard("a", "ztunnel", Vec::new(), State::default())];
    assert!(show(&Page::Nodes, &all).get("history").is_none());
    let origin =
        Origin { kind: "prometheus".into(), name: "prometheus".into(), ..Origin::default() };
    let older = vec![edge(key("source"), opened(7))];
    let result = Ok(Answer { edges: older, ..Answer::default() });
    let part = Some((0, 30_000));
    all.push(Heard { origin: origin.clone(), connected_ms: 0, part, result });
    let shown = show(&Page::Mesh(graph::Group::Workload), &all);
    assert_eq!(
        (&shown["history"]["source"], &shown["history"]["toMs"]),
        (&"prometheus".into(), &30_000.into())
    );
    assert_eq!(link(&shown, "workload:shop/web", "workload:shop/orders")["totals"]["opened"], 7);
    all[1].result = Err("no answer within 5 s".into());
    let shown = show(&Page::Mesh(graph::Group::Workload), &all);
    assert_eq!(
        (&shown["history"]["error"], &shown["missing"][0]["name"]),
        (&"no answer within 5 s".into(), &"prometheus".into())
    );
}

#[test]
fn addresses_of_pages() {
    for (path, want) in [
        ("nodes", Some(Page::Nodes)),
        ("nodes/a", Some(Page::Node("a".into()))),
        ("workloads/shop/web", Some(Page::Workload("shop".into(), "web".into()))),
        ("nodes/", None),
        ("workloads/shop", None),
        ("nothing", None),
        ("", None),
    ] {
        assert_eq!(Page::at(path, None).map(|page| page.expect("a page")), want, "{path}");
    }
    assert!(Page::at("mesh", Some("colour")).expect("a page").is_err());
}

#[test]
fn no_page_says_a_thing_twice() {
    let edges = vec![edge(key("source"), opened(1))];
    let heard = [heard("a", "ztunnel", edges, State::default())];
    for path in [
        "answer",
        "mesh",
        "nodes",
        "nodes/a",
        "workloads",
        "workloads/shop/web",
        "waypoints",
        "policies",
        "certificates",
        "incidents",
        "events",
        "connections",
    ] {
        let page = Page::at(path, None).and_then(Result::ok).expect(path);
        let text = page.json(&heard, 100).expect("JSON");
        let text = String::from_utf8(text).expect("text");
        assert_eq!(text.matches("\"fromMs\"").count(), 1, "{path}: {text}");
    }
}
