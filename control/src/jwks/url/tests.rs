use super::*;

#[test]
fn an_url_is_read_or_refused_with_what_would_be_right() {
    for (text, host, port, path, authority) in [
        ("https://issuer.example/keys", "issuer.example", 443, "/keys", "issuer.example"),
        ("http://Issuer.Example:8080", "issuer.example", 8080, "/", "issuer.example:8080"),
        ("https://a.b./k?x=1&y", "a.b", 443, "/k?x=1&y", "a.b"),
        ("http://10.0.0.1:80/k", "10.0.0.1", 80, "/k", "10.0.0.1"),
        ("https://[fd00::1]:8443/k", "fd00::1", 8443, "/k", "[fd00::1]:8443"),
        ("HTTPS://issuer.example/", "issuer.example", 443, "/", "issuer.example"),
    ] {
        let url = KeySetUrl::new(text).expect(text);
        assert_eq!((url.host(), url.port(), url.path()), (host, port, path), "{text}");
        assert_eq!((url.authority(), url.to_string()), (authority.to_owned(), text.to_owned()));
        assert_eq!(url.is_https(), text.to_lowercase().starts_with("https"), "{text}");
    }
    for (text, why) in [
        ("", "no URL"),
        ("issuer.example/keys", "no URL"),
        ("/keys", "neither https nor http"),
        ("file:///etc/passwd", "no URL"),
        ("ftp://issuer.example/", "neither https nor http"),
        ("https://user:pw@issuer.example/", "has a user name"),
        ("https://issuer.example/#x", "has a fragment"),
        ("https://issuer.example:0/", "port is none"),
        ("https://issuer.example:99999/", "port is none"),
        ("https://issuer.example/a b", "no URL"),
        ("https://issuer.example/\r\nHost: x", "no URL"),
    ] {
        let error = KeySetUrl::new(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.contains("write such as https://issuer.example/keys"), "{error}");
    }
    let long = format!("https://issuer.example/{}", "a".repeat(MAX_URL));
    assert!(KeySetUrl::new(&long).expect_err("too long").contains("MAX_URL"));
}
