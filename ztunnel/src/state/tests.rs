use std::sync::Arc;
use std::time::Duration;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::istio::security as sec;
use hbone::wire::pb::istio::workload as pb;
use hbone::xds::{Handler, Resource};
use prost::Message;

use super::{Found, Place, PodName, Snapshot, State, StaticState};

fn state() -> Arc<State> {
    let place = Place { node: "node-a".into(), network: "net".into(), cluster: "c".into() };
    Arc::new(State::new(place))
}

fn address(kind: pb::address::Type) -> Resource {
    let bytes = pb::Address { r#type: Some(kind) }.encode_to_vec().into();
    Resource { name: "named by the test".into(), version: String::new(), bytes }
}

fn pod(name: &str, ip: &[u8], services: &[(&str, u32)]) -> pb::Workload {
    let ports = |target_port| pb::PortList {
        ports: vec![pb::Port { service_port: 80, target_port, app_protocol: 0 }],
    };
    pb::Workload {
        uid: format!("c//Pod/shop/{name}"),
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        network: "net".into(),
        addresses: vec![ip.to_vec()],
        services: services.iter().map(|(key, port)| ((*key).into(), ports(*port))).collect(),
        ..pb::Workload::default()
    }
}

fn service(namespace: &str, hostname: &str, vip: &[u8], length: Option<u32>) -> pb::Service {
    let vip = pb::NetworkAddress { network: "net".into(), address: vip.to_vec(), length };
    pb::Service {
        name: hostname.into(),
        namespace: namespace.into(),
        hostname: hostname.into(),
        addresses: vec![vip],
        ..pb::Service::default()
    }
}

fn put(state: &State, workload: pb::Workload) {
    let refused = state.apply_addresses(&[address(pb::address::Type::Workload(workload))], &[]);
    assert_eq!(refused, []);
}

fn put_service(state: &State, service: pb::Service) {
    let refused = state.apply_addresses(&[address(pb::address::Type::Service(service))], &[]);
    assert_eq!(refused, []);
}

fn remove(state: &State, name: &str) {
    assert_eq!(state.apply_addresses(&[], &[name.to_owned()]), []);
}

fn policy(name: &str, namespace: &str, scope: i32) -> Resource {
    let policy = sec::Authorization {
        name: name.into(),
        namespace: namespace.into(),
        scope,
        ..sec::Authorization::default()
    };
    let bytes = policy.encode_to_vec().into();
    Resource { name: format!("{namespace}/{name}"), version: String::new(), bytes }
}

fn key(text: &str) -> NamespacedHostname {
    NamespacedHostname::parse(text).unwrap()
}

fn endpoints(snapshot: &Snapshot, service: &str) -> String {
    let all = snapshot.endpoints(&key(service)).map(|w| w.name.to_string());
    all.collect::<Vec<_>>().join(" ")
}

fn whose(snapshot: &Snapshot, ip: &str, namespace: &str) -> String {
    match snapshot.upstream(&snapshot.here(ip.parse().unwrap()), namespace) {
        Some(Found::Workload(w)) => format!("workload {}", w.name),
        Some(Found::Service(s)) => format!("service {}", s.key),
        None => "nobody".into(),
    }
}

#[test]
fn endpoints_are_found_in_whatever_order_things_come() {
    let state = state();
    put(&state, pod("a", &[10, 1, 0, 1], &[("shop/s", 8080)]));
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "a", "staged before its service");
    put_service(&state, service("shop", "s", &[10, 96, 0, 1], None));
    put(&state, pod("b", &[10, 1, 0, 2], &[("shop/s", 8081)]));
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "a b");

    put(&state, pod("b", &[10, 1, 0, 2], &[]));
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "a", "no longer a member");
    remove(&state, "shop/s");
    assert!(state.snapshot().service(&key("shop/s")).is_none());
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "a", "staged again");
    remove(&state, "c//Pod/shop/a");
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "");
    assert!(state.snapshot().members.is_empty(), "nothing is left behind");
}

#[test]
fn an_address_follows_its_workload() {
    let state = state();
    put(&state, pod("a", &[10, 1, 0, 1], &[]));
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload a");
    assert_eq!(whose(&state.snapshot(), "::ffff:10.1.0.1", "shop"), "workload a");
    put(&state, pod("a", &[10, 1, 0, 2], &[]));
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "nobody");
    assert_eq!(whose(&state.snapshot(), "10.1.0.2", "shop"), "workload a");
    remove(&state, "c//Pod/shop/a");
    assert_eq!(whose(&state.snapshot(), "10.1.0.2", "shop"), "nobody");
    assert!(state.snapshot().by_address.is_empty());
}

#[test]
fn a_pod_wins_a_conflict_then_hbone_and_the_loser_comes_back() {
    let ip = [10, 1, 0, 1];
    let entry = |uid: &str, tunnel_protocol| pb::Workload {
        uid: uid.into(),
        tunnel_protocol,
        ..pod(uid.split('/').next_back().unwrap_or_default(), &ip, &[])
    };
    let state = state();
    put(&state, entry("c/entry/plain", 0));
    put(&state, entry("c/entry/tunnel", 1));
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload tunnel");
    put(&state, entry("c//Pod/shop/pod", 0));
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload pod");
    remove(&state, "c//Pod/shop/pod");
    remove(&state, "c/entry/tunnel");
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload plain");
}

#[test]
fn a_workload_on_its_nodes_address_is_not_found_by_it() {
    let state = state();
    let host = pb::Workload { network_mode: 1, ..pod("host", &[10, 1, 0, 1], &[("shop/s", 80)]) };
    put(&state, host);
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "nobody");
    assert_eq!(endpoints(&state.snapshot(), "shop/s"), "host", "but it is an endpoint");
}

#[test]
fn networks_are_apart() {
    let state = state();
    put(&state, pb::Workload { network: "far".into(), ..pod("far", &[10, 1, 0, 1], &[]) });
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "nobody");
    put(&state, pod("near", &[10, 1, 0, 1], &[]));
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload near");
}

#[test]
fn one_of_several_services_of_an_address_is_for_the_client() {
    let vip = [10, 96, 0, 1];
    let state = state();
    put_service(&state, service("b", "s", &vip, None));
    put_service(&state, service("c", "s", &vip, None));
    assert_eq!(whose(&state.snapshot(), "10.96.0.1", "x"), "service b/s", "the first");
    put_service(&state, pb::Service { canonical: true, ..service("c", "s", &vip, None) });
    assert_eq!(whose(&state.snapshot(), "10.96.0.1", "x"), "service c/s", "the canonical");
    assert_eq!(whose(&state.snapshot(), "10.96.0.1", "b"), "service b/s", "its own");
    put_service(&state, pb::Service { visibility: 1, ..service("c", "s", &vip, None) });
    assert_eq!(whose(&state.snapshot(), "10.96.0.1", "x"), "service b/s", "what it sees");
    let named = state.snapshot();
    let named = named.service_named("s", "c").map(|s| s.key.to_string());
    assert_eq!(named.as_deref(), Some("c/s"));
    remove(&state, "b/s");
    assert_eq!(whose(&state.snapshot(), "10.96.0.1", "x"), "nobody");
}

#[test]
fn blocks_of_addresses_count_after_single_ones() {
    let state = state();
    put_service(&state, service("a", "wide", &[10, 96, 0, 0], Some(16)));
    put_service(&state, service("b", "narrow", &[10, 96, 1, 0], Some(24)));
    put_service(&state, service("c", "one", &[10, 96, 1, 1], None));
    put_service(&state, service("d", "v6", &[0xfd; 16], Some(64)));
    for (ip, namespace, want) in [
        ("10.96.1.1", "x", "service c/one"),
        ("10.96.1.2", "x", "service b/narrow"),
        ("10.96.1.2", "a", "service a/wide"),
        ("10.96.2.2", "x", "service a/wide"),
        ("10.97.0.1", "x", "nobody"),
        ("fdfd:fdfd:fdfd:fdfd::1", "x", "service d/v6"),
        ("fdfd:fdfd:fdfd:fdfe::1", "x", "nobody"),
    ] {
        assert_eq!(whose(&state.snapshot(), ip, namespace), want, "{ip} from {namespace}");
    }
    for name in ["a/wide", "b/narrow", "d/v6"] {
        remove(&state, name);
    }
    assert_eq!(whose(&state.snapshot(), "10.96.1.2", "x"), "nobody");
    assert!(state.snapshot().block_lengths.is_empty());
}

#[test]
fn address_and_upstream_ask_in_their_own_order() {
    let state = state();
    put(&state, pod("a", &[10, 96, 0, 1], &[]));
    put_service(&state, service("shop", "s", &[10, 96, 0, 1], None));
    let snapshot = state.snapshot();
    let at = snapshot.here("10.96.0.1".parse().unwrap());
    assert!(matches!(snapshot.address(&at, "x"), Some(Found::Workload(_))));
    assert!(matches!(snapshot.upstream(&at, "x"), Some(Found::Service(_))));
}

#[test]
fn what_is_refused_leaves_the_last_good_version() {
    let state = state();
    put(&state, pod("a", &[10, 1, 0, 1], &[]));
    let bad = pb::Workload { tunnel_protocol: 9, ..pod("a", &[10, 1, 0, 2], &[]) };
    let good = pod("b", &[10, 1, 0, 3], &[]);
    let mut resources = Vec::from([bad, good].map(|w| address(pb::address::Type::Workload(w))));
    resources[0].name = "the bad one".into();
    let handler: Box<dyn Handler> = Box::new(state.addresses());
    let refused = handler.apply(resources, vec!["never existed".into()]);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].name, "the bad one");
    assert!(refused[0].error.contains("tunnel_protocol is 9"), "{refused:?}");
    assert_eq!(whose(&state.snapshot(), "10.1.0.1", "shop"), "workload a");
    assert_eq!(whose(&state.snapshot(), "10.1.0.3", "shop"), "workload b");
}

#[test]
fn a_snapshot_in_hand_does_not_change() {
    let state = state();
    put(&state, pod("a", &[10, 1, 0, 1], &[("shop/s", 80)]));
    let before = state.snapshot();
    remove(&state, "c//Pod/shop/a");
    assert_eq!(whose(&before, "10.1.0.1", "shop"), "workload a");
    assert_eq!(endpoints(&before, "shop/s"), "a");
}

#[test]
fn a_policy_moves_with_its_scope_and_goes_with_its_name() {
    let state = state();
    put(
        &state,
        pb::Workload {
            authorization_policies: vec!["shop/p".into()],
            ..pod("a", &[10, 1, 0, 1], &[])
        },
    );
    let applies = || {
        let snapshot = state.snapshot();
        let workload = snapshot.workload("c//Pod/shop/a").unwrap();
        let keys = snapshot.policies_of(workload).map(|p| p.key.to_string());
        keys.collect::<Vec<_>>().join(" ")
    };
    let unknown = |snapshot: &Snapshot| {
        snapshot.unknown_policies(snapshot.workload("c//Pod/shop/a").unwrap()).count()
    };
    assert_eq!((applies().as_str(), unknown(&state.snapshot())), ("", 1));
    for scope in [2, 0, 1] {
        state.apply_authorizations(&[policy("p", "shop", scope), policy("q", "bank", 1)], &[]);
        assert_eq!((applies().as_str(), unknown(&state.snapshot())), ("shop/p", 0), "{scope}");
    }
    state.apply_authorizations(&[policy("p", "bank", 2)], &["shop/p".into()]);
    assert_eq!(applies(), "");
    let handler = state.authorizations();
    assert_eq!(handler.apply(vec![policy("p", "shop", 7)], vec![]).len(), 1);
}

#[test]
fn only_what_matters_to_live_connections_wakes_them() {
    let state = state();
    let mut policies = state.policy_changes();
    let mut local = state.local_changes();
    let mut woken = || {
        let woken = (policies.has_changed().unwrap(), local.has_changed().unwrap());
        policies.mark_unchanged();
        local.mark_unchanged();
        woken
    };
    let here = |w: pb::Workload| pb::Workload { node: "node-a".into(), ..w };
    let listing = |names: &[&str]| pb::Workload {
        authorization_policies: names.iter().map(ToString::to_string).collect(),
        ..here(pod("a", &[10, 1, 0, 1], &[]))
    };
    let elsewhere = |names: &[&str]| pb::Workload {
        node: "node-b".into(),
        name: "b".into(),
        uid: "b".into(),
        ..listing(names)
    };

    put(&state, listing(&[]));
    assert_eq!(woken(), (true, true), "a pod of this node");
    put(&state, listing(&[]));
    assert_eq!(woken(), (false, false), "nothing new");
    put(&state, pb::Workload { status: 1, ..listing(&[]) });
    assert_eq!(woken(), (false, false), "its health");
    put(&state, listing(&["shop/p"]));
    assert_eq!(woken(), (true, false), "its policies");
    put(&state, elsewhere(&[]));
    put(&state, elsewhere(&["shop/p"]));
    put_service(&state, service("shop", "s", &[10, 96, 0, 1], None));
    assert_eq!(woken(), (false, false), "other nodes");
    state.apply_authorizations(&[policy("p", "shop", 0), policy("q", "shop", 0)], &[]);
    assert_eq!(woken(), (true, false), "policies");
    state.apply_authorizations(&[policy("p", "shop", 0)], &["shop/none".into()]);
    assert_eq!(woken(), (false, false), "the same policies again");
    remove(&state, "c//Pod/shop/a");
    assert_eq!(woken(), (true, true), "gone");
}

#[test]
fn a_batch_of_policies_is_one_wake_up() {
    let state = state();
    let policies = state.policy_changes();
    let before = *policies.borrow();
    state.apply_authorizations(&[policy("p", "a", 0), policy("q", "a", 0)], &[]);
    assert_eq!(*policies.borrow(), before + 1);
}

#[test]
fn identities_of_this_node_are_counted() {
    let state = state();
    let here = |name: &str, account: &str| pb::Workload {
        node: "node-a".into(),
        service_account: account.into(),
        ..pod(name, &[10, 1, 0, 1], &[])
    };
    let needed = || {
        let snapshot = state.snapshot();
        let mut all: Vec<_> =
            snapshot.local_identities().map(|id| id.service_account().to_owned()).collect();
        all.sort_unstable();
        all.join(" ")
    };
    put(&state, here("a", "web"));
    put(&state, here("b", "web"));
    put(&state, here("c", "api"));
    put(&state, pb::Workload { node: "node-b".into(), ..here("d", "far") });
    assert_eq!(needed(), "api web");
    remove(&state, "c//Pod/shop/a");
    assert_eq!(needed(), "api web");
    put(&state, here("b", "new"));
    assert_eq!(needed(), "api new");
    put(&state, pb::Workload { node: "node-b".into(), ..here("b", "new") });
    assert_eq!(needed(), "api", "moved away");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_waited_for() {
    let state = state();
    let name = PodName { name: "a".into(), namespace: "shop".into(), service_account: "a".into() };
    let limit = Duration::from_secs(5);
    assert_eq!(state.wait_for_pod(&name, limit).await, None, "not in time");

    let waiting = tokio::spawn({
        let (state, name) = (Arc::clone(&state), name.clone());
        async move { state.wait_for_pod(&name, limit).await }
    });
    tokio::task::yield_now().await;
    put(&state, pod("a", &[10, 1, 0, 1], &[]));
    put(&state, pb::Workload { node: "node-a".into(), ..pod("a", &[10, 1, 0, 1], &[]) });
    let found = waiting.await.unwrap().map(|w| w.uid.to_string());
    assert_eq!(found.as_deref(), Some("c//Pod/shop/a"));
}

#[test]
fn static_state_is_all_or_nothing() {
    let state = state();
    let bad = "workloads: [{uid: a, namespace: n, network: net, workloadIps: [10.0.0.1]}]
services: [{namespace: n, hostname: s, vips: [nonsense]}]";
    let error = state.add_static(&StaticState::parse(bad).unwrap()).unwrap_err().to_string();
    assert!(error.contains("service n/s: vips is \"nonsense\""), "{error}");
    assert_eq!(whose(&state.snapshot(), "10.0.0.1", "n"), "nobody");

    for (text, want) in
        [("workloads: [{uid: a, color: red}]", "color"), ("a: [", "line"), ("{x: 1}", "x")]
    {
        let error = StaticState::parse(text).unwrap_err();
        assert!(error.contains(want), "{text}: {error}");
    }
    assert_eq!(StaticState::parse(" \n"), Ok(StaticState::default()));
}

#[test]
fn the_dump_reads_back_as_static_state() {
    let state = state();
    put(&state, pod("a", &[10, 1, 0, 1], &[("shop/s", 8080), ("shop/unknown", 1)]));
    put_service(&state, service("shop", "s", &[10, 96, 0, 1], Some(24)));
    state.apply_authorizations(&[policy("p", "shop", 1)], &[]);
    let dump = serde_json::to_value(state.snapshot().dump()).unwrap();
    assert_eq!(dump["workloads"][0]["workloadIps"][0], "10.1.0.1");
    assert_eq!(dump["services"][0]["vips"][0], "net/10.96.0.0/24");
    assert_eq!(dump["services"][0]["endpoints"]["c//Pod/shop/a"]["port"]["80"], 8080);
    assert_eq!(dump["stagedServices"]["shop/unknown"]["c//Pod/shop/a"]["port"]["80"], 1);
    assert_eq!(dump["policies"][0]["scope"], "Namespace");

    let mut again = dump.clone();
    again.as_object_mut().unwrap().remove("stagedServices");
    again["services"][0].as_object_mut().unwrap().remove("endpoints");
    let read = StaticState::parse(&again.to_string()).unwrap();
    let other = self::state();
    other.add_static(&read).unwrap();
    assert_eq!(serde_json::to_value(other.snapshot().dump()).unwrap(), dump);
}

#[test]
fn static_state_without_end_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.yaml");
    let file = std::fs::File::create(&path).expect("made");
    // Without content: its length is what counts.
    file.set_len((64 << 20) + 1).expect("it takes no room");
    let error = StaticState::read(&path).expect_err("too large");
    assert!(matches!(error, super::file::StaticError::Size { .. }), "{error}");
    file.set_len(0).expect("cut");
    assert_eq!(StaticState::read(&path).expect("empty"), StaticState::default());
}
