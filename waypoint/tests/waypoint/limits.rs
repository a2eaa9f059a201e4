//! What one source may use, and that others have theirs all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::envoy::service::auth::v3 as auth;
use hbone::wire::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use hbone::wire::pb::istio::workload::AppProtocol;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use waypoint::config::store::Kind;
use waypoint::stage::ext_authz::{BODY_DEADLINE, MAX_BODIES_OF_ONE, MAX_CHECKS_OF_ONE};
use waypoint::upstream::pool::{MAX_HTTP1, MAX_HTTP2, MAX_IDLE, MAX_OF_ONE, MAX_STREAMS};

use crate::http1::{SOON, policy};
use crate::support::{Mesh1, VIP};

/// Handshakes of one address; the next is closed.
const HANDSHAKES: usize = 32;
/// Handshakes of all; the next waits.
const ALL_HANDSHAKES: usize = 256;

/// A connection from an address of its own that says nothing.
async fn silent(mesh: &Mesh1, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("bound");
    socket.connect(mesh.listens_on()).await.expect("connected")
}

#[tokio::test]
async fn handshakes_of_one_address_leave_room_for_others() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut open = Vec::new();
    for _ in 0..HANDSHAKES {
        open.push(silent(&mesh, "127.9.9.9").await);
    }
    let mut more = silent(&mesh, "127.9.9.9").await;
    let end = timeout(SOON, more.read_u8()).await.expect("closed in time");
    assert!(end.is_err(), "{end:?}");
    let reached = "ambit_waypoint_limits_reached_total{limit=\"handshakes_of_one\"} 1";
    assert!(mesh.metrics().contains(reached), "{}", mesh.metrics());
    // Others shake hands, and so does it when it has let go.
    mesh.tunnel("web", VIP).await.expect("another address is served");
    drop(open);
    let mut again = silent(&mesh, "127.9.9.9").await;
    let silence = timeout(Duration::from_millis(300), again.read_u8()).await;
    assert!(silence.is_err(), "it is not closed: {silence:?}");
}

/// Allows when it is told to; until then it is silent.
struct Engine {
    asked: mpsc::UnboundedSender<()>,
    allow: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Authorization for Engine {
    async fn check(
        &self,
        _: tonic::Request<auth::CheckRequest>,
    ) -> Result<tonic::Response<auth::CheckResponse>, tonic::Status> {
        let _ = self.asked.send(());
        let _ = self.allow.clone().wait_for(|allow| *allow).await;
        Ok(tonic::Response::new(auth::CheckResponse::default()))
    }
}

pub(crate) type Client = SendRequest<Empty<Bytes>>;

pub(crate) async fn client(mesh: &Mesh1, account: &str) -> Client {
    let tunnel = mesh.tunnel(account, VIP).await.expect("a tunnel");
    let shaken =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tunnel)).await;
    let (sender, connection) = shaken.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// Sends a request, and gives the status of its answer when there is one.
pub(crate) fn ask(client: &Client, answers: &mut JoinSet<StatusCode>) {
    let mut client = client.clone();
    answers.spawn(async move {
        let request = Request::get("http://store/").body(Empty::new()).expect("a request");
        client.send_request(request).await.expect("an answer").status()
    });
}

fn configure(mesh: &Mesh1) {
    provider(mesh, 0);
    let custom = policy(pb::PolicyAction::Custom, pb::PolicyRule::default());
    let custom = pb::Policy { provider: "engine".to_owned(), ..custom };
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &custom);
}

/// A provider that sees so much of a body.
fn provider(mesh: &Mesh1, max_request_bytes: u32) {
    let provider = pb::Provider {
        max_request_bytes,
        object: Some(pb::ObjectRef { name: "engine".to_owned(), ..Default::default() }),
        service: Some(pb::ServiceRef {
            namespace: "shop".to_owned(),
            hostname: "engine.shop.svc.cluster.local".to_owned(),
        }),
        port: 80,
        timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..Default::default()
    };
    mesh.configure(Kind::Provider, "ExtensionProvider/istio-system/engine", &provider);
}

#[tokio::test]
async fn checks_of_one_identity_leave_room_for_others() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("engine", "10.96.0.9".parse().expect("an address"), AppProtocol::Grpc);
    let _seen = crate::http1::application(mesh.pod("store").await.take(), "store");
    let (asked, mut questions) = mpsc::unbounded_channel();
    let (release, allow) = watch::channel(false);
    let incoming = TcpListenerStream::new(mesh.pod("engine").await.take());
    let service = AuthorizationServer::new(Engine { asked, allow });
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    configure(&mesh);

    // As many as one may have, on connections of a hundred requests each.
    let mut answers = JoinSet::new();
    let mut clients = Vec::new();
    for n in 0..MAX_CHECKS_OF_ONE {
        if n % 100 == 0 {
            clients.push(client(&mesh, "web").await);
        }
        ask(clients.last().expect("one"), &mut answers);
    }
    for _ in 0..MAX_CHECKS_OF_ONE {
        timeout(SOON, questions.recv()).await.expect("in time").expect("a question");
    }
    // One more is refused without a question, and one of another identity is asked about.
    let mut more = JoinSet::new();
    ask(clients.last().expect("one"), &mut more);
    let refused = timeout(SOON, more.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(refused.expect("no panic"), StatusCode::FORBIDDEN);
    assert!(questions.try_recv().is_err(), "it was not asked about");
    let reached = "ambit_waypoint_limits_reached_total{limit=\"checks_of_one\"} 1";
    assert!(mesh.metrics().contains(reached), "{}", mesh.metrics());
    let other = client(&mesh, "other").await;
    ask(&other, &mut answers);
    timeout(SOON, questions.recv()).await.expect("in time").expect("a question");

    release.send(true).expect("the engine listens");
    while let Some(status) = timeout(SOON, answers.join_next()).await.expect("in time") {
        assert_eq!(status.expect("no panic"), StatusCode::OK);
    }
    // What was given back can be used again.
    ask(clients.last().expect("one"), &mut answers);
    let status = timeout(SOON, answers.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(status.expect("no panic"), StatusCode::OK);
}

#[tokio::test]
async fn bodies_of_one_identity_that_wait_for_authorizers_leave_room_for_others() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    configure(&mesh);
    let each = waypoint::config::provider::MAX_BODY;
    provider(&mesh, each);
    // Of unknown length, each may become as long as its provider wants to see.
    let head = "POST / HTTP/1.1\r\nHost: store\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..MAX_BODIES_OF_ONE / each as usize {
        let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
        tunnel.write_all(head.as_bytes()).await.expect("sent");
        let early = timeout(Duration::from_millis(50), tunnel.read_u8()).await;
        assert!(early.is_err(), "it waits for its body");
        open.push(tunnel);
    }
    let refused = crate::http1::raw(&mesh, "web", head, "did not decide\n").await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let reached = "ambit_waypoint_limits_reached_total{limit=\"bodies_of_one\"} 1";
    assert!(mesh.metrics().contains(reached), "{}", mesh.metrics());
    let mut other = mesh.tunnel("other", VIP).await.expect("a tunnel");
    other.write_all(head.as_bytes()).await.expect("sent");
    let early = timeout(Duration::from_millis(300), other.read_u8()).await;
    assert!(early.is_err(), "another identity's body is waited for");
    // A body that does not come is not waited for long, and its room comes back.
    let mut answer = Vec::new();
    let mut first = open.swap_remove(0);
    let reading = async { while first.read_buf(&mut answer).await.is_ok_and(|n| n > 0) {} };
    timeout(2 * BODY_DEADLINE, reading).await.expect("in time");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut again = mesh.tunnel("web", VIP).await.expect("a tunnel");
    again.write_all(head.as_bytes()).await.expect("sent");
    let early = timeout(Duration::from_millis(300), again.read_u8()).await;
    assert!(early.is_err(), "there is room again");
}

#[tokio::test]
async fn requests_of_one_identity_leave_room_at_an_endpoint() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http2);
    // An application that answers when it is told to.
    let (arrived, mut requests) = mpsc::unbounded_channel();
    let (release, answer) = watch::channel(false);
    let listener = mesh.pod("store").await.take();
    tokio::spawn(patient(listener, arrived, answer));
    let mut answers = JoinSet::new();
    let mut clients = Vec::new();
    for n in 0..MAX_OF_ONE {
        if n % 100 == 0 {
            clients.push(client(&mesh, "web").await);
        }
        ask(clients.last().expect("one"), &mut answers);
    }
    for _ in 0..MAX_OF_ONE {
        timeout(SOON, requests.recv()).await.expect("in time").expect("a request");
    }
    let mut more = JoinSet::new();
    ask(clients.last().expect("one"), &mut more);
    let refused = timeout(SOON, more.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(refused.expect("no panic"), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(overflows(&mesh), 1, "{}", mesh.metrics());
    let other = client(&mesh, "other").await;
    ask(&other, &mut answers);
    timeout(SOON, requests.recv()).await.expect("in time").expect("another identity's");
    release.send(true).expect("the application listens");
    while let Some(status) = timeout(SOON, answers.join_next()).await.expect("in time") {
        assert_eq!(status.expect("no panic"), StatusCode::OK);
    }
    ask(clients.last().expect("one"), &mut answers);
    let status = timeout(SOON, answers.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(status.expect("no panic"), StatusCode::OK, "what was given back is used again");
}

/// Requests that ended at a limit of connections.
fn overflows(mesh: &Mesh1) -> usize {
    let page = mesh.metrics();
    let series = page.lines().filter(|line| {
        line.starts_with("istio_requests_total{") && line.contains("response_flags=\"UO\"")
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// Opens so many requests that wait for their answer, of as few identities and connections as
/// may be.
async fn fill(
    mesh: &Mesh1,
    count: usize,
    arrived: &mut mpsc::UnboundedReceiver<()>,
    answers: &mut JoinSet<StatusCode>,
) -> Vec<Client> {
    let mut clients = Vec::new();
    for n in 0..count {
        // Below the limit of streams of a client.
        if n % 64 == 0 {
            clients.push(client(mesh, &format!("web-{}", n / MAX_OF_ONE)).await);
        }
        ask(clients.last().expect("one"), answers);
    }
    for n in 0..count {
        timeout(SOON, arrived.recv()).await.unwrap_or_else(|_| panic!("request {n}"));
    }
    clients
}

/// Fills an endpoint, sees one more refused and a freed place taken again.
async fn an_endpoint_takes_so_many(mesh: &Mesh1, limit: usize, endpoint: Endpoint) {
    let Endpoint { mut arrived, release, connections } = endpoint;
    let mut answers = JoinSet::new();
    let _clients = fill(mesh, limit, &mut arrived, &mut answers).await;
    assert_eq!(overflows(mesh), 0);
    let other = client(mesh, "other").await;
    let mut more = JoinSet::new();
    ask(&other, &mut more);
    let refused = timeout(SOON, more.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(refused.expect("no panic"), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(overflows(mesh), 1, "{}", mesh.metrics());
    let opened = connections.load(Ordering::SeqCst);
    assert!(opened == MAX_HTTP1 || opened == MAX_HTTP2, "{opened} connections");
    release.send(true).expect("the application listens");
    while let Some(status) = timeout(SOON, answers.join_next()).await.expect("in time") {
        assert_eq!(status.expect("no panic"), StatusCode::OK);
    }
    ask(&other, &mut more);
    let status = timeout(SOON, more.join_next()).await.expect("in time").expect("an answer");
    assert_eq!(status.expect("no panic"), StatusCode::OK, "what was given back is used again");
}

/// An application that answers when it is told to.
struct Endpoint {
    arrived: mpsc::UnboundedReceiver<()>,
    release: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
}

impl Endpoint {
    /// The application of `store`.
    async fn of(mesh: &Mesh1, serve: fn(TcpStream, Waiting)) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let (release, answer) = watch::channel(false);
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let listener = mesh.pod("store").await.take();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serve(tcp, Waiting { arrived: sender.clone(), answer: answer.clone() });
            }
        });
        Self { arrived, release, connections }
    }
}

#[tokio::test]
async fn an_endpoint_has_so_many_http2_connections_of_so_many_requests() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http2);
    let endpoint = Endpoint::of(&mesh, |tcp, waiting| drop(tokio::spawn(waiting.http2(tcp)))).await;
    an_endpoint_takes_so_many(&mesh, MAX_HTTP2 * MAX_STREAMS, endpoint).await;
}

/// Both ends of every connection are in this process.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
}

#[tokio::test]
async fn an_endpoint_has_so_many_http1_connections() {
    allow_many_files();
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let endpoint = Endpoint::of(&mesh, |tcp, waiting| drop(tokio::spawn(waiting.http1(tcp)))).await;
    an_endpoint_takes_so_many(&mesh, MAX_HTTP1, endpoint).await;
}

/// What a connection of an application tells, and waits for.
#[derive(Clone)]
struct Waiting {
    arrived: mpsc::UnboundedSender<()>,
    answer: watch::Receiver<bool>,
}

impl Waiting {
    async fn http2(self, tcp: TcpStream) {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let service = service_fn(move |_: Request<Incoming>| self.clone().answer());
        let _ = server.serve_connection(TokioIo::new(tcp), service).await;
    }

    async fn http1(self, tcp: TcpStream) {
        let server = hyper::server::conn::http1::Builder::new();
        let service = service_fn(move |_: Request<Incoming>| self.clone().answer());
        let _ = server.serve_connection(TokioIo::new(tcp), service).await;
    }

    async fn answer(mut self) -> Result<http::Response<Empty<Bytes>>, std::convert::Infallible> {
        let _ = self.arrived.send(());
        let _ = self.answer.wait_for(|answer| *answer).await;
        Ok(http::Response::new(Empty::new()))
    }
}

/// Serves HTTP/2, and answers when `answer` says so.
pub(crate) async fn patient(
    listener: TcpListener,
    arrived: mpsc::UnboundedSender<()>,
    answer: watch::Receiver<bool>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let waiting = Waiting { arrived: arrived.clone(), answer: answer.clone() };
        tokio::spawn(waiting.http2(tcp));
    }
}

#[tokio::test]
async fn handshakes_of_all_addresses_have_a_limit_and_the_next_waits() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut open = Vec::new();
    for address in 0..ALL_HANDSHAKES / HANDSHAKES {
        for _ in 0..HANDSHAKES {
            open.push(silent(&mesh, &format!("127.9.10.{}", address + 1)).await);
        }
    }
    let mut waits = std::pin::pin!(mesh.tunnel("web", VIP));
    assert!(timeout(Duration::from_millis(300), waits.as_mut()).await.is_err(), "it waits");
    let reached = "ambit_waypoint_limits_reached_total{limit=\"handshakes\"} 1";
    assert!(mesh.metrics().contains(reached), "{}", mesh.metrics());
    open.pop();
    timeout(SOON, waits).await.expect("in time").expect("its turn has come");
}

#[tokio::test]
async fn idle_http1_connections_are_kept_up_to_a_limit() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut applications = crate::drain::heads(mesh.pod("store").await.take());
    let (mut clients, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..MAX_IDLE + 20 {
        let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
        tunnel.write_all(crate::http1::get("/", "").as_bytes()).await.expect("sent");
        clients.push(tunnel);
        let application = timeout(SOON, applications.recv()).await.expect("in time");
        busy.push(application.expect("a connection of its own"));
    }
    let mut kept = JoinSet::new();
    for mut application in busy {
        application.write_all(crate::drain::ANSWER).await.expect("open");
        kept.spawn(async move {
            // Kept is what is not closed soon.
            timeout(Duration::from_secs(2), application.read_u8()).await.is_err()
        });
    }
    let kept = kept.join_all().await.into_iter().filter(|kept| *kept).count();
    assert_eq!(kept, MAX_IDLE);
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_flood_of_streams_that_are_reset_at_once_ends_the_connection() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http2);
    let (arrived, _requests) = mpsc::unbounded_channel();
    let (_release, answer) = watch::channel(false);
    tokio::spawn(patient(mesh.pod("store").await.take(), arrived, answer));
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let mut flood = waypoint::http::serve::PREFACE.to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    // :method GET, :scheme http, :path /, :authority store (RFC 7541 appendix A)
    let head = [&[0x82, 0x86, 0x84, 0x41, 5][..], b"store"].concat();
    for n in 0..1000 {
        flood.extend(frame(1, 0x5, 2 * n + 1, &head));
        flood.extend(frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    let _ = tunnel.write_all(&flood).await;
    let mut rest = Vec::new();
    let reading = async { while tunnel.read_buf(&mut rest).await.is_ok_and(|n| n > 0) {} };
    timeout(SOON, reading).await.expect("it ends");
    // GOAWAY with ENHANCE_YOUR_CALM.
    let goaway = rest.windows(9).position(|w| w[3] == 7 && w[5..9] == [0; 4]);
    let code = goaway.and_then(|at| rest.get(at + 13..at + 17));
    assert_eq!(code, Some(&11_u32.to_be_bytes()[..]), "{rest:?}");
    mesh.tunnel("web", VIP).await.expect("others are served");
}
