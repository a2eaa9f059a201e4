//! HTTP/2 and gRPC through the waypoint.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use hbone::wire::pb::istio::workload::AppProtocol;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use waypoint::config::store::Kind;

use crate::http1::{application, deny};
use crate::support::{Mesh1, VIP};

const SOON: Duration = Duration::from_secs(10);

pub(crate) type Frames = ReceiverStream<Result<Frame<Bytes>, Infallible>>;

/// Sends every message back when it comes, and a status at the end.
pub(crate) fn echo(listener: TcpListener) {
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(tcp), service_fn(answer)));
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<StreamBody<Frames>>, Infallible> {
    assert_eq!(
        request.headers().get("te").map(http::HeaderValue::as_bytes),
        Some(&b"trailers"[..])
    );
    let (send, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                let _ = send.send(Ok(Frame::data(data))).await;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let _ = send.send(Ok(Frame::trailers(trailers))).await;
    });
    let mut response = Response::new(StreamBody::new(ReceiverStream::new(frames)));
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/grpc"));
    Ok(response)
}

pub(crate) fn grpc(
    path: &str,
    frames: mpsc::Receiver<Result<Frame<Bytes>, Infallible>>,
) -> Request<StreamBody<Frames>> {
    Request::post(format!("http://store{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(ReceiverStream::new(frames)))
        .expect("a request")
}

pub(crate) async fn client(
    mesh: &Mesh1,
    account: &str,
) -> hyper::client::conn::http2::SendRequest<StreamBody<Frames>> {
    let tunnel = mesh.tunnel(account, VIP).await.expect("a tunnel");
    let shaken =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tunnel)).await;
    let (sender, connection) = shaken.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn grpc_streams_both_ways_and_ends_with_its_status() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Grpc);
    echo(mesh.pod("store").await.take());
    let mut client = client(&mesh, "web").await;
    let (send, frames) = mpsc::channel(1);
    let response = timeout(SOON, client.send_request(grpc("/shop.Store/Chat", frames)));
    let mut body = response.await.expect("in time").expect("an answer").into_body();
    for round in 0..50_u8 {
        let message = Bytes::from(vec![round; 1000]);
        send.send(Ok(Frame::data(message.clone()))).await.expect("open");
        let mut back = Vec::new();
        while back.len() < message.len() {
            let frame =
                timeout(SOON, body.frame()).await.expect("in time").expect("open").expect("good");
            back.extend_from_slice(&frame.into_data().expect("data"));
        }
        assert_eq!(back, message, "each message is answered before the next is sent");
    }
    drop(send);
    let frame = timeout(SOON, body.frame()).await.expect("in time").expect("open").expect("good");
    let trailers = frame.into_trailers().expect("trailers");
    assert_eq!(trailers.get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"0"[..]));
}

#[tokio::test]
async fn a_grpc_client_reads_a_refusal_as_a_status() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Grpc);
    echo(mesh.pod("store").await.take());
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/shop.Store/*"));
    let mut client = client(&mesh, "web").await;
    let (_send, frames) = mpsc::channel(1);
    let response = timeout(SOON, client.send_request(grpc("/shop.Store/Chat", frames)));
    let response = response.await.expect("in time").expect("an answer");
    assert_eq!(response.status(), 200);
    let field =
        |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    assert_eq!(field("grpc-status").as_deref(), Some("7"));
    assert!(field("proxy-status").is_some_and(|s| s.contains("error=http_request_denied")));
}

#[tokio::test]
async fn a_body_with_two_lengths_reaches_nobody() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    let mut client = client(&mesh, "web").await;
    for (case, lengths) in [("another", ["5", "6"]), ("the same twice", ["5", "5"])] {
        let (send, frames) = mpsc::channel(1);
        send.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await.expect("open");
        drop(send);
        let mut request = Request::post("http://store/orders");
        for length in lengths {
            request = request.header("content-length", length);
        }
        let request = request.body(StreamBody::new(ReceiverStream::new(frames)));
        let answer = timeout(SOON, client.send_request(request.expect("a request")));
        match answer.await.expect("in time") {
            Ok(answer) => assert_eq!(answer.status(), 400, "{case}"),
            // h2 may reset such a stream by itself.
            Err(error) => assert!(!error.is_closed(), "{case}: the connection ended: {error}"),
        }
        assert!(seen.try_recv().is_err(), "{case}: it reached the application");
    }
}
