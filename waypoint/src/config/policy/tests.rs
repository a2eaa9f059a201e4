//! What a policy matches, and what it makes of what it cannot understand.

use hbone::identity::TrustDomain;
use hbone::matching::Caller;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderMap, HeaderValue, Method};

use super::{Policy, PolicyInput};
use crate::config::view::RequestView;
use crate::token::Bearer;

fn source(fill: impl FnOnce(&mut pb::Source)) -> pb::PolicyRule {
    let mut source = pb::Source::default();
    fill(&mut source);
    pb::PolicyRule { from: vec![source], ..Default::default() }
}

fn operation(fill: impl FnOnce(&mut pb::Operation)) -> pb::PolicyRule {
    let mut operation = pb::Operation::default();
    fill(&mut operation);
    pb::PolicyRule { to: vec![operation], ..Default::default() }
}

fn when(key: &str, values: &[&str], not: &[&str]) -> pb::PolicyRule {
    let texts = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    let condition =
        pb::Condition { key: key.into(), values: texts(values), not_values: texts(not) };
    pb::PolicyRule { when: vec![condition], ..Default::default() }
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

/// Whether an ALLOW and a DENY policy with `rule` match `GET shop/orders/7` of `web`.
fn judge(rule: &pb::PolicyRule, http: bool) -> (bool, bool) {
    let caller = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("an identity");
    let caller = Caller::authenticated(caller);
    let mut headers = HeaderMap::new();
    headers.insert("x-one", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("b"));
    headers.insert("x-bad", HeaderValue::from_bytes(b"caf\xe9").expect("obs-text"));
    let view = RequestView {
        method: &Method::GET,
        host: "shop",
        host_port: Some(80),
        path: "/orders/7",
        query: None,
        headers: &headers,
    };
    let input = PolicyInput {
        caller: &caller,
        trust_domains: &[],
        source: "10.1.0.5".parse().expect("an address"),
        destination: "10.96.0.7:80".parse().expect("an address"),
        request: http.then_some(view),
        bearer: None,
    };
    let matches = |action: pb::PolicyAction| {
        let wire =
            pb::Policy { action: action.into(), rules: vec![rule.clone()], ..Default::default() };
        Policy::compile(&wire).matching_rule(&input).is_some()
    };
    (matches(pb::PolicyAction::Allow), matches(pb::PolicyAction::Deny))
}

const YES: (bool, bool) = (true, true);
const NO: (bool, bool) = (false, false);
/// Not understood or not judged: ALLOW does not match, DENY does.
const DOUBT: (bool, bool) = (false, true);

#[test]
fn a_rule_matches_what_it_says() {
    for (case, rule, want) in [
        ("empty rule", pb::PolicyRule::default(), YES),
        ("principal", source(|s| s.principals = list(&["cluster.local/ns/shop/sa/web"])), YES),
        ("principal prefix", source(|s| s.principals = list(&["cluster.local/ns/shop/*"])), YES),
        ("principal suffix", source(|s| s.principals = list(&["*/sa/web"])), YES),
        ("any principal", source(|s| s.principals = list(&["*"])), YES),
        (
            "a star inside is a letter",
            source(|s| s.principals = list(&["cluster.local/*/sa/web"])),
            NO,
        ),
        ("not principal", source(|s| s.not_principals = list(&["*/sa/web"])), NO),
        ("namespace", source(|s| s.namespaces = list(&["shop"])), YES),
        ("account", source(|s| s.service_accounts = list(&["shop/web"])), YES),
        ("account of another namespace", source(|s| s.service_accounts = list(&["bank/web"])), NO),
        ("block", source(|s| s.ip_blocks = list(&["10.1.0.0/16"])), YES),
        ("not block", source(|s| s.not_ip_blocks = list(&["10.1.0.5"])), NO),
        ("bad block", source(|s| s.ip_blocks = list(&["10.1.0.0/99"])), DOUBT),
        ("empty source", source(|_| ()), DOUBT),
        (
            "both fields hold",
            source(|s| {
                s.namespaces = list(&["shop"]);
                s.principals = list(&["x"]);
            }),
            NO,
        ),
        ("path", operation(|o| o.paths = list(&["/orders/7"])), YES),
        ("path prefix", operation(|o| o.paths = list(&["/orders*"])), YES),
        ("path suffix", operation(|o| o.paths = list(&["*/7"])), YES),
        ("path written with an escape", operation(|o| o.paths = list(&["/%6frders/7"])), YES),
        ("template", operation(|o| o.paths = list(&["/orders/{*}"])), YES),
        ("template of more", operation(|o| o.paths = list(&["/orders/{*}/items"])), NO),
        ("template of the rest", operation(|o| o.paths = list(&["/{**}"])), YES),
        ("a path that cannot be", operation(|o| o.paths = list(&["/orders%2f7"])), DOUBT),
        ("a path with dots", operation(|o| o.paths = list(&["/a/../orders/7"])), DOUBT),
        ("a path with a query", operation(|o| o.paths = list(&["/orders/7?x"])), DOUBT),
        ("not path", operation(|o| o.not_paths = list(&["/orders*"])), NO),
        ("method", operation(|o| o.methods = list(&["GET"])), YES),
        ("method of other case", operation(|o| o.methods = list(&["get"])), NO),
        ("host", operation(|o| o.hosts = list(&["SHOP"])), YES),
        ("host with port", operation(|o| o.hosts = list(&["shop:80"])), YES),
        ("host with another port", operation(|o| o.hosts = list(&["shop:81"])), NO),
        ("port", operation(|o| o.ports = list(&["80"])), YES),
        ("bad port", operation(|o| o.ports = list(&["http"])), DOUBT),
        ("empty operation", operation(|_| ()), DOUBT),
        ("header", when("request.headers[x-one]", &["a"], &[]), YES),
        ("absent header", when("request.headers[x-none]", &["*"], &[]), NO),
        ("absent header is not", when("request.headers[x-none]", &[], &["a"]), YES),
        ("header twice, one matches", when("request.headers[x-two]", &["a"], &[]), DOUBT),
        ("header twice, both match", when("request.headers[x-two]", &["*"], &[]), YES),
        ("header twice, one excluded", when("request.headers[x-two]", &[], &["a"]), DOUBT),
        ("header that is no text", when("request.headers[x-bad]", &["caf*"], &[]), DOUBT),
        ("unknown key", when("request.auth.issuer", &["a"], &[]), DOUBT),
        ("no values", when("source.ip", &[], &[]), DOUBT),
        (
            "marked by control",
            pb::PolicyRule { unreadable: "x".into(), ..Default::default() },
            DOUBT,
        ),
    ] {
        assert_eq!(judge(&rule, true), want, "{case}");
    }
}

#[test]
fn what_is_not_http_is_judged_strictly() {
    for (case, rule, want) in [
        ("path", operation(|o| o.paths = list(&["/orders*"])), DOUBT),
        ("header", when("request.headers[x-one]", &[], &["a"]), DOUBT),
        ("port", operation(|o| o.ports = list(&["80"])), YES),
        (
            "path and another port",
            operation(|o| {
                o.paths = list(&["/a"]);
                o.ports = list(&["81"]);
            }),
            NO,
        ),
    ] {
        assert_eq!(judge(&rule, false), want, "{case}");
    }
}

#[test]
fn an_unknown_action_denies() {
    let wire = pb::Policy { action: 9, ..Default::default() };
    let policy = Policy::compile(&wire);
    assert_eq!(policy.action, super::Action::Deny);
    assert_eq!(policy.unreadable().count(), 1);
}

#[test]
fn an_alias_of_the_trust_domain_means_the_same_principals() {
    let domains = ["cluster.local", "old.example"].map(|d| TrustDomain::new(d).expect("a domain"));
    let alone = domains.get(..1).expect("one");
    for (caller, wanted, aliases, want) in [
        ("cluster.local", "old.example/ns/shop/sa/web", &domains[..], true),
        ("old.example", "cluster.local/ns/shop/sa/web", &domains[..], true),
        ("old.example", "cluster.local/ns/shop/*", &domains[..], true),
        ("old.example", "old.example/ns/shop/sa/web", &domains[..], true),
        ("cluster.local", "old.example/ns/shop/sa/other", &domains[..], false),
        ("cluster.local", "strange.example/ns/shop/sa/web", &domains[..], false),
        ("cluster.local", "old.example/ns/shop/sa/web", alone, false),
        // Who is of none of them is nobody else.
        ("strange.example", "cluster.local/ns/shop/sa/web", &domains[..], false),
    ] {
        let identity = format!("spiffe://{caller}/ns/shop/sa/web").parse().expect("an identity");
        let who = Caller::authenticated(identity);
        let input = PolicyInput {
            caller: &who,
            trust_domains: aliases,
            source: "10.1.0.5".parse().expect("an address"),
            destination: "10.96.0.7:80".parse().expect("an address"),
            request: None,
            bearer: None,
        };
        let condition = pb::Condition {
            key: "source.principal".to_owned(),
            values: list(&[wanted]),
            ..Default::default()
        };
        let rules = [
            source(|s| s.principals = list(&[wanted])),
            pb::PolicyRule { when: vec![condition], ..Default::default() },
        ];
        for rule in rules {
            let wire = pb::Policy { rules: vec![rule.clone()], ..Default::default() };
            let matches = Policy::compile(&wire).matching_rule(&input).is_some();
            assert_eq!(matches, want, "{caller} as {wanted}: {rule:?}");
        }
        let not = source(|s| s.not_principals = list(&[wanted]));
        let wire = pb::Policy { rules: vec![not], ..Default::default() };
        let matches = Policy::compile(&wire).matching_rule(&input).is_some();
        assert_eq!(matches, !want, "{caller} as anybody but {wanted}");
    }
}

/// Whether an ALLOW and a DENY policy with `rule` match a request with this token.
fn judge_token(rule: &pb::PolicyRule, bearer: Option<&Bearer>, http: bool) -> (bool, bool) {
    let caller = Caller::anonymous();
    let headers = HeaderMap::new();
    let view = RequestView {
        method: &Method::GET,
        host: "shop",
        host_port: None,
        path: "/",
        query: None,
        headers: &headers,
    };
    let input = PolicyInput {
        caller: &caller,
        trust_domains: &[],
        source: "10.1.0.5".parse().expect("an address"),
        destination: "10.96.0.7:80".parse().expect("an address"),
        request: http.then_some(view),
        bearer,
    };
    let matches = |action: pb::PolicyAction| {
        let wire =
            pb::Policy { action: action.into(), rules: vec![rule.clone()], ..Default::default() };
        Policy::compile(&wire).matching_rule(&input).is_some()
    };
    (matches(pb::PolicyAction::Allow), matches(pb::PolicyAction::Deny))
}

/// Each with a token, without one, and on a connection that is no HTTP.
#[test]
fn a_rule_on_tokens_matches_what_the_token_says() {
    let bearer = crate::token::tests::bearer(&serde_json::json!({
        "iss": "https://issuer.example", "sub": "ann", "azp": "app", "aud": ["store", "shop"],
        "scope": "read write", "groups": ["staff", "it"], "email": "ann@shop.example",
        "realm": {"roles": ["clerk"], "level": {"n": 2}}, "verified": true, "weight": 0.5,
        "mixed": ["a", {"b": 1}],
    }));
    let principals = |any: &[&str], none: &[&str]| {
        source(|s| {
            s.request_principals = list(any);
            s.not_request_principals = list(none);
        })
    };
    let claim = |name: &str, any: &[&str], none: &[&str]| {
        when(&format!("request.auth.claims{name}"), any, none)
    };
    for (case, rule, with, without) in [
        ("principal", principals(&["https://issuer.example/ann"], &[]), YES, NO),
        ("another's", principals(&["https://issuer.example/bob"], &[]), NO, NO),
        ("any principal", principals(&["*"], &[]), YES, NO),
        ("of an issuer", principals(&["https://issuer.example/*"], &[]), YES, NO),
        ("a subject", principals(&["*/ann"], &[]), YES, NO),
        ("not the principal", principals(&[], &["https://issuer.example/ann"]), NO, YES),
        ("no token", principals(&[], &["*"]), NO, YES),
        ("key principal", when("request.auth.principal", &["*/ann"], &[]), YES, NO),
        ("audience", when("request.auth.audiences", &["shop"], &[]), YES, NO),
        ("another audience", when("request.auth.audiences", &["bank"], &[]), NO, NO),
        ("not an audience", when("request.auth.audiences", &[], &["shop"]), NO, YES),
        ("presenter", when("request.auth.presenter", &["app"], &[]), YES, NO),
        ("text", claim("[email]", &["*@shop.example"], &[]), YES, NO),
        ("list", claim("[groups]", &["it"], &[]), YES, NO),
        ("not in the list", claim("[groups]", &["boss"], &[]), NO, NO),
        ("none of the list", claim("[groups]", &[], &["boss"]), YES, YES),
        ("one of the list", claim("[groups]", &[], &["staff"]), NO, YES),
        ("words", claim("[scope]", &["write"], &[]), YES, NO),
        ("words as one text", claim("[scope]", &["read write"], &[]), NO, NO),
        ("nested", claim("[realm][roles]", &["clerk"], &[]), YES, NO),
        ("deeper", claim("[realm][level][n]", &["2"], &[]), YES, NO),
        ("truth", claim("[verified]", &["true"], &[]), YES, NO),
        ("there at all", claim("[email]", &["*"], &[]), YES, NO),
        ("absent", claim("[phone]", &["*"], &[]), NO, NO),
        ("absent inside", claim("[realm][none]", &["x"], &[]), NO, NO),
        ("fraction", claim("[weight]", &["0.5"], &[]), DOUBT, NO),
        ("object", claim("[realm]", &["x"], &[]), DOUBT, NO),
        ("list with an object, found", claim("[mixed]", &["a"], &[]), YES, NO),
        ("list with an object, not found", claim("[mixed]", &["z"], &[]), DOUBT, NO),
        ("no name", claim("", &["x"], &[]), DOUBT, DOUBT),
        ("empty name", claim("[]", &["x"], &[]), DOUBT, DOUBT),
        ("no brackets", claim(".email", &["x"], &[]), DOUBT, DOUBT),
        ("half a bracket", claim("[email", &["x"], &[]), DOUBT, DOUBT),
    ] {
        assert_eq!(judge_token(&rule, Some(&bearer), true), with, "{case}, with the token");
        assert_eq!(judge_token(&rule, None, true), without, "{case}, without");
        let no_http = judge_token(&rule, None, false);
        assert_eq!(no_http, DOUBT, "{case}, no HTTP");
    }
}

#[test]
fn a_rule_on_tokens_of_a_custom_policy_is_not_understood() {
    for rule in [
        source(|s| s.request_principals = list(&["*"])),
        source(|s| s.not_request_principals = list(&["*"])),
        when("request.auth.claims[x]", &["y"], &[]),
    ] {
        let custom = pb::Policy {
            action: pb::PolicyAction::Custom.into(),
            rules: vec![rule],
            ..Default::default()
        };
        assert_eq!(Policy::compile(&custom).unreadable().count(), 1);
    }
}
