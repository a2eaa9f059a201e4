//! What a waypoint that stops lets finish, and what it no longer begins.

use std::time::Duration;

use bytes::Bytes;
use hbone::tunnel::Tunnel;
use hbone::wire::pb::istio::workload::AppProtocol;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::http1::{SOON, get};
use crate::limits::patient;
use crate::support::{Mesh1, VIP};

pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

/// Reads the head of each request and hands the connection over.
pub(crate) fn heads(listener: TcpListener) -> mpsc::UnboundedReceiver<TcpStream> {
    let (send, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                read.push(tcp.read_u8().await.expect("a head"));
            }
            let _ = send.send(tcp);
        }
    });
    connections
}

/// Reads to the end of a tunnel, which comes.
pub(crate) async fn rest(mut tunnel: Tunnel) -> String {
    let mut got = Vec::new();
    let reading = async { while tunnel.read_buf(&mut got).await.is_ok_and(|n| n > 0) {} };
    let ended = timeout(SOON, reading).await;
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(ended.is_ok(), "its connection does not end: {got}");
    got
}

#[tokio::test]
async fn a_request_that_runs_is_answered_and_its_connection_ends() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut applications = heads(mesh.pod("store").await.take());
    let mut running = mesh.tunnel("web", VIP).await.expect("a tunnel");
    running.write_all(get("/", "").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a request");
    // One that was opened before, and has not asked yet.
    let mut opened = mesh.tunnel("web", VIP).await.expect("a tunnel");

    mesh.drain();
    assert!(mesh.tunnel("other", VIP).await.is_err(), "no new tunnel");
    application.write_all(ANSWER).await.expect("open");
    opened.write_all(get("/", "").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a request");
    application.write_all(ANSWER).await.expect("open");
    for tunnel in [running, opened] {
        let got = rest(tunnel).await;
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\ndone"), "{got}");
        assert!(got.contains("connection: close\r\n"), "the client is told: {got}");
    }
}

#[tokio::test]
async fn a_connection_between_two_requests_ends_at_once() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut applications = heads(mesh.pod("store").await.take());
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a request");
    application.write_all(ANSWER).await.expect("open");
    let mut got = Vec::new();
    while !got.ends_with(b"done") {
        got.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("open"));
    }
    mesh.drain();
    assert_eq!(rest(tunnel).await, "");
}

#[tokio::test]
async fn a_client_has_so_many_streams_at_a_time() {
    const STREAMS: usize = 100;
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http2);
    let (arrived, mut requests) = mpsc::unbounded_channel();
    let (release, answer) = watch::channel(false);
    tokio::spawn(patient(mesh.pod("store").await.take(), arrived, answer));
    let tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let shaken =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tunnel)).await;
    let (client, connection) = shaken.expect("HTTP/2");
    tokio::spawn(connection);
    // The first settles what the waypoint's settings allow.
    let ask = |client: &hyper::client::conn::http2::SendRequest<Empty<Bytes>>| {
        let mut client = client.clone();
        async move {
            let request = Request::get("http://store/").body(Empty::new()).expect("a request");
            let response = client.send_request(request).await.expect("an answer");
            let status = response.status();
            response.into_body().collect().await.expect("a body");
            status
        }
    };
    let mut answers = JoinSet::new();
    answers.spawn(ask(&client));
    timeout(SOON, requests.recv()).await.expect("in time").expect("a request");
    for _ in 1..STREAMS + 20 {
        answers.spawn(ask(&client));
    }
    for _ in 1..STREAMS {
        timeout(SOON, requests.recv()).await.expect("in time").expect("a request");
    }
    let more = timeout(Duration::from_millis(200), requests.recv()).await;
    assert!(more.is_err(), "the others wait at the client");
    release.send(true).expect("the application listens");
    while let Some(status) = timeout(SOON, answers.join_next()).await.expect("in time") {
        assert_eq!(status.expect("no panic"), StatusCode::OK);
    }
}
