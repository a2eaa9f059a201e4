//! Tokens, good and forged.

use std::time::{Duration, UNIX_EPOCH};

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use jsonwebtoken::{Algorithm, EncodingKey};
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::config::store::{Kind, Store};
use crate::http::head::Head;
use issuer::{ISSUER, Issuer, authentication, encode, rule};

mod forged;
pub(crate) mod issuer;
mod outputs;

/// What the time is here.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn store() -> NamespacedHostname {
    NamespacedHostname { namespace: "shop".into(), hostname: "store".into() }
}

/// A waypoint's configuration with these objects.
pub(crate) fn snapshot(objects: &[pb::Authentication]) -> Snapshot {
    let mut store = Store::default();
    for (index, object) in objects.iter().enumerate() {
        let name = format!("RequestAuthentication/shop/{index}");
        store.insert(Kind::Authentication, &name, &object.encode_to_vec()).expect("readable");
    }
    store.snapshot()
}

fn one(rules: Vec<pb::TokenRule>) -> Snapshot {
    snapshot(&[authentication("jwt", "store", rules)])
}

/// `GET /orders?QUERY` with fields.
fn head(query: Option<&str>, fields: &[(&str, &str)]) -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    Head {
        method: Method::GET,
        path: "/orders".to_owned(),
        query: query.map(str::to_owned),
        host: "store".to_owned(),
        port: None,
        headers,
        version: Version::HTTP_11,
        upgrade: None,
    }
}

fn bearer(token: &str) -> Head {
    head(None, &[("authorization", &format!("Bearer {token}"))])
}

/// Who asks: `iss/sub`, `nobody` without a token, or why not.
fn judge(snapshot: &Snapshot, head: &Head) -> String {
    judge_at(snapshot, head, now())
}

fn judge_at(snapshot: &Snapshot, head: &Head, now: SystemTime) -> String {
    match authenticate(snapshot, &[store()], &head.view(), now) {
        Ok(None) => "nobody".to_owned(),
        Ok(Some(found)) => found.bearer.principal().unwrap_or("without a subject").to_owned(),
        Err(Failure::Unauthenticated { reason, .. }) => reason.label().to_owned(),
        Err(Failure::AuthenticationUnreadable { .. }) => "unreadable".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "sub": "ann", "exp": NOW + 300});
    let map = claims.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        map.insert(name.clone(), value.clone());
    }
    claims
}

const ANN: &str = "https://issuer.example/ann";

#[test]
fn every_algorithm_of_a_public_key_is_verified() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let rsa = Issuer::new(RS256);
    for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512] {
        let snapshot = one(vec![rule(vec![rsa.public("one")])]);
        let header = json!({"alg": format!("{algorithm:?}"), "kid": "one"}).to_string();
        let message = format!("{}.{}", encode(header), encode(claims(&json!({})).to_string()));
        let token = rsa.sign_as(&message, algorithm);
        assert_eq!(judge(&snapshot, &bearer(&token)), ANN, "{algorithm:?}");
        let (signed, _) = token.rsplit_once('.').expect("a signature");
        let other = Issuer::new(RS256).sign_as(signed, algorithm);
        assert_eq!(judge(&snapshot, &bearer(&other)), "signature", "{algorithm:?} of another");
        // A key that names its algorithm is for no other.
        let mut only = rsa.public("one");
        only.algorithm = "RS256".to_owned();
        let want = if algorithm == RS256 { ANN } else { "algorithm" };
        assert_eq!(judge(&one(vec![rule(vec![only])]), &bearer(&token)), want, "{algorithm:?}");
    }
    for algorithm in [ES256, ES384, EdDSA] {
        let issuer = Issuer::new(algorithm);
        let snapshot = one(vec![rule(vec![issuer.public("one")])]);
        let token = issuer.token(&claims(&json!({})));
        assert_eq!(judge(&snapshot, &bearer(&token)), ANN, "{algorithm:?}");
        let other = Issuer::new(algorithm).token(&claims(&json!({})));
        assert_eq!(judge(&snapshot, &bearer(&other)), "signature", "{algorithm:?} of another");
    }
}

#[test]
fn a_token_is_found_where_a_rule_says_and_nowhere_else() {
    let issuer = Issuer::new(Algorithm::ES256);
    let token = issuer.token(&claims(&json!({})));
    let usual = rule(vec![issuer.public("one")]);
    let header =
        |name: &str, prefix: &str| pb::TokenHeader { name: name.into(), prefix: prefix.into() };
    let elsewhere = pb::TokenRule {
        from_headers: vec![header("x-token", ""), header("x-auth", "JWT ")],
        from_params: vec!["t".to_owned()],
        from_cookies: vec!["session".to_owned()],
        ..usual.clone()
    };
    let (usual, elsewhere) = (one(vec![usual]), one(vec![elsewhere]));
    let with = |text: &str| text.replace("TOKEN", &token);
    for (case, snapshot, query, name, value, want) in [
        ("bearer", &usual, None, "authorization", "Bearer TOKEN", ANN),
        ("bearer in other letters", &usual, None, "Authorization", "bearer  TOKEN ", ANN),
        ("basic", &usual, None, "authorization", "Basic YW5uOnB3", "nobody"),
        ("a longer scheme", &usual, None, "authorization", "BearerX TOKEN", "nobody"),
        ("bearer without token", &usual, None, "authorization", "Bearer", "malformed"),
        ("parameter", &usual, Some("a=1&access_token=TOKEN"), "x", "y", ANN),
        ("parameter with escapes", &usual, Some("access%5Ftoken=TOKEN"), "x", "y", ANN),
        ("no parameter of ours", &usual, Some("token=TOKEN"), "x", "y", "nobody"),
        ("cookie not asked for", &usual, None, "cookie", "session=TOKEN", "nobody"),
        ("own header", &elsewhere, None, "x-token", "TOKEN", ANN),
        ("own header with prefix", &elsewhere, None, "x-auth", "JWT TOKEN", ANN),
        ("own header without its prefix", &elsewhere, None, "x-auth", "TOKEN", "nobody"),
        ("own parameter", &elsewhere, Some("t=TOKEN"), "x", "y", ANN),
        ("cookie", &elsewhere, None, "cookie", "a=b; session=TOKEN; c=d", ANN),
        ("cookie in quotes", &elsewhere, None, "cookie", "session=\"TOKEN\"", ANN),
        ("usual place, not wanted", &elsewhere, None, "authorization", "Bearer TOKEN", "nobody"),
        ("no text", &elsewhere, None, "x-token", "caf\u{e9}", "malformed"),
    ] {
        let query = query.map(with);
        let head = head(query.as_deref(), &[(name, &with(value))]);
        assert_eq!(judge(snapshot, &head), want, "{case}");
    }
}

#[test]
fn a_request_without_token_passes_and_two_tokens_do_not() {
    let issuer = Issuer::new(Algorithm::ES256);
    let token = issuer.token(&claims(&json!({})));
    let usual = rule(vec![issuer.public("one")]);
    let cookie = pb::TokenRule { from_cookies: vec!["s".to_owned()], ..usual.clone() };
    let snapshot = one(vec![usual, cookie]);
    let (in_bearer, in_cookie) = (format!("Bearer {token}"), format!("s={token}"));
    let in_query = format!("access_token={token}");
    let twice = format!("{in_query}&{in_query}");
    for (case, query, fields, want) in [
        ("none", None, vec![], "nobody"),
        ("one", None, vec![("authorization", &*in_bearer)], ANN),
        ("one in a cookie", None, vec![("cookie", &*in_cookie)], ANN),
        ("header and query", Some(&*in_query), vec![("authorization", &*in_bearer)], "several"),
        (
            "header and cookie",
            None,
            vec![("authorization", &*in_bearer), ("cookie", &*in_cookie)],
            "several",
        ),
        (
            "one field twice",
            None,
            vec![("authorization", &*in_bearer), ("authorization", &*in_bearer)],
            "several",
        ),
        (
            "a good one and nonsense",
            None,
            vec![("authorization", &*in_bearer), ("authorization", "Bearer x")],
            "several",
        ),
        ("one parameter twice", Some(&*twice), vec![], "several"),
        (
            "two cookies of the name",
            None,
            vec![("cookie", &*in_cookie), ("cookie", &*in_cookie)],
            "several",
        ),
        (
            "a token and a password are not two",
            Some(&*in_query),
            vec![("authorization", "Basic YTpi")],
            ANN,
        ),
    ] {
        assert_eq!(judge(&snapshot, &head(query, &fields)), want, "{case}");
    }
}

#[test]
fn a_rule_speaks_for_its_issuer_and_its_places_only() {
    let (ours, theirs) = (Issuer::new(Algorithm::ES256), Issuer::new(Algorithm::ES256));
    let second = "https://second.example";
    let of_theirs = pb::TokenRule {
        issuer: second.to_owned(),
        from_headers: vec![pb::TokenHeader { name: "x-token".into(), prefix: String::new() }],
        ..rule(vec![theirs.public("one")])
    };
    let snapshot = one(vec![rule(vec![ours.public("one")]), of_theirs]);
    let their_token = theirs.token(&claims(&json!({"iss": second})));
    let forged = theirs.token(&claims(&json!({})));
    let elsewhere = theirs.token(&claims(&json!({"iss": "https://nobody.example"})));
    for (case, name, value, want) in [
        ("theirs at their place", "x-token", their_token.clone(), "https://second.example/ann"),
        ("theirs at our place", "authorization", format!("Bearer {their_token}"), "issuer"),
        ("theirs that says it is ours", "x-token", forged.clone(), "issuer"),
        ("the same at our place", "authorization", format!("Bearer {forged}"), "signature"),
        (
            "of an issuer that nobody knows",
            "authorization",
            format!("Bearer {elsewhere}"),
            "issuer",
        ),
    ] {
        assert_eq!(judge(&snapshot, &head(None, &[(name, &value)])), want, "{case}");
    }
}

#[test]
fn of_several_rules_of_an_issuer_one_must_accept_and_none_may_refuse_all() {
    let issuer = Issuer::new(Algorithm::ES256);
    let of = |audience: &str| pb::TokenRule {
        audiences: vec![audience.to_owned()],
        ..rule(vec![issuer.public("one")])
    };
    let refused = pb::TokenRule { refused: "no keys yet".to_owned(), ..rule(Vec::new()) };
    let token = bearer(&issuer.token(&claims(&json!({"aud": ["b", "c"]}))));
    for (case, rules, want) in [
        ("none fits", vec![of("a")], "audience"),
        ("one of two", vec![of("a"), of("b")], ANN),
        ("one has no keys", vec![of("b"), refused.clone()], "no_keys"),
        ("keys that cannot be used", vec![rule(vec![pb::TokenKey::default()])], "no_keys"),
    ] {
        assert_eq!(judge(&one(rules), &token), want, "{case}");
    }
    // Without a token nothing is refused: whether that may be is for policies to say.
    assert_eq!(judge(&one(vec![refused]), &head(None, &[])), "nobody");
}

#[test]
fn what_is_not_understood_refuses_every_request_to_its_target() {
    let unreadable = |why: &str, rules| pb::Authentication {
        unreadable: why.to_owned(),
        ..authentication("jwt", "store", rules)
    };
    let nameless = pb::TokenRule { issuer: String::new(), ..rule(Vec::new()) };
    let output = pb::TokenRule { payload_header: "a b".to_owned(), ..rule(Vec::new()) };
    for (case, object, want) in [
        ("said by control", unreadable("spec.x", Vec::new()), "unreadable"),
        ("no issuer", authentication("jwt", "store", vec![nameless]), "unreadable"),
        ("no header", authentication("jwt", "store", vec![output]), "unreadable"),
        (
            "of another target",
            pb::Authentication {
                unreadable: "spec.x".to_owned(),
                ..authentication("jwt", "other", Vec::new())
            },
            "nobody",
        ),
        ("no rules", authentication("jwt", "store", Vec::new()), "nobody"),
    ] {
        assert_eq!(judge(&snapshot(&[object]), &head(None, &[])), want, "{case}");
    }
}

#[test]
fn keys_are_rotated_by_their_ids() {
    let (old, new) = (Issuer::new(Algorithm::ES256), Issuer::new(Algorithm::ES256));
    let by = |issuer: &Issuer, id: &str| {
        bearer(&issuer.sign(&json!({"alg": "ES256", "kid": id}), &claims(&json!({}))))
    };
    let both = one(vec![rule(vec![old.public("old"), new.public("new")])]);
    let only = one(vec![rule(vec![new.public("new")])]);
    for (case, snapshot, token, want) in [
        ("old, while both are there", &both, by(&old, "old"), ANN),
        ("new, while both are there", &both, by(&new, "new"), ANN),
        ("new", &only, by(&new, "new"), ANN),
        ("old, withdrawn", &only, by(&old, "old"), "unknown_key"),
        ("old under the name of new", &only, by(&old, "new"), "signature"),
        ("a name of another key", &both, by(&new, "old"), "signature"),
    ] {
        assert_eq!(judge(snapshot, &token), want, "{case}");
    }
    // A token without kid is tried with every key; a key without kid is tried for every token.
    let unnamed = bearer(&new.sign(&json!({"alg": "ES256"}), &claims(&json!({}))));
    assert_eq!(judge(&both, &unnamed), ANN);
    assert_eq!(judge(&one(vec![rule(vec![new.public("")])]), &by(&new, "whatever")), ANN);
}
