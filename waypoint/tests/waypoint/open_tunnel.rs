//! A tunnel stays open for days: each of its requests is judged by what holds when it comes.

use std::time::Duration;

use hbone::tunnel::Tunnel;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::drain::{ANSWER, heads, rest};
use crate::http1::{SOON, application, deny, get, policy};
use crate::limits::patient;
use crate::support::{Mesh1, VIP, waypoint_address};
use crate::trust::trust;

/// Sends a request on an open tunnel: the head of its answer, or what came before the end.
async fn ask(tunnel: &mut Tunnel) -> String {
    let mut answer = Vec::new();
    if tunnel.write_all(get("/", "").as_bytes()).await.is_ok() {
        let reading = async {
            while !answer.ends_with(b"\r\n\r\n") {
                match tunnel.read_u8().await {
                    Ok(byte) => answer.push(byte),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|l| l.lines().next());
            let length = length.and_then(|l| l.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            let _ = tunnel.read_exact(&mut body).await;
        };
        timeout(SOON, reading).await.expect("an answer in time");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until `end` has come.
async fn until(tunnel: &mut Tunnel, end: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a byte"));
    }
}

/// A waypoint with the service `store`, and a tunnel of `account` on which requests are served.
async fn open(account: &str) -> (Mesh1, Tunnel) {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    drop(application(mesh.pod("store").await.take(), "store"));
    trust(&mesh, &["cluster.local", "old.example"]);
    let mut tunnel = mesh.tunnel(account, VIP).await.expect("a tunnel");
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    (mesh, tunnel)
}

#[tokio::test]
async fn a_caller_that_is_trusted_no_longer_is_refused() {
    let (mesh, mut tunnel) = open("old.example/web").await;
    trust(&mesh, &["cluster.local"]);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_waypoint_without_its_gateway_refuses() {
    let (mesh, mut tunnel) = open("web").await;
    let rule = pb::PolicyRule::default();
    let kind = Some(pb::policy_target::Kind::Gateway(pb::ObjectRef {
        kind: "Gateway".to_owned(),
        namespace: "shop".to_owned(),
        name: "waypoint".to_owned(),
    }));
    let targets = vec![pb::PolicyTarget { kind }];
    let nobody = pb::Policy { targets, ..policy(pb::PolicyAction::Deny, rule) };
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/nobody", &nobody);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    // The policy of the Gateway must not go with it.
    let gone = ["Gateway/shop/waypoint".to_owned()];
    assert_eq!(mesh.state.configure(Kind::Gateway, Vec::new(), &gone), []);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_connection_ends_with_its_request_when_another_way_is_right() {
    for (case, waypoint) in [("another's", Some(waypoint_address("another"))), ("nobody's", None)] {
        let mesh = Mesh1::start().await;
        mesh.service("store", VIP.ip(), AppProtocol::Http11);
        let mut applications = heads(mesh.pod("store").await.take());
        let mut running = mesh.tunnel("web", VIP).await.expect("a tunnel");
        running.write_all(get("/", "").as_bytes()).await.expect("sent");
        let first = timeout(SOON, applications.recv()).await.expect("in time");
        let mut application = first.expect("a request");
        let mut idle = mesh.tunnel("web", VIP).await.expect("a tunnel");
        idle.write_all(get("/", "").as_bytes()).await.expect("sent");
        let second = timeout(SOON, applications.recv()).await.expect("in time");
        second.expect("a request").write_all(ANSWER).await.expect("open");
        until(&mut idle, b"done").await;

        mesh.bound_service("store", VIP.ip(), AppProtocol::Http11, waypoint);
        assert_eq!(rest(idle).await, "", "{case}: one between two requests ends at once");
        application.write_all(ANSWER).await.expect("open");
        let answer = rest(running).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{case}: no request is lost: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{case}: {answer}");
        // Callers that have not heard of it are let in for two seconds more.
        assert!(mesh.tunnel("web", VIP).await.is_ok(), "{case}: a late caller");
        let closed = async {
            while mesh.tunnel("web", VIP).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(SOON, closed).await.unwrap_or_else(|_| panic!("{case}: and then no new one comes"));
    }
}

#[tokio::test]
async fn a_tunnel_that_comes_before_its_binding_is_known_waits_for_it() {
    let mesh = Mesh1::start().await;
    let bound = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        mesh.service("store", VIP.ip(), AppProtocol::Http11);
    };
    let (tunnel, ()) = tokio::join!(mesh.tunnel("web", VIP), bound);
    let mut tunnel = tunnel.expect("it waited");
    let mut applications = heads(mesh.pod("store").await.take());
    tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
    let first = timeout(SOON, applications.recv()).await.expect("in time");
    first.expect("a request").write_all(ANSWER).await.expect("open");
    until(&mut tunnel, b"done").await;
}

#[tokio::test]
async fn the_connection_of_a_service_that_is_gone_ends() {
    let (mesh, tunnel) = open("web").await;
    let gone = ["shop/store.shop.svc.cluster.local".to_owned()];
    assert_eq!(mesh.state.address(Vec::new(), &gone), []);
    assert_eq!(rest(tunnel).await, "");
}

#[tokio::test]
async fn an_http2_connection_takes_no_more_when_another_way_is_right() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http2);
    let (arrived, mut requests) = mpsc::unbounded_channel();
    let (release, answer) = watch::channel(false);
    tokio::spawn(patient(mesh.pod("store").await.take(), arrived, answer));
    let client = crate::limits::client(&mesh, "web").await;
    let mut answers = JoinSet::new();
    crate::limits::ask(&client, &mut answers);
    requests.recv().await.expect("a request");
    let elsewhere = Some(waypoint_address("another"));
    mesh.bound_service("store", VIP.ip(), AppProtocol::Http2, elsewhere);
    release.send(true).expect("the application listens");
    let status = timeout(SOON, answers.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(status.expect("no panic"), 200, "no request is lost");
    let closed = async {
        while !client.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, closed).await.expect("the connection ends");
}

#[tokio::test]
async fn the_policies_of_a_service_hold_for_pods_that_were_addressed_before_it_came() {
    let mesh = Mesh1::start().await;
    let mut pod = mesh.pod("store").await;
    drop(application(pod.take(), "store"));
    let mut tunnel = mesh.tunnel("web", pod.app).await.expect("a tunnel");
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/"));
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "no such service yet: {answer}");
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}
