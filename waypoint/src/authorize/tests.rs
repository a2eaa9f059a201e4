//! CUSTOM, DENY, ALLOW: who decides, and in what order.

use std::net::SocketAddr;

use hbone::matching::Caller;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderMap, Method};
use pb::PolicyAction::{Allow, Audit, Custom, Deny};
use prost::Message;

use super::*;
use crate::config::store::{Kind, Store};
use crate::config::view::RequestView;

/// A policy `NAME` of service `SERVICE` (`*`: of the whole Gateway) for paths that begin so.
type Row = (&'static str, pb::PolicyAction, &'static str, &'static str);

fn wire((name, action, service, path): Row) -> pb::Policy {
    let object = |kind: &str, name: &str| pb::ObjectRef {
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let kind = match service {
        "*" => pb::policy_target::Kind::Gateway(object("Gateway", "wp")),
        hostname => pb::policy_target::Kind::Service(pb::ServiceRef {
            namespace: "shop".to_owned(),
            hostname: hostname.to_owned(),
        }),
    };
    let operation = pb::Operation { paths: vec![path.to_owned()], ..Default::default() };
    pb::Policy {
        object: Some(object("AuthorizationPolicy", name)),
        action: action.into(),
        targets: vec![pb::PolicyTarget { kind: Some(kind) }],
        rules: vec![pb::PolicyRule { to: vec![operation], ..Default::default() }],
        provider: name.split('-').next().unwrap_or_default().to_owned(),
        dry_run: name.ends_with("dry"),
    }
}

fn snapshot(rows: &[Row]) -> Snapshot {
    let mut store = Store::default();
    let gateway = pb::Gateway {
        namespace: "shop".to_owned(),
        name: "wp".to_owned(),
        trust_domains: vec!["cluster.local".to_owned()],
        ..Default::default()
    };
    store.insert(Kind::Gateway, "gw", &gateway.encode_to_vec()).expect("readable");
    for row in rows {
        store.insert(Kind::Policy, row.0, &wire(*row).encode_to_vec()).expect("readable");
    }
    store.snapshot()
}

/// What becomes of `GET /orders` to the service `store`.
fn judge(
    rows: &[Row],
    path: &str,
    ask: impl Fn(&Snapshot, &[NamespacedHostname], &PolicyInput<'_>),
) {
    let identity = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("an identity");
    let caller = Caller::authenticated(identity);
    let headers = HeaderMap::new();
    let request = RequestView {
        method: &Method::GET,
        host: "store",
        host_port: None,
        path,
        query: None,
        headers: &headers,
    };
    let input = PolicyInput {
        caller: &caller,
        trust_domains: &[],
        source: [10, 1, 0, 5].into(),
        destination: SocketAddr::from(([10, 96, 0, 7], 80)),
        request: Some(request),
        bearer: None,
    };
    let store = NamespacedHostname { namespace: "shop".into(), hostname: "store".into() };
    ask(&snapshot(rows), &[store], &input);
}

#[test]
fn deny_counts_before_allow_and_one_allow_must_match() {
    let none: &[Row] = &[];
    for (case, rows, want) in [
        ("no policy", none, "allowed"),
        ("an ALLOW that matches", &[("a", Allow, "store", "/orders")], "allowed by a"),
        ("an ALLOW that does not", &[("a", Allow, "store", "/admin")], "nobody allows"),
        (
            "one of two",
            &[("a", Allow, "store", "/admin"), ("b", Allow, "store", "/ord*")],
            "allowed by b",
        ),
        ("of the Gateway", &[("a", Allow, "*", "/orders")], "allowed by a"),
        (
            "of the Gateway, and no other",
            &[("a", Allow, "*", "/orders"), ("b", Allow, "store", "/admin")],
            "allowed by a",
        ),
        ("of another service", &[("a", Allow, "other", "/admin")], "allowed"),
        ("a DENY that matches", &[("d", Deny, "store", "/orders")], "denied by d"),
        ("a DENY that does not", &[("d", Deny, "store", "/admin")], "allowed"),
        (
            "DENY and ALLOW",
            &[("a", Allow, "store", "/orders"), ("d", Deny, "store", "/orders")],
            "denied by d",
        ),
        (
            "a DENY of the Gateway",
            &[("a", Allow, "store", "/orders"), ("d", Deny, "*", "/orders")],
            "denied by d",
        ),
        ("an AUDIT", &[("x", Audit, "store", "/orders")], "allowed"),
        ("a dry DENY", &[("d-dry", Deny, "store", "/orders")], "allowed"),
        ("a dry ALLOW", &[("a-dry", Allow, "store", "/admin")], "allowed"),
        ("a CUSTOM", &[("c", Custom, "store", "/orders")], "allowed"),
    ] {
        judge(rows, "/orders", |snapshot, services, input| {
            let got = match authorize(snapshot, services, input) {
                Ok(permit) => match permit.policy() {
                    Some(policy) => format!("allowed by {}", policy.object.name),
                    None => "allowed".to_owned(),
                },
                Err(Failure::Denied { policy }) => format!("denied by {}", policy.name),
                Err(Failure::NotAllowed) => "nobody allows".to_owned(),
                Err(other) => panic!("{case}: {other}"),
            };
            assert_eq!(got, want, "{case}");
        });
    }
}

#[test]
fn every_provider_that_is_named_is_asked_once_in_the_order_of_names() {
    let rows: &[Row] = &[
        ("b-1", Custom, "store", "/orders"),
        ("a-2", Custom, "*", "/orders"),
        ("a-1", Custom, "store", "/orders"),
        ("c-1", Custom, "store", "/admin"),
        ("d-dry", Custom, "store", "/orders"),
        ("e-1", Custom, "other", "/orders"),
    ];
    judge(rows, "/orders", |snapshot, services, input| {
        let asked: Vec<_> =
            custom(snapshot, services, input).iter().map(|p| p.provider.to_string()).collect();
        assert_eq!(asked, ["a", "b"]);
    });
    judge(rows, "/nothing", |snapshot, services, input| {
        assert!(custom(snapshot, services, input).is_empty());
    });
}
