use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::jwks::Fetched;
use crate::jwks::set::tests::jwks;
use crate::translate::tests::world;
use crate::translate::waypoint::shop::SHOP;

const STORE: &str = "targetRefs: [{group: '', kind: Service, name: store}]";
const URL: &str = "https://issuer.example/keys";

fn inline() -> String {
    jwks(jsonwebtoken::Algorithm::ES256, "one").to_string()
}

/// The world with a RequestAuthentication of this `spec`.
fn with(spec: &str) -> World {
    let yaml = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: jwt, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    world(&(SHOP.to_owned() + &yaml))
}

/// The object as waypoints hear of it, its waypoints, and what is said about it.
fn derived(world: &World) -> (Option<pb::Authentication>, Vec<String>, Option<Condition>) {
    let mut derived = derive(world, &Key::new("shop", "jwt"));
    let said = derived.conditions.pop().and_then(|(_, mut conditions)| conditions.pop());
    let Some(resource) = derived.resources.pop() else { return (None, Vec::new(), said) };
    assert_eq!(resource.name, "RequestAuthentication/shop/jwt");
    let sent = pb::Authentication::decode(resource.body.as_slice()).expect("decodes");
    (Some(sent), resource.groups, said)
}

fn rules(rules: &Value) -> String {
    format!("{STORE}, jwtRules: {rules}")
}

#[test]
fn it_reaches_the_waypoints_of_its_targets_and_else_says_that_nobody_enforces_it() {
    let jwt = format!("jwtRules: {}", json!([{"issuer": "i", "jwks": inline()}]));
    let gateway = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]";
    let old = "targetRef: {kind: Service, name: store}";
    for (case, spec, sent, reason, message) in [
        ("a bound service", format!("{STORE}, {jwt}"), true, "Accepted", ""),
        ("the Gateway", format!("{gateway}, {jwt}"), true, "Accepted", ""),
        ("the old field", format!("{old}, {jwt}"), true, "Accepted", ""),
        (
            "a service without waypoint",
            format!("targetRefs: [{{kind: Service, name: plain}}], {jwt}"),
            false,
            "Invalid",
            "uses no waypoint",
        ),
        (
            "a missing one",
            format!("targetRefs: [{{kind: Service, name: gone}}], {jwt}"),
            false,
            "Invalid",
            "is not there",
        ),
        (
            "a selector",
            format!("selector: {{matchLabels: {{app: store}}}}, {jwt}"),
            false,
            "UnsupportedValue",
            "nobody enforces it; name a Service",
        ),
        ("nothing", jwt.clone(), false, "UnsupportedValue", "names no spec.targetRefs"),
        ("no rules", STORE.to_owned(), true, "PartiallyInvalid", "spec.jwtRules is empty"),
    ] {
        let (found, groups, said) = derived(&with(&spec));
        assert_eq!(found.is_some(), sent, "{case}");
        assert_eq!(groups, vec!["shop/wp"; usize::from(sent)], "{case}");
        let said = said.expect("something is said");
        assert_eq!(said.kind, "WaypointAccepted", "{case}");
        assert_eq!((said.status, said.reason.as_str()), (sent, reason), "{case}");
        assert!(said.message.contains(message), "{case}: {}", said.message);
    }
}

#[test]
fn fields_arrive_as_written() {
    let rule = json!([{
        "issuer": "i", "audiences": ["a", "b"], "jwks": inline(),
        "fromHeaders": [{"name": "x-jwt", "prefix": "P "}], "fromParams": ["t"],
        "fromCookies": ["c"], "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}],
        "forwardOriginalToken": true, "spaceDelimitedClaims": ["roles"],
    }]);
    let (sent, _, _) = derived(&with(&rules(&rule)));
    let sent = sent.expect("sent");
    let [rule] = &sent.rules[..] else { panic!("one rule") };
    assert_eq!(
        (rule.issuer.as_str(), &rule.audiences[..]),
        ("i", &["a".to_owned(), "b".to_owned()][..])
    );
    let header = pb::TokenHeader { name: "x-jwt".to_owned(), prefix: "P ".to_owned() };
    assert_eq!(rule.from_headers, [header]);
    assert_eq!(
        (&rule.from_params[..], &rule.from_cookies[..]),
        (&["t".to_owned()][..], &["c".to_owned()][..])
    );
    assert_eq!((rule.payload_header.as_str(), rule.forward), ("x-payload", true));
    let claim = pb::ClaimHeader { header: "x-sub".to_owned(), claim: "sub".to_owned() };
    assert_eq!(rule.claim_headers, [claim]);
    assert_eq!(rule.space_delimited_claims, ["roles"]);
    let [key] = &rule.keys[..] else { panic!("one key") };
    assert_eq!((key.id.as_str(), key.algorithm.as_str()), ("one", "ES256"));
    let Some(KeyKind::Curve(curve)) = &key.kind else { panic!("a curve") };
    assert_eq!((curve.curve(), curve.point.len()), (Curve::P256, 65));
    assert!(rule.refused.is_empty() && sent.unreadable.is_empty());
}

/// Each: what is wrong, where, whether it refuses every request or tokens of the issuer.
#[test]
fn what_is_not_understood_refuses_and_is_reported() {
    let with_rule = |more: Value| {
        let mut rule = json!({"issuer": "i", "jwks": inline()});
        rule.as_object_mut().expect("a rule").extend(more.as_object().expect("fields").clone());
        rules(&json!([rule]))
    };
    let header = |name: &str| json!([{"header": name, "claim": "sub"}]);
    let at = "spec.jwtRules[0]";
    for (case, spec, field, message, all) in [
        (
            "unknown field",
            with_rule(json!({"fromFoo": ["x"]})),
            "",
            "unknown field `fromFoo`",
            true,
        ),
        (
            "unknown field of spec",
            format!("{STORE}, jwtRule: []"),
            "spec.jwtRule",
            "is no field of this kind",
            true,
        ),
        (
            "no list",
            format!("{STORE}, jwtRules: {{issuer: i}}"),
            "spec.jwtRules",
            "is no list",
            true,
        ),
        (
            "no issuer",
            rules(&json!([{"jwks": inline()}])),
            ".issuer",
            "is missing; write the claim iss",
            true,
        ),
        (
            "a wrong type",
            with_rule(json!({"audiences": "a"})),
            ".audiences",
            "expected a sequence",
            true,
        ),
        (
            "a header that is none",
            with_rule(json!({"fromHeaders": [{"name": "a b"}]})),
            ".fromHeaders[0].name",
            "write the name of a header",
            true,
        ),
        (
            "an unknown field of a header",
            with_rule(json!({"fromHeaders": [{"name": "a", "suffix": "b"}]})),
            "",
            "unknown field `suffix`",
            true,
        ),
        (
            "an empty parameter",
            with_rule(json!({"fromParams": [""]})),
            ".fromParams[0]",
            "which is no name",
            true,
        ),
        (
            "a cookie that is none",
            with_rule(json!({"fromCookies": ["a=b"]})),
            ".fromCookies[0]",
            "which is no name",
            true,
        ),
        (
            "an output that is none",
            with_rule(json!({"outputPayloadToHeader": "a:b"})),
            ".outputPayloadToHeader",
            "write the name of a header",
            true,
        ),
        (
            "an output of ours",
            with_rule(json!({"outputClaimToHeaders": header("X-Envoy-User")})),
            ".outputClaimToHeaders[0].header",
            "not yours to set",
            true,
        ),
        (
            "an output of the connection",
            with_rule(json!({"outputClaimToHeaders": header("Connection")})),
            ".outputClaimToHeaders[0].header",
            "not yours to set",
            true,
        ),
        (
            "an output where tokens are",
            with_rule(json!({"outputClaimToHeaders": header("authorization")})),
            ".outputClaimToHeaders[0].header",
            "where the rule looks for tokens",
            true,
        ),
        (
            "an output without a claim",
            with_rule(json!({"outputClaimToHeaders": [{"header": "x"}]})),
            ".outputClaimToHeaders[0].claim",
            "is missing",
            true,
        ),
        (
            "no keys",
            rules(&json!([{"issuer": "i"}])),
            ".jwksUri",
            "is missing, as is jwks; write one",
            false,
        ),
        (
            "keys twice",
            with_rule(json!({"jwksUri": URL})),
            ".jwksUri",
            "is there beside jwks; take one",
            false,
        ),
        ("no JSON", rules(&json!([{"issuer": "i", "jwks": "keys"}])), ".jwks", "is no JSON", false),
        (
            "no usable key",
            rules(
                &json!([{"issuer": "i", "jwks": "{\"keys\": [{\"kty\": \"oct\", \"k\": \"x\"}]}"}]),
            ),
            ".jwks",
            "it is a shared secret",
            false,
        ),
        (
            "no URL",
            rules(&json!([{"issuer": "i", "jwksUri": "ftp://issuer.example/keys"}])),
            ".jwksUri",
            "neither https nor http",
            false,
        ),
        (
            "a timeout",
            rules(&json!([{"issuer": "i", "jwksUri": URL, "timeout": "1h"}])),
            ".timeout",
            "write a duration of up to 60s",
            false,
        ),
    ] {
        let world = with(&spec);
        let (sent, _, said) = derived(&world);
        let sent = sent.unwrap_or_else(|| panic!("{case}: never left out"));
        let said = said.expect("said");
        assert_eq!((said.status, said.reason.as_str()), (true, "PartiallyInvalid"), "{case}");
        let field = if field.starts_with('.') || field.is_empty() {
            format!("{at}{field}")
        } else {
            field.to_owned()
        };
        assert!(said.message.contains(&field), "{case}: {}", said.message);
        assert!(said.message.contains(message), "{case}: {}", said.message);
        assert_eq!(!sent.unreadable.is_empty(), all, "{case}: {sent:?}");
        if all {
            assert!(said.message.contains("every request to the targets is refused"), "{case}");
        } else {
            assert!(!sent.rules[0].refused.is_empty() && sent.rules[0].keys.is_empty(), "{case}");
            assert!(said.message.contains("tokens of issuer \"i\" are refused"), "{case}");
        }
    }
    let many = vec![json!({"issuer": "i", "jwks": inline()}); crate::limits::MAX_JWT_RULES + 1];
    let (sent, _, _) = derived(&with(&rules(&json!(many))));
    assert!(sent.expect("sent").unreadable.contains("more than MAX_JWT_RULES (128)"));
}

#[test]
fn keys_that_are_fetched_are_in_force_once_they_are_there_and_as_long_as_no_others_are() {
    let mut world = with(&rules(&json!([{"issuer": "i", "jwksUri": URL}])));
    let url = KeySetUrl::new(URL).expect("an URL");
    let wanted = world.wanted_key_sets();
    assert_eq!(wanted.get(&url).copied(), Some(std::time::Duration::from_secs(5)));
    let set = Arc::new(KeySet::read(inline().as_bytes()).expect("a key set").set);
    let trouble = || Some("the server answers 503".to_owned());
    for (case, fetched, keys, refused, reason, message) in [
        ("not yet", None, 0, true, "PartiallyInvalid", "is not fetched yet; tokens of issuer"),
        (
            "failed",
            Some(Fetched { keys: None, trouble: trouble() }),
            0,
            true,
            "PartiallyInvalid",
            "https://issuer.example/keys: the server answers 503; tokens of issuer \"i\" are refused",
        ),
        (
            "there",
            Some(Fetched { keys: Some(set.clone()), trouble: None }),
            1,
            false,
            "Accepted",
            "",
        ),
        (
            "failed later",
            Some(Fetched { keys: Some(set), trouble: trouble() }),
            1,
            false,
            "PartiallyInvalid",
            "the server answers 503; its last good keys stay in force",
        ),
    ] {
        if let Some(fetched) = fetched {
            assert!(world.set_fetched(&url, fetched.clone()), "{case}: new");
            assert!(!world.set_fetched(&url, fetched), "{case}: the same again");
        }
        let (sent, _, said) = derived(&world);
        let rule = sent.expect("sent").rules.pop().expect("a rule");
        assert_eq!((rule.keys.len(), !rule.refused.is_empty()), (keys, refused), "{case}");
        let said = said.expect("said");
        assert_eq!(said.reason, reason, "{case}");
        assert!(said.message.contains(message), "{case}: {}", said.message);
    }
    assert_eq!(world.verified_by(&url).collect::<Vec<_>>(), [&Key::new("shop", "jwt")]);
    // Of an object that nobody enforces nothing is fetched.
    let idle = with(&format!("jwtRules: {}", json!([{"issuer": "i", "jwksUri": URL}])));
    assert!(idle.wanted_key_sets().is_empty());
}
