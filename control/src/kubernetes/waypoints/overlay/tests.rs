use serde_json::json;

use super::*;

fn merged(managed: Managed, object: Value, part: &str) -> Result<Value, String> {
    let data = [(managed.overlay_key().to_owned(), part.to_owned())];
    let overlay = Overlay::read("options", data.iter().map(|(k, v)| (k, v)));
    let overlay = overlay.map_err(|error| error.to_string())?;
    let mut object = object;
    let part = overlay.of(managed).expect("a part").clone();
    merge(managed, &mut object, &part).map_err(|error| error.to_string())?;
    Ok(object)
}

#[test]
fn a_part_changes_what_it_names_and_no_more() {
    let object = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "istio-proxy", "image": "a", "env": [{"name": "A", "value": "1"}],
                        "ports": [{"containerPort": 1, "name": "x"}], "args": ["waypoint"]}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}],
        "nodeSelector": {"a": "b"},
    }}}});
    let part = "
spec:
  template:
    spec:
      nodeSelector: null
      tolerations: [{operator: Exists}]
      volumes: [{name: v, $patch: delete}]
      containers:
        - name: istio-proxy
          env: [{name: B, value: '2'}, {name: A, value: '3'}]
          ports: [{containerPort: 1, protocol: TCP}]
          args: [waypoint, --more]
        - {name: other, image: b}
";
    let changed = merged(Managed::Deployment, object, part).expect("merged");
    assert_eq!(
        changed,
        json!({"spec": {"template": {"spec": {
            "containers": [
                {"name": "istio-proxy", "image": "a",
                 "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}],
                 "ports": [{"containerPort": 1, "name": "x", "protocol": "TCP"}],
                 "args": ["waypoint", "--more"]},
                {"name": "other", "image": "b"},
            ],
            "volumes": [{"name": "w", "emptyDir": {}}],
            "tolerations": [{"operator": "Exists"}],
        }}}})
    );
}

#[test]
fn what_is_not_the_overlays_is_refused_by_its_field() {
    for (managed, part, want) in [
        (Managed::Service, "metadata: {name: x}", "service: metadata.name cannot be changed"),
        (Managed::Service, "metadata: {ownerReferences: []}", "metadata.ownerReferences cannot"),
        (Managed::Service, "kind: Pod", "service: kind cannot be changed"),
        (Managed::Service, "status: {}", "service: status cannot be changed"),
        (Managed::Service, "spec: {selector: {a: b}}", "service: spec.selector cannot be changed"),
        (Managed::Deployment, "spec: {selector: {}}", "deployment: spec.selector cannot"),
        (Managed::Deployment, "just text", "deployment is no mapping"),
        (Managed::Deployment, "{", "deployment is no mapping"),
        (Managed::Deployment, "spec: {$patch: replace}", "spec.$patch is not understood"),
        (
            Managed::Deployment,
            "spec: {template: {spec: {containers: [{image: x}]}}}",
            "spec.template.spec.containers[0] has not the field",
        ),
    ] {
        let refused = merged(managed, json!({"spec": {}}), part).expect_err(part);
        assert!(refused.contains(want), "{part}: {refused}");
    }
    let labels = merged(Managed::Service, json!({}), "metadata: {labels: {a: b}}");
    assert_eq!(labels, Ok(json!({"metadata": {"labels": {"a": "b"}}})));
    let same = merged(Managed::Service, json!({}), "{apiVersion: v1, kind: Service}");
    assert!(same.is_ok(), "{same:?}");
}

#[test]
fn a_key_that_is_none_of_ours_is_refused_with_those_that_are() {
    let data = [("deploymnet".to_owned(), String::new())];
    let refused = Overlay::read("options", data.iter().map(|(k, v)| (k, v))).expect_err("no key");
    assert!(refused.to_string().starts_with("ConfigMap options has key \"deploymnet\"; write dep"));
}
