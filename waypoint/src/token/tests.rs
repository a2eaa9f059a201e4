use super::*;

/// Whose token has these claims.
pub(crate) fn bearer(claims: &Value) -> Bearer {
    let claims = claims.as_object().cloned().unwrap_or_default();
    let audiences = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Bearer::new(claims, audiences, &["scope".to_owned()])
}

#[test]
fn claims_are_found_and_read() {
    let bearer = bearer(&serde_json::json!({
        "iss": "i", "sub": "s", "azp": "app", "aud": ["a", "b"], "scope": "read  write",
        "groups": ["x", 7, null], "realm": {"roles": ["r"], "deep": {"er": "yes"}}, "n": 1.5,
    }));
    assert_eq!(bearer.principal(), Some("i/s"));
    assert_eq!((bearer.issuer(), bearer.presenter()), ("i", Some("app")));
    let values = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let text = |value: &Compared<'_>| match value {
            Compared::Text(text) => text.to_string(),
            Compared::Other => "?".to_owned(),
        };
        bearer.values(&path).iter().map(text).collect::<Vec<_>>()
    };
    for (path, want) in [
        (&["scope"][..], &["read", "write"][..]),
        (&["sub"], &["s"]),
        (&["groups"], &["x", "7", "?"]),
        (&["realm", "roles"], &["r"]),
        (&["realm", "deep", "er"], &["yes"]),
        (&["realm"], &["?"]),
        (&["realm", "none"], &[]),
        (&["sub", "none"], &[]),
        (&["none"], &[]),
        (&["n"], &["?"]),
        (&[], &[]),
    ] {
        assert_eq!(values(path), want, "{path:?}");
    }
}
