//! What metrics say of a request, whatever becomes of it.

use bytes::Bytes;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::http1::{SOON, application, deny, get, raw};
use crate::http2::{client, echo, grpc};
use crate::support::{Mesh1, VIP};

/// The value of the one series of `metric` that has all of `labels`.
pub(crate) fn value(mesh: &Mesh1, metric: &str, labels: &[&str]) -> Option<f64> {
    let metrics = mesh.metrics();
    let fits = |line: &&str| {
        line.split_once('{').is_some_and(|(name, _)| name == metric)
            && labels.iter().all(|label| line.contains(label))
    };
    let lines: Vec<_> = metrics.lines().filter(fits).collect();
    assert!(lines.len() <= 1, "{labels:?}: {lines:?}");
    lines.first()?.rsplit(' ').next()?.parse().ok()
}

const REQUESTS: &str = "istio_requests_total";

#[tokio::test]
async fn requests_count_by_caller_endpoint_status_and_flag() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let none = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
    assert!(none.starts_with("HTTP/1.1 503 "), "{none}");
    let _seen = application(mesh.pod("store").await.take(), "store");
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/admin"));
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    for _ in 0..50 {
        tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nstore") {
            answer.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("open"));
        }
    }
    for (caller, path, times) in [("other", "/", 2), ("web", "/admin", 3), ("web", "/..", 1)] {
        for _ in 0..times {
            raw(&mesh, caller, &get(path, "Connection: close\r\n"), "").await;
        }
    }
    let of =
        |account: &str| format!("source_principal=\"spiffe://cluster.local/ns/shop/sa/{account}\"");
    let to_store = "destination_principal=\"spiffe://cluster.local/ns/shop/sa/store\"";
    for (case, labels, want) in [
        (
            "served",
            vec![&*of("web"), to_store, "response_code=\"200\"", "response_flags=\"-\""],
            50.0,
        ),
        ("of another", vec![&*of("other"), to_store, "response_code=\"200\""], 2.0),
        ("denied", vec![&*of("web"), "response_code=\"403\"", "response_flags=\"-\""], 3.0),
        ("malformed", vec![&*of("web"), "response_code=\"400\"", "response_flags=\"DPE\""], 1.0),
        ("no endpoint", vec!["response_code=\"503\"", "response_flags=\"UH\""], 1.0),
    ] {
        let mut all = labels.clone();
        all.extend(["reporter=\"waypoint\"", "request_protocol=\"http\""]);
        assert_eq!(value(&mesh, REQUESTS, &all), Some(want), "{case}: {}", mesh.metrics());
    }
    // The histograms have the same series and count the same requests.
    let served = [&*of("web"), "response_code=\"200\""];
    for (metric, want) in [
        ("istio_request_duration_milliseconds_count", 50.0),
        ("istio_request_bytes_count", 50.0),
        ("istio_request_bytes_sum", 0.0),
        ("istio_response_bytes_sum", 250.0),
    ] {
        assert_eq!(value(&mesh, metric, &served), Some(want), "{metric}");
    }
}

#[tokio::test]
async fn a_grpc_call_counts_by_the_status_at_its_end() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Grpc);
    echo(mesh.pod("store").await.take());
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/shop.Store/Secret"));
    let mut client = client(&mesh, "web").await;
    let (send, frames) = mpsc::channel(1);
    let answer = timeout(SOON, client.send_request(grpc("/shop.Store/Chat", frames)));
    let mut body = answer.await.expect("in time").expect("an answer").into_body();
    send.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await.expect("open");
    let frame = timeout(SOON, body.frame()).await.expect("in time").expect("open");
    assert_eq!(frame.expect("good").into_data().expect("data"), "hello");
    let ended = ["request_protocol=\"grpc\"", "grpc_response_status=\"0\""];
    assert_eq!(value(&mesh, REQUESTS, &ended), None, "a stream counts at its end");
    drop(send);
    while timeout(SOON, body.frame()).await.expect("in time").is_some() {}

    let (_send, frames) = mpsc::channel(1);
    let refused = timeout(SOON, client.send_request(grpc("/shop.Store/Secret", frames)));
    refused.await.expect("in time").expect("an answer").into_body().collect().await.expect("read");
    assert_eq!(counted(&mesh, &ended).await, Some(1.0));
    let denied = ["request_protocol=\"grpc\"", "grpc_response_status=\"7\""];
    assert_eq!(counted(&mesh, &denied).await, Some(1.0));
}

/// The number of requests, as soon as there is one.
pub(crate) async fn counted(mesh: &Mesh1, labels: &[&str]) -> Option<f64> {
    let waited = timeout(SOON, async {
        while value(mesh, REQUESTS, labels).is_none() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "{labels:?}: {}", mesh.metrics());
    value(mesh, REQUESTS, labels)
}

/// Sends the beginning of an answer to each request; then ends the connection or waits.
fn begins(listener: TcpListener, ends: bool) {
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = tcp.read(&mut head).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin";
                tcp.write_all(answer).await.expect("sent");
                if !ends {
                    let _ = tcp.read(&mut head).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn an_answer_that_its_application_breaks_off_is_the_application_s() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    begins(mesh.pod("store").await.take(), true);
    let answer = raw(&mesh, "web", &get("/", ""), "").await;
    assert!(answer.ends_with("begin"), "{answer}");
    let broken = ["response_code=\"200\"", "response_flags=\"UC\""];
    assert_eq!(counted(&mesh, &broken).await, Some(1.0), "{}", mesh.metrics());
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_late_whether_its_client_reads_or_not() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    begins(mesh.pod("store").await.take(), false);
    let limit = prost_types::Duration { seconds: 0, nanos: 300_000_000 };
    let rule = pb::RouteRule { request_timeout: Some(limit), ..Default::default() };
    crate::tries::route(&mesh, rule);
    let answer = raw(&mesh, "web", &get("/", ""), "").await;
    assert!(answer.ends_with("begin"), "{answer}");
    let late = ["response_code=\"200\"", "response_flags=\"UT\""];
    assert_eq!(counted(&mesh, &late).await, Some(1.0), "{}", mesh.metrics());
}

#[tokio::test]
async fn the_bytes_of_a_body_count_once_however_many_endpoints_are_tried() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    // Of two endpoints one refuses: half of the requests meet it first.
    drop(mesh.pod("store").await.take());
    let _seen = application(mesh.pod("store").await.take(), "store");
    for _ in 0..20 {
        let body = "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let request = format!("POST / HTTP/1.1\r\nHost: store\r\n{body}");
        let answer = raw(&mesh, "web", &request, "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(mesh.refused() > 0, "some met the other first");
    let served = ["response_code=\"200\"", "response_flags=\"-\""];
    assert_eq!(value(&mesh, "istio_request_bytes_sum", &served), Some(100.0));
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_as_that() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let listener = mesh.pod("store").await.take();
    let (sent, mut began) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 1024];
        let _ = tcp.read(&mut head).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin";
        tcp.write_all(answer).await.expect("sent");
        let _ = sent.send(());
        let _ = tcp.read(&mut head).await;
    });
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/", "").as_bytes()).await.expect("sent");
    timeout(SOON, began.recv()).await.expect("in time").expect("an answer");
    let mut read = Vec::new();
    while !read.ends_with(b"begin") {
        read.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("open"));
    }
    drop(tunnel);
    let gone = ["response_code=\"200\"", "response_flags=\"DC\""];
    assert_eq!(counted(&mesh, &gone).await, Some(1.0));
    assert_eq!(value(&mesh, "istio_response_bytes_sum", &gone), Some(5.0));
}
