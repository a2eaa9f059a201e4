use http::HeaderMap;

use super::*;

#[test]
fn only_who_names_this_machine_is_answered() {
    for (case, headers, want) in [
        ("by name", vec![("host", "localhost:15016")], true),
        ("in capitals", vec![("host", "LocalHost")], true),
        ("by address", vec![("host", "127.0.0.1:15016")], true),
        ("by an address in IPv6", vec![("host", "[::1]:15016")], true),
        ("by the address that it listens on", vec![("host", "10.1.2.3:15016")], true),
        ("by a name that points here", vec![("host", "evil.example:15016")], false),
        ("by a name that begins alike", vec![("host", "localhost.evil.example")], false),
        ("by no name", vec![], false),
        ("by two", vec![("host", "localhost"), ("host", "evil.example")], false),
        ("by nonsense", vec![("host", "\u{e9}")], false),
        ("its own page", vec![("host", "localhost"), ("origin", "http://localhost:1")], true),
        ("another's", vec![("host", "localhost"), ("origin", "http://evil.example")], false),
        ("nobody's", vec![("host", "localhost"), ("origin", "null")], false),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            map.append(name, value);
        }
        let asked =
            Asked { method: Method::GET, uri: "/metrics".parse().expect("a path"), headers: map };
        assert_eq!(names_this_machine(&asked), want, "{case}");
    }
}
