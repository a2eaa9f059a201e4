use super::*;

fn object(labels: &Value, version: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "u", "resourceVersion": version, "labels": labels,
            "managedFields": [
                {"manager": "kubectl", "operation": "Update", "fieldsV1":
                    {"f:metadata": {"f:labels": {"f:mine": {}}}}},
                {"manager": "ambit", "operation": "Apply", "fieldsV1":
                    {"f:metadata": {"f:labels": {"f:istio.io/use-waypoint": {}}}}},
            ]},
    }))
    .expect("an object")
}

#[test]
fn who_looks_hears_of_each_change_once_and_at_its_last() {
    let observed = Observed::default();
    let name = |name: &str| ObjectRef::new(Kind::Namespace, "", name);
    observed.see(&name("a"), &object(&json!({"x": "1"}), "1"));
    observed.see(&name("b"), &object(&json!({}), "2"));
    let (changed, position) = observed.since(0);
    assert_eq!(changed, [name("a"), name("b")]);
    assert!(observed.since(position).0.is_empty());
    observed.see(&name("b"), &object(&json!({}), "2"));
    assert!(observed.since(position).0.is_empty(), "nothing has changed");
    observed.see(&name("a"), &object(&json!({"x": "2"}), "3"));
    let (changed, position) = observed.since(position);
    assert_eq!(changed, [name("a")]);
    observed.forget(&name("a"));
    assert!(observed.get(&name("a")).is_none());
    assert!(observed.since(position).1 > position && observed.since(0).0 == [name("b")]);
    assert_eq!(observed.lock().log.len(), 1, "what is gone leaves nothing");
}

#[test]
fn it_is_known_who_applied_a_label() {
    let observed = Observed::default();
    let name = ObjectRef::new(Kind::Namespace, "", "a");
    observed.see(&name, &object(&json!({"mine": "x", "istio.io/use-waypoint": "y"}), "1"));
    let seen = observed.get(&name).expect("seen");
    assert_eq!(seen.label("istio.io/use-waypoint"), Some("y"));
    let applied = ("istio.io/use-waypoint".to_owned(), "ambit".to_owned());
    assert_eq!(seen.applied_labels, [applied]);
}

#[test]
fn kinds_that_nobody_writes_cost_nothing() {
    let observed = Observed::default();
    let pod = ObjectRef::new(Kind::Pod, "a", "a");
    observed.see(&pod, &object(&json!({}), "1"));
    assert!(observed.get(&pod).is_none());
}
