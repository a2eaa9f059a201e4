use serde_json::json;

use super::{Manifests, authorization_policy, from_principals, namespace, service, yaml};

#[test]
fn values_become_yaml_that_people_write() {
    for (case, value, want) in [
        ("a map", json!({"a": 1, "b": {"c": "x"}}), "a: 1\nb:\n  c: x\n"),
        ("a list of maps", json!([{"a": 1, "b": [2]}]), "- a: 1\n  b:\n    - 2\n"),
        ("empty ones", json!({"a": {}, "b": [], "c": null}), "a: {}\nb: []\nc: null\n"),
        (
            "words YAML would take otherwise",
            json!(["no", "1.5", "a: b", ""]),
            "- \"no\"\n- \"1.5\"\n- \"a: b\"\n- \"\"\n",
        ),
        ("a list in a list", json!([[1, 2], [3]]), "- - 1\n  - 2\n- - 3\n"),
    ] {
        assert_eq!(yaml(&value), want, "{case}");
    }
}

#[test]
fn an_object_is_one_file_replaced_and_removed_by_its_name() {
    let path = std::env::temp_dir().join(format!("bed-manifests-{}", std::process::id()));
    let manifests = Manifests::open(&path).expect("a directory");
    let files = || {
        let entries = std::fs::read_dir(&path).expect("ours").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let web = service(("shop", "web"), &["10.96.0.1"], &[("app", "web")], &[("http", 80, 8080)]);
    let deny = authorization_policy(
        ("shop", "no-web"),
        "DENY",
        json!({"rules": [from_principals(&["cluster.local/ns/shop/sa/web"])]}),
    );
    manifests.apply_all([&namespace("shop", &[]), &web, &web, &deny]).expect("applied");
    let policy = "authorizationpolicy.shop.no-web.yaml";
    assert_eq!(files(), [policy, "namespace.shop.yaml", "service.shop.web.yaml"]);
    let text = std::fs::read_to_string(path.join(policy)).expect("ours");
    assert!(
        text.contains("action: DENY") && text.contains("- cluster.local/ns/shop/sa/web"),
        "{text}"
    );
    for _ in 0..2 {
        manifests.remove("Service", "shop", "web").expect("also when it is gone");
    }
    assert_eq!(files(), [policy, "namespace.shop.yaml"]);
    let error = manifests.apply(&json!({"kind": "Pod"})).expect_err("no name").to_string();
    assert!(error.contains("metadata.name"), "{error}");
    std::fs::remove_dir_all(&path).expect("ours");
}
