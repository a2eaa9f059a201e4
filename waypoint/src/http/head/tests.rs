//! One host, one path, one length: or a refusal.

use http::{Request, Version};

use super::{Head, split_host};
use crate::failure::Failure;

fn read(request: http::request::Builder) -> Result<Head, Failure> {
    let (mut parts, ()) = request.body(()).expect("a request").into_parts();
    Head::read(&mut parts, false)
}

#[test]
fn a_host_is_one_or_none() {
    for (case, uri, hosts, want) in [
        ("host", "/", vec!["Shop.Example"], Some("shop.example")),
        ("port", "/", vec!["shop:8080"], Some("shop:8080")),
        ("final dot", "/", vec!["shop."], Some("shop")),
        ("absolute and equal", "http://SHOP/", vec!["shop"], Some("shop")),
        ("absolute alone", "http://shop/", vec![], Some("shop")),
        ("absolute and different", "http://shop/", vec!["bank"], None),
        ("different port", "http://shop:80/", vec!["shop:81"], None),
        ("none", "/", vec![], None),
        ("two", "/", vec!["shop", "shop"], None),
        ("user", "/", vec!["user@shop"], None),
        ("empty", "/", vec![""], None),
        ("slash", "/", vec!["shop/admin"], None),
        ("no number", "/", vec!["shop:+80"], None),
        ("too large", "/", vec!["shop:65536"], None),
        ("IPv6", "/", vec!["[::1]:80"], Some("[::1]:80")),
        ("IPv6 without brackets", "/", vec!["::1"], None),
    ] {
        let request = hosts.iter().fold(Request::get(uri), |r, host| r.header("host", *host));
        let got = read(request).ok().map(|head| head.authority());
        assert_eq!(got.as_deref(), want, "{case}");
    }
}

#[test]
fn fields_of_connection_and_identity_do_not_pass() {
    let request = Request::get("/a/../b?x=1")
        .version(Version::HTTP_11)
        .header("host", "shop")
        .header("connection", "keep-alive, x-secret")
        .header("keep-alive", "5")
        .header("x-secret", "1")
        .header("te", "trailers, deflate")
        .header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/a/sa/admin")
        .header("x-envoy-original-path", "/admin")
        .header("x-istio-source", "waypoint")
        .header("x-kept", "1");
    let head = read(request).expect("a good request");
    let names: Vec<_> = head.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    assert_eq!(names, [("x-kept", &b"1"[..]), ("te", b"trailers")]);
    assert_eq!(head.target(), "/b?x=1");
}

#[test]
fn a_request_over_the_limits_is_refused() {
    let many = (0..=100)
        .fold(Request::get("/").header("host", "a"), |r, n| r.header(format!("x-{n}"), "1"));
    assert!(matches!(read(many), Err(Failure::HeaderTooLarge)));
    let large = Request::get("/").header("host", "a").header("x", "y".repeat(65_536));
    assert!(matches!(read(large), Err(Failure::HeaderTooLarge)));
    let announced = Request::post("/").header("host", "a").header("content-length", "5");
    assert!(matches!(read(announced), Err(Failure::Malformed(_))), "END_STREAM with a length");
    let connect = Request::connect("shop:80").header("host", "shop:80");
    assert!(matches!(read(connect), Err(Failure::Malformed(_))));
}

#[test]
fn an_upgrade_is_kept_apart() {
    for (connection, upgrade, want) in [
        ("upgrade", "websocket", Some("websocket")),
        ("keep-alive, Upgrade", "websocket", Some("websocket")),
        ("keep-alive", "websocket", None),
        ("upgrade", "h2c", None),
    ] {
        let request = Request::get("/").header("host", "a");
        let request = request.header("connection", connection).header("upgrade", upgrade);
        let head = read(request).expect("a good request");
        assert_eq!(head.upgrade.as_ref().and_then(|v| v.to_str().ok()), want);
        assert!(head.headers.is_empty());
    }
}

#[test]
fn splitting_keeps_what_it_is_given() {
    assert_eq!(split_host("a:1").ok(), Some(("a".into(), Some(1))));
    assert!(split_host("a:").is_err());
    assert!(split_host("a:1:2").is_err());
}
