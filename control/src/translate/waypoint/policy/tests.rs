use super::*;
use crate::translate::tests::world;
use crate::translate::waypoint::shop::SHOP;

/// The policy as waypoints hear of it, its waypoints, and what is said about it.
fn policy(spec: &str) -> (Option<pb::Policy>, Vec<String>, Option<Condition>) {
    let yaml = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let mut derived = Derived::default();
    add(&world(&(SHOP.to_owned() + &yaml)), &Key::new("shop", "p"), &mut derived);
    let said = derived.conditions.into_iter().flat_map(|(_, c)| c).next();
    let Some(resource) = derived.resources.into_iter().next() else {
        return (None, Vec::new(), said);
    };
    let policy = pb::Policy::decode(resource.body.as_slice()).expect("decodes");
    (Some(policy), resource.groups, said)
}

#[test]
fn a_policy_reaches_the_waypoints_of_its_targets() {
    let service = |name: &str| format!("{{group: '', kind: Service, name: {name}}}");
    let entry =
        |group: &str, name: &str| format!("{{group: {group}, kind: ServiceEntry, name: {name}}}");
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: wp}";
    for (case, targets, sent, reason, message) in [
        ("a bound service", service("store"), 1, "Accepted", ""),
        ("the Gateway", gateway.to_owned(), 1, "Accepted", ""),
        ("a service without waypoint", service("plain"), 0, "Invalid", "uses no waypoint"),
        ("a missing service", service("gone"), 0, "Invalid", "is not there"),
        ("a bound entry, each host", entry("networking.istio.io", "api"), 2, "Accepted", ""),
        (
            "an entry without waypoint",
            entry("networking.istio.io", "loose"),
            0,
            "Invalid",
            "names ServiceEntry shop/loose, which uses no waypoint",
        ),
        ("a missing entry", entry("networking.istio.io", "gone"), 0, "Invalid", "is not there"),
        ("an entry of no group", entry("''", "api"), 0, "Invalid", "write networking.istio.io"),
        (
            "another kind",
            "{kind: Pod, name: p}".to_owned(),
            0,
            "Invalid",
            "write Service, ServiceEntry or Gateway",
        ),
        (
            "another namespace",
            "{kind: Service, name: store, namespace: bank}".to_owned(),
            0,
            "Invalid",
            "the policy's own",
        ),
        (
            "one of two",
            format!("{}, {}", service("gone"), service("store")),
            1,
            "PartiallyInvalid",
            "spec.targetRefs[0]",
        ),
    ] {
        let (policy, groups, said) = policy(&format!("targetRefs: [{targets}], rules: [{{}}]"));
        assert_eq!(policy.map_or(0, |p| p.targets.len()), sent, "{case}");
        assert_eq!(groups, vec!["shop/wp"; usize::from(sent > 0)], "{case}");
        let said = said.expect("something is said");
        assert_eq!(
            (said.kind.as_str(), said.reason.as_str()),
            ("WaypointAccepted", reason),
            "{case}"
        );
        assert_eq!(said.status, sent > 0, "{case}");
        assert!(said.message.contains(message), "{case}: {}", said.message);
    }
}

#[test]
fn a_policy_without_targets_or_on_trial_is_none_of_a_waypoint_s() {
    for spec in ["rules: [{}]", "selector: {matchLabels: {app: store}}, rules: [{}]"] {
        let (sent, _, said) = policy(spec);
        assert!(sent.is_none() && said.is_none(), "{spec}");
    }
}

#[test]
fn a_rule_that_is_not_understood_is_sent_as_unreadable() {
    for (case, rule, why) in [
        ("an empty one is understood: it matches all", "{}", ""),
        ("path and method", "{to: [{operation: {paths: [/a], methods: [GET]}}]}", ""),
        ("what a token says", "{from: [{source: {requestPrincipals: ['*']}}]}", ""),
        ("a claim", "{when: [{key: 'request.auth.claims[team]', values: [books]}]}", ""),
        (
            "remote addresses",
            "{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}",
            "write ipBlocks",
        ),
        ("an unknown field", "{to: [{operation: {verbs: [GET]}}]}", "cannot be read"),
    ] {
        let target = "targetRefs: [{kind: Service, name: store}]";
        for (action, effect) in [("ALLOW", "matches nothing"), ("DENY", "matches everything")] {
            let (policy, _, said) = policy(&format!("action: {action}, {target}, rules: [{rule}]"));
            let rules = policy.expect("sent").rules;
            assert_eq!(rules.len(), 1, "{case}: never left out");
            assert!(rules[0].unreadable.contains(why), "{case}: {:?}", rules[0]);
            assert_eq!(rules[0].unreadable.is_empty(), why.is_empty(), "{case}");
            let message = said.expect("said").message;
            assert_eq!(message.contains(effect), !why.is_empty(), "{case}, {action}: {message}");
        }
    }
}

#[test]
fn no_authorizer_waits_for_a_token() {
    for rule in [
        "{from: [{source: {requestPrincipals: ['*']}}]}",
        "{from: [{source: {notRequestPrincipals: ['*']}}]}",
        "{when: [{key: 'request.auth.claims[team]', values: [books]}]}",
    ] {
        let target = "targetRefs: [{kind: Service, name: store}]";
        let (policy, _, said) =
            policy(&format!("action: CUSTOM, provider: {{name: e}}, {target}, rules: [{rule}]"));
        assert!(!policy.expect("sent").rules[0].unreadable.is_empty(), "{rule}");
        let message = said.expect("said").message;
        assert!(
            message.contains("which no authorizer waits for and matches everything"),
            "{message}"
        );
    }
}

#[test]
fn fields_arrive_as_written_and_accounts_with_their_namespace() {
    let rule = "{from: [{source: {principals: [p], notNamespaces: [n], ipBlocks: [10.0.0.0/8], serviceAccounts: [sa, other/sa], requestPrincipals: [i/s], notRequestPrincipals: [i/t]}}], to: [{operation: {hosts: [h], notPaths: [/x], ports: ['80']}}], when: [{key: source.ip, notValues: [10.0.0.1]}]}";
    let (policy, _, _) = policy(&format!(
        "action: DENY, provider: {{name: engine}}, targetRefs: [{{kind: Service, name: store}}], rules: [{rule}]"
    ));
    let policy = policy.expect("sent");
    assert_eq!((policy.action(), policy.provider.as_str()), (pb::PolicyAction::Deny, "engine"));
    let said = &policy.rules[0].from[0];
    assert_eq!(said.request_principals, ["i/s"]);
    assert_eq!(said.not_request_principals, ["i/t"]);
    let rule = &policy.rules[0];
    let (source, operation, when) = (&rule.from[0], &rule.to[0], &rule.when[0]);
    assert_eq!(source.principals, ["p"]);
    assert_eq!(source.not_namespaces, ["n"]);
    assert_eq!(source.ip_blocks, ["10.0.0.0/8"]);
    assert_eq!(source.service_accounts, ["shop/sa", "other/sa"]);
    assert_eq!(
        (operation.hosts.as_slice(), operation.not_paths.as_slice()),
        (&["h".to_owned()][..], &["/x".to_owned()][..])
    );
    assert_eq!(operation.ports, ["80"]);
    assert_eq!(
        (when.key.as_str(), when.not_values.as_slice()),
        ("source.ip", &["10.0.0.1".to_owned()][..])
    );
}
