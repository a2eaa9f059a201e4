//! Which endpoints may be chosen, and how often each is.

use std::collections::BTreeMap;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::intern::Interner;
use hbone::wire::pb::istio::workload as wire;
use hbone::wire::workload::Address;
use prost::Message;
use wire::load_balancing::{HealthPolicy as WireHealth, Mode as WireMode, Scope as WireScope};

use super::*;

struct Pod {
    name: &'static str,
    zone: &'static str,
    node: &'static str,
    healthy: bool,
    capacity: u32,
}

const fn pod(name: &'static str, zone: &'static str, node: &'static str) -> Pod {
    Pod { name, zone, node, healthy: true, capacity: 1 }
}

fn address(kind: wire::address::Type) -> Address {
    let bytes = wire::Address { r#type: Some(kind) }.encode_to_vec();
    Address::decode(&bytes, &mut Interner::default()).expect("an address")
}

fn workload(number: usize, pod: &Pod) -> Address {
    let ports = wire::PortList {
        ports: vec![wire::Port { service_port: 80, target_port: 8080, ..Default::default() }],
    };
    let last = u8::try_from(number).expect("few");
    let locality =
        wire::Locality { region: "r".to_owned(), zone: pod.zone.to_owned(), ..Default::default() };
    let status =
        if pod.healthy { wire::WorkloadStatus::Healthy } else { wire::WorkloadStatus::Unhealthy };
    address(wire::address::Type::Workload(wire::Workload {
        uid: pod.name.to_owned(),
        name: pod.name.to_owned(),
        node: pod.node.to_owned(),
        addresses: vec![vec![10, 1, 0, last]],
        locality: Some(locality),
        status: status.into(),
        capacity: Some(pod.capacity),
        services: BTreeMap::from([("shop/store".to_owned(), ports)]),
        ..Default::default()
    }))
}

fn service(scopes: &[WireScope], mode: WireMode, health: WireHealth) -> Address {
    address(wire::address::Type::Service(wire::Service {
        name: "store".to_owned(),
        namespace: "shop".to_owned(),
        hostname: "store".to_owned(),
        ports: vec![wire::Port { service_port: 80, target_port: 8080, ..Default::default() }],
        load_balancing: Some(wire::LoadBalancing {
            routing_preference: scopes.iter().map(|scope| (*scope).into()).collect(),
            mode: mode.into(),
            health_policy: health.into(),
        }),
        ..Default::default()
    }))
}

/// How often each pod is chosen in a thousand, as seen from the first of `pods`.
fn shares(service: Address, pods: &[Pod], tried: &[SocketAddr]) -> BTreeMap<String, u32> {
    let mut directory = Directory::default();
    directory.insert(service);
    let mut own = None;
    for (number, pod) in pods.iter().enumerate() {
        let address = workload(number, pod);
        if let (Address::Workload(workload), true) = (&address, own.is_none()) {
            own = Some(workload.clone());
        }
        directory.insert(address);
    }
    let key = NamespacedHostname::parse("shop/store").expect("a name");
    let service = directory.service(&key).expect("the service").clone();
    let mut shares = BTreeMap::new();
    for random in 0..1000 {
        let own = own.as_deref();
        if let Some(endpoint) = choose(&directory, &service, 80, own, tried, random) {
            assert_eq!(endpoint.address.port(), 8080, "the port of the pod");
            *shares.entry(endpoint.workload.name.to_string()).or_default() += 1;
        }
    }
    shares
}

fn of(shares: &[(&str, u32)]) -> BTreeMap<String, u32> {
    shares.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[test]
fn endpoints_share_by_weight_and_only_the_healthy_do() {
    let any = || service(&[], WireMode::UnspecifiedMode, WireHealth::OnlyHealthy);
    let (a, b) = (|| pod("a", "1", "n"), || pod("b", "1", "n"));
    let ill = || Pod { healthy: false, ..b() };
    assert_eq!(shares(any(), &[a(), b()], &[]), of(&[("a", 500), ("b", 500)]));
    let heavy = Pod { capacity: 4, ..b() };
    assert_eq!(shares(any(), &[a(), heavy], &[]), of(&[("a", 200), ("b", 800)]));
    assert_eq!(shares(any(), &[a(), Pod { capacity: 0, ..b() }], &[]), of(&[("a", 1000)]));
    assert_eq!(shares(any(), &[a(), ill()], &[]), of(&[("a", 1000)]));
    assert_eq!(shares(any(), &[ill()], &[]), of(&[]), "nobody healthy is nobody");
    let all = service(&[], WireMode::UnspecifiedMode, WireHealth::AllowAll);
    assert_eq!(shares(all, &[a(), ill()], &[]), of(&[("a", 500), ("b", 500)]));
}

#[test]
fn what_was_tried_is_not_chosen_again() {
    let any = || service(&[], WireMode::UnspecifiedMode, WireHealth::OnlyHealthy);
    let pods = || [pod("a", "1", "n"), pod("b", "1", "n"), pod("c", "1", "n")];
    let at = |n: u8| SocketAddr::from(([10, 1, 0, n], 8080));
    assert_eq!(shares(any(), &pods(), &[at(0)]), of(&[("b", 500), ("c", 500)]));
    assert_eq!(shares(any(), &pods(), &[at(0), at(1), at(2)]), of(&[]));
}

#[test]
fn nearness_counts_as_the_service_says() {
    use WireScope::{Node, Region, Zone};
    let near_far = || [pod("own", "1", "n"), pod("zone", "1", "m"), pod("far", "2", "x")];
    for (case, scopes, mode, want) in [
        (
            "no preference",
            &[][..],
            WireMode::Failover,
            &[("far", 334), ("own", 333), ("zone", 333)][..],
        ),
        ("same zone", &[Region, Zone], WireMode::Failover, &[("own", 500), ("zone", 500)]),
        ("same node", &[Region, Zone, Node], WireMode::Failover, &[("own", 1000)]),
        ("strict", &[Zone], WireMode::Strict, &[("own", 500), ("zone", 500)]),
        ("strict node", &[Node], WireMode::Strict, &[("own", 1000)]),
    ] {
        let service = service(scopes, mode, WireHealth::OnlyHealthy);
        assert_eq!(shares(service, &near_far(), &[]), of(want), "{case}");
    }
    // Where nobody is near, failover goes far, and strict goes nowhere.
    let alone = || [Pod { healthy: false, ..pod("own", "1", "n") }, pod("far", "2", "x")];
    let failover = service(&[Zone], WireMode::Failover, WireHealth::OnlyHealthy);
    assert_eq!(shares(failover, &alone(), &[]), of(&[("far", 1000)]));
    let strict = service(&[Zone], WireMode::Strict, WireHealth::OnlyHealthy);
    assert_eq!(shares(strict, &alone(), &[]), of(&[]));
}
