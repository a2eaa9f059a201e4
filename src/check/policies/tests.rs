use serde_json::json;

use super::*;
use crate::status::NamespaceRow;

fn objects(all: &[Value]) -> Objects {
    let place = Some(("shop.yaml".into(), 1));
    let object = |value: &Value| Object { value: value.clone(), place: place.clone() };
    Objects { all: all.iter().map(object).collect() }
}

fn pod(name: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}})
}

fn policy(spec: Value) -> Value {
    json!({"kind": "AuthorizationPolicy", "metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
}

fn config(mesh: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": mesh}})
}

const PROVIDER: &str = "extensionProviders:\n- name: engine\n  envoyExtAuthzGrpc: {service: policy.shop.svc.cluster.local, port: 9000}\n";

#[test]
fn policies_are_found_by_what_they_name() {
    let selecting = |app: &str| policy(json!({"selector": {"matchLabels": {"app": app}}}));
    let custom = |name: &str| policy(json!({"action": "CUSTOM", "provider": {"name": name}}));
    let service = json!({"kind": "Service", "metadata": {"name": "policy", "namespace": "shop"},
        "spec": {"selector": {"app": "policy"}}});
    for (case, all, want) in [
        ("it selects", vec![pod("store"), selecting("store")], None),
        (
            "nobody",
            vec![pod("store"), selecting("stor")],
            Some(("selector-matches-nothing", "app=store")),
        ),
        (
            "undefined",
            vec![config(PROVIDER), custom("engin")],
            Some(("provider-undefined", "define it")),
        ),
        ("no config", vec![custom("engine")], Some(("provider-undefined", "define it"))),
        (
            "no service",
            vec![config(PROVIDER), custom("engine")],
            Some(("provider-unreachable", "create Service")),
        ),
        (
            "no pod",
            vec![config(PROVIDER), custom("engine"), service.clone()],
            Some(("provider-unreachable", "start the pods")),
        ),
        ("there", vec![config(PROVIDER), custom("engine"), service, pod("policy")], None),
    ] {
        let found = of(&objects(&all), None);
        match want {
            None => assert!(found.is_empty(), "{case}: {found:?}"),
            Some((id, fix)) => {
                assert_eq!(found.len(), 1, "{case}: {found:?}");
                assert!(found[0].id == id && found[0].fix.contains(fix), "{case}: {found:?}");
            }
        }
    }
}

#[test]
fn strictness_names_who_is_outside() {
    let strict = json!({"kind": "PeerAuthentication", "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"mtls": {"mode": "STRICT"}}});
    let row = |name: &str, wanted| PodRow {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        wanted,
        ..PodRow::default()
    };
    let standing =
        |pods| Standing { pods, namespaces: vec![NamespaceRow::default()], ..Standing::default() };
    let all = standing(vec![row("store", true), row("web", true)]);
    assert_eq!(of(&objects(&[strict.clone()]), Some(&all)), []);
    let some = standing(vec![row("store", true), row("printer", false)]);
    let found = of(&objects(&[strict]), Some(&some));
    assert!(found[0].problem.contains("shop/printer"), "{found:?}");
}
