use std::net::SocketAddr;

use super::*;
use crate::mesh::way::Way;

fn member(kind: Kind, node: &str, pod: &str, gateway: &str) -> Member {
    let (namespace, name) = pod.split_once('/').unwrap_or_default();
    let way = Way::Direct(SocketAddr::from(([127, 0, 0, 1], 1)));
    Member {
        kind,
        node: node.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        gateway: gateway.to_owned(),
        admin: way.clone(),
        stats: way,
        away: None,
    }
}

fn proxies() -> Vec<Member> {
    vec![
        member(Kind::Ztunnel, "node-a", "", ""),
        member(Kind::Ztunnel, "node-b", "ambit-system/ambit-ztunnel-x", ""),
        member(Kind::Waypoint, "node-b", "shop/waypoint-1", "waypoint"),
    ]
}

#[test]
fn a_proxy_is_named_by_node_pod_or_gateway() {
    for (name, want) in [
        ("node-a", "ztunnel on node-a"),
        ("node-b", "ztunnel on node-b"),
        ("ambit-system/ambit-ztunnel-x", "ztunnel on node-b"),
        ("ambit-ztunnel-x", "ztunnel on node-b"),
        ("shop/waypoint-1", "waypoint shop/waypoint-1 on node-b"),
        ("shop/waypoint", "waypoint shop/waypoint-1 on node-b"),
    ] {
        assert_eq!(choose(proxies(), Some(name), "m").expect("found").title(), want, "{name}");
    }
}

#[test]
fn a_wrong_or_missing_name_says_what_there_is() {
    let wrong = choose(proxies(), Some("nod-a"), "m").expect_err("wrong").to_string();
    assert!(wrong.contains("no proxy 'nod-a'; did you mean node-a"), "{wrong}");
    let several = choose(proxies(), None, "m").expect_err("several").to_string();
    assert!(several.contains("node-a") && several.contains("shop/waypoint"), "{several}");
    let one = choose(proxies().split_off(2), None, "m").expect("the only one");
    assert_eq!(one.kind, Kind::Waypoint);
    assert!(choose(Vec::new(), None, "run x").expect_err("none").to_string().contains("run x"));
}
