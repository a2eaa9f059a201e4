use serde_json::json;

use super::*;

fn context() -> Context {
    Context { mesh_config: Key::new("istio-system", "istio"), has_status: false }
}

fn of(api: &str, kind: &str, rest: Value) -> Option<StandIn> {
    let mut value = json!({
        "apiVersion": api, "kind": kind, "metadata": {"name": "p", "namespace": "shop"},
    });
    for (field, more) in rest.as_object().expect("a mapping") {
        value[field] = more.clone();
    }
    stand_in(&value, &context())
}

fn policy(rest: Value) -> (AuthorizationPolicy, String) {
    let stand_in = of("security.istio.io/v1", "AuthorizationPolicy", rest).expect("a stand-in");
    match stand_in.value {
        Object::AuthorizationPolicy(policy) => (*policy, stand_in.effect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_denies_its_target_as_far_as_that_can_be_read_and_else_its_scope() {
    let everywhere = "everything to every pod in the scope of namespace shop";
    let store = "everything to pods with app=store in the scope of namespace shop";
    let labels = json!({"matchLabels": {"app": "store"}});
    let service = json!({"kind": "Service", "name": "store"});
    for (case, spec, pods, targets, effect) in [
        ("action", json!({"action": "BLOCK", "selector": labels}), true, 0, store),
        (
            "narrowed further",
            json!({"selector": {"matchLabels": {"app": "store"}, "x": 1}}),
            true,
            0,
            store,
        ),
        ("selector", json!({"selector": 5}), false, 0, everywhere),
        ("label", json!({"selector": {"matchLabels": {"app": 5}}}), false, 0, everywhere),
        ("no selector", json!({"rules": "all"}), false, 0, everywhere),
        ("no spec", json!("deny"), false, 0, everywhere),
        (
            "targets",
            json!({"rules": 5, "targetRefs": [service]}),
            false,
            1,
            "what its targetRefs name",
        ),
        (
            "the deprecated one",
            json!({"rules": 5, "targetRef": service}),
            false,
            1,
            "what its targetRefs name",
        ),
        (
            "one target of two",
            json!({"targetRefs": [service, {"kind": "Service"}]}),
            false,
            0,
            everywhere,
        ),
        ("targets are no list", json!({"targetRefs": service}), false, 0, everywhere),
    ] {
        let (policy, said) = policy(json!({"spec": spec}));
        assert_eq!(
            (policy.action, &policy.rules[..]),
            (Action::Deny, &[Rule::Unreadable][..]),
            "{case}"
        );
        assert_eq!((policy.selector.is_some(), policy.targets.len()), (pods, targets), "{case}");
        assert!(
            said.starts_with("until it can be read, it denies ") && said.ends_with(effect),
            "{case}: {said}"
        );
    }
}

#[test]
fn a_policy_that_refuses_nobody_whatever_the_rest_says_refuses_nobody() {
    let (audit, said) = policy(json!({"spec": {"action": "AUDIT", "rules": 5}}));
    assert!(audit.action == Action::Audit && said.contains("AUDIT"), "{said}");
    let metadata = json!({
        "name": "p", "namespace": "shop", "annotations": {"istio.io/dry-run": "true"},
    });
    let (dry, said) = policy(json!({"metadata": metadata, "spec": 5}));
    assert!(dry.dry_run && said.contains("dry run"), "{said}");
}

#[test]
fn what_has_no_good_name_is_named_anew_and_what_has_no_namespace_stands_nowhere() {
    for metadata in [json!({"namespace": "shop"}), json!({"name": "../up", "namespace": "shop"})] {
        let found =
            of("security.istio.io/v1", "AuthorizationPolicy", json!({"metadata": metadata}));
        let found = found.expect("a stand-in").object;
        assert!(found.namespace == "shop" && found.name.starts_with("unreadable-"), "{found}");
    }
    for namespace in [json!(5), json!("A/B")] {
        let metadata = json!({"name": "p", "namespace": namespace});
        let found =
            of("security.istio.io/v1", "AuthorizationPolicy", json!({"metadata": metadata}));
        assert_eq!(found, None);
    }
}

#[test]
fn a_peer_authentication_is_strict_for_whom_it_may_be_about() {
    let labels = json!({"matchLabels": {"app": "store"}});
    for (case, spec, pods, any_pod) in [
        ("mode", json!({"mtls": {"mode": "ON"}, "selector": labels}), true, false),
        ("no selector", json!({"mtls": 5}), false, false),
        ("selector", json!({"selector": [labels]}), false, true),
    ] {
        let found = of("security.istio.io/v1", "PeerAuthentication", json!({"spec": spec}));
        let Some(StandIn { value: Object::PeerAuthentication(peer), effect, .. }) = found else {
            panic!("{case}: {found:?}")
        };
        assert_eq!((peer.selector.is_some(), peer.any_pod), (pods, any_pod), "{case}");
        assert!(peer.mode == MtlsMode::Strict && peer.ports.is_empty(), "{case}");
        assert!(effect.contains("it counts as STRICT for "), "{case}: {effect}");
    }
}

#[test]
fn a_route_answers_for_the_parents_that_can_be_read() {
    let service = json!({"group": "", "kind": "Service", "name": "store", "port": "http"});
    let spec = json!({"parentRefs": [service, {"name": 5}], "rules": "many"});
    for (kind, what) in [("HTTPRoute", "request"), ("GRPCRoute", "call")] {
        let rest = json!({"spec": spec});
        let found = of("gateway.networking.k8s.io/v1", kind, rest).expect("a stand-in");
        let effect =
            format!("until it can be read, every {what} of Service shop/store is answered 500");
        assert_eq!(found.effect, effect);
        let spec = match found.value {
            Object::HTTPRoute(route) => (route.spec.unreadable, route.spec.parent_refs),
            Object::GRPCRoute(route) => (route.spec.unreadable, route.spec.parent_refs),
            other => panic!("{other:?}"),
        };
        assert_eq!((spec.0, spec.1.len(), spec.1[0].port), (true, 1, None));
        let nobody = json!({"spec": {"parentRefs": 5}});
        assert_eq!(of("gateway.networking.k8s.io/v1", kind, nobody), None);
    }
}

#[test]
fn tokens_that_nobody_can_read_let_no_request_to_their_targets() {
    let target = json!({"group": "", "kind": "Service", "name": "store"});
    let of =
        |spec: Value| of("security.istio.io/v1", "RequestAuthentication", json!({"spec": spec}));
    let found = of(json!({"targetRefs": [target], "jwtRules": 7})).expect("a stand-in");
    let effect = "until it can be read, it refuses every request to what its targetRefs name";
    assert_eq!(found.effect, effect);
    let Object::RequestAuthentication(tokens) = found.value else { panic!("{:?}", found.value) };
    assert_eq!((tokens.targets.len(), tokens.unreadable.is_some()), (1, true));
    for nowhere in [json!({"targetRefs": 7}), json!({"jwtRules": []}), json!("x")] {
        assert_eq!(of(nowhere.clone()), None, "{nowhere}");
    }
}
