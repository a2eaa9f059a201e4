use http::{Method, StatusCode, Version};

use super::*;

fn head(host: &str, port: Option<u16>) -> Head {
    Head {
        method: Method::GET,
        path: "/shop/orders/7".to_owned(),
        query: Some("x=1".to_owned()),
        host: host.to_owned(),
        port,
        headers: HeaderMap::new(),
        version: Version::HTTP_11,
        upgrade: None,
    }
}

fn redirect(scheme: Option<&str>, hostname: Option<&str>, port: Option<u16>) -> Redirect {
    Redirect {
        scheme: scheme.map(str::to_owned),
        hostname: hostname.map(str::to_owned),
        path: None,
        port,
        status: StatusCode::FOUND,
    }
}

#[test]
fn a_redirect_keeps_what_its_route_does_not_change() {
    const REST: &str = "/shop/orders/7?x=1";
    for (case, to, port, want) in [
        ("nothing", redirect(None, None, None), None, "http://store"),
        ("another port of ours", redirect(None, None, None), Some(8080), "http://store:8080"),
        ("scheme", redirect(Some("https"), None, None), Some(8080), "https://store"),
        ("host", redirect(None, Some("shop.example"), None), None, "http://shop.example"),
        ("port", redirect(None, None, Some(81)), None, "http://store:81"),
        ("well-known port", redirect(Some("https"), None, Some(443)), None, "https://store"),
        ("http port of https", redirect(Some("https"), None, Some(80)), None, "https://store:80"),
    ] {
        let got = location(&to, &head("store", port), "/shop", 80);
        assert_eq!(got, format!("{want}{REST}"), "{case}");
    }
}

#[test]
fn a_redirect_changes_the_path_or_its_beginning() {
    for (change, want) in [
        (PathChange::Full("/new".to_owned()), "http://store/new?x=1"),
        (PathChange::Prefix("/v2".to_owned()), "http://store/v2/orders/7?x=1"),
        (PathChange::Prefix("/".to_owned()), "http://store/orders/7?x=1"),
    ] {
        let to = Redirect { path: Some(change), ..redirect(None, None, None) };
        assert_eq!(location(&to, &head("store", None), "/shop", 80), want);
    }
}

#[test]
fn a_changed_path_is_canonical_or_no_path() {
    let prefix = |text: &str| PathChange::Prefix(text.to_owned());
    for (change, want) in [
        (prefix("/v2"), Ok("/v2/orders/7")),
        (prefix("/v2//x/.."), Ok("/v2/orders/7")),
        (PathChange::Full("/%61".to_owned()), Ok("/a")),
        (prefix("/../.."), Err("the path leaves the root")),
        (PathChange::Full("/a%2fb".to_owned()), Err("an encoded slash")),
        (PathChange::Full("relative".to_owned()), Err("does not begin with '/'")),
    ] {
        match (changed(&change, "/shop/orders/7", "/shop"), want) {
            (Ok(path), Ok(want)) => assert_eq!(path, want, "{change:?}"),
            (Err(error), Err(want)) => assert!(error.contains(want), "{change:?}: {error}"),
            (got, want) => panic!("{change:?}: {got:?}, not {want:?}"),
        }
    }
}
