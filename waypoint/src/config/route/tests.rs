//! Which rule wins, and what it does to a path.

use std::sync::Arc;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderMap, HeaderValue, Method};

use super::{Backend, PathChange, Route, RouteTable};
use crate::config::view::RequestView;

fn path(kind: pb::path_match::Kind) -> pb::RouteMatch {
    pb::RouteMatch { path: Some(pb::PathMatch { kind: Some(kind) }), ..Default::default() }
}

fn prefix(text: &str) -> pb::RouteMatch {
    path(pb::path_match::Kind::Prefix(text.to_owned()))
}

fn exact(text: &str) -> pb::RouteMatch {
    path(pb::path_match::Kind::Exact(text.to_owned()))
}

fn value(name: &str, want: &str) -> pb::ValueMatch {
    pb::ValueMatch {
        name: name.to_owned(),
        kind: Some(pb::value_match::Kind::Exact(want.to_owned())),
    }
}

fn route(name: &str, created_ms: i64, rules: Vec<(&str, pb::RouteMatch)>) -> Arc<Route> {
    let rule = |(name, matching): (&str, pb::RouteMatch)| pb::RouteRule {
        name: name.to_owned(),
        matches: vec![matching],
        ..Default::default()
    };
    let object =
        pb::ObjectRef { kind: "HTTPRoute".into(), namespace: "shop".into(), name: name.into() };
    Arc::new(Route::compile(&pb::Route {
        object: Some(object),
        created_ms,
        rules: rules.into_iter().map(rule).collect(),
        ..Default::default()
    }))
}

fn find(routes: &[Arc<Route>], method: &Method, target: &str, header: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header.split_once('=') {
        let name: http::HeaderName = name.parse().expect("a name");
        headers.insert(name, HeaderValue::try_from(value).expect("a value"));
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let view =
        RequestView { method, host: "shop", host_port: None, path, query, headers: &headers };
    RouteTable::new(routes).find(&view).map(|found| found.rule.name.to_string())
}

#[test]
fn the_most_specific_match_wins_in_whatever_order_they_are_written() {
    let regex = path(pb::path_match::Kind::Regex("/a/[0-9]+".to_owned()));
    let broken = path(pb::path_match::Kind::Regex("(".to_owned()));
    let mut rules = vec![
        ("root", prefix("/")),
        ("a", prefix("/a/")),
        ("deep", prefix("/a/b")),
        ("exact", exact("/a/b")),
        ("regex", regex),
        ("broken", broken),
        ("post", pb::RouteMatch { method: "POST".into(), ..prefix("/a") }),
        ("header", pb::RouteMatch { headers: vec![value("x-v", "2")], ..prefix("/a") }),
        ("query", pb::RouteMatch { query: vec![value("v", "a b")], ..prefix("/a") }),
    ];
    for _ in 0..2 {
        let routes = [route("r", 0, rules.clone())];
        for (method, target, header, want) in [
            (Method::GET, "/", "", "root"),
            (Method::GET, "/ab", "", "root"),
            (Method::GET, "/a", "", "a"),
            (Method::GET, "/a/", "", "a"),
            (Method::GET, "/a/b", "", "exact"),
            (Method::GET, "/a/b/", "", "deep"),
            (Method::GET, "/a/bc", "", "a"),
            (Method::GET, "/a/12", "", "regex"),
            (Method::GET, "/a/12/x", "", "a"),
            (Method::POST, "/a", "x-v=2", "post"),
            (Method::GET, "/a?v=a%20b", "x-v=2", "header"),
            (Method::GET, "/a?u=1&v=a+b", "", "query"),
            (Method::GET, "/a?v=c", "", "a"),
        ] {
            assert_eq!(
                find(&routes, &method, target, header).as_deref(),
                Some(want),
                "{method} {target} {header}"
            );
        }
        rules.reverse();
    }
}

#[test]
fn among_equals_the_older_route_wins_then_the_name_then_the_order() {
    let of = |name: &str, created, rule| route(name, created, vec![(rule, prefix("/a"))]);
    for (routes, want) in [
        ([of("b", 1, "older"), of("a", 2, "younger")], "older"),
        ([of("b", 1, "second"), of("a", 1, "first")], "first"),
    ] {
        assert_eq!(find(&routes, &Method::GET, "/a", "").as_deref(), Some(want));
    }
    let twice = route("r", 0, vec![("first", prefix("/a")), ("second", prefix("/a"))]);
    assert_eq!(find(&[twice], &Method::GET, "/a", "").as_deref(), Some("first"));
    assert_eq!(find(&[], &Method::GET, "/a", ""), None);
}

#[test]
fn a_prefix_is_replaced_by_whole_segments() {
    for (matched, new, path, want) in [
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "/xyz/", "/foo", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/foo", "/", "/foo", "/"),
        ("", "/v2", "/foo", "/v2/foo"),
    ] {
        let change = PathChange::Prefix(new.to_owned());
        assert_eq!(change.apply(path, matched), want, "{matched} -> {new} of {path}");
    }
}

#[test]
fn backends_are_chosen_by_weight() {
    let backend = |weight| Backend::compile(&pb::Backend { weight, ..Default::default() });
    let backends = [backend(0), backend(9), backend(1)];
    let mut counts = [0; 3];
    for random in 0..1000 {
        let chosen = Backend::choose(&backends, random).expect("one");
        let at = backends.iter().position(|b| std::ptr::eq(b, chosen)).expect("one of them");
        counts[at] += 1;
    }
    assert_eq!(counts, [0, 900, 100]);
    assert!(Backend::choose(&[backend(0)], 7).is_none());
}

#[test]
fn of_grpc_matches_the_longest_service_wins_and_then_the_longest_method() {
    let call = |service: &str, method: &str| pb::RouteMatch {
        grpc: Some(pb::GrpcMatch {
            service: service.to_owned(),
            method: method.to_owned(),
            regex: false,
        }),
        ..Default::default()
    };
    let with_header = |name: &str| pb::RouteMatch {
        headers: vec![value(name, "1")],
        ..call("shop.Store", "Order")
    };
    let rules = || {
        vec![
            ("path", exact("/shop.Store/Order")),
            ("any", call("", "")),
            ("method", call("", "Order")),
            ("service", call("shop.Store", "")),
            ("both", call("shop.Store", "Order")),
            ("header", with_header("x-a")),
        ]
    };
    let headers = |more: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        if !more.is_empty() {
            headers.insert("x-a", HeaderValue::from_static("1"));
        }
        headers
    };
    let mut reversed = rules();
    reversed.reverse();
    for rules in [rules(), reversed] {
        let table = RouteTable::new(&[route("r", 1, rules)]);
        for (path, more, want) in [
            ("/shop.Store/Order", "x-a", "header"),
            ("/shop.Store/Order", "", "both"),
            ("/shop.Store/Pay", "", "service"),
            ("/bank.Account/Order", "", "method"),
            ("/bank.Account/Pay", "", "any"),
        ] {
            let headers = headers(more);
            let view = RequestView {
                method: &Method::POST,
                host: "shop",
                host_port: None,
                path,
                query: None,
                headers: &headers,
            };
            let found = table.find(&view).map(|found| found.rule.name.to_string());
            assert_eq!(found.as_deref(), Some(want), "{path} {more}");
        }
        // What is no gRPC falls under routes of HTTP.
        let none = HeaderMap::new();
        let view = RequestView {
            method: &Method::POST,
            host: "shop",
            host_port: None,
            path: "/shop.Store/Order",
            query: None,
            headers: &none,
        };
        assert_eq!(table.find(&view).map(|found| &*found.rule.name), Some("path"));
    }
}

#[test]
fn a_route_that_cannot_be_read_goes_before_every_other() {
    let rule = pb::RouteRule { name: "unreadable".to_owned(), ..Default::default() };
    let stands_in = pb::Route { unreadable: true, rules: vec![rule], ..Default::default() };
    let written = route("r", 0, vec![("exact", exact("/a")), ("root", prefix("/"))]);
    let routes = [written, Arc::new(Route::compile(&stands_in))];
    assert_eq!(find(&routes, &Method::GET, "/a", "").as_deref(), Some("unreadable"));
}
