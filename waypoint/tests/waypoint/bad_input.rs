//! Requests that are wrong: each gets one clear answer, and nobody else notices.

use bytes::Bytes;
use hbone::tunnel::Tunnel;
use hbone::wire::pb::istio::workload::AppProtocol;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use waypoint::config::store::Kind;

use crate::http1::{SOON, application, deny, get, raw};
use crate::support::{Mesh1, VIP};

/// A client that minds its own business: one request more on its connection.
async fn works(tunnel: &mut Tunnel) {
    tunnel.write_all(get("/orders", "").as_bytes()).await.expect("sent");
    tunnel.flush().await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nstore") {
        let byte = timeout(SOON, tunnel.read_u8()).await.expect("in time");
        answer.push(byte.expect("the connection of another client goes on"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

fn post(fields: &str) -> String {
    format!("POST /orders HTTP/1.1\r\nHost: store\r\n{fields}\r\n")
}

#[tokio::test]
async fn wrong_http1_is_refused_with_its_reason_and_nothing_else_stops() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/admin*"));
    let mut other = mesh.tunnel("other", VIP).await.expect("a tunnel");
    works(&mut other).await;
    let many = (0..120).fold(String::new(), |many, n| many + &format!("x-{n}: 1\r\n"));
    let large = format!("x: {}\r\n", "y".repeat(70_000));
    let long = format!("/{}", "a".repeat(20_000));
    for (case, request, status, reason) in [
        ("a large header", get("/orders", &large), 431, "header section is larger"),
        ("many headers", get("/orders", &many), 431, "header section is larger"),
        ("a long path", get(&long, ""), 400, "the path is longer than 16384 bytes"),
        ("a bare CR", get("/orders", "x: a\rb\r\n"), 400, "a bare CR"),
        ("a bare LF", get("/orders", "x: a\nadmin: b\r\n"), 400, "bare LF"),
        ("only LFs", get("/orders", "").replace('\r', ""), 400, "bare LF"),
        ("a NUL", get("/orders", "x: a\0b\r\n"), 400, "a control character"),
        (
            "length and chunks",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            400,
            "both content-length and transfer-encoding",
        ),
        (
            "chunks and length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            400,
            "both content-length and transfer-encoding",
        ),
        (
            "two lengths",
            post("Content-Length: 5\r\nContent-Length: 6\r\n"),
            400,
            "more than one content-length",
        ),
        (
            "a coding that nobody knows",
            post("Transfer-Encoding: xchunked\r\n"),
            400,
            "transfer-encoding",
        ),
        ("a folded line", get("/orders", "x: a\r\n b\r\n"), 400, "a folded header line"),
        ("two hosts", get("/orders", "Host: admin\r\n"), 400, "host"),
        ("no HTTP", "GET /orders\r\n\r\n".to_owned(), 400, "METHOD target HTTP/1.1"),
        // A policy names /admin*: every way to write it is that path, or none.
        ("the path itself", get("/admin", ""), 403, "denied by policy"),
        ("dots", get("/orders/../admin", ""), 403, "denied by policy"),
        ("encoded dots", get("/orders/%2e%2E/admin", ""), 403, "denied by policy"),
        ("two slashes", get("//admin", ""), 403, "denied by policy"),
        ("an encoded letter", get("/%61dmin", ""), 403, "denied by policy"),
        (
            "an encoded slash",
            get("/orders%2f..%2fadmin", ""),
            400,
            "an encoded slash or a backslash",
        ),
        ("a backslash", get("/orders\\..\\admin", ""), 400, "an encoded slash or a backslash"),
        ("above the root", get("/../admin", ""), 400, "the path leaves the root"),
        ("a parameter", get("/orders/..;/admin", ""), 400, "the path has a ';'"),
        ("an encoded NUL", get("/admin%00", ""), 400, "a NUL"),
    ] {
        while seen.try_recv().is_ok() {}
        let closing = request.replace("Host: store\r\n", "Host: store\r\nConnection: close\r\n");
        let answer = raw(&mesh, "web", &closing, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{case}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains("proxy-status: ambit/shop/waypoint; error=http_request_"),
            "{case}: {head}"
        );
        assert!(body.contains(reason), "{case}: {body}");
        assert!(seen.try_recv().is_err(), "{case}: it reached the application");
        works(&mut other).await;
    }
}

#[tokio::test]
async fn wrong_http2_is_refused_on_its_stream_alone() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let mut seen = application(mesh.pod("store").await.take(), "store");
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &deny("/admin*"));
    let tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    let shaken =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tunnel)).await;
    let (mut client, connection) = shaken.expect("HTTP/2");
    tokio::spawn(connection);
    let ask = |path: &str| Request::get(format!("http://store{path}"));
    let many = (0..120).fold(ask("/orders"), |request, n| request.header(format!("x-{n}"), "1"));
    for (case, request, status, reason) in [
        ("many headers", many, 431, "header section is larger"),
        ("another host", ask("/orders").header("host", "admin"), 400, "different hosts"),
        ("dots", ask("/orders/../admin"), 403, "denied by policy"),
        ("an encoded slash", ask("/orders%2fadmin"), 400, "an encoded slash or a backslash"),
        ("above the root", ask("/../admin"), 400, "the path leaves the root"),
        (
            "an announced body that does not come",
            ask("/orders").header("content-length", "5"),
            400,
            "announces a body",
        ),
    ] {
        while seen.try_recv().is_ok() {}
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let sent = timeout(SOON, client.send_request(request)).await.expect("in time");
        let response = match sent {
            Ok(response) => response,
            // h2 itself may reset a stream whose length cannot be right.
            Err(error) => {
                assert!(!error.is_closed(), "{case}: the connection ended: {error}");
                continue;
            }
        };
        assert_eq!(response.status().as_u16(), status, "{case}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(reason), "{case}: {body:?}");
        assert!(seen.try_recv().is_err(), "{case}: it reached the application");
        let request = ask("/orders").body(Empty::new()).expect("a request");
        let good = timeout(SOON, client.send_request(request)).await.expect("in time");
        assert_eq!(good.expect("the connection goes on").status(), StatusCode::OK, "{case}");
    }
}
