//! What runs ends when a policy turns against it, and nothing else does.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use waypoint::config::store::Kind;

use crate::http1::{application, get, policy};
use crate::http2::{client, echo, grpc};
use crate::support::{Mesh1, VIP};
use crate::telemetry::{counted, value};

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

    tunnel.write_all(b"hello").await.expect("open");
    let mut hello = [0; 5];
    timeout(SOON, application.read_exact(&mut hello)).await.expect("in time").expect("open");

    // A policy that names another path changes nothing.
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &crate::http1::deny("/admin"));
    application.write_all(b"pong").await.expect("open");
    timeout(SOON, tunnel.read_exact(&mut ping)).await.expect("in time").expect("open");

    deny(&mesh, "web");
    let mut rest = Vec::new();
    let _ = timeout(EFFECT, tunnel.read_to_end(&mut rest)).await.expect("cut in time");
    timeout(SOON, ended(&mut application)).await.expect("the application hears of it");
    let switched = ["response_code=\"101\"", "response_flags=\"-\""];
    assert_eq!(counted(&mesh, &switched).await, Some(1.0));
    assert_eq!(value(&mesh, "istio_request_bytes_sum", &switched), Some(5.0));
    assert_eq!(value(&mesh, "istio_response_bytes_sum", &switched), Some(8.0));
}

/// Sends on `tcp` until nobody takes more for a while.
async fn fill(tcp: &mut TcpStream) {
    let piece = vec![b'x'; 64 * 1024];
    while timeout(Duration::from_millis(300), tcp.write_all(&piece)).await.is_ok() {}
}

#[tokio::test]
async fn a_download_that_its_client_does_not_read_is_cut() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    let mut applications = serve(mesh.pod("store").await.take(), head);
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a connection");
    fill(&mut application).await;

    deny(&mesh, "web");
    let changed = Instant::now();
    timeout(SOON, ended(&mut application)).await.expect("the application hears of it");
    assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());
    assert!(
        application.write_all(b"more").await.is_err() || application.write_all(b"x").await.is_err()
    );
    let cut = ["response_code=\"200\"", "response_flags=\"-\""];
    assert_eq!(counted(&mesh, &cut).await, Some(1.0), "it is recorded");
    // The client's own tunnel is reset: it does not wait to be read.
    let mut rest = Vec::new();
    let read = timeout(SOON, tunnel.read_to_end(&mut rest)).await.expect("no more comes");
    assert!(read.is_err(), "a reset, and no end: {read:?}");
}

/// An application with a film that has no end, and everything else as [`echo`] has it.
fn films(listener: TcpListener) -> mpsc::UnboundedReceiver<mpsc::Sender<Message>> {
    let (began, films) = mpsc::unbounded_channel();
    let answer = move |request: http::Request<hyper::body::Incoming>| {
        let began = began.clone();
        async move {
            let (send, frames) = mpsc::channel(1);
            let film = request.uri().path() == "/shop.Store/Film";
            tokio::spawn(async move {
                let mut body = request.into_body();
                if film {
                    let _ = began.send(send.clone());
                    // It takes nothing either.
                    send.closed().await;
                } else {
                    while let Some(Ok(frame)) = body.frame().await {
                        let _ = send.send(Ok(frame)).await;
                    }
                }
            });
            let body = http_body_util::StreamBody::new(ReceiverStream::new(frames));
            Ok::<_, Infallible>(http::Response::new(body))
        }
    };
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let service = hyper::service::service_fn(answer.clone());
            tokio::spawn(server.serve_connection(TokioIo::new(tcp), service));
        }
    });
    films
}

type Message = Result<Frame<Bytes>, Infallible>;

/// Sends until nobody takes more for a while.
async fn fill_stream(send: &mpsc::Sender<Message>) {
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let next = || timeout(Duration::from_millis(300), send.send(Ok(Frame::data(piece.clone()))));
    while next().await.is_ok_and(|sent| sent.is_ok()) {}
}

#[tokio::test]
async fn a_stream_that_moves_neither_way_is_cut_and_another_on_its_connection_goes_on() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Grpc);
    let mut films = films(mesh.pod("store").await.take());
    let mut client = client(&mesh, "web").await;
    let mut open = Vec::new();
    for path in ["/shop.Store/Chat", "/shop.Store/Film"] {
        let (send, frames) = mpsc::channel(1);
        let answer = timeout(SOON, client.send_request(grpc(path, frames)));
        open.push((send, answer.await.expect("in time").expect("an answer").into_body()));
    }
    let (to_film, from_film) = open.pop().expect("two");
    let (to_chat, mut from_chat) = open.pop().expect("two");
    let film = timeout(SOON, films.recv()).await.expect("in time").expect("a film");
    fill_stream(&film).await;
    fill_stream(&to_film).await;

    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &crate::http1::deny("*/Film"));
    let changed = Instant::now();
    timeout(SOON, to_film.closed()).await.expect("the client's stream is reset");
    assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());
    assert!(!from_film.is_end_stream(), "and does not end in order");

    let message = Frame::data(Bytes::from_static(b"still here"));
    to_chat.send(Ok(message)).await.expect("open");
    let frame = timeout(SOON, from_chat.frame()).await.expect("in time").expect("open");
    assert_eq!(frame.expect("good").into_data().expect("data"), "still here");
}

#[tokio::test]
async fn an_upload_that_goes_on_after_its_answer_is_cut() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let listener = mesh.pod("store").await.take();
    let answered = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    let mut applications = serve(listener, answered);
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let head = "POST /film HTTP/1.1\r\nHost: store\r\nContent-Length: 1000000\r\n\r\n";
    tunnel.write_all(head.as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a connection");
    let mut answer = Vec::new();
    while !answer.ends_with(b"done") {
        answer.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a byte"));
    }
    tunnel.write_all(b"before").await.expect("open");
    let mut before = [0; 6];
    let reading = application.read_exact(&mut before);
    if timeout(SOON, reading).await.expect("in time").is_err() {
        return; // The connection ended with its answer: nothing can go on.
    }
    deny(&mesh, "web");
    let _ = tunnel.write_all(b"after").await;
    let mut after = Vec::new();
    let _ = timeout(SOON, application.read_to_end(&mut after)).await.expect("ends");
    assert_eq!(after, b"", "nothing more arrives");
}

#[tokio::test]
async fn a_request_is_judged_by_the_policies_of_when_it_is_sent_on() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    // A short body of a route that retries is read before anything is sent.
    let retry = pb::Retry { codes: vec![503], attempts: 1, backoff: None };
    crate::tries::route(&mesh, pb::RouteRule { retry: Some(retry), ..Default::default() });
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let head =
        "POST /film HTTP/1.1\r\nHost: store\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhell";
    tunnel.write_all(head.as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(200)).await;
    deny(&mesh, "web");
    let _ = tunnel.write_all(b"o").await;
    let mut answer = String::new();
    timeout(SOON, tunnel.read_to_string(&mut answer)).await.expect("in time").expect("text");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(seen.try_recv().is_err(), "nothing reached the application");
}

#[tokio::test]
async fn a_download_is_cut_whose_new_authorizer_was_never_asked() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin";
    let mut applications = serve(mesh.pod("store").await.take(), head);
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/film", "").as_bytes()).await.expect("sent");
    let mut application = applications.recv().await.expect("a connection");
    let mut answer = Vec::new();
    while !answer.ends_with(b"begin") {
        answer.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a byte"));
    }
    let custom = |path: &str| pb::Policy {
        action: pb::PolicyAction::Custom.into(),
        provider: "engine".to_owned(),
        ..crate::http1::deny(path)
    };
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &custom("/admin"));
    application.write_all(b"more").await.expect("open");
    let mut more = [0; 4];
    timeout(SOON, tunnel.read_exact(&mut more)).await.expect("in time").expect("open");

    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &custom("/film"));
    let mut rest = Vec::new();
    let _ = timeout(EFFECT, tunnel.read_to_end(&mut rest)).await.expect("cut in time");
    timeout(SOON, ended(&mut application)).await.expect("the application hears of it");
}
