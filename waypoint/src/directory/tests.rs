//! A change touches what it must, and the outcome is that of all at once.

use std::collections::BTreeMap;

use hbone::wire::intern::Interner;
use hbone::wire::pb::istio::workload as wire;
use prost::Message;

use super::*;

fn address(kind: wire::address::Type) -> Address {
    let bytes = wire::Address { r#type: Some(kind) }.encode_to_vec();
    Address::decode(&bytes, &mut Interner::default()).expect("an address")
}

fn host(n: usize) -> String {
    format!("shop/s{n}")
}

fn key(n: usize) -> NamespacedHostname {
    NamespacedHostname::parse(&host(n)).expect("a name")
}

fn ip(n: usize) -> [u8; 4] {
    let [high, low] = u16::try_from(n).expect("few").to_be_bytes();
    [10, 1, high, low]
}

fn workload(n: usize, at: usize, services: &[usize]) -> Address {
    let ports = |n: &usize| (host(*n), wire::PortList::default());
    address(wire::address::Type::Workload(wire::Workload {
        uid: format!("pod-{n}"),
        name: format!("pod-{n}"),
        addresses: vec![ip(at).to_vec()],
        services: services.iter().map(ports).collect::<BTreeMap<_, _>>(),
        ..Default::default()
    }))
}

fn service(n: usize, at: usize) -> Address {
    address(wire::address::Type::Service(wire::Service {
        name: format!("s{n}"),
        namespace: "shop".to_owned(),
        hostname: format!("s{n}"),
        addresses: vec![wire::NetworkAddress { address: ip(at).to_vec(), ..Default::default() }],
        ..Default::default()
    }))
}

/// What happens to a directory.
type Change = fn(&mut Directory);

/// Services whose list of endpoints is not the same one.
fn copied(before: &Directory, after: &Directory) -> usize {
    let same = |(key, list): &(&NamespacedHostname, &Arc<Vec<Arc<Workload>>>)| {
        before.endpoints.get(*key).is_some_and(|was| Arc::ptr_eq(was, list))
    };
    after.endpoints.iter().filter(|entry| !same(entry)).count()
}

#[test]
fn a_change_copies_the_endpoints_that_it_touches_and_no_others() {
    let mut directory = Directory::default();
    for n in 0..1000 {
        directory.insert(service(n, 10_000 + n));
        for pod in 0..3 {
            directory.insert(workload(3 * n + pod, 3 * n + pod, &[n]));
        }
    }
    let changes: [(&str, Change, usize); 6] = [
        ("nothing", |_| {}, 0),
        ("a pod changes", |d| d.insert(workload(7, 7, &[2])), 1),
        ("a pod moves", |d| d.insert(workload(7, 7, &[3])), 2),
        ("a pod of two services comes", |d| d.insert(workload(9000, 9000, &[5, 6])), 2),
        ("it goes", |d| d.remove("pod-9000"), 2),
        ("a service changes", |d| d.insert(service(8, 10_008)), 0),
    ];
    for (case, change, want) in changes {
        let before = directory.clone();
        change(&mut directory);
        assert_eq!(copied(&before, &directory), want, "{case}");
    }
}

#[test]
fn a_version_that_is_read_does_not_change() {
    let mut directory = Directory::default();
    directory.insert(workload(1, 1, &[1]));
    let read = directory.clone();
    directory.insert(workload(2, 2, &[1]));
    directory.remove("pod-1");
    let names = |of: &Directory| -> Vec<String> {
        of.endpoints(&key(1)).iter().map(|endpoint| endpoint.uid.to_string()).collect()
    };
    assert_eq!(names(&read), ["pod-1"]);
    assert_eq!(names(&directory), ["pod-2"]);
    assert!(read.workload(ip(1).into()).is_some() && directory.workload(ip(1).into()).is_none());
}

/// Everything that a request could find out.
fn told(directory: &Directory) -> Vec<String> {
    let mut told = Vec::new();
    for n in 0..6 {
        let endpoints = directory.endpoints(&key(n)).iter();
        let endpoints = endpoints.map(|e| format!("{} at {:?}", e.uid, e.addresses));
        told.push(format!("{n}: {:?}", endpoints.collect::<Vec<_>>()));
        told.push(format!("{:?}", directory.service(&key(n)).map(|s| s.vips.len())));
    }
    for at in 0..12 {
        let found = directory.workload(ip(at).into()).map(|w| w.uid.clone());
        let vip = directory.vips.at(IpAddr::from(ip(at))).first().map(|s| s.name.clone());
        told.push(format!("{at}: {found:?} {vip:?}"));
    }
    told
}

#[test]
fn many_changes_lead_where_all_at_once_leads() {
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    let mut directory = Directory::default();
    let mut held: BTreeMap<String, Address> = BTreeMap::new();
    for step in 0..3000 {
        let n = next(6);
        // Addresses are each object's own, as in a mesh at rest.
        let (name, put) = if next(3) == 0 {
            (host(n), service(n, n))
        } else {
            (format!("pod-{n}"), workload(n, 6 + n, &[next(6), next(6)]))
        };
        if next(3) == 0 {
            directory.remove(&name);
            held.remove(&name);
        } else {
            directory.insert(put.clone());
            held.insert(name, put);
        }
        let mut fresh = Directory::default();
        held.values().cloned().for_each(|address| fresh.insert(address));
        assert_eq!(told(&directory), told(&fresh), "step {step}");
    }
}

#[test]
fn an_address_belongs_to_whoever_had_it_last() {
    let mut directory = Directory::default();
    directory.insert(workload(1, 1, &[]));
    directory.insert(workload(2, 1, &[]));
    directory.remove("pod-1");
    assert_eq!(directory.workload(ip(1).into()).map(|w| &*w.uid), Some("pod-2"));
    directory.insert(workload(2, 3, &[]));
    assert!(directory.workload(ip(1).into()).is_none(), "it moved");
}

/// A Gateway that services name `NAME`.
fn gateway(name: &str) -> Gateway {
    Gateway {
        namespace: "shop".into(),
        name: name.into(),
        addresses: vec![bound_to(name).destination],
        trust_domains: Vec::new(),
        forward_client_identity: false,
    }
}

fn bound_to(name: &str) -> GatewayAddress {
    let hostname = NamespacedHostname { namespace: "shop".into(), hostname: name.into() };
    let destination = hbone::wire::workload::GatewayDestination::Hostname(hostname);
    GatewayAddress { destination, port: 15008 }
}

/// The address of the waypoint of that name, encoded.
fn at(waypoint: &str) -> wire::GatewayAddress {
    wire::GatewayAddress {
        destination: Some(wire::gateway_address::Destination::Hostname(wire::NamespacedHostname {
            namespace: "shop".to_owned(),
            hostname: waypoint.to_owned(),
        })),
        hbone_mtls_port: 15008,
    }
}

/// The service `s1` with one port, bound to that waypoint.
fn bound(waypoint: Option<&str>, port: u32) -> Address {
    address(wire::address::Type::Service(wire::Service {
        name: "s1".to_owned(),
        namespace: "shop".to_owned(),
        hostname: "s1".to_owned(),
        addresses: vec![wire::NetworkAddress { address: ip(1).to_vec(), ..Default::default() }],
        ports: vec![wire::Port { service_port: port, target_port: port, ..Default::default() }],
        waypoint: waypoint.map(at),
        ..Default::default()
    }))
}

#[test]
fn what_was_addressed_once_is_looked_up_again() {
    let mut before = Directory::default();
    before.insert(bound(Some("one"), 80));
    let dialled = SocketAddr::from((ip(1), 80));
    let target = before.target(dialled, &gateway("one")).expect("bound");
    // By name of the case: what is there now, what that is at once and later, whether it rebinds.
    let (lately, elsewhere) = (Ok(Bound::Lately), Err(NotServed::Elsewhere));
    for (case, now, want, later, rebinds) in [
        ("as before", Some(bound(Some("one"), 80)), Ok(Bound::Here), Ok(Bound::Here), false),
        ("another's", Some(bound(Some("two"), 80)), lately, elsewhere, true),
        ("nobody's", Some(bound(None, 80)), lately, Ok(Bound::Nowhere), true),
        (
            "without that port",
            Some(bound(Some("one"), 81)),
            Err(NotServed::NoPort),
            Err(NotServed::NoPort),
            false,
        ),
        (
            "another service",
            Some(service(2, 1)),
            Err(NotServed::NoPort),
            Err(NotServed::NoPort),
            false,
        ),
        ("gone", None, Err(NotServed::Unknown), Err(NotServed::Unknown), false),
    ] {
        let mut directory = before.clone();
        assert_eq!(now.as_ref().is_some_and(|now| directory.rebinds(now)), rebinds, "{case}");
        if !now.as_ref().is_some_and(|now| matches!(now, Address::Service(s) if &*s.name == "s1")) {
            directory.remove("shop/s1");
        }
        if let Some(now) = now {
            directory.insert(now);
        }
        for (moment, want) in [("at once", want), ("later", later)] {
            let again = directory.again(&target, &gateway("one"));
            assert_eq!(again.map(|(_, bound)| bound), want, "{case}, {moment}");
            let anew = directory.target(dialled, &gateway("one")).map(|_| ());
            let wanted = match want {
                Ok(Bound::Nowhere) => Err(NotServed::Unbound),
                other => other.map(|_| ()),
            };
            if case != "another service" {
                assert_eq!(anew, wanted, "{case}, {moment}");
            }
            directory.left.age();
        }
        directory.prune();
        assert!(directory.left.is_empty(), "{case}");
    }
}

/// A pod of the service `s1` at its own address, bound to that waypoint.
fn pod_of_s1(waypoint: Option<&str>) -> Address {
    let port = wire::Port { service_port: 80, target_port: 80, ..Default::default() };
    address(wire::address::Type::Workload(wire::Workload {
        uid: "pod-2".to_owned(),
        name: "pod-2".to_owned(),
        addresses: vec![ip(2).to_vec()],
        services: [("shop/s1".to_owned(), wire::PortList { ports: vec![port] })].into(),
        waypoint: waypoint.map(at),
        ..Default::default()
    }))
}

#[test]
fn policies_of_a_service_hold_for_late_callers_of_its_pod() {
    let mut directory = Directory::default();
    directory.insert(bound(Some("one"), 80));
    directory.insert(pod_of_s1(Some("one")));
    let dialled = SocketAddr::from((ip(2), 80));
    let services = |directory: &Directory| {
        directory.target(dialled, &gateway("one")).map(|target| target.services().len())
    };
    assert_eq!(services(&directory), Ok(1));
    directory.insert(bound(Some("two"), 80));
    directory.insert(pod_of_s1(Some("two")));
    assert_eq!(services(&directory), Ok(1), "judged as before");
    directory.left.age();
    assert_eq!(services(&directory), Err(NotServed::Elsewhere));
}
