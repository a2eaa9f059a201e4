//! What runs ends when a policy turns against it, and nothing else does.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::http1::{get, policy};
use crate::http2::{client, echo, grpc};
use crate::support::{Mesh1, VIP};

const SOON: Duration = Duration::from_secs(10);
/// From the change of a policy to its effect.
const EFFECT: Duration = Duration::from_secs(1);

/// Denies everything to one account.
fn deny_account(account: &str) -> pb::Policy {
    let source = pb::Source { principals: vec![format!("*/sa/{account}")], ..Default::default() };
    policy(pb::PolicyAction::Deny, pb::PolicyRule { from: vec![source], ..Default::default() })
}

fn deny(mesh: &Mesh1, account: &str) {
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny_account(account));
}

/// Reads a request head of each connection, sends `head` and hands the connection over.
fn serve(listener: TcpListener, head: &'static str) -> mpsc::UnboundedReceiver<TcpStream> {
    let (send, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    read.push(tcp.read_u8().await.expect("a head"));
                }
                tcp.write_all(head.as_bytes()).await.expect("sent");
                let _ = send.send(tcp);
            });
        }
    });
    connections
}

/// Completes when the peer of `tcp` has ended the connection.
async fn ended(tcp: &mut TcpStream) {
    let mut rest = Vec::new();
    while tcp.read_buf(&mut rest).await.is_ok_and(|n| n > 0) {}
}

#[tokio::test]
async fn a_denied_download_is_cut_and_another_client_s_goes_on() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin";
    let mut applications = serve(mesh.pod("store").await.take(), head);
    let mut open = Vec::new();
    for account in ["web", "other"] {
        let mut tunnel = mesh.tunnel(account, VIP).await.expect("a tunnel");
        tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"begin") {
            head.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a byte"));
        }
        open.push((tunnel, applications.recv().await.expect("a connection")));
    }
    let (mut other, mut to_other) = open.pop().expect("two");
    let (mut web, mut to_web) = open.pop().expect("two");

    deny(&mesh, "web");
    let changed = Instant::now();
    let mut rest = Vec::new();
    let end = timeout(SOON, web.read_to_end(&mut rest)).await.expect("cut in time");
    assert!(rest.is_empty(), "nothing is sent after the change: {end:?} {rest:?}");
    timeout(SOON, ended(&mut to_web)).await.expect("the application hears of it");
    assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());

    to_other.write_all(b"more").await.expect("open");
    let mut more = [0; 4];
    timeout(SOON, other.read_exact(&mut more)).await.expect("in time").expect("open");
    assert_eq!(&more, b"more", "another identity's goes on");
}

#[tokio::test]
async fn a_denied_grpc_stream_is_reset_and_another_client_s_goes_on() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Grpc);
    echo(mesh.pod("store").await.take());
    let mut open = Vec::new();
    for account in ["web", "other"] {
        let (send, frames) = mpsc::channel(1);
        let mut client = client(&mesh, account).await;
        let answer = timeout(SOON, client.send_request(grpc("/shop.Store/Chat", frames)));
        let body = answer.await.expect("in time").expect("an answer").into_body();
        open.push((client, send, body));
    }
    let (_other, to_other, mut from_other) = open.pop().expect("two");
    let (_web, to_web, mut from_web) = open.pop().expect("two");

    deny(&mesh, "web");
    let changed = Instant::now();
    let end = timeout(SOON, from_web.frame()).await.expect("cut in time");
    assert!(matches!(end, Some(Err(_))), "a reset, and no status: {end:?}");
    // Nothing more is taken from the client either.
    timeout(SOON, to_web.closed()).await.expect("the client's side ends too");
    assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());

    let message = Frame::data(Bytes::from_static(b"still here"));
    to_other.send(Ok::<_, Infallible>(message)).await.expect("open");
    let frame = timeout(SOON, from_other.frame()).await.expect("in time").expect("open");
    assert_eq!(frame.expect("good").into_data().expect("data"), "still here");
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_refused_with_the_reason() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut applications = serve(mesh.pod("store").await.take(), "");
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/", "Connection: close\r\n").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a connection");

    deny(&mesh, "web");
    let mut answer = String::new();
    timeout(EFFECT, tunnel.read_to_string(&mut answer)).await.expect("in time").expect("text");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer.contains("error=http_request_denied; hop=waypoint; details=\"denied by policy\""),
        "{answer}"
    );
    timeout(SOON, ended(&mut application)).await.expect("the application hears of it");
}

#[tokio::test]
async fn an_upgraded_connection_is_cut() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut applications = serve(mesh.pod("store").await.take(), head);
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    tunnel.write_all(get("/chat", upgrade).as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a byte"));
    }
    let mut application = applications.recv().await.expect("a connection");
    application.write_all(b"ping").await.expect("open");
    let mut ping = [0; 4];
    timeout(SOON, tunnel.read_exact(&mut ping)).await.expect("in time").expect("open");

    // A policy that names another path changes nothing.
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &crate::http1::deny("/admin"));
    application.write_all(b"pong").await.expect("open");
    timeout(SOON, tunnel.read_exact(&mut ping)).await.expect("in time").expect("open");

    deny(&mesh, "web");
    let mut rest = Vec::new();
    let _ = timeout(EFFECT, tunnel.read_to_end(&mut rest)).await.expect("cut in time");
    timeout(SOON, ended(&mut application)).await.expect("the application hears of it");
}
