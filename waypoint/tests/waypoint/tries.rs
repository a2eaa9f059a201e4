//! What is sent again, how often, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use waypoint::config::route::MAX_RETRIES;
use waypoint::config::store::Kind;
use waypoint::upstream::forward::{MAX_ENDPOINTS_TRIED, MAX_REPLAY};

use crate::http1::{get, raw};
use crate::support::{Mesh1, VIP};

/// What an application does with each request: a whole answer as it is, or nothing for a
/// connection that is closed instead.
type Script = fn(usize) -> &'static str;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
const HANG_UP: &str = "";

/// Answers requests by a script, and counts them; `nth` begins with 1.
fn scripted(listener: TcpListener, script: Script) -> Arc<AtomicUsize> {
    let counter: Arc<AtomicUsize> = Arc::default();
    let count = counter.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move { serve(tcp, &count, script).await });
        }
    });
    counter
}

async fn serve(mut tcp: TcpStream, count: &AtomicUsize, script: Script) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        while !read.windows(4).any(|w| w == b"\r\n\r\n") {
            if tcp.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        let end = read.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or_default();
        while read.len() < end + body {
            if tcp.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.drain(..end + body);
        let answer = script(count.fetch_add(1, Ordering::SeqCst) + 1);
        if answer.is_empty() {
            return Ok(());
        }
        tcp.write_all(answer.as_bytes()).await?;
    }
}

/// Every request to `store` is tried again so.
fn retry(mesh: &Mesh1, attempts: u32) {
    let millisecond = prost_types::Duration { seconds: 0, nanos: 1_000_000 };
    let retry = pb::Retry { codes: vec![503], attempts, backoff: Some(millisecond) };
    route(mesh, pb::RouteRule { retry: Some(retry), ..Default::default() });
}

/// Every request to `store` has this rule.
pub(crate) fn route(mesh: &Mesh1, rule: pb::RouteRule) {
    let service = || pb::ServiceRef {
        namespace: "shop".to_owned(),
        hostname: "store.shop.svc.cluster.local".to_owned(),
    };
    let rule = pb::RouteRule {
        backends: vec![pb::Backend {
            weight: 1,
            target: Some(pb::backend::Target::Service(service())),
            port: 80,
            filters: Vec::new(),
        }],
        ..rule
    };
    let route = pb::Route {
        object: Some(pb::ObjectRef { name: "store".to_owned(), ..Default::default() }),
        parents: vec![pb::Parent {
            target: Some(pb::parent::Target::Service(service())),
            port: 80,
            ..Default::default()
        }],
        rules: vec![rule],
        ..Default::default()
    };
    mesh.configure(Kind::Route, "HTTPRoute/shop/store", &route);
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: store\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_is_sent_again_as_often_as_its_route_says() {
    let long = "x".repeat(usize::try_from(MAX_REPLAY).expect("small") + 1);
    let once = get("/", "Connection: close\r\n");
    let all: [(&str, String, u32, Script, &str, usize); 10] = [
        ("busy, then good", once.clone(), 2, |nth| if nth < 3 { BUSY } else { OK }, "200", 3),
        ("busy for ever", once.clone(), 2, |_| BUSY, "503", 3),
        ("no retry", once.clone(), 0, |_| BUSY, "503", 1),
        ("more than anybody may", once.clone(), 50, |_| BUSY, "503", MAX_RETRIES as usize + 1),
        ("broken, then good", once.clone(), 1, |nth| if nth < 2 { HANG_UP } else { OK }, "200", 2),
        ("broken for ever", once, 1, |_| HANG_UP, "502", 2),
        // The application has said itself that it did nothing.
        ("a busy POST", post("hello"), 2, |nth| if nth < 3 { BUSY } else { OK }, "200", 3),
        // It may have done it.
        ("a broken POST", post("hello"), 2, |_| HANG_UP, "502", 1),
        // A long body is not kept.
        ("a long POST", post(&long), 2, |_| BUSY, "503", 1),
        ("all is well", post("hello"), 2, |_| OK, "200", 1),
    ];
    for (case, request, attempts, script, status, tries) in all {
        let mesh = Mesh1::start().await;
        mesh.service("store", VIP.ip(), AppProtocol::Http11);
        let count = scripted(mesh.pod("store").await.take(), script);
        retry(&mesh, attempts);
        let answer = raw(&mesh, "web", &request, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{case}: {answer}");
        assert_eq!(count.load(Ordering::SeqCst), tries, "{case}");
    }
}

#[tokio::test]
async fn so_many_endpoints_are_tried_and_no_more() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    for _ in 0..MAX_ENDPOINTS_TRIED + 3 {
        drop(mesh.pod("store").await.take());
    }
    let answer = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("hop=application"), "{answer}");
    // Each refused its tunnel; the waypoint asked so many.
    let refused = mesh.refused();
    assert_eq!(refused, MAX_ENDPOINTS_TRIED);
}

#[tokio::test]
async fn endpoints_that_all_fail_are_said_to_fail_and_not_to_be_missing() {
    for pods in [1, 2] {
        let mesh = Mesh1::start().await;
        mesh.service("store", VIP.ip(), AppProtocol::Http11);
        for _ in 0..pods {
            drop(mesh.pod("store").await.take());
        }
        let answer = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{pods}: {answer}");
        assert!(answer.contains("hop=application"), "{pods}: {answer}");
        assert_eq!(mesh.refused(), pods, "each was tried once");
        let metrics = mesh.metrics();
        assert!(metrics.contains("response_flags=\"UF\""), "{pods}: {metrics}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_bad_gateway() {
    for (case, answer) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("a large header", format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000))),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        ),
        ("half a head", "HTTP/1.1 200 OK\r\nx: ".to_owned()),
    ] {
        let mesh = Mesh1::start().await;
        mesh.service("store", VIP.ip(), AppProtocol::Http11);
        let listener = mesh.pod("store").await.take();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let _ = tcp.read(&mut head).await;
                let _ = tcp.write_all(answer.as_bytes()).await;
            }
        });
        let answer = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{case}: {answer}");
        assert!(answer.contains("error=connection_terminated; next-hop="), "{case}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_no_whole_one() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let listener = mesh.pod("store").await.take();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = tcp.read(&mut head).await;
            let _ = tcp
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf")
                .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let answer = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "nobody takes it for whole: {answer}");
    let metrics = mesh.metrics();
    assert!(metrics.contains("response_flags=\"UC\""), "{metrics}");
}
