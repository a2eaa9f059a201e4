use http::HeaderValue;

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn fields_of_the_connection_and_those_that_it_names_stay_behind() {
    let mut headers = map(&[
        ("connection", "close, X-Hop"),
        ("connection", "x-other ,"),
        ("x-hop", "1"),
        ("x-other", "1"),
        ("x-stays", "1"),
        ("keep-alive", "1"),
        ("proxy-authorization", "secret"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(names(&headers), ["x-stays"]);
}

#[test]
fn connection_cannot_name_what_delimits_or_addresses_a_message() {
    let mut headers = map(&[
        ("connection", "host, content-length, not a name, "),
        ("host", "shop"),
        ("content-length", "5"),
    ]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(names(&headers), ["content-length", "host"]);
}

#[test]
fn nobody_speaks_for_a_proxy() {
    let mut headers = map(&[
        ("x-forwarded-client-cert", "forged"),
        ("x-forwarded-client-cert", "twice"),
        ("x-envoy-anything", "1"),
        ("x-istio-source", "1"),
        ("x-forwarded-network", "1"),
        ("x-forwarded-for", "10.1.0.5"),
        ("x-envoyage", "1"),
    ]);
    strip_identity(&mut headers);
    assert_eq!(names(&headers), ["x-envoyage", "x-forwarded-for"]);
}

#[test]
fn a_token_is_found_in_a_list_whatever_its_case() {
    for (value, want) in [
        ("trailers", true),
        ("gzip, Trailers", true),
        (" trailers ,x", true),
        ("trailersx", false),
        ("x-trailers", false),
        ("", false),
    ] {
        let headers = map(&[("te", value)]);
        assert_eq!(has_token(&headers, &header::TE, "trailers"), want, "{value:?}");
    }
    assert!(has_token(&map(&[("te", "a"), ("te", "trailers")]), &header::TE, "trailers"));
}
