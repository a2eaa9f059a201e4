//! What follows from an answer of a provider, field by field.

use hbone::wire::pb::envoy::config::core::v3::{HeaderValue as WireHeader, QueryParameter};
use hbone::wire::pb::envoy::r#type::v3::HttpStatus;
use hbone::wire::pb::google::rpc::Status;
use http::Version;

use super::*;

fn head() -> Head {
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from_static("mallory"));
    headers.append("x-two", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("b"));
    Head {
        method: Method::GET,
        path: "/orders".to_owned(),
        query: Some("a=1&b=2&a=3".to_owned()),
        host: "store".to_owned(),
        port: None,
        headers,
        version: Version::HTTP_11,
        upgrade: None,
    }
}

fn option(key: &str, value: &str) -> HeaderValueOption {
    let header = WireHeader { key: key.to_owned(), value: value.to_owned(), ..Default::default() };
    HeaderValueOption { header: Some(header), ..Default::default() }
}

fn with(header: HeaderValueOption) -> OkHttpResponse {
    OkHttpResponse { headers: vec![header], ..Default::default() }
}

/// All values of a header, in order.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let all = headers.get_all(name).iter();
    all.map(|value| value.to_str().expect("text").to_owned()).collect()
}

#[test]
fn a_request_header_is_set_as_the_provider_says() {
    use Append::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd};
    for (case, append, action, name, want) in [
        // Most providers set neither: what a client says itself does not stay.
        ("neither", None, AppendIfExistsOrAdd, "x-user", &["new"][..]),
        ("neither, and two are there", None, AppendIfExistsOrAdd, "x-two", &["new"]),
        ("neither, and none is there", None, AppendIfExistsOrAdd, "x-new", &["new"]),
        ("append is false", Some(false), AppendIfExistsOrAdd, "x-user", &["new"]),
        ("append is true", Some(true), AppendIfExistsOrAdd, "x-user", &["mallory,new"]),
        ("append is true, of two", Some(true), AppendIfExistsOrAdd, "x-two", &["a,b,new"]),
        ("append is true, of none", Some(true), AppendIfExistsOrAdd, "x-new", &["new"]),
        ("if absent, and it is there", None, AddIfAbsent, "x-user", &["mallory"]),
        ("if absent, and it is not", None, AddIfAbsent, "x-new", &["new"]),
        ("if it exists, and it does", None, OverwriteIfExists, "x-two", &["new"]),
        ("if it exists, and it does not", None, OverwriteIfExists, "x-new", &[]),
        ("overwrite", None, OverwriteIfExistsOrAdd, "x-user", &["new"]),
    ] {
        let header =
            HeaderValueOption { append, append_action: action.into(), ..option(name, "new") };
        let (head, _) = changed(&with(header), &head()).expect(case);
        assert_eq!(values(&head.headers, name), want, "{case}");
    }
}

#[test]
fn fields_of_the_connection_and_of_identity_are_dropped() {
    for name in [
        "connection",
        "Transfer-Encoding",
        "content-length",
        "te",
        "upgrade",
        "x-forwarded-client-cert",
        "x-envoy-peer-metadata",
    ] {
        let (head, _) = changed(&with(option(name, "1")), &head()).expect(name);
        assert!(!head.headers.contains_key(name), "{name}");
        let add = vec![option(name, "1")];
        let ok = OkHttpResponse { response_headers_to_add: add, ..Default::default() };
        let (_, edits) = changed(&ok, &self::head()).expect(name);
        assert_eq!(edits, [], "{name} of the answer");
    }
}

#[test]
fn path_authority_and_method_change_in_their_one_form() {
    let get = |head: Head| (head.method.to_string(), head.authority(), head.target());
    for (key, value, want) in [
        (":path", "/a/../b?x=1", Some(("GET", "store", "/b?x=1"))),
        (":path", "/b", Some(("GET", "store", "/b"))),
        (":authority", "Shop.Example:81", Some(("GET", "shop.example:81", "/orders?a=1&b=2&a=3"))),
        ("Host", "shop", Some(("GET", "shop", "/orders?a=1&b=2&a=3"))),
        (":method", "POST", Some(("POST", "store", "/orders?a=1&b=2&a=3"))),
        (":path", "/a/..%2fadmin", None),
        (":path", "admin", None),
        (":path", "/a?b#c", None),
        (":authority", "a b", None),
        (":method", "CONNECT", None),
        (":method", "G T", None),
        (":scheme", "https", None),
        (":status", "200", None),
    ] {
        let got = changed(&with(option(key, value)), &head()).ok().map(|(head, _)| get(head));
        let want = want.map(|(m, a, t)| (m.to_owned(), a.to_owned(), t.to_owned()));
        assert_eq!(got, want, "{key}: {value}");
    }
}

#[test]
fn what_cannot_be_applied_refuses_all_of_it() {
    let many = (0..200).map(|n| option(&format!("x-{n}"), "1")).collect();
    let unknown = HeaderValueOption { append_action: 9, ..option("x-new", "1") };
    for (case, ok, want) in [
        ("a name", with(option("x y", "1")), "is no header name"),
        ("a value", with(option("x-new", "a\r\nb")), "the value of header x-new is not valid"),
        ("no header", with(HeaderValueOption::default()), "a header without name"),
        ("an action", with(unknown), "append_action 9 is not known"),
        ("too many", OkHttpResponse { headers: many, ..Default::default() }, "exceed the limit"),
        ("too long", with(option("x-new", &"y".repeat(70_000))), "exceed the limit"),
    ] {
        let error = changed(&ok, &head()).expect_err(case);
        assert!(error.contains(want), "{case}: {error}");
    }
}

#[test]
fn headers_are_removed_but_not_those_that_delimit() {
    let mut before = head();
    before.headers.insert("content-length", HeaderValue::from_static("5"));
    let names = ["x-two", "content-length", "host", ":path", "x y"].map(str::to_owned);
    let ok = OkHttpResponse { headers_to_remove: names.into(), ..Default::default() };
    let (after, _) = changed(&ok, &before).expect("applied");
    assert!(!after.headers.contains_key("x-two"));
    assert!(after.headers.contains_key("content-length") && after.headers.contains_key("x-user"));
    assert_eq!(after.path, "/orders");
}

#[test]
fn a_query_is_set_and_removed_by_key() {
    let parameter = |(key, value): (&str, &str)| QueryParameter {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    for (query, set, removed, want) in [
        (Some("a=1&b=2&a=3"), vec![("a", "9")], vec![], Some("b=2&a=9")),
        (Some("a=1&b=2"), vec![], vec!["b"], Some("a=1")),
        (Some("a=1"), vec![], vec!["a"], None),
        (Some("a=1"), vec![("b", "2")], vec!["b"], Some("a=1")),
        (None, vec![("q", "x y&z")], vec![], Some("q=x%20y%26z")),
        (Some("%61=1&c=2"), vec![("a", "9")], vec![], Some("c=2&a=9")),
        (Some("a+b=1"), vec![], vec!["a b"], None),
        (Some("a=1"), vec![], vec![], Some("a=1")),
    ] {
        let before = Head { query: query.map(str::to_owned), ..head() };
        let ok = OkHttpResponse {
            query_parameters_to_set: set.iter().copied().map(parameter).collect(),
            query_parameters_to_remove: removed.iter().map(|key| (*key).to_owned()).collect(),
            ..Default::default()
        };
        let (after, _) = changed(&ok, &before).expect("applied");
        assert_eq!(after.query.as_deref(), want, "{query:?} set {set:?} removed {removed:?}");
    }
}

#[test]
fn the_status_decides_and_not_the_kind_of_answer() {
    let answer = |code, http_response| CheckResponse {
        status: Some(Status { code, message: "because".to_owned(), ..Default::default() }),
        http_response,
        ..Default::default()
    };
    let ok = || Some(HttpResponse::OkResponse(OkHttpResponse::default()));
    let denied = || Some(HttpResponse::DeniedResponse(DeniedHttpResponse::default()));
    let error = || Some(HttpResponse::ErrorResponse(DeniedHttpResponse::default()));
    for (case, response, want) in [
        ("nothing at all", CheckResponse::default(), "ok"),
        ("0", answer(0, None), "ok"),
        ("0 with a refusal", answer(0, denied()), "ok"),
        ("7", answer(7, None), "denied"),
        ("7 with a refusal", answer(7, denied()), "denied"),
        ("7 with a consent", answer(7, ok()), "denied"),
        ("7 with an error", answer(7, error()), "error"),
        ("0 with an error", answer(0, error()), "ok"),
        ("a negative code", answer(-1, None), "denied"),
    ] {
        assert_eq!(Outcome::read(response).decision().0, want, "{case}");
    }
}

#[test]
fn a_refusal_has_a_status_that_ends_a_request() {
    for (code, want) in [
        (0, Ok(StatusCode::FORBIDDEN)),
        (401, Ok(StatusCode::UNAUTHORIZED)),
        (302, Ok(StatusCode::FOUND)),
        (200, Ok(StatusCode::OK)),
        (101, Err(())),
        (99, Err(())),
        (-5, Err(())),
        (70_000, Err(())),
    ] {
        let denied = DeniedHttpResponse { status: Some(HttpStatus { code }), ..Default::default() };
        let got = status(&denied, StatusCode::FORBIDDEN).map_err(|_| ());
        assert_eq!(got, want, "{code}");
    }
}

#[test]
fn the_answer_s_headers_are_added_as_the_provider_says() {
    let add = |append, name: &str| HeaderValueOption { append, ..option(name, "new") };
    let ok = OkHttpResponse {
        response_headers_to_add: vec![
            add(None, "x-line"),
            add(Some(true), "x-line"),
            add(Some(false), "x-one"),
        ],
        ..Default::default()
    };
    let (_, edits) = changed(&ok, &head()).expect("applied");
    let mut headers = HeaderMap::new();
    headers.insert("x-line", HeaderValue::from_static("old"));
    headers.insert("x-one", HeaderValue::from_static("old"));
    for edit in &edits {
        edit.apply(&mut headers);
    }
    assert_eq!(values(&headers, "x-line"), ["old", "new", "new"]);
    assert_eq!(values(&headers, "x-one"), ["new"]);
}
