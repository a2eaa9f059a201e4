//! HTTP/1.1 through the waypoint.

use std::time::Duration;

use hbone::tunnel::TunnelError;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::support::{Mesh1, VIP};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Answers every request with 200 and `name`; what it received goes to the channel.
pub(crate) fn application(
    listener: TcpListener,
    name: &'static str,
) -> mpsc::UnboundedReceiver<String> {
    let (seen, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                while tcp.read_buf(&mut read).await.is_ok_and(|n| n > 0) {
                    while let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                        let head: Vec<u8> = read.drain(..end + 4).collect();
                        let _ = seen.send(String::from_utf8_lossy(&head).into_owned());
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nx-served-by: {name}\r\nContent-Length: {}\r\n\r\n{name}",
                            name.len()
                        );
                        if tcp.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    receiver
}

/// Sends `request` as it is, in a tunnel of its own, and reads until the end or `until`.
pub(crate) async fn raw(mesh: &Mesh1, account: &str, request: &str, until: &str) -> String {
    let mut tunnel = mesh.tunnel(account, VIP).await.expect("a tunnel");
    tunnel.write_all(request.as_bytes()).await.expect("sent");
    tunnel.flush().await.expect("flushed");
    let mut answer = Vec::new();
    let reading = async {
        while tunnel.read_buf(&mut answer).await.is_ok_and(|n| n > 0) {
            if !until.is_empty() && String::from_utf8_lossy(&answer).contains(until) {
                break;
            }
        }
    };
    timeout(SOON, reading).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: store\r\n{more}\r\n")
}

pub(crate) fn deny(path: &str) -> pb::Policy {
    let operation = pb::Operation { paths: vec![path.to_owned()], ..Default::default() };
    policy(pb::PolicyAction::Deny, pb::PolicyRule { to: vec![operation], ..Default::default() })
}

pub(crate) fn policy(action: pb::PolicyAction, rule: pb::PolicyRule) -> pb::Policy {
    let service = pb::ServiceRef {
        namespace: "shop".to_owned(),
        hostname: "store.shop.svc.cluster.local".to_owned(),
    };
    let object = pb::ObjectRef {
        kind: "AuthorizationPolicy".to_owned(),
        namespace: "shop".to_owned(),
        name: "guard".to_owned(),
    };
    pb::Policy {
        object: Some(object),
        action: action.into(),
        targets: vec![pb::PolicyTarget { kind: Some(pb::policy_target::Kind::Service(service)) }],
        rules: vec![rule],
        ..Default::default()
    }
}

#[tokio::test]
async fn one_path_decides_and_is_forwarded() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/admin*"));

    let forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/admin\r\n";
    let answer = raw(&mesh, "web", &get("/a/../orders//7/%2e", forged), "\r\n\r\nstore").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = seen.recv().await.expect("a request");
    assert!(head.starts_with("GET /orders/7/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: store\r\n") && head.contains("x-request-id: "), "{head}");
    assert!(!head.contains("client-cert"), "{head}");

    for path in ["/admin", "//admin", "/orders/../admin", "/%61dmin", "/./admin/x"] {
        let answer = raw(&mesh, "web", &get(path, ""), "denied by policy\n").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
        assert!(
            answer.contains("proxy-status: ambit/shop/waypoint; error=http_request_denied"),
            "{answer}"
        );
    }
    for path in
        ["/orders/..%2fadmin", "/orders/..;/admin", "/admin%00", "/x\\..\\admin", "/../admin"]
    {
        let answer = raw(&mesh, "web", &get(path, ""), "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert!(seen.try_recv().is_err(), "nothing else reached the application");
    let metrics = mesh.metrics();
    let line = |code: &str| {
        let found = metrics.lines().find(|line| {
            line.starts_with("istio_requests_total{")
                && line.contains(&format!("response_code=\"{code}\""))
        });
        found.unwrap_or_else(|| panic!("no request with {code} in {metrics}")).to_owned()
    };
    let served = line("200");
    for label in [
        "reporter=\"waypoint\"",
        "source_principal=\"spiffe://cluster.local/ns/shop/sa/web\"",
        "destination_principal=\"spiffe://cluster.local/ns/shop/sa/store\"",
        "destination_service=\"store.shop.svc.cluster.local\"",
        "connection_security_policy=\"mutual_tls\"",
    ] {
        assert!(served.contains(label), "{label} in {served}");
    }
    assert!(line("403").ends_with(" 5") && line("400").ends_with(" 5"), "{metrics}");
}

#[tokio::test]
async fn a_request_that_can_be_read_twice_reaches_nobody() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: store\r\n\r\n";
    for fields in [
        "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n",
        "Content-Length: 44\r\nContent-Length: 0\r\n",
        "x: y\nz: a\r\n",
        "x: y\r\n folded\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: store\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        let answer = raw(&mesh, "web", &request, "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{fields:?}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one answer: {answer}");
    }
    let large = format!("x: {}\r\n", "y".repeat(70_000));
    let answer = raw(&mesh, "web", &get("/", &large), "").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(seen.try_recv().is_err(), "nothing reached the application");
}

#[tokio::test]
async fn only_what_is_bound_to_the_waypoint_is_served() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    for address in ["10.96.0.7:81", "10.96.0.8:80", "169.254.169.254:80", "127.0.0.1:80"] {
        let refused = mesh.tunnel("web", address.parse().expect("an address")).await;
        let status = match refused {
            Err(TunnelError::Refused { status, .. }) => status.as_u16(),
            other => panic!("{address}: {other:?}"),
        };
        assert_eq!(status, 404, "{address}");
    }
    let answer = raw(&mesh, "web", &get("/", ""), "\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("error=destination_unavailable"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_dead_endpoint_is_replaced_by_another() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut dead = mesh.pod("store").await;
    drop(dead.take());
    let _seen = application(mesh.pod("store").await.take(), "store");
    for _ in 0..12 {
        let answer = raw(&mesh, "web", &get("/", ""), "\r\n\r\nstore").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_route_chooses_rewrites_redirects_and_fails_with_a_reason() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    mesh.service("v2", "10.96.0.8".parse().expect("an address"), AppProtocol::Http11);
    let _store = application(mesh.pod("store").await.take(), "store");
    let mut v2 = application(mesh.pod("v2").await.take(), "v2");
    mesh.configure(Kind::Route, "HTTPRoute/shop/split", &route());

    let answer = raw(&mesh, "web", &get("/pay/now?x=1", "x-canary: yes\r\n"), "\r\n\r\nv2").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("x-route: split\r\n"),
        "{answer}"
    );
    let head = v2.recv().await.expect("a request");
    assert!(
        head.starts_with("GET /v2/now?x=1 HTTP/1.1\r\n") && head.contains("x-added: 1\r\n"),
        "{head}"
    );

    let answer = raw(&mesh, "web", &get("/old", ""), "proxy-status").await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.contains("location: https://shop.example/old\r\n"), "{answer}");
    let answer = raw(&mesh, "web", &get("/broken", ""), "not there\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 500") && answer.contains("error=proxy_configuration_error"),
        "{answer}"
    );
    let answer = raw(&mesh, "web", &get("/nowhere", ""), "matches\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("error=destination_not_found"),
        "{answer}"
    );
}

fn route() -> pb::Route {
    use pb::filter::Kind as F;
    let service = |name: &str| pb::ServiceRef {
        namespace: "shop".to_owned(),
        hostname: format!("{name}.shop.svc.cluster.local"),
    };
    let header =
        |name: &str, value: &str| pb::Header { name: name.to_owned(), value: value.to_owned() };
    let filter = |kind| pb::Filter { kind: Some(kind) };
    let matching = |path: &str| pb::RouteMatch {
        path: Some(pb::PathMatch { kind: Some(pb::path_match::Kind::Prefix(path.to_owned())) }),
        ..Default::default()
    };
    let canary = pb::ValueMatch {
        name: "x-canary".to_owned(),
        kind: Some(pb::value_match::Kind::Exact("yes".to_owned())),
    };
    let change = |set| pb::HeaderChange { set: vec![set], ..Default::default() };
    let prefix = pb::PathChange { kind: Some(pb::path_change::Kind::Prefix("/v2".to_owned())) };
    let backend =
        |target| pb::Backend { weight: 1, target: Some(target), port: 80, filters: Vec::new() };
    pb::Route {
        object: Some(pb::ObjectRef {
            kind: "HTTPRoute".to_owned(),
            namespace: "shop".to_owned(),
            name: "split".to_owned(),
        }),
        parents: vec![pb::Parent {
            target: Some(pb::parent::Target::Service(service("store"))),
            port: 80,
            ..Default::default()
        }],
        rules: vec![
            pb::RouteRule {
                matches: vec![pb::RouteMatch { headers: vec![canary], ..matching("/pay") }],
                filters: vec![
                    filter(F::RequestHeaders(change(header("x-added", "1")))),
                    filter(F::ResponseHeaders(change(header("x-route", "split")))),
                    filter(F::Rewrite(pb::Rewrite { hostname: String::new(), path: Some(prefix) })),
                ],
                backends: vec![backend(pb::backend::Target::Service(service("v2")))],
                ..Default::default()
            },
            pb::RouteRule {
                matches: vec![matching("/old")],
                filters: vec![filter(F::Redirect(pb::Redirect {
                    scheme: "https".to_owned(),
                    hostname: "shop.example".to_owned(),
                    status: 301,
                    ..Default::default()
                }))],
                ..Default::default()
            },
            pb::RouteRule {
                matches: vec![matching("/broken")],
                backends: vec![backend(pb::backend::Target::Invalid(
                    "backend Service shop/x is not there".to_owned(),
                ))],
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

#[tokio::test]
async fn an_upgrade_becomes_bytes_both_ways() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let listener = mesh.pod("store").await.take();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(
            head.contains("upgrade: chat\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        tcp.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
        )
        .await
        .expect("sent");
        let (mut read, mut write) = tcp.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel
        .write_all(get("/chat", "Connection: Upgrade\r\nUpgrade: chat\r\n").as_bytes())
        .await
        .expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, tunnel.read_u8()).await.expect("in time").expect("a head"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    tunnel.write_all(b"hello\n\0").await.expect("sent");
    let mut echo = [0; 7];
    timeout(SOON, tunnel.read_exact(&mut echo)).await.expect("in time").expect("an echo");
    assert_eq!(&echo, b"hello\n\0");
}

#[tokio::test]
async fn bytes_pass_by_policy_and_are_cut_when_it_turns() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Tcp);
    let listener = mesh.pod("store").await.take();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = tcp.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(b"\0ping").await.expect("sent");
    let mut echo = [0; 5];
    timeout(SOON, tunnel.read_exact(&mut echo)).await.expect("in time").expect("an echo");

    let source = pb::Source { principals: vec!["*/sa/web".to_owned()], ..Default::default() };
    let rule = pb::PolicyRule { from: vec![source], ..Default::default() };
    mesh.configure(
        Kind::Policy,
        "AuthorizationPolicy/shop/guard",
        &policy(pb::PolicyAction::Deny, rule),
    );
    let end = timeout(SOON, tunnel.read_u8()).await.expect("cut in time");
    assert!(end.is_err(), "{end:?}");
}
