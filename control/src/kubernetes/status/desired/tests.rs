use super::*;
use crate::kubernetes::touched::Touched;
use crate::kubernetes::waypoints::outcome::Outcome;
use crate::translate::tests::world;

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop}
spec: {gatewayClassName: nginx, listeners: [{name: web, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: wp, namespace: shop}
spec: {clusterIP: 10.96.0.9, ports: [{port: 15008}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: store, namespace: shop}
spec:
  parentRefs:
    - {group: '', kind: Service, name: store, port: 80}
    - {name: wp}
    - {name: other}
    - {group: '', kind: Service, name: nobody}
  rules: [{backendRefs: [{name: nowhere, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ambit-waypoint}
spec: {controllerName: ambit.dev/waypoint}
";

fn seen(value: Value) -> Seen {
    Seen {
        value,
        uid: "u".to_owned(),
        generation: Some(3),
        version: "1".to_owned(),
        applied_labels: Vec::new(),
    }
}

fn gateway(class: &str) -> Seen {
    seen(json!({"metadata": {}, "spec": {"gatewayClassName": class, "listeners": [
        {"name": "mesh", "port": 15008, "protocol": "HBONE"},
        {"name": "web", "port": 80, "protocol": "HTTP"},
    ]}, "status": {"conditions": [{"type": "Theirs", "status": "True"}]}}))
}

struct Bench {
    world: World,
    observed: Observed,
    outcomes: Outcomes,
    problems: Vec<Problem>,
}

impl Bench {
    fn new() -> Self {
        let outcomes = Outcomes::new(Touched::default());
        Self { world: world(MESH), observed: Observed::default(), outcomes, problems: Vec::new() }
    }

    fn status(&self, kind: Kind, name: &str, seen: &Seen, said: &[Condition]) -> Option<Value> {
        let judge = Judge {
            world: &self.world,
            observed: &self.observed,
            outcomes: &self.outcomes,
            istio_class: false,
            problems: &self.problems,
            given: &OnItsWay::default(),
        };
        judge.status(&ObjectRef::new(kind, "shop", name), seen, said.to_vec())
    }
}

fn condition<'a>(conditions: &'a Value, kind: &str) -> &'a Value {
    let all = conditions.as_array().expect("conditions");
    all.iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

fn programmed(status: bool) -> [Condition; 2] {
    let reason = if status { "Programmed" } else { "Pending" };
    [
        Condition::new("Accepted", true, "Accepted", ""),
        Condition::new("Programmed", status, reason, ""),
    ]
}

#[test]
fn a_waypoint_says_where_it_is_once_it_is_ready_and_of_each_listener_whether_it_serves() {
    let bench = Bench::new();
    let seen = gateway("ambit-waypoint");
    let waits = bench.status(Kind::Gateway, "wp", &seen, &programmed(false)).expect("ours");
    assert!(waits.get("addresses").is_none(), "and what was written before is not taken back");
    let runs = bench.status(Kind::Gateway, "wp", &seen, &programmed(true)).expect("ours");
    let host = json!({"type": "Hostname", "value": "wp.shop.svc.cluster.local"});
    assert_eq!(runs["addresses"], json!([host, {"type": "IPAddress", "value": "10.96.0.9"}]));
    assert_eq!(condition(&runs["conditions"], "Theirs")["status"], "True");
    assert_eq!(condition(&runs["conditions"], "Programmed")["observedGeneration"], 3);
    let [mesh, web] = runs["listeners"].as_array().expect("listeners").as_slice() else {
        panic!("two listeners: {runs}")
    };
    assert_eq!(
        (mesh["attachedRoutes"].as_u64(), web["attachedRoutes"].as_u64()),
        (Some(1), Some(0))
    );
    assert_eq!(condition(&mesh["conditions"], "Programmed")["status"], "True");
    assert_eq!(condition(&web["conditions"], "Accepted")["reason"], "UnsupportedProtocol");
}

#[test]
fn a_gateway_of_another_controller_is_left_alone() {
    let bench = Bench::new();
    for class in ["nginx", "istio-waypoint"] {
        assert_eq!(bench.status(Kind::Gateway, "other", &gateway(class), &programmed(true)), None);
    }
}

#[test]
fn what_could_not_be_made_is_said_on_the_gateway() {
    let bench = Bench::new();
    let wp = Key::new("shop", "wp");
    let invalid =
        Outcome { invalid: Some("ConfigMap x is not there".to_owned()), ..Outcome::default() };
    bench.outcomes.set(&wp, &invalid);
    let seen = gateway("ambit-waypoint");
    let status = bench.status(Kind::Gateway, "wp", &seen, &programmed(true)).expect("ours");
    let accepted = condition(&status["conditions"], "Accepted");
    assert_eq!(
        (&accepted["status"], &accepted["reason"]),
        (&json!("False"), &json!("InvalidParameters"))
    );
    let blocked =
        Outcome { invalid: None, blocked: vec!["Service shop/wp is not ours".to_owned()] };
    bench.outcomes.set(&wp, &blocked);
    let status = bench.status(Kind::Gateway, "wp", &seen, &programmed(false)).expect("ours");
    let said = condition(&status["conditions"], "Programmed");
    assert_eq!(said["reason"], "NoResources");
    assert!(said["message"].as_str().expect("text").contains("not ours"));
}

#[test]
fn a_route_is_judged_for_each_parent_of_ours_and_entries_of_others_stay() {
    let bench = Bench::new();
    let theirs = json!({"controllerName": "example.test/nginx", "parentRef": {"name": "other"}});
    let stale =
        json!({"controllerName": brand::WAYPOINT_CONTROLLER, "parentRef": {"name": "gone"}});
    let route = seen(json!({"metadata": {}, "status": {"parents": [theirs, stale]}}));
    let status = bench.status(Kind::HTTPRoute, "store", &route, &[]).expect("ours");
    let parents = status["parents"].as_array().expect("parents");
    assert_eq!(parents[0], theirs);
    let names: Vec<&str> =
        parents[1..].iter().filter_map(|p| p["parentRef"]["name"].as_str()).collect();
    assert_eq!(names, ["store", "wp", "nobody"]);
    assert_eq!(parents[1]["parentRef"]["port"], 80);
    assert_eq!(parents[2]["parentRef"]["group"], "gateway.networking.k8s.io");
    let reason = |at: usize, kind: &str| &condition(&parents[at]["conditions"], kind)["reason"];
    assert_eq!(
        (reason(1, "Accepted"), reason(3, "Accepted")),
        (&json!("Accepted"), &json!("NoMatchingParent"))
    );
    assert_eq!(reason(1, "ResolvedRefs"), "BackendNotFound");
}

#[test]
fn an_object_that_cannot_be_read_is_not_accepted_whatever_its_last_good_version_is() {
    let mut bench = Bench::new();
    bench.problems.push(Problem {
        object: "AuthorizationPolicy shop/p".to_owned(),
        field: "spec.action".to_owned(),
        message: "is \"BLOCK\"".to_owned(),
        refused: true,
        ..Problem::default()
    });
    let said = [
        Condition::new("ZtunnelAccepted", true, "Accepted", "enforced as written"),
        Condition::new("WaypointAccepted", true, "PartiallyInvalid", ""),
    ];
    let policy = seen(json!({"metadata": {}, "status": null}));
    let status = bench.status(Kind::AuthorizationPolicy, "p", &policy, &said).expect("ours");
    for kind in POLICY {
        let accepted = condition(&status["conditions"], kind);
        assert_eq!(accepted["status"], "False");
        assert!(accepted["message"].as_str().expect("text").starts_with("spec.action"));
    }
}

#[test]
fn a_request_authentication_says_whether_it_is_enforced() {
    let mut bench = Bench::new();
    let said = [Condition::new("WaypointAccepted", true, "Accepted", "")];
    let before = json!({"conditions": [
        {"type": "Theirs", "status": "True"}, {"type": "WaypointAccepted", "status": "False"},
    ]});
    let object = seen(json!({"metadata": {}, "status": before}));
    let status = |bench: &Bench| {
        bench.status(Kind::RequestAuthentication, "jwt", &object, &said).expect("ours")
    };
    let written = status(&bench);
    assert_eq!(written["conditions"].as_array().map(Vec::len), Some(2), "beside another's");
    assert_eq!(condition(&written["conditions"], "WaypointAccepted")["status"], "True");
    bench.problems.push(Problem {
        object: "RequestAuthentication shop/jwt".to_owned(),
        field: "spec.targetRefs".to_owned(),
        message: "is no list".to_owned(),
        refused: true,
        ..Problem::default()
    });
    let written = status(&bench);
    let accepted = condition(&written["conditions"], "WaypointAccepted");
    assert_eq!(
        (&accepted["status"], &accepted["reason"]),
        (&json!("False"), &json!("UnsupportedValue"))
    );
}

#[test]
fn services_and_namespaces_say_whether_they_are_bound_and_nothing_else() {
    let bench = Bench::new();
    let said = [
        Condition::new(BOUND, true, "WaypointAccepted", "goes through shop/wp"),
        Condition::new(brand::ENDPOINTS, false, "NoEndpoints", ""),
    ];
    let plain = seen(json!({"metadata": {"labels": {}}, "status": {}}));
    for kind in [Kind::Service, Kind::Namespace] {
        let status = bench.status(kind, "store", &plain, &said).expect("ours");
        assert_eq!(status["conditions"].as_array().map(Vec::len), Some(1), "{kind:?}");
        assert_eq!(status["conditions"][0]["type"], BOUND);
        let status = bench.status(kind, "store", &plain, &[]).expect("ours");
        assert_eq!(status["conditions"], json!([]), "{kind:?}");
    }
}

#[test]
fn an_entry_gets_addresses_and_says_how_it_stands() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: DNS}
";
    let mut bench = Bench { world: world(text), ..Bench::new() };
    let new = seen(json!({"metadata": {}, "status": {}}));
    let pending = Condition::new(brand::ADDRESSES, false, "Pending", "soon");
    let bound = Condition::new(BOUND, true, "WaypointAccepted", "");
    let said = [bound, pending];
    let status = bench.status(Kind::ServiceEntry, "api", &new, &said).expect("ours");
    let [v4, v6] = status["addresses"].as_array().expect("addresses").as_slice() else {
        panic!("two: {status}")
    };
    assert_eq!((&v4["host"], &v6["host"]), (&json!("api.example.com"), &json!("api.example.com")));
    assert!(v4["value"].as_str().is_some_and(|ip| ip.starts_with("240.240.")), "{v4}");
    assert_eq!(condition(&status["conditions"], BOUND)["observedGeneration"], 3);
    assert_eq!(condition(&status["conditions"], brand::ADDRESSES), &Value::Null, "given now");
    assert_eq!(status["observedGeneration"], 3);

    // What is not understood keeps what its last good version has, and says why.
    bench.problems.push(Problem {
        object: "ServiceEntry shop/api".to_owned(),
        field: "spec.hosts".to_owned(),
        message: "names no host".to_owned(),
        refused: true,
        ..Problem::default()
    });
    let status = bench.status(Kind::ServiceEntry, "api", &new, &[]).expect("ours");
    assert!(status.get("addresses").is_none(), "{status}");
    let accepted = condition(&status["conditions"], brand::ACCEPTED);
    assert_eq!(accepted["status"], "False");
    assert!(accepted["message"].as_str().is_some_and(|m| m.contains("names no host")));
}

#[test]
fn an_entry_that_opts_out_gives_its_addresses_back() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: DNS}
";
    let bench = Bench { world: world(text), ..Bench::new() };
    let had = seen(json!({"metadata": {}, "status": {"addresses": [{"value": "240.240.0.1"}]}}));
    let status = bench.status(Kind::ServiceEntry, "api", &had, &[]).expect("ours");
    assert_eq!(status["addresses"], json!([]));
}
