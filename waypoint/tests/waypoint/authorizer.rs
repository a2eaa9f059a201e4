//! External authorizers that answer, refuse, hang and die.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use hbone::wire::pb::envoy::service::auth::v3 as auth;
use hbone::wire::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use hbone::wire::pb::envoy::service::auth::v3::check_response::HttpResponse;
use hbone::wire::pb::envoy::r#type::v3::HttpStatus;
use hbone::wire::pb::google::rpc::Status;
use hbone::wire::pb::istio::workload::AppProtocol;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use waypoint::config::store::Kind;

use crate::http1::{application, get, policy, raw};
use crate::support::{Mesh1, VIP};

/// A deadline for tests that are not about it, on a machine that does much else.
const PATIENT: Option<prost_types::Duration> = Some(prost_types::Duration { seconds: 2, nanos: 0 });

/// Decides by the path: `/ok`, `/no`, `/hang`; else it fails.
struct Engine(mpsc::UnboundedSender<auth::CheckRequest>);

#[tonic::async_trait]
impl Authorization for Engine {
    async fn check(
        &self,
        request: tonic::Request<auth::CheckRequest>,
    ) -> Result<tonic::Response<auth::CheckResponse>, tonic::Status> {
        let request = request.into_inner();
        let http = request.attributes.clone().and_then(|a| a.request).and_then(|r| r.http);
        let path = http.map(|http| http.path).unwrap_or_default();
        let _ = self.0.send(request);
        match path.as_str() {
            "/ok" => Ok(tonic::Response::new(allowed())),
            "/no" => Ok(tonic::Response::new(denied())),
            "/smuggle" => {
                let mut answer = allowed();
                let path = header(":path", "/a/..%2fadmin");
                answer.http_response = Some(HttpResponse::OkResponse(auth::OkHttpResponse {
                    headers: vec![path],
                    ..Default::default()
                }));
                Ok(tonic::Response::new(answer))
            }
            "/hang" => std::future::pending().await,
            "/long" => {
                let answer =
                    auth::DeniedHttpResponse { body: "x".repeat(2 << 20), ..Default::default() };
                Ok(tonic::Response::new(auth::CheckResponse {
                    status: Some(Status { code: 7, ..Default::default() }),
                    http_response: Some(HttpResponse::DeniedResponse(answer)),
                    ..Default::default()
                }))
            }
            _ => Err(tonic::Status::permission_denied("broken engine")),
        }
    }
}

fn header(key: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: key.to_owned(), value: value.to_owned(), ..Default::default() };
    HeaderValueOption { header: Some(header), ..Default::default() }
}

fn allowed() -> auth::CheckResponse {
    let ok = auth::OkHttpResponse {
        headers: vec![header("x-user", "ann"), header("x-forwarded-client-cert", "forged")],
        headers_to_remove: vec!["x-secret".to_owned()],
        response_headers_to_add: vec![header("x-decided", "yes")],
        ..Default::default()
    };
    auth::CheckResponse { http_response: Some(HttpResponse::OkResponse(ok)), ..Default::default() }
}

fn denied() -> auth::CheckResponse {
    let answer = auth::DeniedHttpResponse {
        status: Some(HttpStatus { code: 401 }),
        headers: vec![header("www-authenticate", "Ann")],
        body: "who are you?".to_owned(),
    };
    auth::CheckResponse {
        status: Some(Status { code: 7, ..Default::default() }),
        http_response: Some(HttpResponse::DeniedResponse(answer)),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_authorizer_decides_and_whatever_else_it_does_refuses() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("engine", "10.96.0.9".parse().expect("an address"), AppProtocol::Grpc);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    let mut pod = mesh.pod("engine").await;
    let (asked, mut checks) = mpsc::unbounded_channel();
    let incoming = TcpListenerStream::new(pod.take());
    let server =
        tonic::transport::Server::builder().add_service(AuthorizationServer::new(Engine(asked)));
    tokio::spawn(server.serve_with_incoming(incoming));
    configure(&mesh, false, PATIENT);

    let more = "x-user: mallory\r\nx-secret: 1\r\n";
    let answer = until_decided(&mesh, more).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("x-decided: yes\r\n"),
        "{answer}"
    );
    let head = seen.recv().await.expect("a request");
    assert!(head.contains("x-user: ann\r\n"), "{head}");
    for gone in ["mallory", "x-secret", "client-cert"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    let check = checks.recv().await.and_then(|c| c.attributes).expect("a check");
    let source = check.source.expect("a source");
    assert_eq!(source.principal, "spiffe://cluster.local/ns/shop/sa/web");
    let destination = check.destination.expect("a destination");
    assert_eq!(destination.principal, "spiffe://cluster.local/ns/shop/sa/waypoint");

    let answer = raw(&mesh, "web", &get("/no", ""), "who are you?").await;
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Ann\r\n"),
        "{answer}"
    );
    assert!(answer.contains("hop=authorizer"), "{answer}");
    let answer = raw(&mesh, "web", &get("/smuggle", ""), "decide\n").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    // An answer over its limit is none.
    let answer = raw(&mesh, "web", &get("/long", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("xxxx"), "{answer}");
    assert!(answer.contains("hop=authorizer") && answer.contains("did not decide"), "{answer}");

    configure(&mesh, false, None);
    let began = Instant::now();
    let answer = raw(&mesh, "web", &get("/hang", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("did not decide"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(2), "the default deadline is 50 ms");
    let answer = raw(&mesh, "web", &get("/fails", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");

    while let Ok(head) = seen.try_recv() {
        assert!(head.starts_with("GET /ok "), "only what was allowed came through: {head}");
    }
    configure(&mesh, true, None);
    let answer = raw(&mesh, "web", &get("/fails", ""), "\r\n\r\nstore").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "the provider fails open: {answer}");
}

async fn until_decided(mesh: &Mesh1, more: &str) -> String {
    for _ in 0..20 {
        let answer =
            raw(mesh, "web", &get("/ok", &format!("{more}Connection: close\r\n")), "").await;
        if answer.starts_with("HTTP/1.1 200") {
            return answer;
        }
    }
    panic!("the authorizer never decided in time");
}

/// The name of the provider's resource.
const PROVIDER: &str = "ExtensionProvider/istio-system/engine";

/// With a deadline, or the default one of 50 ms.
fn provider(fail_open: bool, timeout: Option<prost_types::Duration>) -> pb::Provider {
    pb::Provider {
        object: Some(pb::ObjectRef { name: "engine".to_owned(), ..Default::default() }),
        service: Some(pb::ServiceRef {
            namespace: "shop".to_owned(),
            hostname: "engine.shop.svc.cluster.local".to_owned(),
        }),
        port: 80,
        timeout,
        fail_open,
        ..Default::default()
    }
}

/// Every request is checked by the provider.
fn configure(mesh: &Mesh1, fail_open: bool, timeout: Option<prost_types::Duration>) {
    mesh.configure(Kind::Provider, PROVIDER, &provider(fail_open, timeout));
    let custom = policy(pb::PolicyAction::Custom, pb::PolicyRule::default());
    let custom = pb::Policy { provider: "engine".to_owned(), ..custom };
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &custom);
}

/// How soon an engine that is back is used again.
const BACK: Duration = Duration::from_secs(2);

/// An engine as a process of its own: killed, all of it is gone at once.
struct Killable {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Killable {
    /// Runs on the address of `listener`.
    fn run(listener: &tokio::net::TcpListener) -> Self {
        let address = listener.local_addr().expect("bound");
        Self { address, runtime: None }
    }

    fn start(&mut self) {
        let runtime = Runtime::new().expect("a runtime");
        let address = self.address;
        let bound = runtime.block_on(tokio::net::TcpListener::bind(address)).expect("free again");
        let (asked, _) = mpsc::unbounded_channel();
        let service = AuthorizationServer::new(Engine(asked));
        let server = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(bound)));
        self.runtime = Some(runtime);
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_authorizer_refuses_at_once_and_is_used_when_it_is_back() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("engine", "10.96.0.9".parse().expect("an address"), AppProtocol::Grpc);
    let _seen = application(mesh.pod("store").await.take(), "store");
    let listener = mesh.pod("engine").await.take();
    let mut engine = Killable::run(&listener);
    drop(listener);
    engine = tokio::task::spawn_blocking(move || {
        engine.start();
        engine
    })
    .await
    .expect("started");
    configure(&mesh, false, PATIENT);
    until_decided(&mesh, "").await;
    for _ in 0..3 {
        engine.kill();
        for _ in 0..5 {
            let answer = raw(&mesh, "web", &get("/ok", "Connection: close\r\n"), "").await;
            assert!(answer.starts_with("HTTP/1.1 403"), "dead: {answer}");
        }
        engine = tokio::task::spawn_blocking(move || {
            engine.start();
            engine
        })
        .await
        .expect("started");
        let back = Instant::now();
        until_decided(&mesh, "").await;
        assert!(back.elapsed() < BACK, "{:?}", back.elapsed());
    }
    engine.kill();
}

#[tokio::test]
async fn a_check_that_waits_for_a_handshake_leaves_the_connection_to_the_next() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("engine", "10.96.0.9".parse().expect("an address"), AppProtocol::Grpc);
    let _seen = application(mesh.pod("store").await.take(), "store");
    // Three times as slow as a check may be.
    let mut pod = mesh.slow_pod("engine", Duration::from_millis(150)).await;
    let (asked, _checks) = mpsc::unbounded_channel();
    let incoming = TcpListenerStream::new(pod.take());
    let server =
        tonic::transport::Server::builder().add_service(AuthorizationServer::new(Engine(asked)));
    tokio::spawn(server.serve_with_incoming(incoming));
    configure(&mesh, false, None);
    let answer = raw(&mesh, "web", &get("/ok", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "too late: {answer}");
    until_decided(&mesh, "").await;
}

#[tokio::test]
async fn an_authorizer_sees_the_body_and_the_application_gets_all_of_it() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("engine", "10.96.0.9".parse().expect("an address"), AppProtocol::Grpc);
    let mut seen = bodies(mesh.pod("store").await.take());
    let (asked, mut checks) = mpsc::unbounded_channel();
    let incoming = TcpListenerStream::new(mesh.pod("engine").await.take());
    let server =
        tonic::transport::Server::builder().add_service(AuthorizationServer::new(Engine(asked)));
    tokio::spawn(server.serve_with_incoming(incoming));
    configure(&mesh, false, PATIENT);
    until_decided(&mesh, "").await;
    while checks.try_recv().is_ok() {}
    while seen.try_recv().is_ok() {}

    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for (case, max, partial, rest, shown, passes) in [
        ("whole", 100, false, "Content-Length: 11\r\n\r\nhello world", "hello world", true),
        ("exactly", 11, false, "Content-Length: 11\r\n\r\nhello world", "hello world", true),
        ("chunked", 100, false, chunked, "hello world", true),
        ("cut", 5, true, "Content-Length: 11\r\n\r\nhello world", "hello", true),
        ("cut, chunked", 7, true, chunked, "hello w", true),
        ("too long", 5, false, "Content-Length: 11\r\n\r\nhello world", "", false),
        ("none", 100, false, "Content-Length: 0\r\n\r\n", "", true),
    ] {
        let provider = pb::Provider {
            max_request_bytes: max,
            allow_partial_message: partial,
            ..provider(false, PATIENT)
        };
        mesh.configure(Kind::Provider, PROVIDER, &provider);
        let request = format!("POST /ok HTTP/1.1\r\nHost: store\r\nConnection: close\r\n{rest}");
        let answer = raw(&mesh, "web", &request, "").await;
        if !passes {
            assert!(answer.starts_with("HTTP/1.1 413 "), "{case}: {answer}");
            assert!(answer.contains("longer than the 5 bytes"), "{case}: {answer}");
            assert!(checks.try_recv().is_err(), "{case}: nobody was asked");
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{case}: {answer}");
        let check = checks.recv().await.and_then(|c| c.attributes).and_then(|a| a.request);
        let http = check.and_then(|request| request.http).expect("a request");
        assert_eq!(http.body, shown, "{case}");
        let cut = http.headers.get("x-envoy-auth-partial-body").map(String::as_str);
        assert_eq!(cut, Some(if partial { "true" } else { "false" }), "{case}");
        let whole = if rest.ends_with("0\r\n\r\n") && rest != chunked { "" } else { "hello world" };
        assert_eq!(seen.recv().await.as_deref(), Some(whole), "{case}: the application's");
    }
}

/// Answers every request with 200; the bodies go to the channel.
fn bodies(listener: tokio::net::TcpListener) -> mpsc::UnboundedReceiver<String> {
    let (seen, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let seen = seen.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let _ = seen.send(String::from_utf8_lossy(&body).into_owned());
                    Ok::<_, hyper::Error>(http::Response::new(Empty::<Bytes>::new()))
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(tcp), service));
        }
    });
    receiver
}
