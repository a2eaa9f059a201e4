//! A server that says too much, or hears nothing.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::server::NamedService;

use super::faults::encode;
use super::held::MAX_ERROR;
use super::metrics::MAX_TYPES;
use super::*;

#[test]
fn a_server_cannot_make_series_without_end() {
    let metrics = XdsMetrics::default();
    for n in 0..MAX_TYPES + 4 {
        metrics.received(&response(&format!("type-{n}"), "n", &[], &[]));
    }
    let page = encode(&metrics);
    let series = page.lines().filter(|line| line.starts_with("istio_xds_message_total{"));
    assert_eq!(series.count(), MAX_TYPES + 1, "{page}");
    assert!(page.contains("istio_xds_message_total{url=\"other\"} 4\n"), "{page}");
}

#[tokio::test]
async fn a_refusal_of_very_many_resources_says_how_many_more() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let names: Vec<String> = (0..200).map(|n| format!("{n:0100}")).collect();
    let bad: Vec<_> = names.iter().map(|name| (name.as_str(), "1", "bad")).collect();
    let (_, nack) = mesh.stream().await.answer(&bad, &[]).await;
    let error = nack.error_detail.expect("a NACK").message;
    assert!(error.ends_with(" more") && error.len() < MAX_ERROR + 200, "{} bytes", error.len());
}

#[tokio::test]
async fn a_server_that_sends_and_never_reads_is_left() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let stream = mesh.stream().await;
    // Each acknowledgement carries it back, so that few of them fill what lies between.
    let nonce = "n".repeat(64 << 10);
    let sending = async {
        let next = || Ok(response(ADDRESS, &nonce, &[], &[]));
        while stream.responses.send(next()).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("its connection ends");
    mesh.stream().await.answer(&[("a", "1", "A")], &[]).await;
    assert_eq!(mesh.held(), pairs(&[("a", "A")]));
    let text = encode(&mesh.metrics);
    assert!(text.contains("reason=\"Error\"} 1\n"), "{text}");
}

/// A server that begins an answer, says how long it is, and no more.
#[derive(Clone)]
struct Announcing {
    length: u32,
    calls: mpsc::Sender<()>,
}

impl NamedService for Announcing {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl tower::Service<http::Request<Body>> for Announcing {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let _ = self.calls.try_send(());
        // The prefix of a message: not compressed, and its length.
        let prefix: Vec<u8> = [0].into_iter().chain(self.length.to_be_bytes()).collect();
        let frame = Ok::<_, Status>(Frame::data(Bytes::from(prefix)));
        let body = StreamBody::new(tokio_stream::once(frame).chain(tokio_stream::pending()));
        let response = http::Response::builder().header("content-type", "application/grpc");
        ready(Ok(response.body(Body::new(body)).expect("a response")))
    }
}

/// How often a client comes to a server that announces so long a message, and what it counts.
async fn comes(length: usize) -> (usize, String) {
    let authority = Authority::new();
    let (calls, mut called) = mpsc::channel(64);
    let length = u32::try_from(length).expect("a length");
    let routes = Routes::new(Announcing { length, calls });
    let server = authority.serve("localhost", routes).await;
    let node = NodeInfo { kind: "ztunnel".into(), ..NodeInfo::default() };
    // It would wait for the message for long.
    let timing = Timing { answer: 3 * PATIENCE, healthy_after: Duration::ZERO };
    let control = authority.control(&[server.port]);
    let metrics = XdsMetrics::default();
    let client = Client::new(control, &node, metrics.clone()).timing(timing);
    let client = client.watch(ADDRESS, Arc::new(Store::default()));
    let running = tokio::spawn(client.run(CancellationToken::new()));
    tokio::time::timeout(PATIENCE, called.recv()).await.expect("in time").expect("a call");
    let wait = if length as usize > MAX_MESSAGE { PATIENCE } else { Duration::from_millis(500) };
    let again = tokio::time::timeout(wait, called.recv()).await;
    running.abort();
    (1 + usize::from(again.is_ok()), encode(&metrics))
}

#[tokio::test]
async fn a_message_without_end_is_not_waited_for() {
    let (calls, page) = comes(MAX_MESSAGE + 1).await;
    assert_eq!(calls, 2, "the stream ended and was opened again");
    assert!(page.contains("istio_xds_connection_terminations_total{reason=\"Error\"} 1"), "{page}");
    assert_eq!(comes(MAX_MESSAGE).await.0, 1, "it may come");
}
