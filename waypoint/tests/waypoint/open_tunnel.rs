//! A tunnel stays open for days: each of its requests is judged by what holds when it comes.

use hbone::tunnel::Tunnel;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::http1::{SOON, application, deny, get, policy};
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

/// The connection has ended.
async fn ended(tunnel: &mut Tunnel) -> bool {
    let mut rest = Vec::new();
    timeout(SOON, tunnel.read_to_end(&mut rest)).await.is_ok()
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
async fn what_another_waypoint_guards_now_is_refused() {
    let (mesh, mut tunnel) = open("web").await;
    let elsewhere = Some(waypoint_address("another"));
    mesh.bound_service("store", VIP.ip(), AppProtocol::Http11, elsewhere);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(answer.contains("bound to another waypoint"), "{answer}");
    assert!(ended(&mut tunnel).await, "the client's next connection goes the other way");
    assert!(mesh.tunnel("web", VIP).await.is_err(), "and no new one comes");
}

#[tokio::test]
async fn what_no_waypoint_guards_any_longer_is_served_and_the_connection_ends() {
    let (mesh, mut tunnel) = open("web").await;
    mesh.bound_service("store", VIP.ip(), AppProtocol::Http11, None);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "no request is lost: {answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    assert!(ended(&mut tunnel).await, "the client's next connection goes straight");
}

#[tokio::test]
async fn a_service_that_is_gone_is_refused() {
    let (mesh, mut tunnel) = open("web").await;
    let gone = ["shop/store.shop.svc.cluster.local".to_owned()];
    assert_eq!(mesh.state.address(Vec::new(), &gone), []);
    let answer = ask(&mut tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
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
