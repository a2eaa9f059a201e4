use std::net::IpAddr;

use prost::Message;

use super::{
    Address, AppProtocol, ApplicationProtocol, GatewayDestination, HealthPolicy, LocalService,
    LocalWorkload, Mode, Scope, Service, TunnelProtocol, Visibility, Workload, WorkloadKind, pb,
};
use crate::wire::address::NamespacedHostname;
use crate::wire::error::WireError;
use crate::wire::intern::Interner;

fn workload() -> pb::Workload {
    pb::Workload {
        uid: "Kubernetes//Pod/shop/web-1".into(),
        name: "web-1".into(),
        namespace: "shop".into(),
        addresses: vec![vec![10, 1, 0, 5]],
        ..pb::Workload::default()
    }
}

fn service() -> pb::Service {
    pb::Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: "web.shop.svc.cluster.local".into(),
        ..pb::Service::default()
    }
}

fn vip(address: &[u8], length: Option<u32>) -> pb::NetworkAddress {
    pb::NetworkAddress { network: "n".into(), address: address.to_vec(), length }
}

fn gateway(port: u32) -> pb::GatewayAddress {
    let name = pb::NamespacedHostname { namespace: "ns".into(), hostname: "gw".into() };
    let destination = Some(pb::gateway_address::Destination::Hostname(name));
    pb::GatewayAddress { destination, hbone_mtls_port: port }
}

#[test]
fn what_the_wire_leaves_out_has_its_default() {
    let read = Workload::try_from(workload()).unwrap();
    assert_eq!(&*read.trust_domain, "cluster.local");
    assert_eq!(&*read.service_account, "default");
    assert_eq!(&*read.cluster, "Kubernetes");
    assert_eq!(read.capacity, 1);
    assert_eq!(read.tunnel, TunnelProtocol::None);
    let id = read.identity.clone().unwrap().to_string();
    assert_eq!(id, "spiffe://cluster.local/ns/shop/sa/default");
    assert!(read.is_pod() && read.has_address("::ffff:10.1.0.5".parse().unwrap()));

    let wire = pb::Workload { capacity: Some(0), ..workload() };
    assert_eq!(Workload::try_from(wire).unwrap().capacity, 0, "0 is not absent");
}

#[test]
fn a_workload_that_makes_no_identity_has_none() {
    let wire = pb::Workload { trust_domain: "NOT VALID".into(), ..workload() };
    assert_eq!(Workload::try_from(wire).unwrap().identity, None);
}

#[test]
fn mapped_addresses_are_their_ipv4_ones() {
    let mut mapped = vec![0; 10];
    mapped.extend([0xff, 0xff, 10, 0, 0, 1]);
    let wire = pb::Workload { addresses: vec![mapped], ..workload() };
    let read = Workload::try_from(wire).unwrap();
    assert_eq!(*read.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_prefix_length_tells_a_host_from_a_block() {
    let read = |length| {
        let wire = pb::Service { addresses: vec![vip(&[10, 0, 0, 9], length)], ..service() };
        let read = Service::try_from(wire).unwrap();
        let vips = read.vips.iter().map(ToString::to_string);
        vips.chain(read.blocks.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
    };
    for (length, want) in [
        (None, "n/10.0.0.9"),
        (Some(32), "n/10.0.0.9"),
        (Some(24), "n/10.0.0.0/24"),
        (Some(0), "n/0.0.0.0/0"),
    ] {
        assert_eq!(read(length), want, "{length:?}");
    }
}

#[test]
fn each_cause_refuses_a_workload_and_says_where() {
    type Spoil = fn(&mut pb::Workload);
    let cases: [(&str, Spoil); 11] = [
        ("addresses has 5 bytes", |w| w.addresses = vec![vec![1; 5]]),
        ("addresses has 0 bytes", |w| w.addresses = vec![vec![]]),
        ("tunnel_protocol is 9", |w| w.tunnel_protocol = 9),
        ("tunnel_protocol is LEGACY_ISTIO_MTLS", |w| w.tunnel_protocol = 2),
        ("network_mode is 2", |w| w.network_mode = 2),
        ("status is -1", |w| w.status = -1),
        ("application_tunnel.protocol is 2", |w| {
            w.application_tunnel = Some(pb::ApplicationTunnel { protocol: 2, port: 1 });
        }),
        ("application_tunnel.port is 65536", |w| {
            w.application_tunnel = Some(pb::ApplicationTunnel { protocol: 1, port: 65536 });
        }),
        ("waypoint names no destination", |w| {
            w.waypoint = Some(pb::GatewayAddress { destination: None, hbone_mtls_port: 1 });
        }),
        ("network_gateway is 70000", |w| w.network_gateway = Some(gateway(70_000))),
        ("services has the key \"web\"", |w| {
            w.services.insert("web".into(), pb::PortList::default());
        }),
    ];
    for (want, spoil) in cases {
        let mut wire = workload();
        spoil(&mut wire);
        let error = Workload::try_from(wire).unwrap_err().to_string();
        assert!(error.starts_with("workload Kubernetes//Pod/shop/web-1: "), "{error}");
        assert!(error.contains(want), "{error:?} does not say {want:?}");
    }
}

#[test]
fn each_cause_refuses_a_service_and_says_where() {
    type Spoil = fn(&mut pb::Service);
    let lb = |scope, mode, health_policy| {
        Some(pb::LoadBalancing { routing_preference: vec![scope], mode, health_policy })
    };
    let cases: [(&str, Spoil); 4] = [
        ("addresses has 3 bytes", |s| s.addresses = vec![vip(&[1, 2, 3], None)]),
        ("addresses has prefix length 33", |s| s.addresses = vec![vip(&[1; 4], Some(33))]),
        ("ip_families is 4", |s| s.ip_families = 4),
        ("weighted_waypoints names no destination", |s| {
            s.weighted_waypoints = vec![pb::WeightedWaypoint { destination: None, weight: 1 }];
        }),
    ];
    let balancing = [
        ("load_balancing.routing_preference is 0", lb(0, 1, 0)),
        ("load_balancing.routing_preference is 7", lb(7, 1, 0)),
        ("load_balancing.mode is 4", lb(1, 4, 0)),
        ("load_balancing.health_policy is 2", lb(1, 1, 2)),
    ];
    let refused = |wire: pb::Service, want: &str| {
        let error = Service::try_from(wire).unwrap_err().to_string();
        assert!(error.starts_with("service shop/web.shop.svc.cluster.local: "), "{error}");
        assert!(error.contains(want), "{error:?} does not say {want:?}");
    };
    for (want, spoil) in cases {
        let mut wire = service();
        spoil(&mut wire);
        refused(wire, want);
    }
    for (want, load_balancing) in balancing {
        refused(pb::Service { load_balancing, ..service() }, want);
    }
}

#[test]
fn an_address_must_be_one_of_the_two() {
    let mut interner = Interner::default();
    assert_eq!(Address::decode(&[], &mut interner), Err(WireError::Empty));
    let broken = Address::decode(&[0x0a, 0x7f, 1], &mut interner);
    assert!(matches!(broken, Err(WireError::Undecodable { .. })), "{broken:?}");

    let wire = pb::Address { r#type: Some(pb::address::Type::Workload(workload())) };
    let read = Address::decode(&wire.encode_to_vec(), &mut interner).unwrap();
    assert!(matches!(read, Address::Workload(w) if &*w.name == "web-1"));
}

#[test]
fn what_may_be_unknown_is_tolerated() {
    let wire = pb::Workload { workload_type: 77, ..workload() };
    assert_eq!(Workload::try_from(wire).unwrap().kind, WorkloadKind::Deployment);

    let port = pb::Port { service_port: 80, target_port: 8080, app_protocol: 99 };
    let wire = pb::Service { visibility: 5, ports: vec![port], ..service() };
    let read = Service::try_from(wire).unwrap();
    assert_eq!(read.visibility, Visibility::Public);
    assert_eq!(read.ports[0].app, AppProtocol::Unknown);

    let names = vec!["spiffe://td/ns/a/sa/b".into(), "not an identity".into()];
    let wire = pb::Service { subject_alt_names: names, ..service() };
    assert_eq!(Service::try_from(wire).unwrap().subject_alt_names.len(), 1);
}

#[test]
fn ports_that_cannot_be_dialled_are_no_targets() {
    let port = |service_port, target_port| pb::Port { service_port, target_port, app_protocol: 0 };
    let ports = vec![port(80, 8080), port(81, 0), port(82, 65_536), port(65_616, 9)];
    let wire = pb::Service { ports, ..service() };
    let read = Service::try_from(wire).unwrap();
    for (service_port, want) in [(80, Some(8080)), (81, None), (82, None), (83, None)] {
        assert_eq!(read.target(service_port), want, "{service_port}");
    }
}

#[test]
fn a_gateway_without_port_has_that_of_hbone() {
    let wire = pb::Workload { waypoint: Some(gateway(0)), ..workload() };
    let waypoint = Workload::try_from(wire).unwrap().waypoint.unwrap();
    assert_eq!(waypoint.port, 15008);
    let want = NamespacedHostname { namespace: "ns".into(), hostname: "gw".into() };
    assert_eq!(waypoint.destination, GatewayDestination::Hostname(want));
}

#[test]
fn memberships_are_found_by_service() {
    let mut wire = workload();
    for name in ["z/z", "a/a", "m/with/slash"] {
        let port = pb::Port { service_port: 1, target_port: 2, app_protocol: 0 };
        wire.services.insert(name.into(), pb::PortList { ports: vec![port] });
    }
    let read = Workload::try_from(wire).unwrap();
    for (name, want) in [("z/z", Some(2)), ("m/with/slash", Some(2)), ("b/b", None)] {
        let key = NamespacedHostname::parse(name).unwrap();
        let found = read.membership(&key).and_then(|member| member.target(1));
        assert_eq!(found, want, "{name}");
    }
}

fn everything() -> (Workload, Service) {
    let mut w = pb::Workload {
        network: "n1".into(),
        tunnel_protocol: 1,
        waypoint: Some(gateway(15_009)),
        node: "node-a".into(),
        workload_type: 2,
        authorization_policies: vec!["shop/deny".into()],
        status: 1,
        application_tunnel: Some(pb::ApplicationTunnel { protocol: 1, port: 15_088 }),
        network_mode: 1,
        capacity: Some(3),
        ..workload()
    };
    let port = pb::Port { service_port: 80, target_port: 8080, app_protocol: 0 };
    w.services.insert("shop/web".into(), pb::PortList { ports: vec![port] });
    let s = pb::Service {
        addresses: vec![vip(&[10, 96, 0, 1], None), vip(&[10, 97, 0, 0], Some(16))],
        ports: vec![port],
        subject_alt_names: vec!["spiffe://td/ns/a/sa/b".into()],
        weighted_waypoints: vec![pb::WeightedWaypoint {
            destination: Some(pb::GatewayAddress {
                destination: Some(pb::gateway_address::Destination::Address(vip(&[9; 4], None))),
                hbone_mtls_port: 15_008,
            }),
            weight: 10,
        }],
        load_balancing: Some(pb::LoadBalancing {
            routing_preference: vec![6, 1, 2, 3, 4, 5],
            mode: 2,
            health_policy: 1,
        }),
        ip_families: 3,
        canonical: true,
        ingress_use_waypoint: true,
        visibility: 1,
        ..service()
    };
    (w.try_into().unwrap(), s.try_into().unwrap())
}

#[test]
fn the_local_form_loses_nothing() {
    let (w, s) = everything();
    assert_eq!(w.application_tunnel.unwrap().protocol, ApplicationProtocol::Proxy);
    assert_eq!(s.load_balancing.preference[0], Scope::Network);
    assert_eq!(
        (s.load_balancing.mode, s.load_balancing.health),
        (Mode::Failover, HealthPolicy::AllowAll)
    );

    let wire = pb::Workload::try_from(LocalWorkload::from(&w)).unwrap();
    assert_eq!(Workload::try_from(wire).unwrap(), w);
    let wire = pb::Service::try_from(LocalService::from(&s)).unwrap();
    assert_eq!(Service::try_from(wire).unwrap(), s);
}

#[test]
fn a_local_text_that_does_not_parse_is_named() {
    let local = LocalService { vips: vec!["10.0.0.1".into()], ..LocalService::default() };
    let error = pb::Service::try_from(local).unwrap_err().to_string();
    assert!(error.contains("vips is \"10.0.0.1\"; write network/address"), "{error}");
}
