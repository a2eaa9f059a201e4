//! Every way to write a path that some application reads as another.

use super::PathError::{
    AboveRoot, BadCharacter, BadEscape, EncodedSlash, NotAbsolute, Parameter, TooLong,
};
use super::{MAX_PATH, canonical, check_query};

#[test]
fn a_path_has_one_form_or_none() {
    for (path, want) in [
        ("/", Ok("/")),
        ("/orders", Ok("/orders")),
        ("/orders/", Ok("/orders/")),
        ("//admin", Ok("/admin")),
        ("/a//b///c", Ok("/a/b/c")),
        ("/./admin", Ok("/admin")),
        ("/a/./b/.", Ok("/a/b/")),
        ("/orders/../admin", Ok("/admin")),
        ("/orders/..", Ok("/")),
        ("/a/b/../", Ok("/a/")),
        ("/%2e%2e/admin", Err(AboveRoot)),
        ("/orders/%2E%2e/admin", Ok("/admin")),
        ("/orders/%2e/admin", Ok("/orders/admin")),
        ("/%61dmin", Ok("/admin")),
        ("/caf%c3%a9", Ok("/caf%C3%A9")),
        ("/a%20b", Ok("/a%20b")),
        ("/a%3fb", Ok("/a%3Fb")),
        ("/100%25", Ok("/100%25")),
        // Decoded once only: what is left is data.
        ("/%252e%252e/admin", Ok("/%252e%252e/admin")),
        ("/...", Ok("/...")),
        ("/a..b", Ok("/a..b")),
        ("/..", Err(AboveRoot)),
        ("/a/../../b", Err(AboveRoot)),
        ("/orders%2fadmin", Err(EncodedSlash)),
        ("/orders%2Fadmin", Err(EncodedSlash)),
        ("/orders%5cadmin", Err(EncodedSlash)),
        ("/orders\\admin", Err(EncodedSlash)),
        ("/admin;x", Err(Parameter)),
        ("/orders/..;/admin", Err(Parameter)),
        ("/admin%3bx", Err(Parameter)),
        ("/admin#x", Err(BadCharacter)),
        ("/admin%00", Err(BadCharacter)),
        ("/a b", Err(BadCharacter)),
        ("/a\tb", Err(BadCharacter)),
        ("/caf\u{e9}", Err(BadCharacter)),
        ("/a%", Err(BadEscape)),
        ("/a%2", Err(BadEscape)),
        ("/a%zz", Err(BadEscape)),
        ("/a%+1", Err(BadEscape)),
        ("*", Err(NotAbsolute)),
        ("", Err(NotAbsolute)),
        ("admin", Err(NotAbsolute)),
    ] {
        assert_eq!(canonical(path), want.map(str::to_owned), "{path}");
    }
}

#[test]
fn a_canonical_path_is_its_own_form() {
    for path in ["/", "/a/b/", "/caf%C3%A9", "/a%20b", "/100%25", "/%7B%7D"] {
        assert_eq!(canonical(path).as_deref(), Ok(path));
    }
}

#[test]
fn length_is_bounded() {
    let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
    assert_eq!(canonical(&longest).as_deref(), Ok(&*longest));
    assert_eq!(canonical(&format!("{longest}a")), Err(TooLong));
}

#[test]
fn a_query_is_plain_text() {
    assert_eq!(check_query("a=1&b=%2f/../x;y"), Ok(()));
    for query in ["a#b", "a b", "a\r\nb", "caf\u{e9}"] {
        assert_eq!(check_query(query), Err(BadCharacter), "{query}");
    }
}
