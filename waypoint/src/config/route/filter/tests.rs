//! Filters as they are written, and those that cannot be honoured.

use super::*;
use pb::filter::Kind;

fn header(name: &str, value: &str) -> pb::Header {
    pb::Header { name: name.to_owned(), value: value.to_owned() }
}

fn compile(kinds: Vec<Kind>) -> Filters {
    let filter = |kind| pb::Filter { kind: Some(kind) };
    Filters::compile(&kinds.into_iter().map(filter).collect::<Vec<_>>())
}

fn change(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> pb::HeaderChange {
    let fields = |all: &[(&str, &str)]| all.iter().map(|(n, v)| header(n, v)).collect();
    pb::HeaderChange {
        set: fields(set),
        add: fields(add),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn a_header_is_set_added_and_removed() {
    let filters = compile(vec![Kind::RequestHeaders(change(
        &[("x-set", "2")],
        &[("x-add", "2")],
        &["x-gone"],
    ))]);
    assert_eq!(filters.unsupported, None);
    let mut headers = HeaderMap::new();
    for name in ["x-set", "x-add", "x-gone"] {
        headers.append(name, HeaderValue::from_static("0"));
        headers.append(name, HeaderValue::from_static("1"));
    }
    filters.request.apply(&mut headers);
    let values = |name: &str| -> Vec<&[u8]> {
        headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    };
    assert_eq!(values("x-set"), [b"2"]);
    assert_eq!(values("x-add"), [b"0", b"1", b"2"]);
    assert!(values("x-gone").is_empty());
    assert!(filters.response.0.is_empty(), "the answer's are others");
}

#[test]
fn a_filter_that_cannot_be_honoured_makes_the_rule_say_so() {
    let set = |name: &str, value: &str| Kind::RequestHeaders(change(&[(name, value)], &[], &[]));
    let to = |status| Kind::Redirect(pb::Redirect { status, ..Default::default() });
    let host = pb::Rewrite { hostname: "a\nb".to_owned(), path: None };
    for (case, kind, want) in [
        ("control says so", Kind::Unsupported("RequestMirror".to_owned()), "RequestMirror"),
        ("a name", set("x y", "1"), "\"x y\" is no header name"),
        ("a value", set("x", "a\r\nb"), "the value of header \"x\" is not valid"),
        ("the host", set("Host", "other"), "host is changed by a URLRewrite filter"),
        ("the length", set("content-length", "1"), "content-length belongs to the connection"),
        ("the framing", set("Transfer-Encoding", "x"), "transfer-encoding belongs to"),
        (
            "removal of it",
            Kind::ResponseHeaders(change(&[], &[], &["connection"])),
            "connection belongs",
        ),
        ("a status", to(200), "status 200 is no redirect"),
        ("no status", to(99_999), "status 99999 is no redirect"),
        ("a host", Kind::Rewrite(host), "is no host"),
    ] {
        let why = compile(vec![kind]).unsupported.unwrap_or_default();
        assert!(why.contains(want), "{case}: {why}");
    }
    let unknown = Filters::compile(&[pb::Filter { kind: None }]).unsupported;
    assert!(unknown.is_some_and(|why| why.contains("does not know")));
}

#[test]
fn the_first_reason_is_kept_and_good_filters_stay() {
    let filters = compile(vec![
        Kind::Unsupported("first".to_owned()),
        Kind::RequestHeaders(change(&[("x", "1")], &[], &[])),
        Kind::Unsupported("second".to_owned()),
    ]);
    assert_eq!(filters.unsupported.as_deref(), Some("first"));
    assert_eq!(filters.request.0.len(), 1);
}

#[test]
fn a_redirect_is_302_unless_it_says_otherwise() {
    for (status, want) in [(0, 302), (301, 301), (308, 308)] {
        let redirect = compile(vec![Kind::Redirect(pb::Redirect { status, ..Default::default() })]);
        assert_eq!(redirect.redirect.map(|r| r.status.as_u16()), Some(want));
    }
    let ports = pb::Redirect { port: 70_000, ..Default::default() };
    assert_eq!(compile(vec![Kind::Redirect(ports)]).redirect.and_then(|r| r.port), None);
}
