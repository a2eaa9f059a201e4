//! A change touches what it must, and the outcome is that of all at once.

use std::collections::BTreeMap;

use hbone::wire::address::NamespacedHostname;
use http::{HeaderMap, Method};
use prost::Message;

use super::*;
use crate::config::view::RequestView;

fn object(kind: &str, name: &str) -> pb::ObjectRef {
    let (kind, name) = (kind.to_owned(), name.to_owned());
    pb::ObjectRef { kind, namespace: "shop".to_owned(), name }
}

/// What happens to a store.
type Change = fn(&mut Store);

fn service(name: &str) -> pb::ServiceRef {
    pb::ServiceRef { namespace: "shop".to_owned(), hostname: name.to_owned() }
}

fn gateway(name: &str) -> pb::Gateway {
    pb::Gateway {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        trust_domains: vec!["cluster.local".to_owned()],
        ..Default::default()
    }
}

/// `gw:NAME` is a Gateway, `NAME` a service, `NAME:PORT` one port of it, `NAME@NAMESPACE` for
/// requests from there.
fn route(name: &str, parents: &[&str]) -> pb::Route {
    let parent = |text: &&str| match text.strip_prefix("gw:") {
        Some(gateway) => {
            let target = Some(pb::parent::Target::Gateway(object("", gateway)));
            pb::Parent { target, ..Default::default() }
        }
        None => {
            let (text, consumer) = text.split_once('@').unwrap_or((text, ""));
            let (host, port) = text.split_once(':').unwrap_or((text, "0"));
            let target = Some(pb::parent::Target::Service(service(host)));
            let port = port.parse().expect("a port");
            pb::Parent { target, port, consumer_namespace: consumer.to_owned() }
        }
    };
    pb::Route {
        object: Some(object("HTTPRoute", name)),
        parents: parents.iter().map(parent).collect(),
        rules: vec![pb::RouteRule { name: name.to_owned(), ..Default::default() }],
        ..Default::default()
    }
}

fn target(text: &&str) -> pb::PolicyTarget {
    let kind = match text.strip_prefix("gw:") {
        Some(gateway) => Some(pb::policy_target::Kind::Gateway(object("", gateway))),
        None => Some(pb::policy_target::Kind::Service(service(text))),
    };
    pb::PolicyTarget { kind }
}

fn policy(name: &str, targets: &[&str]) -> pb::Policy {
    pb::Policy {
        object: Some(object("AuthorizationPolicy", name)),
        targets: targets.iter().map(target).collect(),
        ..Default::default()
    }
}

fn authentication(name: &str, targets: &[&str]) -> pb::Authentication {
    pb::Authentication {
        object: Some(object("RequestAuthentication", name)),
        targets: targets.iter().map(target).collect(),
        ..Default::default()
    }
}

fn put(store: &mut Store, kind: Kind, name: &str, message: &impl Message) {
    store.insert(kind, name, &message.encode_to_vec()).expect("readable");
}

#[test]
fn a_change_merges_what_it_touches_and_nothing_else() {
    let mut store = Store::default();
    put(&mut store, Kind::Gateway, "gw", &gateway("waypoint"));
    for n in 0..500 {
        let (name, host) = (format!("r{n}"), format!("s{n}"));
        put(&mut store, Kind::Route, &name, &route(&name, &[&host]));
        put(&mut store, Kind::Policy, &name, &policy(&name, &[&host]));
    }
    put(&mut store, Kind::Policy, "all", &policy("all", &["gw:waypoint"]));
    let mut before = store.snapshot();
    assert_eq!(before.merged_since(&Snapshot::default()), (500, true), "all of it at first");

    let changes: [(&str, Change, (usize, bool)); 10] = [
        ("nothing", |_| {}, (0, false)),
        ("one route", |s| put(s, Kind::Route, "r7", &route("r7", &["s7:80"])), (1, false)),
        ("a route moves", |s| put(s, Kind::Route, "r7", &route("r7", &["s8"])), (2, false)),
        (
            "a policy of three",
            |s| {
                put(s, Kind::Policy, "r9", &policy("r9", &["s9", "s10", "s11"]));
            },
            (3, false),
        ),
        ("a policy goes", |s| s.remove(Kind::Policy, "r9"), (3, false)),
        (
            "a RequestAuthentication of two",
            |s| {
                put(s, Kind::Authentication, "jwt", &authentication("jwt", &["s9", "s12"]));
            },
            (2, false),
        ),
        (
            "a policy of the Gateway",
            |s| {
                put(s, Kind::Policy, "all", &policy("all", &["gw:waypoint"]));
            },
            (0, true),
        ),
        (
            "one of another Gateway",
            |s| {
                put(s, Kind::Policy, "far", &policy("far", &["gw:other"]));
            },
            (0, false),
        ),
        (
            "a provider",
            |s| {
                let provider =
                    pb::Provider { object: Some(object("", "opa")), ..Default::default() };
                put(s, Kind::Provider, "p", &provider);
            },
            (0, false),
        ),
        ("the Gateway", |s| put(s, Kind::Gateway, "gw", &gateway("waypoint")), (0, true)),
    ];
    for (case, change, want) in changes {
        change(&mut store);
        let after = store.snapshot();
        assert_eq!(after.merged_since(&before), want, "{case}");
        before = after;
    }
}

/// Everything that a request could find out.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let mut told = Vec::new();
    let headers = HeaderMap::new();
    let view = RequestView {
        method: &Method::GET,
        host: "shop",
        host_port: None,
        path: "/",
        query: None,
        headers: &headers,
    };
    for n in 0..4 {
        let host = NamespacedHostname {
            namespace: "shop".into(),
            hostname: format!("s{n}").as_str().into(),
        };
        for port in [80, 81] {
            for from in ["elsewhere", "c"] {
                let table = snapshot.routes(&host, port, from);
                let found = table.and_then(|table| table.find(&view)).map(|f| f.rule.name.clone());
                told.push(format!("{from} to {host}:{port} {found:?}"));
            }
        }
        let guards = std::slice::from_ref(&host);
        let policies = snapshot.policies(guards).map(|policy| policy.object.to_string());
        told.push(format!("{host} {:?}", policies.collect::<Vec<_>>()));
        let tokens = snapshot.authentications(guards).map(|one| one.object.to_string());
        told.push(format!("{host} {:?}", tokens.collect::<Vec<_>>()));
    }
    told.push(format!("{:?}", snapshot.gateway.as_ref().map(|gateway| gateway.object())));
    told.push(format!("{:?}", snapshot.provider("p0").map(|p| p.object.clone())));
    told
}

#[test]
fn many_changes_lead_where_all_at_once_leads() {
    const TARGETS: [&str; 7] = ["s0", "s1@c", "s2:80", "s3:81@c", "gw:waypoint", "gw:other", "s3"];
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    let mut store = Store::default();
    let mut held: BTreeMap<(usize, String), Vec<u8>> = BTreeMap::new();
    for step in 0..3000 {
        let (of, number) = (next(5), next(5));
        let (first, second) = (TARGETS[next(7)], TARGETS[next(7)]);
        let host = |text: &'static str| {
            let text = text.split_once('@').map_or(text, |(text, _)| text);
            text.strip_suffix(":80").unwrap_or(text).strip_suffix(":81").unwrap_or(text)
        };
        let kind = Kind::ALL[of];
        let name = format!("{kind:?}{number}");
        if next(3) == 0 {
            store.remove(kind, &name);
            held.remove(&(of, name));
        } else {
            let short = format!("o{number}");
            let bytes = match kind {
                Kind::Gateway => {
                    gateway(if number == 0 { "other" } else { "waypoint" }).encode_to_vec()
                }
                Kind::Route => route(&short, &[first, second]).encode_to_vec(),
                Kind::Policy => policy(&short, &[host(first), host(second)]).encode_to_vec(),
                Kind::Authentication => {
                    authentication(&short, &[host(first), host(second)]).encode_to_vec()
                }
                Kind::Provider => {
                    let object = Some(object("ExtensionProvider", &format!("p{number}")));
                    pb::Provider { object, ..Default::default() }.encode_to_vec()
                }
            };
            store.insert(kind, &name, &bytes).expect("readable");
            held.insert((of, name), bytes);
        }
        if next(3) == 0 {
            let mut fresh = Store::default();
            for ((of, name), bytes) in &held {
                fresh.insert(Kind::ALL[*of], name, bytes).expect("readable");
            }
            assert_eq!(told(&store.snapshot()), told(&fresh.snapshot()), "step {step}");
        }
    }
}

#[test]
fn a_consumers_routes_concern_its_own_requests_and_win_there() {
    let mut store = Store::default();
    put(&mut store, Kind::Gateway, "gw", &gateway("waypoint"));
    put(&mut store, Kind::Route, "r0", &route("theirs", &["s0"]));
    put(&mut store, Kind::Route, "r1", &route("ours", &["s0:80@c", "s1@c"]));
    let told = told(&store.snapshot());
    let says = |who: &str, what: &str| {
        let line = format!("{who} {what}");
        assert!(told.contains(&line), "{line}: {told:#?}");
    };
    says("c to shop/s0:80", "Some(\"ours\")");
    says("c to shop/s0:81", "Some(\"theirs\")");
    says("c to shop/s1:81", "Some(\"ours\")");
    says("elsewhere to shop/s0:80", "Some(\"theirs\")");
    says("elsewhere to shop/s1:80", "None");
}

#[test]
fn what_cannot_be_read_leaves_the_last_good_version() {
    let mut store = Store::default();
    put(&mut store, Kind::Policy, "guard", &policy("guard", &["s0"]));
    let before = told(&store.snapshot());
    let error = store.insert(Kind::Policy, "guard", b"\xff").expect_err("no message");
    assert_eq!(error.to_string(), "guard: not a message of its type");
    assert_eq!(told(&store.snapshot()), before);
}
