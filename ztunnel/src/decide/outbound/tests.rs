use std::net::IpAddr;
use std::sync::Arc;

use hbone::wire::workload::{Scope, Workload};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::balance::{rank, weighted};
use super::{Outbound, OwnPorts, Request, outbound};
use crate::decide::fixture::{id, mesh, rng, snapshot_of};
use crate::state::Snapshot;

fn go(snapshot: &Snapshot, source: &str, dialled: &str, tried: &[Arc<str>]) -> Outbound {
    let source = snapshot.workload(source).unwrap();
    let source_ip = source.addresses[0];
    let destination = dialled.parse().unwrap();
    let own_ports = OwnPorts::default();
    let request = Request { source, source_ip, destination, tried, own_ports };
    outbound(snapshot, &request, &mut rng())
}

fn show(outbound: &Outbound) -> String {
    match outbound {
        Outbound::Hbone(t) => format!("hbone {} for {}", t.target, t.authority),
        Outbound::Waypoint(t) => format!("waypoint {} for {}", t.target, t.authority),
        Outbound::Plain(p) => format!("plain {}", p.target),
        Outbound::Resolve(r) => format!("resolve {}", r.hostname()),
        Outbound::Refuse(refusal) => format!("{refusal}"),
    }
}

#[test]
fn a_connection_goes_where_the_address_says() {
    let state = mesh();
    for (case, dialled, want) in [
        ("the proxy itself", "127.0.0.1:15001", "127.0.0.1:15001 is the proxy itself"),
        ("the proxy, mapped", "[::ffff:127.0.0.1]:15008", "127.0.0.1:15008 is the proxy itself"),
        ("loopback, other port", "127.0.0.1:80", "plain 127.0.0.1:80"),
        ("SOCKS is off", "127.0.0.1:15080", "plain 127.0.0.1:15080"),
        ("pod in the mesh", "10.1.0.5:80", "hbone 10.1.0.5:15008 for 10.1.0.5:80"),
        ("pod, IPv6", "[fd00::5]:80", "hbone [fd00::5]:15008 for [fd00::5]:80"),
        ("pod, mapped", "[::ffff:10.1.0.5]:80", "hbone 10.1.0.5:15008 for 10.1.0.5:80"),
        ("pod outside the mesh", "10.1.0.9:80", "plain 10.1.0.9:80"),
        ("unknown address", "192.0.2.1:443", "plain 192.0.2.1:443"),
        ("pod of another network", "10.9.0.1:80", "plain 10.9.0.1:80"),
        ("service", "10.96.0.1:80", "hbone 10.1.0.5:15008 for 10.1.0.5:8080"),
        ("port without mapping", "10.96.0.1:81", "hbone 10.1.0.5:15008 for 10.1.0.5:8081"),
        ("unknown port", "10.96.0.1:99", "service shop/store has no port 99"),
        ("named port", "10.96.0.2:80", "hbone 10.1.0.5:15008 for 10.1.0.5:9090"),
        ("IPv6 only service", "10.96.0.3:80", "hbone [fd00::5]:15008 for [fd00::5]:8080"),
        ("all unhealthy", "10.96.0.4:80", "service shop/sick has no usable endpoint"),
        ("health ignored", "10.96.0.5:80", "hbone 10.1.0.6:15008 for 10.1.0.6:8080"),
        ("service outside the mesh", "10.96.0.6:80", "plain 10.1.0.9:8081"),
        ("service with waypoint", "10.96.0.7:80", "waypoint 10.1.0.20:15008 for 10.96.0.7:80"),
        (
            "its waypoint is absent",
            "10.96.0.8:80",
            "waypoint of shop/lost is absent or has no usable instance",
        ),
        ("no endpoint", "10.96.0.9:80", "service shop/empty has no usable endpoint"),
        (
            "endpoint elsewhere",
            "10.96.0.10:80",
            "shop/far is on another network, to which no way is supported",
        ),
        ("endpoint by name", "10.96.0.11:5432", "resolve db.example.com"),
        ("passthrough", "10.96.0.12:80", "plain 10.96.0.12:80"),
        ("passthrough, waypoint", "10.96.0.13:80", "waypoint 10.1.0.20:15008 for 10.96.0.13:80"),
        ("waypoint by address", "10.96.0.14:80", "waypoint 10.1.0.20:15010 for 10.96.0.14:80"),
        ("invisible service", "10.96.0.15:80", "plain 10.96.0.15:80"),
        ("weighted waypoints", "10.96.0.16:80", "waypoint 10.1.0.20:15008 for 10.96.0.16:80"),
        ("all weights are 0", "10.96.0.17:80", "waypoint 10.1.0.20:15008 for 10.96.0.17:80"),
        ("block with waypoint", "10.98.1.1:80", "waypoint 10.1.0.20:15008 for 10.98.1.1:80"),
        ("pod in that block", "10.98.0.7:80", "hbone 10.98.0.7:15008 for 10.98.0.7:8080"),
        ("pod with waypoint", "10.1.0.30:80", "waypoint 10.1.0.20:15008 for 10.1.0.30:80"),
        (
            "its waypoint is absent",
            "10.1.0.31:80",
            "waypoint of 10.1.0.31 is absent or has no usable instance",
        ),
        (
            "pod without identity",
            "10.1.0.40:80",
            "workload c//Pod/bad/anon has no identity to verify",
        ),
    ] {
        assert_eq!(show(&go(&state, "c//Pod/shop/web", dialled, &[])), want, "{case}");
    }
}

#[test]
fn an_endpoint_with_its_service_s_address_is_no_way_around_the_waypoint() {
    let entry = |uid: &str| {
        format!(
            "workloads: [{{uid: '{uid}', namespace: shop, workloadIps: [192.0.2.7], services: {{shop/api: {{80: 80}}}}}},
              {{uid: c//Pod/shop/web, namespace: shop, workloadIps: [10.1.0.2]}},
              {{uid: c//Pod/shop/wp, namespace: shop, workloadIps: [10.1.0.20], protocol: HBONE, services: {{shop/wp: {{15008: 15008}}}}}}]
services: [{{name: api, namespace: shop, hostname: api, vips: [/192.0.2.7], ports: {{80: 80}}, waypoint: {{destination: shop/wp, hboneMtlsPort: 15008}}}},
  {{name: wp, namespace: shop, hostname: wp, vips: [/10.96.0.9], ports: {{15008: 15008}}}}]"
        )
    };
    for (case, uid, want) in [
        (
            "outside the mesh",
            "c/networking.istio.io/ServiceEntry/shop/api/192.0.2.7",
            "waypoint 10.1.0.20:15008 for 192.0.2.7:80",
        ),
        ("a pod", "c//Pod/shop/api", "plain 192.0.2.7:80"),
    ] {
        let state = snapshot_of(&entry(uid));
        let went = go(&state, "c//Pod/shop/web", "192.0.2.7:80", &[]);
        assert_eq!(show(&went), want, "{case}");
    }
}

#[test]
fn only_the_waypoint_itself_passes_its_waypoint() {
    let state = mesh();
    let waypoint = state.workload("c//Pod/shop/wp-1").unwrap();
    let web = state.workload("c//Pod/shop/web").unwrap();
    for (case, source, ip, direct) in [
        ("itself", waypoint, "10.1.0.20", true),
        ("itself, mapped", waypoint, "::ffff:10.1.0.20", true),
        ("its identity from elsewhere", waypoint, "10.1.0.2", false),
        ("its address, another identity", web, "10.1.0.20", false),
        ("another", web, "10.1.0.2", false),
    ] {
        let request = Request {
            source,
            source_ip: ip.parse::<IpAddr>().unwrap(),
            destination: "10.1.0.30:80".parse().unwrap(),
            tried: &[],
            own_ports: OwnPorts::default(),
        };
        let got = outbound(&state, &request, &mut rng());
        assert_eq!(matches!(got, Outbound::Hbone(_)), direct, "{case}: {}", show(&got));
    }
}

#[test]
fn the_peer_is_the_workload_or_a_name_of_the_service() {
    let state = mesh();
    let expected = |dialled| match go(&state, "c//Pod/shop/web", dialled, &[]) {
        Outbound::Hbone(t) | Outbound::Waypoint(t) => t.expected,
        other => panic!("{}", show(&other)),
    };
    assert_eq!(expected("10.1.0.5:80"), [id("shop", "store")], "by address: no other name");
    assert_eq!(expected("10.96.0.1:80"), [id("alias", "store"), id("shop", "store")]);
    assert_eq!(expected("10.96.0.7:80"), [id("shop", "waypoint")]);
}

#[test]
fn the_facts_for_telemetry_are_those_of_the_client_and_the_next_hop() {
    let state = mesh();
    let Outbound::Waypoint(t) = go(&state, "c//Pod/shop/web", "10.96.0.7:80", &[]) else {
        panic!("not to the waypoint")
    };
    assert_eq!(&*t.workload.name, "wp-1");
    assert_eq!(t.service.map(|s| s.name.to_string()).as_deref(), Some("guarded"));
}

#[test]
fn an_endpoint_that_was_tried_is_not_chosen_again() {
    let state = mesh();
    let tried: Vec<Arc<str>> = vec!["c//Pod/shop/store-1".into(), "c//Pod/shop/wp-1".into()];
    for (dialled, want) in [
        ("10.96.0.1:80", "every endpoint of shop/store was tried"),
        ("10.1.0.5:80", "every endpoint of c//Pod/shop/store-1 was tried"),
        ("10.96.0.7:80", "every endpoint of shop/guarded was tried"),
        ("10.96.0.14:80", "every endpoint of shop/byaddress was tried"),
    ] {
        assert_eq!(show(&go(&state, "c//Pod/shop/web", dialled, &tried)), want);
    }
}

#[test]
fn a_name_resolves_to_an_address_that_may_be_used() {
    let state = mesh();
    let answer = |addresses: &[&str]| {
        let Outbound::Resolve(r) = go(&state, "c//Pod/shop/web", "10.96.0.11:5432", &[]) else {
            panic!("nothing to resolve")
        };
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        show(&r.answered(&addresses, &mut rng()))
    };
    let unusable = "host name db.example.com is not resolved: it has no address that may be used";
    assert_eq!(answer(&["2001:db8::1", "192.0.2.7"]), "plain 192.0.2.7:5432");
    assert_eq!(answer(&["2001:db8::1"]), "plain [2001:db8::1]:5432");
    assert_eq!(answer(&["127.0.0.1", "::1"]), unusable);
    assert_eq!(answer(&[]), unusable);
}

fn at(network: &str, region: &str, zone: &str) -> Workload {
    let locality = format!("{{region: {region}, zone: {zone}}}");
    let yaml = format!(
        "workloads: [{{uid: x, namespace: n, network: '{network}', locality: {locality}}}]"
    );
    Workload::clone(snapshot_of(&yaml).workload("x").unwrap())
}

#[test]
fn endpoints_rank_by_leading_scopes_and_the_own_network_first() {
    use Scope::{Network, Region, Zone};
    let source = at("a", "r1", "z1");
    for (case, preference, endpoint, want) in [
        ("no preference", &[][..], at("a", "r1", "z1"), 0),
        ("both", &[Region, Zone], at("a", "r1", "z1"), 2),
        ("first only", &[Region, Zone], at("a", "r1", "z2"), 1),
        ("second only does not count", &[Region, Zone], at("a", "r2", "z1"), 0),
        ("own network, all", &[Network, Region, Zone], at("a", "r1", "z1"), 5),
        ("own network, nothing else", &[Network, Region, Zone], at("a", "r2", "z2"), 3),
        ("other network, all else", &[Network, Region, Zone], at("b", "r1", "z1"), 2),
        ("other network, region", &[Network, Region, Zone], at("b", "r1", "z2"), 1),
        ("network is not first", &[Region, Network], at("b", "r1", "z1"), 1),
    ] {
        assert_eq!(rank(preference, &source, &endpoint), want, "{case}");
    }
}

fn shares(balancing: &str, endpoints: &[&str]) -> Vec<(String, usize)> {
    let mut workloads = vec!["{uid: src, namespace: n, node: n1, locality: {region: r1, zone: z1}, workloadIps: [10.0.0.1]}".to_owned()];
    workloads.extend(endpoints.iter().enumerate().map(|(n, endpoint)| {
        format!("{{uid: e{n}, namespace: n, workloadIps: [10.0.1.{n}], services: {{n/s: {{80: 80}}}}, {endpoint}}}")
    }));
    let workloads = workloads.join(", ");
    let state = snapshot_of(&format!(
        "{{workloads: [{workloads}], services: [{{namespace: n, hostname: s, vips: [/10.5.0.1], ports: {{80: 80}}, loadBalancer: {balancing}}}]}}"
    ));
    let (source, mut rng) = (state.workload("src").unwrap(), SmallRng::seed_from_u64(1));
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        let request = Request {
            source,
            source_ip: source.addresses[0],
            destination: "10.5.0.1:80".parse().unwrap(),
            tried: &[],
            own_ports: OwnPorts::default(),
        };
        if let Outbound::Plain(p) = outbound(&state, &request, &mut rng) {
            *counts.entry(p.workload.unwrap().uid.to_string()).or_default() += 1;
        }
    }
    counts.into_iter().collect()
}

#[test]
fn a_preference_and_capacities_decide_who_is_chosen() {
    const NEAR: &str = "node: n1, locality: {region: r1, zone: z1}";
    const ZONE: &str = "node: n2, locality: {region: r1, zone: z2}";
    const AWAY: &str = "node: n3, locality: {region: r2, zone: z3}";
    let uids = |balancing, endpoints: &[&str]| {
        let shares = shares(balancing, endpoints);
        shares.into_iter().map(|(uid, _)| uid).collect::<Vec<_>>().join(" ")
    };
    let failover = "{routingPreferences: [Region, Zone], mode: Failover}";
    let strict = "{routingPreferences: [Node], mode: Strict}";
    assert_eq!(uids("{}", &[NEAR, ZONE, AWAY]), "e0 e1 e2");
    assert_eq!(uids(failover, &[NEAR, ZONE, AWAY]), "e0");
    assert_eq!(uids(failover, &[AWAY, ZONE]), "e1");
    assert_eq!(uids(failover, &[AWAY]), "e0");
    assert_eq!(uids(strict, &[NEAR, ZONE]), "e0");
    assert_eq!(uids(strict, &[ZONE, AWAY]), "");
    let empty_best = format!("{NEAR}, capacity: 0");
    assert_eq!(uids(failover, &[&empty_best, ZONE]), "e1", "0 is never chosen");
}

#[test]
fn capacity_is_the_share() {
    let shares = shares("{}", &["capacity: 1", "capacity: 3", "capacity: 0"]);
    assert_eq!(shares.len(), 2, "{shares:?}");
    assert!((200..300).contains(&shares[0].1), "{shares:?}");
}

#[test]
fn weights_of_zero_choose_nothing() {
    assert_eq!(weighted([0, 0].iter(), |w| **w, &mut rng()), None);
    assert_eq!(weighted([0, 5, 0].iter(), |w| **w, &mut rng()), Some(&5));
    let huge = [u32::MAX, u32::MAX];
    assert!(weighted(huge.iter(), |w| **w, &mut rng()).is_some());
}
