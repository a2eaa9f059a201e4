//! One condition of a match at a time.

use http::{HeaderMap, HeaderValue};

use super::*;

fn path(kind: pb::path_match::Kind) -> pb::RouteMatch {
    pb::RouteMatch { path: Some(pb::PathMatch { kind: Some(kind) }), ..Default::default() }
}

fn regex(text: &str) -> pb::RouteMatch {
    path(pb::path_match::Kind::Regex(text.to_owned()))
}

fn header_is(name: &str, kind: pb::value_match::Kind) -> pb::RouteMatch {
    let value = pb::ValueMatch { name: name.to_owned(), kind: Some(kind) };
    pb::RouteMatch { headers: vec![value], ..Default::default() }
}

fn exactly(text: &str) -> pb::value_match::Kind {
    pb::value_match::Kind::Exact(text.to_owned())
}

fn like(text: &str) -> pb::value_match::Kind {
    pb::value_match::Kind::Regex(text.to_owned())
}

fn matches(wire: &pb::RouteMatch, path: &str, query: Option<&str>, headers: &HeaderMap) -> bool {
    let method = &Method::GET;
    let view = RequestView { method, host: "shop", host_port: None, path, query, headers };
    RouteMatch::compile(wire).matches(&view)
}

#[test]
fn a_regular_expression_is_about_the_whole_path() {
    for (text, path, want) in [
        ("/a/[0-9]+", "/a/12", true),
        ("/a/[0-9]+", "/a/12/b", false),
        ("/a/[0-9]+", "/x/a/12", false),
        ("/a|/b", "/b", true),
        ("/a|/b", "/bc", false),
        ("/A", "/a", false),
        ("(?i)/A", "/a", true),
        ("(?m)/a$", "/a", true),
        // It cannot leave the group that makes it whole.
        ("/a)|(?:/b", "/b", false),
        ("/a)|(?:/b", "/ax", false),
        ("(", "/a", false),
    ] {
        assert_eq!(matches(&regex(text), path, None, &HeaderMap::new()), want, "{text} of {path}");
    }
}

#[test]
fn what_cannot_be_understood_matches_nothing_and_says_why() {
    let nameless = header_is("x y", exactly("1"));
    let empty = pb::ValueMatch { name: "x".to_owned(), kind: None };
    for (case, wire, want) in [
        ("a large expression", regex("(a{1000}){1000}"), "Compiled regex exceeds size limit"),
        ("a broken expression", regex("("), "regular expression \"(\""),
        (
            "a method",
            pb::RouteMatch { method: "G T".to_owned(), ..Default::default() },
            "is no method",
        ),
        ("a name", nameless, "\"x y\" is no header name"),
        (
            "no value",
            pb::RouteMatch { query: vec![empty], ..Default::default() },
            "compared with nothing",
        ),
    ] {
        let compiled = RouteMatch::compile(&wire);
        let why = compiled.unreadable.as_deref().unwrap_or_default();
        assert!(why.contains(want), "{case}: {why}");
        assert!(!matches(&wire, "/", None, &HeaderMap::new()), "{case}");
    }
}

#[test]
fn fields_of_one_name_are_one_list() {
    let mut headers = HeaderMap::new();
    headers.insert("x-one", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("b"));
    headers.insert("x-bad", HeaderValue::from_bytes(b"caf\xe9").expect("obs-text"));
    for (name, kind, want) in [
        ("x-one", exactly("a"), true),
        ("X-One", exactly("a"), true),
        ("x-one", exactly("A"), false),
        ("x-one", like("a|b"), true),
        ("x-one", like("b?"), false),
        ("x-two", exactly("a"), false),
        ("x-two", exactly("a, b"), true),
        ("x-bad", like(".*"), false),
        ("x-none", like(".*"), false),
    ] {
        let wire = header_is(name, kind.clone());
        assert_eq!(matches(&wire, "/", None, &headers), want, "{name} {kind:?}");
    }
}

#[test]
fn a_query_parameter_is_compared_decoded_and_by_its_first_value() {
    for (query, want) in [
        (Some("v=a+b"), true),
        (Some("v=a%20b"), true),
        (Some("%76=a+b"), true),
        (Some("u=1&v=a+b&v=c"), true),
        (Some("v=c&v=a+b"), false),
        (Some("v=a%2"), false),
        (Some("v"), false),
        (Some(""), false),
        (None, false),
    ] {
        let value = pb::ValueMatch { name: "v".to_owned(), kind: Some(exactly("a b")) };
        let wire = pb::RouteMatch { query: vec![value], ..Default::default() };
        assert_eq!(matches(&wire, "/", query, &HeaderMap::new()), want, "{query:?}");
    }
}

#[test]
fn a_host_is_itself_or_below_a_suffix() {
    for (pattern, host, want) in [
        ("shop.example", "shop.example", true),
        ("Shop.Example", "shop.example", true),
        ("shop.example", "a.shop.example", false),
        ("*.example", "shop.example", true),
        ("*.example", "a.shop.example", true),
        ("*.example", "example", false),
        ("*.example", ".example", false),
        ("*.example", "shopexample", false),
        ("*", "shop", false), // not a pattern of the Gateway API
    ] {
        assert_eq!(HostPattern::new(pattern).matches(host), want, "{pattern} of {host}");
    }
}

#[test]
fn a_grpc_call_is_a_post_of_grpc_to_a_method_of_a_service() {
    let call = |service: &str, method: &str, regex: bool| pb::RouteMatch {
        grpc: Some(pb::GrpcMatch { service: service.to_owned(), method: method.to_owned(), regex }),
        ..Default::default()
    };
    let (post, get, grpc) = (Method::POST, Method::GET, "application/grpc");
    for (matching, method, kind, path, want) in [
        (call("shop.Store", "Order", false), &post, grpc, "/shop.Store/Order", true),
        (
            call("shop.Store", "Order", false),
            &post,
            "application/grpc+proto",
            "/shop.Store/Order",
            true,
        ),
        (
            call("shop.Store", "Order", false),
            &post,
            "application/grpc-web",
            "/shop.Store/Order",
            false,
        ),
        (call("shop.Store", "Order", false), &post, "application/json", "/shop.Store/Order", false),
        (call("shop.Store", "Order", false), &get, grpc, "/shop.Store/Order", false),
        (call("shop.Store", "Order", false), &post, grpc, "/shop.Store/Orders", false),
        (call("shop.Store", "Order", false), &post, grpc, "/shop.Store/order", false),
        (call("shop.Store", "", false), &post, grpc, "/shop.Store/Pay", true),
        (call("shop.Store", "", false), &post, grpc, "/shop.Stores/Pay", false),
        (call("shop.Store", "", false), &post, grpc, "/shop.Store/a/b", false),
        (call("shop.Store", "", false), &post, grpc, "/shop.Store/", false),
        (call("", "Pay", false), &post, grpc, "/bank.Account/Pay", true),
        (call("", "Pay", false), &post, grpc, "/Pay", false),
        (call("", "", false), &post, grpc, "/any.Thing/Goes", true),
        (call("", "", false), &post, grpc, "/not-a-method", false),
        (call("shop[.].*", "Order|Pay", true), &post, grpc, "/shop.Store/Pay", true),
        (call("shop[.].*", "Order|Pay", true), &post, grpc, "/xshop.Store/Pay", false),
        (call("shop[.].*", "Order|Pay", true), &post, grpc, "/shop.Store/Payout", false),
        (call("", "a)|(b", true), &post, grpc, "/shop.Store/b", false), // no expression by itself
        (call("/", "", false), &post, grpc, "/shop.Store/Order", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        let view = RequestView {
            method,
            host: "shop",
            host_port: None,
            path,
            query: None,
            headers: &headers,
        };
        let found = RouteMatch::compile(&matching).matches(&view);
        assert_eq!(found, want, "{method} {kind} {path} by {matching:?}");
    }
}
