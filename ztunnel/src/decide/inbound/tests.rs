use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::matching::Caller;
use hbone::wire::workload::Workload;
use http::Method;

use super::{Connect, Inbound, Refused, inbound, plaintext, served_service};
use crate::decide::OwnPorts;
use crate::decide::fixture::{id, mesh, snapshot_of};
use crate::state::Snapshot;

fn ask(
    snapshot: &Snapshot,
    workload: &str,
    authority: Option<&str>,
    local: &str,
) -> Result<Inbound, Refused> {
    let connect = Connect {
        method: &Method::CONNECT,
        authority,
        local: local.parse().unwrap(),
        own_ports: OwnPorts::default(),
    };
    inbound(snapshot, snapshot.workload(workload), &connect)
}

#[test]
fn a_request_is_checked_against_the_connection_it_came_on() {
    const STORE: &str = "c//Pod/shop/store-1";
    const WAYPOINT: &str = "c//Pod/shop/wp-1";
    let state = mesh();
    let long = format!("{}:80", "a".repeat(258));
    for (case, workload, authority, want) in [
        ("own address", STORE, "10.1.0.5:80", Ok("10.1.0.5:80")),
        ("its other address", STORE, "[fd00::5]:80", Err(400)),
        ("another pod", STORE, "10.1.0.6:80", Err(400)),
        ("unknown address", STORE, "192.0.2.1:80", Err(400)),
        ("loopback", STORE, "127.0.0.1:80", Err(400)),
        ("loopback, IPv6", STORE, "[::1]:80", Err(400)),
        ("own address, mapped", STORE, "[::ffff:10.1.0.5]:80", Err(400)),
        ("any address", STORE, "0.0.0.0:80", Err(400)),
        ("multicast", STORE, "224.0.0.1:80", Err(400)),
        ("a service of its own", STORE, "10.96.0.1:80", Err(400)),
        ("port 0", STORE, "10.1.0.5:0", Err(503)),
        ("port 15008", STORE, "10.1.0.5:15008", Err(503)),
        ("port 15001", STORE, "10.1.0.5:15001", Err(503)),
        ("port 15006", STORE, "10.1.0.5:15006", Err(503)),
        ("SOCKS is off", STORE, "10.1.0.5:15080", Ok("10.1.0.5:15080")),
        ("host name", STORE, "store:80", Ok("10.1.0.5:8080")),
        ("host name, upper case", STORE, "STORE:80", Ok("10.1.0.5:8080")),
        ("the service's own port", STORE, "store:81", Ok("10.1.0.5:8081")),
        ("named port", STORE, "named:80", Ok("10.1.0.5:9090")),
        ("named port, not here", WAYPOINT, "named:80", Err(503)),
        ("host name, no such port", STORE, "store:99", Err(503)),
        ("unknown host name", STORE, "nobody:80", Err(503)),
        ("no port", STORE, "10.1.0.5", Err(400)),
        ("no host", STORE, ":80", Err(400)),
        ("empty", STORE, "", Err(400)),
        ("port is no number", STORE, "10.1.0.5:http", Err(400)),
        ("port is signed", STORE, "store:+80", Err(400)),
        ("port too large", STORE, "10.1.0.5:65536", Err(400)),
        ("host name too long", STORE, &long, Err(400)),
        ("user info", STORE, "me@store:80", Err(400)),
        ("waypoint for a service", WAYPOINT, "10.96.0.7:80", Ok("10.1.0.20:80")),
        ("waypoint for a pod", WAYPOINT, "10.1.0.30:81", Ok("10.1.0.20:81")),
        ("waypoint by address", WAYPOINT, "10.96.0.14:80", Ok("10.1.0.20:80")),
        ("weights are not looked at", WAYPOINT, "10.96.0.16:80", Err(400)),
        ("not this waypoint's", WAYPOINT, "10.96.0.1:80", Err(400)),
        ("somebody else's waypoint", STORE, "10.96.0.7:80", Err(400)),
    ] {
        let local = if workload == STORE { "10.1.0.5:15008" } else { "10.1.0.20:15008" };
        let got = ask(&state, workload, Some(authority), local);
        let got = got.map(|i| i.destination().to_string()).map_err(|e| e.status().as_u16());
        assert_eq!(got, want.map(ToString::to_string), "{case}");
    }
}

#[test]
fn a_mapped_local_address_is_its_ipv4_one() {
    let got = ask(&mesh(), "c//Pod/shop/store-1", Some("10.1.0.5:80"), "[::ffff:10.1.0.5]:15008");
    assert_eq!(got.unwrap().destination().to_string(), "10.1.0.5:80");
}

#[test]
fn checks_come_in_order() {
    let state = mesh();
    let connect = |method, authority| {
        let (local, own_ports) = ("10.1.0.5:15008".parse().unwrap(), OwnPorts::default());
        inbound(&state, None, &Connect { method, authority, local, own_ports }).unwrap_err()
    };
    assert_eq!(connect(&Method::GET, None), Refused::Method("GET".into()));
    assert_eq!(connect(&Method::CONNECT, None), Refused::Authority(String::new()));
    assert_eq!(connect(&Method::CONNECT, Some("10.1.0.5:80")), Refused::UnknownWorkload);
}

const SANDWICH: &str = "
workloads:
- {uid: w, name: w, namespace: n, workloadIps: [10.1.0.1], protocol: HBONE, applicationTunnel: {protocol: PROXY, port: 15088}}
- {uid: p, name: p, namespace: n, workloadIps: [10.1.0.2], protocol: HBONE, applicationTunnel: {port: 9000}}
services:
- {name: s, namespace: n, hostname: s, vips: ['/fd00::1', other/10.9.0.1, /10.96.0.1], ports: {80: 8080}}
- {name: h, namespace: n, hostname: h, ports: {80: 8080}}
";

#[test]
fn an_application_tunnel_takes_any_address_at_its_own_port() {
    let state = snapshot_of(SANDWICH);
    for (case, workload, authority, dial, header) in [
        ("PROXY", "w", "192.0.2.9:443", "127.0.0.1:15088", Some("192.0.2.9:443")),
        ("PROXY, host name", "w", "s:80", "127.0.0.1:15088", Some("10.96.0.1:80")),
        ("only the port", "p", "192.0.2.9:443", "10.1.0.2:9000", None),
    ] {
        let local = if workload == "w" { "10.1.0.1:15008" } else { "10.1.0.2:15008" };
        let got = ask(&state, workload, Some(authority), local).unwrap();
        let anyone = Caller::anonymous();
        let permit = got.authorize(&state, anyone, "10.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(got.dial(&permit, true).to_string(), dial, "{case}");
        assert_eq!(got.dial(&permit, false), got.destination(), "{case}");
        let want = header.map(|header| header.parse().unwrap());
        assert_eq!(got.proxy_header(), want, "{case}");
    }
    let refused = ask(&state, "w", Some("h:80"), "10.1.0.1:15008").unwrap_err();
    assert_eq!((refused.status().as_u16(), refused), (503, Refused::NoVip("h:80".into())));
    let own = ask(&state, "w", Some("192.0.2.9:15008"), "10.1.0.1:15008").unwrap_err();
    assert_eq!(own, Refused::OwnPort(15008), "judged before the tunnel's own port");
}

#[test]
fn plain_connections_reach_what_they_dialled_but_the_proxy() {
    let state = mesh();
    let store = state.workload("c//Pod/shop/store-1");
    let ask = |original: &str| plaintext(store, original.parse().unwrap(), OwnPorts::default());
    assert_eq!(ask("10.1.0.5:80").unwrap().destination().to_string(), "10.1.0.5:80");
    assert_eq!(ask("[::ffff:10.1.0.5]:80").unwrap().destination().to_string(), "10.1.0.5:80");
    for port in [15001, 15006, 15008] {
        assert_eq!(ask(&format!("10.1.0.5:{port}")).unwrap_err(), Refused::OwnPort(port));
    }
    let socks = OwnPorts { socks5: true };
    let refused = plaintext(store, "10.1.0.5:15080".parse().unwrap(), socks).unwrap_err();
    assert_eq!(refused, Refused::OwnPort(15080));
    let unknown = plaintext(None, "10.1.0.5:80".parse().unwrap(), socks).unwrap_err();
    assert_eq!(unknown, Refused::UnknownWorkload);
}

#[test]
fn a_permit_says_what_was_allowed() {
    let state = mesh();
    let got = ask(&state, "c//Pod/shop/store-1", Some("store:80"), "10.1.0.5:15008").unwrap();
    let web: SpiffeId = id("shop", "web");
    let caller = Caller::authenticated(web.clone());
    let permit = got.authorize(&state, caller, "10.1.0.2".parse().unwrap()).unwrap();
    assert_eq!(permit.call().caller().identity(), Some(&web));
    assert_eq!(got.dial(&permit, true).to_string(), "10.1.0.5:8080");
    assert_eq!(got.service().map(|s| s.name.to_string()).as_deref(), Some("store"));
}

#[test]
fn a_connection_counts_for_a_service_that_is_served() {
    let state = mesh();
    let store: &Arc<Workload> = state.workload("c//Pod/shop/store-1").unwrap();
    for (case, host, port, want) in [
        ("as the client says", Some("six"), 8080, Some("six")),
        ("by port", None, 9090, Some("named")),
        ("first by port", None, 8080, Some("six")),
        ("a name that is not served", Some("guarded"), 9090, Some("named")),
        ("no such port", None, 7, None),
    ] {
        let got = served_service(&state, store, host, port).map(|s| s.name.to_string());
        assert_eq!(got.as_deref(), want, "{case}");
    }
}
