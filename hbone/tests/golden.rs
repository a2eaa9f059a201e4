//! Every message of docs/wire.md encodes to the bytes that its table of field numbers implies.
//!
//! `golden/golden.txt` was written by `golden/make.py`, with an encoder and descriptors that
//! are not ours; here the same messages are built with our types.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hbone::wire::authorization::Authorization;
use hbone::wire::intern::Interner;
use hbone::wire::pb::envoy::config::core::v3 as core;
use hbone::wire::pb::envoy::service::discovery::v3 as xds;
use hbone::wire::pb::google::rpc;
use hbone::wire::pb::istio::security as sec;
use hbone::wire::pb::istio::v1::auth;
use hbone::wire::pb::istio::workload as w;
use hbone::wire::pb::istio::workload::zds;
use hbone::wire::workload::Address;
use prost::Message;
use prost_types::{Any, Duration, Struct, Value, value::Kind};

#[path = "golden/ext_authz.rs"]
mod ext_authz;

fn golden() -> BTreeMap<&'static str, &'static str> {
    include_str!("golden/golden.txt").lines().filter_map(|line| line.split_once(' ')).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Our encoding is the golden one, and the golden one reads as our message.
#[track_caller]
fn same<M: Message + Default + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
    let want = golden()[name];
    assert_eq!(hex(&message.encode_to_vec()), want, "{name} is encoded otherwise");
    assert_eq!(&M::decode(&*bytes(want)).unwrap(), message, "{name} reads otherwise");
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn any() -> Any {
    Any { type_url: "t/x".into(), value: vec![8, 1] }
}

fn extension() -> w::Extension {
    w::Extension { name: "e".into(), config: Some(any()) }
}

fn metadata() -> Struct {
    let value = Value { kind: Some(Kind::StringValue("node-a".into())) };
    Struct { fields: [("NODE_NAME".to_owned(), value)].into() }
}

fn vip(length: Option<u32>) -> w::NetworkAddress {
    w::NetworkAddress { network: "n".into(), address: vec![10, 96, 0, 1], length }
}

fn by_name() -> w::GatewayAddress {
    let name = w::NamespacedHostname { namespace: "ns".into(), hostname: "gw".into() };
    let destination = Some(w::gateway_address::Destination::Hostname(name));
    w::GatewayAddress { destination, hbone_mtls_port: 15008 }
}

fn by_address() -> w::GatewayAddress {
    let destination = Some(w::gateway_address::Destination::Address(vip(Some(32))));
    w::GatewayAddress { destination, hbone_mtls_port: 15009 }
}

fn port() -> w::Port {
    w::Port { service_port: 80, target_port: 8080, app_protocol: w::AppProtocol::Grpc as i32 }
}

fn workload() -> w::Workload {
    w::Workload {
        name: "web-1".into(),
        namespace: "shop".into(),
        addresses: vec![vec![10, 1, 0, 5], (0..16).collect()],
        network: "n".into(),
        tunnel_protocol: w::TunnelProtocol::Hbone as i32,
        trust_domain: "td".into(),
        service_account: "web".into(),
        waypoint: Some(by_name()),
        node: "node-a".into(),
        canonical_name: "web".into(),
        canonical_revision: "v1".into(),
        workload_type: w::WorkloadType::Pod as i32,
        workload_name: "web".into(),
        native_tunnel: true,
        authorization_policies: strings(&["shop/deny", "shop/allow"]),
        status: w::WorkloadStatus::Unhealthy as i32,
        cluster_id: "c".into(),
        network_gateway: Some(by_address()),
        uid: "c//Pod/shop/web-1".into(),
        hostname: "web.example".into(),
        services: [("shop/web".to_owned(), w::PortList { ports: vec![port()] })].into(),
        application_tunnel: Some(w::ApplicationTunnel { protocol: 1, port: 15088 }),
        locality: Some(w::Locality { region: "r".into(), zone: "z".into(), subzone: "s".into() }),
        network_mode: w::NetworkMode::HostNetwork as i32,
        extensions: vec![extension()],
        capacity: Some(3),
    }
}

fn service() -> w::Service {
    let plain = w::Port { service_port: 81, ..w::Port::default() };
    w::Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: "web.shop".into(),
        addresses: vec![vip(None), vip(Some(0))],
        ports: vec![port(), plain],
        subject_alt_names: strings(&["spiffe://td/ns/a/sa/b"]),
        waypoint: Some(by_address()),
        load_balancing: Some(w::LoadBalancing {
            routing_preference: vec![6, 1, 2],
            mode: w::load_balancing::Mode::Failover as i32,
            health_policy: w::load_balancing::HealthPolicy::AllowAll as i32,
        }),
        ip_families: w::IpFamilies::Dual as i32,
        extensions: vec![extension()],
        canonical: true,
        ingress_use_waypoint: true,
        weighted_waypoints: vec![w::WeightedWaypoint { destination: Some(by_name()), weight: 90 }],
        visibility: w::service::Visibility::Namespace as i32,
    }
}

#[test]
fn workloads_and_services() {
    let address = |kind| w::Address { r#type: Some(kind) };
    same("address_workload", &address(w::address::Type::Workload(workload())));
    same("address_service", &address(w::address::Type::Service(service())));
    same("capacity_zero", &w::Workload { capacity: Some(0), ..w::Workload::default() });
}

#[test]
fn golden_resources_pass_the_checks() {
    let mut interner = Interner::default();
    for name in ["address_workload", "address_service"] {
        let read = Address::decode(&bytes(golden()[name]), &mut interner);
        assert!(read.is_ok(), "{name}: {read:?}");
    }
    let policy = Authorization::decode(&bytes(golden()["authorization"]), &mut interner).unwrap();
    assert_eq!(policy.unreadable, 0);
}

fn text(match_type: sec::string_match::MatchType) -> Vec<sec::StringMatch> {
    vec![sec::StringMatch { match_type: Some(match_type) }]
}

#[test]
fn policies() {
    use sec::string_match::MatchType::{Exact, Prefix, Presence, Suffix};
    let block = || vec![sec::Address { address: vec![10, 0, 0, 0], length: 8 }];
    let account = || {
        let (namespace, service_account) = ("shop".into(), "web".into());
        vec![sec::ServiceAccountMatch { namespace, service_account }]
    };
    let one = sec::Match {
        namespaces: text(Exact("a".into())),
        not_namespaces: text(Prefix("b".into())),
        principals: text(Suffix("c".into())),
        not_principals: text(Presence(())),
        source_ips: block(),
        not_source_ips: block(),
        destination_ips: block(),
        not_destination_ips: block(),
        destination_ports: vec![80, 65535],
        not_destination_ports: vec![443],
        service_accounts: account(),
        not_service_accounts: account(),
        extensions: vec![extension()],
    };
    let rule = |clauses| sec::Rule { clauses };
    let clause = |matches| sec::Clause { matches };
    let policy = sec::Authorization {
        name: "p".into(),
        namespace: "shop".into(),
        scope: sec::Scope::WorkloadSelector as i32,
        action: sec::Action::Deny as i32,
        rules: vec![rule(vec![clause(vec![one])])],
        dry_run: true,
        extensions: vec![extension()],
    };
    same("authorization", &policy);
    let empty = clause(vec![sec::Match::default()]);
    let rules = vec![rule(vec![]), rule(vec![empty, clause(vec![])])];
    same("empty_levels", &sec::Authorization { rules, ..sec::Authorization::default() });
}

#[test]
fn discovery() {
    let request = xds::DeltaDiscoveryRequest {
        node: Some(core::Node {
            id: "ztunnel~1.1.1.1~p.ns~ns.svc".into(),
            cluster: "c".into(),
            metadata: Some(metadata()),
            build_version: "b".into(),
        }),
        type_url: "t".into(),
        resource_names_subscribe: strings(&["*"]),
        resource_names_unsubscribe: strings(&["*", "x"]),
        initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
        response_nonce: "n".into(),
        error_detail: Some(rpc::Status { code: 3, message: "m".into(), details: vec![any()] }),
    };
    same("delta_request", &request);
    let resource = xds::Resource {
        version: "1".into(),
        resource: Some(any()),
        name: "a".into(),
        aliases: strings(&["n/10.0.0.1"]),
        ttl: Some(Duration { seconds: 5, nanos: 0 }),
        cache_control: Some(xds::resource::CacheControl { do_not_cache: true }),
    };
    let response = xds::DeltaDiscoveryResponse {
        system_version_info: "v".into(),
        resources: vec![resource],
        type_url: "t".into(),
        nonce: "n".into(),
        removed_resources: strings(&["r"]),
    };
    same("delta_response", &response);
}

#[test]
fn certificates() {
    let request = auth::IstioCertificateRequest {
        csr: "PEM".into(),
        validity_duration: 86_400,
        metadata: Some(metadata()),
    };
    same("certificate_request", &request);
    let cert_chain = strings(&["leaf", "root"]);
    same("certificate_response", &auth::IstioCertificateResponse { cert_chain });
}

#[test]
fn pods_of_a_node() {
    use zds::workload_request::Payload;
    let request = |payload| zds::WorkloadRequest { payload: Some(payload) };
    let answer = |error: &str| {
        let ack = zds::Ack { error: error.into() };
        zds::WorkloadResponse { payload: Some(zds::workload_response::Payload::Ack(ack)) }
    };
    let workload_info = Some(zds::WorkloadInfo {
        name: "web".into(),
        namespace: "shop".into(),
        service_account: "sa".into(),
    });
    same("zds_hello", &zds::ZdsHello { version: zds::Version::V1 as i32 });
    same("zds_add", &request(Payload::Add(zds::AddWorkload { uid: "u".into(), workload_info })));
    same("zds_del", &request(Payload::Del(zds::DelWorkload { uid: "u".into() })));
    same("zds_snapshot_sent", &request(Payload::SnapshotSent(zds::SnapshotSent {})));
    same("zds_keep", &request(Payload::Keep(zds::KeepWorkload { uid: "u".into() })));
    same("zds_ack", &answer(""));
    same("zds_nack", &answer("no"));
}

#[test]
fn every_golden_message_is_compared() {
    let source = concat!(include_str!("golden.rs"), include_str!("golden/ext_authz.rs"));
    for name in golden().keys() {
        assert!(source.contains(&format!("same(\"{name}\"")), "{name} is in no test");
    }
}
