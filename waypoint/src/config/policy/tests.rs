//! What a policy matches, and what it makes of what it cannot understand.

use hbone::identity::TrustDomain;
use hbone::matching::Caller;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderMap, HeaderValue, Method};

use super::{Policy, PolicyInput};
use crate::config::view::RequestView;

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
        ("unknown key", when("request.auth.claims[x]", &["a"], &[]), DOUBT),
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
