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
        if let Some(Chosen::Endpoint(endpoint)) =
            choose(&directory, &service, 80, own, tried, random)
        {
            assert_eq!(endpoint.address.port(), 8080, "the port of the pod");
            *shares.entry(endpoint.workload.expect("a pod").name.to_string()).or_default() += 1;
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

/// A service of host `host`, whose one endpoint is the name `of`.
fn named(of: &str, families: wire::IpFamilies) -> Chosen {
    let ports = wire::PortList {
        ports: vec![wire::Port { service_port: 443, target_port: 8443, ..Default::default() }],
    };
    let mut directory = Directory::default();
    directory.insert(address(wire::address::Type::Service(wire::Service {
        name: "api".to_owned(),
        namespace: "shop".to_owned(),
        hostname: of.to_owned(),
        ip_families: families.into(),
        ..Default::default()
    })));
    directory.insert(address(wire::address::Type::Workload(wire::Workload {
        uid: "api".to_owned(),
        hostname: of.to_owned(),
        services: BTreeMap::from([(format!("shop/{of}"), ports)]),
        ..Default::default()
    })));
    let key = NamespacedHostname::parse(&format!("shop/{of}")).expect("a name");
    let service = directory.service(&key).expect("the service").clone();
    choose(&directory, &service, 443, None, &[], 0).expect("chosen")
}

fn to_resolve(of: &str, families: wire::IpFamilies) -> Named {
    match named(of, families) {
        Chosen::Named(named) => named,
        Chosen::Endpoint(endpoint) => panic!("it has an address: {endpoint:?}"),
    }
}

#[test]
fn of_a_wildcard_the_name_of_the_request_is_meant_if_it_is_below() {
    let wild = to_resolve("*.example.com", wire::IpFamilies::Automatic);
    for (asked, want) in [
        (Some("api.example.com"), Some("api.example.com")),
        (Some("API.Example.com."), Some("api.example.com")),
        (Some("a.b.example.com"), Some("a.b.example.com")),
        (Some("example.com"), None),
        (Some(".example.com"), None),
        (Some("badexample.com"), None),
        (Some("api.example.org"), None),
        (Some("127.0.0.1"), None),
        (None, None),
    ] {
        let want = want.map(str::to_owned).ok_or(Unresolved::Wildcard);
        assert_eq!(wild.host(asked), want, "{asked:?}");
    }
    let one = to_resolve("db.example.com", wire::IpFamilies::Automatic);
    for asked in [None, Some("other.example.com")] {
        assert_eq!(one.host(asked).as_deref(), Ok("db.example.com"), "{asked:?}");
    }
}

#[test]
fn an_address_of_a_name_is_used_once_and_never_leads_back() {
    let ips = |texts: &[&str]| -> Vec<IpAddr> {
        texts.iter().map(|ip| ip.parse().expect("an address")).collect()
    };
    let at = |named: &Named, all: &[&str], tried: &[SocketAddr], random| {
        named.at(&ips(all), tried, random).map(|endpoint| endpoint.address.to_string())
    };
    let any = to_resolve("db.example.com", wire::IpFamilies::Automatic);
    let all = ["192.0.2.1", "127.0.0.1", "2001:db8::1", "::ffff:127.0.0.1", "0.0.0.0"];
    assert_eq!(at(&any, &all, &[], 0).as_deref(), Ok("192.0.2.1:8443"));
    assert_eq!(at(&any, &all, &[], 1).as_deref(), Ok("[2001:db8::1]:8443"));
    let tried = [SocketAddr::from(([192, 0, 2, 1], 8443))];
    for random in 0..3 {
        assert_eq!(at(&any, &all, &tried, random).as_deref(), Ok("[2001:db8::1]:8443"));
    }
    assert_eq!(at(&any, &["127.0.0.1"], &[], 0), Err(Unresolved::NoAddress));
    assert_eq!(at(&any, &[], &[], 0), Err(Unresolved::NoAddress));
    let v4 = to_resolve("db.example.com", wire::IpFamilies::Ipv4Only);
    assert_eq!(at(&v4, &all, &[], 7).as_deref(), Ok("192.0.2.1:8443"));
}

#[test]
fn what_is_passed_through_goes_where_it_was_dialled_to_and_not_into_the_waypoint() {
    let service = |name: &str| {
        let address = address(wire::address::Type::Service(wire::Service {
            namespace: "shop".to_owned(),
            hostname: name.to_owned(),
            ..Default::default()
        }));
        match address {
            Address::Service(service) => service,
            Address::Workload(other) => panic!("{other:?}"),
        }
    };
    let (own, other) = (service("own"), service("other"));
    let to = |at: &str| Target::Service {
        service: own.clone(),
        address: at.parse().expect("an address"),
    };
    let dialled = Endpoint::dialled(&own, &to("192.0.2.1:443")).expect("usable");
    assert_eq!(dialled.address, SocketAddr::from(([192, 0, 2, 1], 443)));
    assert!(!dialled.is_tunnelled() && dialled.workload.is_none());
    assert!(Endpoint::dialled(&own, &to("127.0.0.1:15000")).is_none());
    assert!(Endpoint::dialled(&other, &to("192.0.2.1:443")).is_none(), "it was not dialled");
}

#[test]
fn nobody_is_called_on_another_network() {
    let with = |network: &str| {
        let mut directory = Directory::default();
        directory.insert(service(&[], WireMode::UnspecifiedMode, WireHealth::OnlyHealthy));
        for (n, network) in [(1, network), (2, "here")] {
            let Address::Workload(workload) = workload(n, &pod("a", "1", "n")) else {
                panic!("a workload")
            };
            let uid = format!("w{n}").as_str().into();
            let network = network.into();
            let workload = Workload { uid, network, ..Workload::clone(&workload) };
            directory.insert(Address::Workload(Arc::new(workload)));
        }
        let key = NamespacedHostname::parse("shop/store").expect("a name");
        let service = directory.service(&key).expect("the service").clone();
        let own = directory.endpoints(&key).last().expect("w2").clone();
        let chosen = (0..10).filter_map(|random| {
            match choose(&directory, &service, 80, Some(&own), &[], random)? {
                Chosen::Endpoint(endpoint) => Some(endpoint.address.to_string()),
                Chosen::Named(_) => None,
            }
        });
        chosen.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(with("here"), 2);
    assert_eq!(with("far"), 1);
}
