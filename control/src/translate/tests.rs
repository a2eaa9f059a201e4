use std::collections::{BTreeMap, BTreeSet};

use hbone::wire::pb::ambit::waypoint::v1 as way;
use hbone::wire::pb::istio::security as sec;
use hbone::wire::pb::istio::workload as wl;
use hbone::wire::pb::istio::workload::WorkloadStatus::{Healthy, Unhealthy};
use prost::Message;

use super::*;
use crate::model::dirty::Dirty;
use crate::model::object::Key;
use crate::model::report::{Enrolment, Report};
use crate::model::world::{Site, World};
use crate::source::files::Files;
use crate::source::read::Context;

const BASE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata:
  name: node-a
  labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z, topology.istio.io/subzone: s}
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: shop, labels: {app: store}}
spec:
  nodeName: node-a
  serviceAccountName: store
  containers: [{name: c, image: i, ports: [{name: web, containerPort: 8080}]}]
status: {podIPs: [{ip: 10.1.0.5}, {ip: 'fd00::5'}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec:
  clusterIPs: [10.96.0.7, 'fd01::7']
  selector: {app: store}
  ports:
  - {name: http, port: 80, targetPort: web}
  - {name: grpc-api, port: 90}
  - {name: lost, port: 91, targetPort: missing}
  - {name: dns, port: 53, protocol: UDP}
";

pub(crate) fn world(yaml: &str) -> World {
    let site = Site {
        cluster: "Kubernetes".to_owned(),
        network: String::new(),
        system_namespace: "istio-system".to_owned(),
        domain: "cluster.local".to_owned(),
        kubernetes: false,
    };
    let mut world = World::new(site);
    let context = Context { mesh_config: Key::new("istio-system", "istio"), has_status: false };
    let mut files = Files::new(context);
    for (name, object) in files.set("f", yaml) {
        world.put(&name, object);
    }
    world
}

fn address(derived: &Derived) -> Option<wl::address::Type> {
    let resource = derived.resources.iter().find(|r| r.family == Family::Address)?;
    wl::Address::decode(resource.body.as_slice()).expect("decodes").r#type
}

fn pod(world: &World, name: &str) -> wl::Workload {
    match address(&derive(world, &Dirty::Pod(Key::new("shop", name)))) {
        Some(wl::address::Type::Workload(workload)) => workload,
        other => panic!("no workload {name}: {other:?}"),
    }
}

fn service(world: &World, name: &str) -> wl::Service {
    match address(&derive(world, &Dirty::Service(Key::new("shop", name)))) {
        Some(wl::address::Type::Service(service)) => service,
        other => panic!("no service {name}: {other:?}"),
    }
}

fn authorizations(derived: &Derived) -> Vec<sec::Authorization> {
    let of = |r: &&Resource| r.family == Family::Authorization;
    let decode = |r: &Resource| sec::Authorization::decode(r.body.as_slice()).expect("decodes");
    derived.resources.iter().filter(of).map(decode).collect()
}

fn policy(yaml: &str) -> (Option<sec::Authorization>, Vec<Condition>) {
    let world = world(yaml);
    let refs = world.refs(crate::model::object::Kind::AuthorizationPolicy);
    let key = Key::new(&refs[0].namespace, &refs[0].name);
    let derived = derive(&world, &Dirty::Policy(key));
    let conditions = derived.conditions.iter().flat_map(|(_, c)| c.clone()).collect();
    (authorizations(&derived).into_iter().next(), conditions)
}

#[test]
fn a_pod_becomes_a_workload() {
    let workload = pod(&world(BASE), "store");
    let port = |service_port, target_port| wl::Port { service_port, target_port, app_protocol: 0 };
    let want = wl::Workload {
        uid: "Kubernetes//Pod/shop/store".to_owned(),
        name: "store".to_owned(),
        namespace: "shop".to_owned(),
        addresses: vec![vec![10, 1, 0, 5], vec![0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]],
        service_account: "store".to_owned(),
        node: "node-a".to_owned(),
        canonical_name: "store".to_owned(),
        canonical_revision: "latest".to_owned(),
        workload_type: wl::WorkloadType::Pod.into(),
        workload_name: "store".to_owned(),
        cluster_id: "Kubernetes".to_owned(),
        services: BTreeMap::from([(
            "shop/store.shop.svc.cluster.local".to_owned(),
            // The named port is resolved; one that the pod lacks has no entry; UDP is none.
            wl::PortList { ports: vec![port(80, 8080), port(90, 90)] },
        )]),
        locality: Some(wl::Locality {
            region: "r".to_owned(),
            zone: "z".to_owned(),
            subzone: "s".to_owned(),
        }),
        ..wl::Workload::default()
    };
    assert_eq!(workload, want);
}

#[test]
fn a_service_keeps_its_vips_ports_and_protocols() {
    let service = service(&world(BASE), "store");
    let port = |service_port, target_port, protocol: wl::AppProtocol| wl::Port {
        service_port,
        target_port,
        app_protocol: protocol.into(),
    };
    assert_eq!(service.hostname, "store.shop.svc.cluster.local");
    assert_eq!(service.addresses.len(), 2);
    assert!(service.canonical);
    assert_eq!(
        service.ports,
        [
            port(80, 0, wl::AppProtocol::Http11),
            port(90, 90, wl::AppProtocol::Grpc),
            port(91, 0, wl::AppProtocol::Unknown),
        ]
    );
    assert!(service.waypoint.is_none() && service.load_balancing.is_none());
}

#[test]
fn what_a_pods_state_means_on_the_wire() {
    let ready =
        |status: &str| BASE.replace("status: {podIPs", &format!("status: {{{status}, podIPs"));
    for (case, yaml, want) in [
        ("no conditions", BASE.to_owned(), Healthy),
        ("ready", ready("conditions: [{type: Ready, status: 'True'}]"), Healthy),
        ("not ready", ready("conditions: [{type: Ready, status: 'False'}]"), Unhealthy),
        (
            "other conditions",
            ready("conditions: [{type: PodScheduled, status: 'True'}]"),
            Unhealthy,
        ),
        (
            "being deleted",
            BASE.replace(
                "name: store, namespace: shop, labels",
                "deletionTimestamp: '2026-01-01T00:00:00Z', name: store, namespace: shop, labels",
            ),
            Unhealthy,
        ),
    ] {
        assert_eq!(pod(&world(&yaml), "store").status(), want, "{case}");
    }
    for (case, yaml) in [
        ("succeeded", ready("phase: Succeeded")),
        ("failed", ready("phase: Failed")),
        (
            "no address",
            BASE.replace("status: {podIPs: [{ip: 10.1.0.5}, {ip: 'fd00::5'}]}", "status: {}"),
        ),
    ] {
        let derived = derive(&world(&yaml), &Dirty::Pod(Key::new("shop", "store")));
        assert!(address(&derived).is_none(), "{case}");
    }
}

#[test]
fn a_workload_is_hbone_when_its_node_says_so() {
    let annotated = BASE.replace(
        "labels: {app: store}}",
        "labels: {app: store}, annotations: {ambient.istio.io/redirection: enabled}}",
    );
    assert_eq!(pod(&world(BASE), "store").tunnel_protocol(), wl::TunnelProtocol::None);
    assert_eq!(pod(&world(&annotated), "store").tunnel_protocol(), wl::TunnelProtocol::Hbone);
    for (state, want) in [
        (Enrolment::Enrolled, wl::TunnelProtocol::Hbone),
        (Enrolment::Pending, wl::TunnelProtocol::None),
        (Enrolment::Failed, wl::TunnelProtocol::None),
        (Enrolment::NotEnrolled, wl::TunnelProtocol::None),
    ] {
        let mut world = world(BASE);
        let uid = world.pod(&Key::new("shop", "store")).expect("pod").uid.clone();
        world.set_report(&uid, &Report { state, ..Report::default() });
        assert_eq!(pod(&world, "store").tunnel_protocol(), want, "{state:?}");
    }
    let host = annotated.replace("nodeName: node-a", "nodeName: node-a\n  hostNetwork: true");
    let host = pod(&world(&host), "store");
    assert_eq!(host.network_mode(), wl::NetworkMode::HostNetwork);
    assert_eq!(host.tunnel_protocol(), wl::TunnelProtocol::None, "the node's own namespace");
}

#[test]
fn a_workload_is_named_after_what_owns_the_pod() {
    let owned = |kind: &str, name: &str, labels: &str| {
        BASE.replace(
            "name: store, namespace: shop, labels: {app: store}",
            &format!("generateName: x-, name: store, namespace: shop, labels: {{{labels}}}, ownerReferences: [{{apiVersion: v1, uid: u, controller: true, kind: {kind}, name: {name}}}]"),
        )
    };
    for (case, yaml, want) in [
        ("deployment", owned("ReplicaSet", "shop-abc12", "pod-template-hash: abc12"), "shop"),
        ("rollout", owned("ReplicaSet", "shop-9", "rollouts-pod-template-hash: '9'"), "shop"),
        ("bare replica set", owned("ReplicaSet", "shop-abc12", "a: b"), "shop-abc12"),
        ("cron job", owned("Job", "nightly-27987654", "a: b"), "nightly"),
        ("job", owned("Job", "nightly-1", "a: b"), "nightly-1"),
        ("stateful set", owned("StatefulSet", "db", "a: b"), "db"),
        (
            "deployment config",
            owned("ReplicationController", "shop-3", "deploymentconfig: shop"),
            "shop",
        ),
        ("label", owned("StatefulSet", "db", "service.istio.io/workload-name: mine"), "mine"),
        ("nobody", BASE.to_owned(), "store"),
    ] {
        assert_eq!(pod(&world(&yaml), "store").workload_name, want, "{case}");
    }
}

#[test]
fn where_endpoints_should_be() {
    use wl::load_balancing::{HealthPolicy, Mode, Scope};
    let with = |field: &str| {
        BASE.replace("  selector: {app: store}", &format!("  selector: {{app: store}}\n  {field}"))
    };
    let close = vec![Scope::Network, Scope::Region, Scope::Zone];
    let node = vec![Scope::Network, Scope::Region, Scope::Zone, Scope::Subzone, Scope::Node];
    let annotated = |value: &str| {
        BASE.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        &format!("kind: Service\nmetadata: {{name: store, namespace: shop, annotations: {{networking.istio.io/traffic-distribution: {value}}}}}"),
    )
    };
    for (case, yaml, mode, scopes) in [
        ("local", with("internalTrafficPolicy: Local"), Mode::Strict, vec![Scope::Node]),
        ("close", with("trafficDistribution: PreferClose"), Mode::Failover, close.clone()),
        ("same node", with("trafficDistribution: PreferSameNode"), Mode::Failover, node),
        ("annotation, any case", annotated("preferSAMEzone"), Mode::Failover, close),
    ] {
        let got = service(&world(&yaml), "store").load_balancing.expect(case);
        assert_eq!(
            (got.mode(), got.routing_preference().collect::<Vec<_>>()),
            (mode, scopes),
            "{case}"
        );
    }
    let unready = service(&world(&with("publishNotReadyAddresses: true")), "store");
    let unready = unready.load_balancing.expect("set");
    assert_eq!(unready.health_policy(), HealthPolicy::AllowAll);
}

#[test]
fn endpoints_without_pods_are_workloads_of_the_host_network() {
    let slice = format!(
        "{BASE}---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: shop}}\nspec: {{ports: [{{name: sql, port: 5432}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: db-1, namespace: shop, labels: {{kubernetes.io/service-name: db}}}}\naddressType: IPv4\nports: [{{name: sql, port: 6000}}]\nendpoints: [{{addresses: [192.0.2.9], conditions: {{ready: false}}}}]\n"
    );
    let derived = derive(&world(&slice), &Dirty::Slice(Key::new("shop", "db-1")));
    let Some(wl::address::Type::Workload(workload)) = address(&derived) else {
        panic!("a workload: {derived:?}")
    };
    assert_eq!(workload.uid, "Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.0.2.9");
    assert_eq!(workload.network_mode(), wl::NetworkMode::HostNetwork);
    assert_eq!(workload.status(), Unhealthy);
    assert_eq!(workload.services["shop/db.shop.svc.cluster.local"].ports[0].target_port, 6000);
}

#[test]
fn a_bound_service_cannot_be_reached_around_its_waypoint() {
    let bound = BASE.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        "kind: Service\nmetadata: {name: store, namespace: shop, labels: {istio.io/use-waypoint: wp}}",
    );
    let world_ = world(&bound);
    let service = service(&world_, "store");
    let Some(wl::gateway_address::Destination::Hostname(host)) =
        service.waypoint.clone().and_then(|w| w.destination)
    else {
        panic!("named although it is missing: {service:?}")
    };
    assert_eq!(
        (host.namespace.as_str(), host.hostname.as_str()),
        ("shop", "wp.shop.svc.cluster.local")
    );
    assert_eq!(service.waypoint.map(|w| w.hbone_mtls_port), Some(15008));

    let derived = derive(&world_, &Dirty::Pod(Key::new("shop", "store")));
    let workload = pod(&world_, "store");
    assert!(workload.waypoint.is_some(), "its pods take the same way");
    let ports: BTreeSet<_> = derived.guards.iter().map(|g| g.port).collect();
    assert_eq!(ports, BTreeSet::from([Some(8080), Some(90)]), "its target ports");
    for guard in &derived.guards {
        assert!(workload.authorization_policies.contains(&guard.full_name()));
        let message = guard.resource().body;
        let policy = sec::Authorization::decode(message.as_slice()).expect("decodes");
        assert_eq!(
            (policy.action(), policy.scope()),
            (sec::Action::Deny, sec::Scope::WorkloadSelector)
        );
        let clauses = &policy.rules[0].clauses;
        let exact = sec::string_match::MatchType::Exact("cluster.local/ns/shop/sa/wp".to_owned());
        assert_eq!(clauses[0].matches[0].not_principals[0].match_type, Some(exact));
        let port = u32::from(guard.port.expect("a port"));
        assert_eq!(clauses[1].matches[0].destination_ports, [port]);
    }
}

#[test]
fn a_waypoint_that_does_not_let_a_namespace_attach_reaches_nothing_of_it() {
    let bound = BASE.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        "kind: Service\nmetadata: {name: store, namespace: shop, labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra}}",
    );
    let gateway = |from: &str| {
        format!(
            "{bound}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: wp, namespace: infra}}\nspec: {{gatewayClassName: ambit-waypoint, listeners: [{{name: m, port: 15008, protocol: HBONE, allowedRoutes: {{namespaces: {{from: {from}}}}}}}]}}\n"
        )
    };
    let admitted = |from: &str| {
        let derived = derive(&world(&gateway(from)), &Dirty::Pod(Key::new("shop", "store")));
        assert_eq!(derived.guards.len(), 2, "each target port is guarded");
        let all = derived.guards.into_iter().flat_map(|guard| guard.principals);
        all.collect::<BTreeSet<String>>()
    };
    let waypoint = "cluster.local/ns/infra/sa/wp".to_owned();
    assert_eq!(admitted("All"), BTreeSet::from([waypoint]));
    assert_eq!(admitted("Same"), BTreeSet::from(["nobody".to_owned()]), "nobody is let in");
}

#[test]
fn whose_waypoint_counts() {
    const GATEWAY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop, labels: {istio.io/waypoint-for: FOR}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
";
    let namespace = |labels: &str| {
        BASE.replace(
            "metadata: {name: shop}",
            &format!("metadata: {{name: shop, labels: {{{labels}}}}}"),
        )
    };
    let inherited = namespace("istio.io/use-waypoint: wp");
    let none = |yaml: &str| {
        yaml.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        "kind: Service\nmetadata: {name: store, namespace: shop, labels: {istio.io/use-waypoint: none}}",
    )
    };
    let bypass = |yaml: &str| {
        yaml.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        "kind: Service\nmetadata: {name: store, namespace: shop, labels: {ambit.dev/allow-waypoint-bypass: 'true'}}",
    )
    };
    let gateway = |purpose: &str| GATEWAY.replace("FOR", purpose);
    let elsewhere = namespace("istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra");
    for (case, yaml, service_bound, pod_bound, guards) in [
        ("missing: bound all the same", inherited.clone(), true, true, 3),
        ("for services", inherited.clone() + &gateway("service"), true, true, 2),
        ("for workloads", inherited.clone() + &gateway("workload"), false, true, 1),
        ("for all", inherited.clone() + &gateway("all"), true, true, 3),
        ("for nothing", inherited.clone() + &gateway("none"), false, false, 0),
        ("the service opts out", none(&inherited) + &gateway("service"), false, false, 0),
        ("bypass allowed", bypass(&inherited) + &gateway("service"), true, false, 0),
        ("another namespace's", elsewhere, true, true, 3),
    ] {
        let world = world(&yaml);
        let derived = derive(&world, &Dirty::Pod(Key::new("shop", "store")));
        let got = (
            service(&world, "store").waypoint.is_some(),
            pod(&world, "store").waypoint.is_some(),
            derived.guards.len(),
        );
        assert_eq!(got, (service_bound, pod_bound, guards), "{case}");
    }
}

#[test]
fn a_canary_waypoint_may_come_too() {
    let yaml = BASE.replace(
        "kind: Service\nmetadata: {name: store, namespace: shop}",
        "kind: Service\nmetadata: {name: store, namespace: shop, labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-canary: next}, annotations: {istio.io/use-waypoint-canary-weight: '10'}}",
    ) + "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: next, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
";
    let world = world(&yaml);
    let weights: Vec<u32> =
        service(&world, "store").weighted_waypoints.iter().map(|w| w.weight).collect();
    assert_eq!(weights, [90, 10]);
    let derived = derive(&world, &Dirty::Pod(Key::new("shop", "store")));
    let guard = derived.guards.first().expect("a guard");
    assert_eq!(guard.principals.len(), 2, "{guard:?}");
}

fn rules_of(rules: &str, action: &str) -> Vec<sec::Rule> {
    let yaml = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  action: {action}\n  rules: {rules}\n"
    );
    policy(&yaml).0.expect("sent").rules
}

#[test]
fn what_cannot_be_understood_makes_a_policy_stricter() {
    let all = sec::Rule::default();
    // ALLOW: how many rules are left. DENY: whether the one rule matches everything.
    for (case, rules, allowed, denies_all) in [
        ("no rules", "[]", 0, None),
        ("empty rule", "[{}]", 1, Some(true)),
        ("plain", "[{from: [{source: {namespaces: [a]}}]}]", 1, Some(false)),
        ("unknown field", "[{from: [{source: {namespace: [a]}}]}]", 0, Some(true)),
        ("unknown part", "[{form: []}]", 0, Some(true)),
        ("wrong type", "[{from: everyone}]", 0, Some(true)),
        ("empty from", "[{from: []}]", 0, Some(true)),
        ("empty source", "[{from: [{source: {}}]}]", 0, Some(true)),
        ("empty principals", "[{from: [{source: {principals: []}}]}]", 0, Some(true)),
        (
            "empty among others",
            "[{from: [{source: {namespaces: [a], principals: []}}]}]",
            0,
            Some(true),
        ),
        (
            "empty operation",
            "[{to: [{operation: {ports: ['80']}}, {operation: {}}]}]",
            0,
            Some(true),
        ),
        ("bad block", "[{from: [{source: {ipBlocks: [10.0.0.0/99]}}]}]", 0, Some(true)),
        ("bad port", "[{to: [{operation: {ports: ['70000']}}]}]", 0, Some(true)),
        ("layer 7 alone", "[{to: [{operation: {paths: [/a]}}]}]", 0, Some(true)),
        ("layer 7 beside", "[{to: [{operation: {paths: [/a], ports: ['80']}}]}]", 0, Some(false)),
        (
            "unknown condition",
            "[{when: [{key: 'request.headers[x]', values: [y]}]}]",
            0,
            Some(true),
        ),
        ("condition without value", "[{when: [{key: source.ip}]}]", 0, Some(true)),
        ("trust domains", "[{from: [{source: {trustDomains: [td]}}]}]", 0, Some(true)),
        (
            "one source of two is layer 7",
            "[{from: [{source: {namespaces: [a]}}, {source: {requestPrincipals: [b]}}]}]",
            0,
            Some(true),
        ),
    ] {
        assert_eq!(rules_of(rules, "ALLOW").len(), allowed, "ALLOW, {case}");
        let deny = rules_of(rules, "DENY");
        assert_eq!(deny.first().map(|r| *r == all), denies_all, "DENY, {case}");
        for m in deny.iter().flat_map(|r| &r.clauses).flat_map(|c| &c.matches) {
            assert_ne!(*m, sec::Match::default(), "{case}: an empty match never matches");
        }
    }
}

#[test]
fn a_field_of_the_spec_that_is_not_known_makes_it_stricter_too() {
    let yaml = |action: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  action: {action}\n  selectr: {{}}\n  rules: [{{from: [{{source: {{namespaces: [a]}}}}]}}]\n"
        )
    };
    assert!(policy(&yaml("ALLOW")).0.expect("sent").rules.is_empty());
    assert_eq!(policy(&yaml("DENY")).0.expect("sent").rules, [sec::Rule::default()]);
}

#[test]
fn a_rule_is_translated_field_by_field() {
    use sec::string_match::MatchType::{Exact, Prefix, Presence, Suffix};
    let rules = rules_of(
        "[{from: [{source: {principals: ['*', '*x', 'x*', 'a*b'], notNamespaces: [n], serviceAccounts: [o/a, b], ipBlocks: [10.0.0.0/8, '::1']}}], to: [{operation: {ports: ['80'], notPorts: ['81']}}], when: [{key: source.ip, notValues: [1.2.3.4]}, {key: destination.port, values: ['9']}]}]",
        "DENY",
    );
    let text = |m| sec::StringMatch { match_type: Some(m) };
    let account = |namespace: &str, account: &str| sec::ServiceAccountMatch {
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
    };
    let mut one = [0; 16];
    one[15] = 1;
    let block = |address: &[u8], length| sec::Address { address: address.to_vec(), length };
    let want = [
        sec::Match {
            destination_ports: vec![80],
            not_destination_ports: vec![81],
            ..sec::Match::default()
        },
        sec::Match {
            principals: vec![
                text(Presence(())),
                text(Suffix("x".to_owned())),
                text(Prefix("x".to_owned())),
                text(Exact("a*b".to_owned())),
            ],
            not_namespaces: vec![text(Exact("n".to_owned()))],
            service_accounts: vec![account("o", "a"), account("shop", "b")],
            source_ips: vec![block(&[10, 0, 0, 0], 8), block(&one, 128)],
            ..sec::Match::default()
        },
        sec::Match { not_source_ips: vec![block(&[1, 2, 3, 4], 32)], ..sec::Match::default() },
        sec::Match { destination_ports: vec![9], ..sec::Match::default() },
    ];
    let got: Vec<_> = rules[0].clauses.iter().map(|c| c.matches[0].clone()).collect();
    assert_eq!(got, want);
}

#[test]
fn who_enforces_a_policy() {
    let yaml = |namespace: &str, spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {{rules: [{{}}]{spec}}}\n"
        )
    };
    for (case, yaml, scope) in [
        ("namespace", yaml("shop", ""), Some(sec::Scope::Namespace)),
        ("root", yaml("istio-system", ""), Some(sec::Scope::Global)),
        (
            "selector",
            yaml("shop", ", selector: {matchLabels: {a: b}}"),
            Some(sec::Scope::WorkloadSelector),
        ),
        ("target", yaml("shop", ", targetRefs: [{kind: Service, name: s}]"), None),
        ("custom", yaml("shop", ", action: CUSTOM"), None),
        ("audit", yaml("shop", ", action: AUDIT"), None),
    ] {
        assert_eq!(policy(&yaml).0.map(|p| p.scope()), scope, "{case}");
    }
    let (_, conditions) = policy(&yaml("shop", ", action: CUSTOM"));
    assert_eq!((conditions[0].status, conditions[0].reason.as_str()), (false, "UnsupportedValue"));
}

#[test]
fn a_selector_of_the_root_namespace_reaches_every_namespace() {
    let with = |namespace: &str| {
        format!(
            "{BASE}---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {{action: DENY, selector: {{matchLabels: {{app: store}}}}, rules: [{{}}]}}\n"
        )
    };
    for (namespace, want) in
        [("shop", vec!["shop/p"]), ("istio-system", vec!["istio-system/p"]), ("other", vec![])]
    {
        assert_eq!(
            pod(&world(&with(namespace)), "store").authorization_policies,
            want,
            "{namespace}"
        );
    }
}

const STRICT: &str = "istio-system/istio_converted_static_strict";

fn peers(list: &[(&str, &str, &str)]) -> World {
    let mut yaml = BASE.to_owned();
    for (namespace, name, spec) in list {
        yaml = format!(
            "{yaml}---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
        );
    }
    world(&yaml)
}

#[test]
fn the_nearest_peer_authentication_counts() {
    let strict = "mtls: {mode: STRICT}";
    let permissive = "mtls: {mode: PERMISSIVE}";
    let own = |spec: &str| format!("selector: {{matchLabels: {{app: store}}}}, {spec}");
    let (own_strict, own_permissive) = (own(strict), own(permissive));
    let port_strict = own("mtls: {mode: PERMISSIVE}, portLevelMtls: {'8080': {mode: STRICT}}");
    let port_open = own("mtls: {mode: STRICT}, portLevelMtls: {'8080': {mode: DISABLE}}");
    let port_same = own("mtls: {mode: STRICT}, portLevelMtls: {'8080': {mode: STRICT}}");
    let port_unset = own("portLevelMtls: {'8080': {mode: PERMISSIVE}}");
    let wrong = own("mtls: {mode: ON}");
    let converted = "shop/converted_peer_authentication_p";
    for (case, list, want) in [
        ("none", vec![], None),
        ("mesh", vec![("istio-system", "m", strict)], Some(STRICT)),
        (
            "namespace over mesh",
            vec![("istio-system", "m", strict), ("shop", "n", permissive)],
            None,
        ),
        (
            "workload over namespace",
            vec![("shop", "n", permissive), ("shop", "p", own_strict.as_str())],
            Some(STRICT),
        ),
        (
            "unset inherits",
            vec![("istio-system", "m", strict), ("shop", "n", "mtls: {mode: UNSET}")],
            Some(STRICT),
        ),
        (
            "permissive workload",
            vec![("shop", "n", strict), ("shop", "p", own_permissive.as_str())],
            None,
        ),
        ("selector in root is ignored", vec![("istio-system", "m", own_strict.as_str())], None),
        ("another namespace", vec![("other", "n", strict)], None),
        ("strict port", vec![("shop", "p", port_strict.as_str())], Some(converted)),
        ("open port", vec![("shop", "p", port_open.as_str())], Some(converted)),
        ("same port", vec![("shop", "p", port_same.as_str())], Some(STRICT)),
        (
            "open port, inherited",
            vec![("shop", "n", strict), ("shop", "p", port_unset.as_str())],
            Some(converted),
        ),
        ("unreadable", vec![("shop", "p", wrong.as_str())], Some(STRICT)),
        (
            "unreadable for others",
            vec![("shop", "p", "selector: {matchLabels: {app: web}}, mtls: 5")],
            None,
        ),
        (
            "for whom is unreadable",
            vec![("shop", "n", permissive), ("shop", "p", "selector: 5")],
            Some(STRICT),
        ),
        ("unreadable mesh", vec![("istio-system", "m", "mtls: 5")], Some(STRICT)),
    ] {
        let world = peers(&list);
        let got = pod(&world, "store").authorization_policies;
        assert_eq!(got, want.into_iter().collect::<Vec<_>>(), "{case}");
        let sent = authorizations(&derive(&world, &Dirty::Strict)).len();
        assert_eq!(sent, usize::from(!list.is_empty()), "static policy, {case}");
        let own = authorizations(&derive(&world, &Dirty::Peer(Key::new("shop", "p")))).len();
        assert_eq!(own, usize::from(want == Some(converted)), "own policy, {case}");
    }
}

#[test]
fn strict_ports_are_rules_and_open_ports_are_exceptions() {
    let rules = |ports: &str, mode: &str| {
        let spec = format!(
            "selector: {{matchLabels: {{app: store}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {ports}"
        );
        let world = peers(&[("shop", "p", &spec)]);
        authorizations(&derive(&world, &Dirty::Peer(Key::new("shop", "p")))).remove(0).rules
    };
    let strict = rules("{'1': {mode: STRICT}, '2': {mode: STRICT}}", "PERMISSIVE");
    assert_eq!(strict.len(), 2, "or-ed");
    assert_eq!(strict[1].clauses[1].matches[0].destination_ports, [2]);
    let open = rules("{'1': {mode: DISABLE}, '2': {mode: PERMISSIVE}}", "STRICT");
    assert_eq!(open.len(), 1);
    let exempt = open[0].clauses[1..].iter().map(|c| c.matches[0].not_destination_ports[0]);
    assert_eq!(exempt.collect::<Vec<_>>(), [1, 2], "and-ed");
}

#[test]
fn the_mesh_configuration_names_the_trust_domain() {
    let yaml = format!(
        "{BASE}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    trustDomain: my.td\n    rootNamespace: root\n    extensionProviders:\n    - name: opa\n      envoyExtAuthzGrpc: {{service: opa.shop.svc.cluster.local, port: 9191, timeout: 0.05s}}\n"
    );
    let world = world(&yaml);
    assert_eq!(pod(&world, "store").trust_domain, "my.td");
    assert_eq!(world.mesh().root_namespace, "root");
    assert_eq!(world.mesh().providers[0].envoy_ext_authz_grpc.as_ref().map(|g| g.port), Some(9191));
}

#[test]
fn a_waypoint_is_told_the_aliases_of_the_trust_domain() {
    let mesh = "trustDomain: my.td\n    trustDomainAliases: [old.td, my.td, older.td]";
    let yaml = format!(
        "{BASE}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    {mesh}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: wp, namespace: shop}}\nspec: {{gatewayClassName: ambit-waypoint, listeners: [{{name: m, port: 15008, protocol: HBONE}}]}}\n"
    );
    let derived = derive(&world(&yaml), &Dirty::Gateway(Key::new("shop", "wp")));
    let gateway = derived.resources.iter().find(|r| r.family == Family::WaypointGateway);
    let gateway = way::Gateway::decode(&*gateway.expect("a Gateway").body).expect("a Gateway");
    assert_eq!(gateway.trust_domains, ["my.td", "old.td", "older.td"]);
}

#[test]
fn the_same_world_has_the_same_bytes() {
    let once = derive(&world(BASE), &Dirty::Pod(Key::new("shop", "store")));
    for _ in 0..20 {
        assert_eq!(derive(&world(BASE), &Dirty::Pod(Key::new("shop", "store"))), once);
    }
}
