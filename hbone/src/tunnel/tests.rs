use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::identity::SpiffeId;
use crate::tls::WorkloadCertificate;
use crate::tls::tests::authority::Authority;

mod early;
mod limits;
mod resets;
mod sizes;

/// A client's pool and a server that hands what comes in to the test.
struct Bed {
    pool: Pool,
    request: OpenRequest,
    incoming: mpsc::Receiver<Incoming>,
    connections: Arc<AtomicUsize>,
    drain: tokio::sync::watch::Sender<bool>,
}

fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{name}").parse().expect("identity")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

impl Bed {
    async fn new(config: TunnelConfig) -> Self {
        let ca = Authority::new();
        let issue = |name| Arc::new(ca.issue(&id(name), |_| {}).expect("issued"));
        let (web, store) = (issue("web"), issue("store"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let peer = listener.local_addr().expect("address");
        let config = Arc::new(config);
        let (sender, incoming) = mpsc::channel(512);
        let (drain, signal) = Drain::channel();
        let connections = Arc::<AtomicUsize>::default();
        tokio::spawn(accept(listener, store, Arc::clone(&config), sender, signal, {
            Arc::clone(&connections)
        }));
        let request = OpenRequest {
            certificate: web,
            expected: vec![id("store")],
            peer,
            authority: "10.1.0.5:80".to_owned(),
            headers: HeaderMap::new(),
        };
        let pool = Pool::new(Arc::new(Direct), config, PoolMetrics::default());
        Self { pool, request, incoming, connections, drain }
    }

    /// A tunnel, as both sides have it.
    async fn open(&mut self) -> (Tunnel, Tunnel) {
        let (client, server) = soon(async {
            tokio::join!(self.pool.open(&self.request), async {
                let incoming = self.incoming.recv().await.expect("a connect");
                incoming.accept(HeaderMap::new()).expect("accepted")
            })
        })
        .await;
        (client.expect("open"), server)
    }
}

async fn accept(
    listener: TcpListener,
    certificate: Arc<WorkloadCertificate>,
    config: Arc<TunnelConfig>,
    sender: mpsc::Sender<Incoming>,
    drain: Drain,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((tcp, from)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let tls = certificate.server_config().expect("config");
        let (config, sender, drain) = (Arc::clone(&config), sender.clone(), drain.clone());
        tokio::spawn(async move {
            let accepted = accept_tls(tcp, from, tls, &config).await.expect("tls");
            assert_eq!(accepted.peer, id("web"));
            let hand_over = |incoming| {
                let sender = sender.clone();
                async move { drop(sender.send(incoming).await) }
            };
            drop(serve(accepted.stream, from, &config, drain, hand_over).await);
        });
    }
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_half_closes() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let (mut client, mut server) = bed.open().await;
    client.write_all(b"ping").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut heard = String::new();
    soon(server.read_to_string(&mut heard)).await.expect("read");
    server.write_all(b"pong").await.expect("write");
    server.shutdown().await.expect("shutdown");
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.expect("read");
    assert_eq!((heard.as_str(), answer.as_str()), ("ping", "pong"));
}

#[tokio::test]
async fn tunnels_share_connections_up_to_their_limit_and_then_open_another() {
    let mut bed = Bed::new(TunnelConfig { max_streams_opened: 4, ..TunnelConfig::default() }).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(bed.open().await);
    }
    assert_eq!(bed.connections.load(Ordering::SeqCst), 1);
    open.push(bed.open().await);
    assert_eq!(bed.connections.load(Ordering::SeqCst), 2);
    open.clear();
    // Room again on the first ones: no third.
    for _ in 0..4 {
        drop(bed.open().await);
    }
    assert_eq!(bed.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hundred_callers_at_once_share_one_handshake() {
    let bed = Bed::new(TunnelConfig::default()).await;
    let Bed { pool, request, mut incoming, connections, drain: _drain } = bed;
    let server = tokio::spawn(async move {
        let mut tunnels = Vec::new();
        for _ in 0..100 {
            let call = incoming.recv().await.expect("a connect");
            tunnels.push(call.accept(HeaderMap::new()).expect("accepted"));
        }
        tunnels
    });
    let calls = (0..100).map(|_| pool.open(&request));
    let opened = soon(futures_util::future::join_all(calls)).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    drop(soon(server).await);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    for (status, elsewhere) in [(401, false), (503, true), (400, true)] {
        let status = StatusCode::from_u16(status).expect("status");
        let (result, ()) = soon(async {
            tokio::join!(bed.pool.open(&bed.request), async {
                bed.incoming.recv().await.expect("a connect").refuse(status);
            })
        })
        .await;
        let error = result.expect_err("refused");
        assert!(matches!(error, TunnelError::Refused { status: s, .. } if s == status), "{error}");
        assert_eq!(error.retry_elsewhere(), elsewhere, "{status}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_expected_is_not_talked_to() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    bed.request.expected = vec![id("other")];
    let error = soon(bed.pool.open(&bed.request)).await.expect_err("refused");
    assert!(matches!(error, TunnelError::Tls { .. }), "{error}");
    assert!(error.chain().contains("the server is spiffe://"), "{}", error.chain());
    // The pool is as usable as before.
    bed.request.expected = vec![id("store")];
    drop(bed.open().await);
}

#[tokio::test]
async fn stalled_tunnels_do_not_stall_another() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let mut stalled = Vec::new();
    for _ in 0..60 {
        let (mut client, server) = bed.open().await;
        // Fill the window of this tunnel; its server never reads.
        let chunk = vec![0; 256 * 1024];
        while timeout(Duration::from_millis(50), client.write_all(&chunk)).await.is_ok() {}
        stalled.push((client, server));
    }
    assert_eq!(bed.connections.load(Ordering::SeqCst), 1, "all on one connection");
    let (mut client, mut server) = bed.open().await;
    client.write_all(b"still here").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut heard = String::new();
    soon(server.read_to_string(&mut heard)).await.expect("read");
    assert_eq!(heard, "still here");
}

#[tokio::test]
async fn a_reset_reaches_the_other_side() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let (client, mut server) = bed.open().await;
    let (_reader, mut writer) = client.into_split();
    writer.write(Bytes::from_static(b"half of it")).await.expect("write");
    writer.reset();
    let mut heard = Vec::new();
    let error = soon(server.read_to_end(&mut heard)).await.expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_drained_server_lets_open_tunnels_end_and_new_ones_go_elsewhere() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let (mut client, mut server) = bed.open().await;
    bed.drain.send(true).expect("drain");
    client.write_all(b"late").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut heard = String::new();
    soon(server.read_to_string(&mut heard)).await.expect("read");
    assert_eq!(heard, "late");
    server.shutdown().await.expect("shutdown");
    soon(client.read_to_end(&mut Vec::new())).await.expect("read");
}

#[tokio::test]
async fn an_idle_connection_leaves_the_pool() {
    let config =
        TunnelConfig { idle_release: Duration::from_millis(200), ..TunnelConfig::default() };
    let mut bed = Bed::new(config).await;
    drop(bed.open().await);
    soon(async {
        while !format!("{:?}", bed.pool).contains("destinations: 0") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(bed.open().await);
    assert_eq!(bed.connections.load(Ordering::SeqCst), 2);
}

/// A listener that takes connections and says nothing.
async fn mute() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

#[tokio::test]
async fn a_peer_that_stalls_in_its_handshake_is_given_up() {
    let config =
        TunnelConfig { connect_timeout: Duration::from_millis(300), ..TunnelConfig::default() };
    let mut bed = Bed::new(config).await;
    let (listener, address) = mute().await;
    let real = std::mem::replace(&mut bed.request.peer, address);
    let error = soon(bed.pool.open(&bed.request)).await.expect_err("given up");
    assert!(matches!(error, TunnelError::HandshakeTimeout { .. }), "{error}");
    drop(listener);
    let error = soon(bed.pool.open(&bed.request)).await.expect_err("refused");
    assert!(matches!(error, TunnelError::Connect { .. }), "{error}");
    bed.request.peer = real;
    drop(bed.open().await);
}

#[tokio::test]
async fn a_server_that_never_answers_connect_is_given_up() {
    let config =
        TunnelConfig { connect_timeout: Duration::from_millis(300), ..TunnelConfig::default() };
    let mut bed = Bed::new(config).await;
    let error = soon(bed.pool.open(&bed.request)).await.expect_err("given up");
    assert!(matches!(error, TunnelError::Unanswered { .. }), "{error}");
    assert!(error.retry_elsewhere());
    drop(bed.incoming.recv().await);
    drop(bed.open().await);
    assert_eq!(bed.connections.load(Ordering::SeqCst), 1, "the connection lives on");
}

#[tokio::test]
async fn destinations_that_never_answered_leave_nothing_behind() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    for last in 1..=20 {
        bed.request.peer = SocketAddr::from(([127, 0, 0, last], 1));
        soon(bed.pool.open(&bed.request)).await.expect_err("nobody there");
    }
    assert_eq!(format!("{:?}", bed.pool), "Pool { destinations: 0 }");
}

#[test]
fn variables_out_of_range_are_refused_by_name() {
    let with = |name: &'static str, value: &'static str| {
        TunnelConfig::from_env(move |n| (n == name).then(|| value.to_owned()))
    };
    let config = with("HTTP2_STREAM_WINDOW_SIZE", "4194304").expect("valid");
    assert_eq!(config.stream_window, 4 << 20);
    for (name, value) in [
        ("HTTP2_STREAM_WINDOW_SIZE", "1"),
        ("HTTP2_STREAM_WINDOW_SIZE", "4MB"),
        ("HTTP2_FRAME_SIZE", "16777216"),
        ("POOL_MAX_STREAMS_PER_CONNECTION", "0"),
        ("POOL_UNUSED_RELEASE_TIMEOUT", "-1"),
    ] {
        let error = with(name, value).expect_err("refused").to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
}

#[test]
fn headers_are_read_leniently_and_written_strictly() {
    let mut headers = HeaderMap::new();
    headers.append(headers::BAGGAGE, "k8s.pod.name=a,service.name=x,junk".parse().expect("value"));
    headers
        .append(headers::BAGGAGE, "service.name=y, k8s.namespace.name=n".parse().expect("value"));
    let baggage = headers::Baggage::from_headers(&headers);
    assert_eq!((baggage.workload.as_str(), baggage.service.as_str()), ("a", "y"));
    assert_eq!(baggage.workload_type, headers::WorkloadKey::Pod);
    let written = baggage.to_value().expect("value");
    assert_eq!(written, "k8s.namespace.name=n,k8s.pod.name=a,service.name=y");
    assert_eq!(headers::Baggage::default().to_value(), None);

    let client: SocketAddr = "[fd00::1]:4000".parse().expect("address");
    let value = headers::forwarded(client, Some("store.shop.svc.cluster.local")).expect("value");
    assert_eq!(value, "for=\"[fd00::1]:4000\";host=store.shop.svc.cluster.local");
    headers.insert(headers::FORWARDED, value);
    assert_eq!(headers::forwarded_host(&headers), Some("store.shop.svc.cluster.local"));
    assert_eq!(headers::forwarded_for(&headers), Some(client));
    headers.insert(headers::FORWARDED, "host=;for".parse().expect("value"));
    assert_eq!(headers::forwarded_host(&headers), None);
}

#[test]
fn only_a_well_formed_trace_parent_is_adopted() {
    let mut headers = HeaderMap::new();
    let fresh = headers::new_traceparent(&mut rand::rng());
    headers.insert(headers::TRACEPARENT, fresh.clone());
    assert_eq!(headers::traceparent(&headers), fresh.to_str().ok());
    for bad in ["", "00-1-2-00", &format!("01-{:032x}-{:016x}-00", 1, 1), &"z".repeat(55)] {
        headers.insert(headers::TRACEPARENT, bad.parse().expect("value"));
        assert_eq!(headers::traceparent(&headers), None, "{bad}");
    }
}
