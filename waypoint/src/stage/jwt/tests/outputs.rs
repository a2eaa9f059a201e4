//! What an application gets of a token.

use super::*;
use crate::stage::jwt::output;

/// The head as the application gets it.
fn forwarded(rule: pb::TokenRule, mut head: Head) -> Head {
    let snapshot = one(vec![rule]);
    let services = [store()];
    let view = head.clone();
    let verified = authenticate(&snapshot, &services, &view.view(), now()).expect("accepted");
    let mut shared = Arc::new(head.clone());
    let guards: Vec<_> = snapshot.authentications(&services).collect();
    output::apply(&guards, verified.as_ref(), &mut shared);
    head = Head::clone(&shared);
    head
}

fn field(head: &Head, name: &str) -> Option<String> {
    let values: Vec<_> = head.headers.get_all(name).iter().collect();
    assert!(values.len() <= 1, "{name}: {values:?}");
    values.first().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[test]
fn a_token_goes_on_only_if_it_is_wanted() {
    let issuer = Issuer::new(Algorithm::ES256);
    let token = issuer.token(&claims(&json!({})));
    let rule = |forward| pb::TokenRule {
        forward,
        from_headers: vec![pb::TokenHeader { name: "x-token".into(), prefix: String::new() }],
        from_params: vec!["t".to_owned()],
        from_cookies: vec!["s".to_owned()],
        ..rule(vec![issuer.public("one")])
    };
    let query = format!("a=1&t={token}&b=2");
    let alone = format!("t={token}");
    let cookie = format!("a=1; s={token}; b=2");
    let only = format!("s={token}");
    for (case, query, fields, want_query, want_cookie) in [
        ("header", None, vec![("x-token", &*token)], None, None),
        ("parameter", Some(&*query), vec![], Some("a=1&b=2"), None),
        ("only parameter", Some(&*alone), vec![], None, None),
        ("cookie", None, vec![("cookie", &*cookie)], None, Some("a=1; b=2")),
        ("only cookie", None, vec![("cookie", &*only)], None, None),
    ] {
        let head = head(query, &fields);
        let gone = forwarded(rule(false), head.clone());
        assert_eq!(gone.query.as_deref(), want_query, "{case}");
        assert_eq!(field(&gone, "cookie").as_deref(), want_cookie, "{case}");
        assert_eq!(field(&gone, "x-token"), None, "{case}");
        let kept = forwarded(rule(true), head.clone());
        assert_eq!((&kept.query, &kept.headers), (&head.query, &head.headers), "{case}");
    }
}

#[test]
fn claims_arrive_in_fields_and_nothing_else_does() {
    let issuer = Issuer::new(Algorithm::ES256);
    let fields =
        ["x-name", "x-age", "x-ok", "x-role", "x-list", "x-none", "x-lines", "x-dots", "x-rate"];
    let of = ["name", "age", "ok", "realm.role", "list", "none", "lines", "a.b", "rate"];
    let headers = fields.iter().zip(of);
    let headers = headers.map(|(header, claim)| pb::ClaimHeader {
        header: (*header).to_owned(),
        claim: claim.to_owned(),
    });
    let rule = pb::TokenRule {
        payload_header: "x-payload".to_owned(),
        claim_headers: headers.collect(),
        ..rule(vec![issuer.public("one")])
    };
    let body = claims(&json!({
        "name": "Jos\u{e9}", "age": 42, "ok": true, "realm": {"role": "clerk"}, "list": ["a"],
        "lines": "a\r\nx-admin: yes", "a.b": "dotted", "rate": 0.5,
    }));
    let token = issuer.token(&body);
    let got = forwarded(rule.clone(), bearer(&token));
    for (name, want) in [
        ("x-name", Some("Jos\u{e9}")),
        ("x-age", Some("42")),
        ("x-ok", Some("true")),
        ("x-role", Some("clerk")),
        ("x-list", None),
        ("x-none", None),
        ("x-lines", None),
        ("x-dots", Some("dotted")),
        ("x-rate", None),
        ("x-admin", None),
        ("authorization", None),
    ] {
        assert_eq!(field(&got, name).as_deref(), want, "{name}");
    }
    assert_eq!(field(&got, "x-payload").as_deref(), token.split('.').nth(1));
}

#[test]
fn a_token_in_the_query_is_in_no_log() {
    let issuer = Issuer::new(Algorithm::ES256);
    let snapshot = one(vec![rule(vec![issuer.public("one")])]);
    let services = [store()];
    let shown = |query: &str| {
        let head = head(Some(query), &[]);
        let guards: Vec<_> = snapshot.authentications(&services).collect();
        find::without_tokens(&guards, &head).and_then(|h| h.query)
    };
    assert_eq!(shown("a=1&access_token=secret&b").as_deref(), Some("a=1&access_token=-&b"));
    assert_eq!(shown("access%5ftoken=secret").as_deref(), Some("access%5ftoken=-"));
    assert_eq!(shown("a=1&b=2"), None);
}

#[test]
fn fields_of_ours_are_known_and_so_are_places_of_tokens() {
    let rule = pb::TokenRule {
        payload_header: "x-payload".to_owned(),
        claim_headers: vec![pb::ClaimHeader { header: "x-user".into(), claim: "sub".into() }],
        ..rule(Vec::new())
    };
    let snapshot = one(vec![rule]);
    let services = [store()];
    let all: Vec<_> = snapshot.authentications(&services).collect();
    let names: Vec<&str> = output::of_us(&all).map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-payload", "x-user"]);
    assert!(find::is_place(&all, &AUTHORIZATION));
    assert!(!find::is_place(&all, &COOKIE));
    // An object elsewhere is none of this target's business.
    let other = [NamespacedHostname { namespace: "shop".into(), hostname: "other".into() }];
    assert_eq!(snapshot.authentications(&other).count(), 0);
}

/// A field may be what one rule writes and another reads: it is read first, and then no client's.
#[test]
fn a_field_that_is_read_too_reaches_the_application_from_nobody_but_us() {
    let issuer = Issuer::new(Algorithm::ES256);
    let reads = pb::TokenRule {
        forward: true,
        from_headers: vec![pb::TokenHeader { name: "x-both".into(), prefix: "T ".to_owned() }],
        ..rule(vec![issuer.public("one")])
    };
    let writes = pb::TokenRule {
        issuer: "https://other.example".to_owned(),
        payload_header: "x-both".to_owned(),
        ..rule(vec![issuer.public("one")])
    };
    let snapshot = one(vec![reads, writes]);
    let services = [store()];
    let apply = |value: &str| {
        let head = head(None, &[("x-both", value)]);
        let verified = authenticate(&snapshot, &services, &head.view(), now()).expect("accepted");
        let mut shared = Arc::new(head.clone());
        let guards: Vec<_> = snapshot.authentications(&services).collect();
        output::apply(&guards, verified.as_ref(), &mut shared);
        (verified.is_some(), field(&shared, "x-both"))
    };
    assert_eq!(apply("forged"), (false, None));
    let token = issuer.token(&claims(&json!({})));
    assert_eq!(apply(&format!("T {token}")), (true, None));
}
