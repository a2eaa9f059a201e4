use serde_json::json;

use super::*;

fn service(name: &str, gateway: &str, owner: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": {GATEWAY_NAME: gateway}, "ownerReferences": [{"uid": owner}]},
        "spec": {"a": 1}, "status": {"b": 2},
    }))
    .expect("an object")
}

fn take(children: &mut Children, event: Event<DynamicObject>) -> Vec<String> {
    let mut gateways = BTreeSet::new();
    children.take(Managed::Service, event, &mut gateways);
    gateways.into_iter().map(|key| key.name).collect()
}

#[test]
fn what_is_changed_or_gone_concerns_its_gateway() {
    let mut children = Children::default();
    assert_eq!(take(&mut children, Event::Apply(service("a", "wp", "u1"))), ["wp"]);
    let object = children.get(Managed::Service, "shop", "a").expect("there");
    assert!(object.get("status").is_none() && object["spec"]["a"] == 1);
    // Somebody moved it to another Gateway.
    assert_eq!(take(&mut children, Event::Apply(service("a", "other", "u1"))), ["other", "wp"]);
    assert_eq!(children.of("shop", "u1").len(), 1);
    assert!(children.of("shop", "u2").is_empty() && children.of("web", "u1").is_empty());
    assert_eq!(take(&mut children, Event::Delete(service("a", "other", "u1"))), ["other"]);
    assert!(children.get(Managed::Service, "shop", "a").is_none());
}

#[test]
fn what_a_new_list_lacks_is_gone_when_it_is_complete() {
    let mut children = Children::default();
    take(&mut children, Event::Apply(service("a", "wp", "u1")));
    take(&mut children, Event::Apply(service("b", "wp2", "u2")));
    take(&mut children, Event::Init);
    take(&mut children, Event::InitApply(service("b", "wp2", "u2")));
    assert!(children.get(Managed::Service, "shop", "a").is_some());
    assert!(!children.are_known());
    assert_eq!(take(&mut children, Event::InitDone), ["wp"]);
    assert!(children.get(Managed::Service, "shop", "a").is_none());
    for managed in Managed::ALL {
        assert!(!children.are_known());
        children.take(managed, Event::Init, &mut BTreeSet::new());
        children.take(managed, Event::InitDone, &mut BTreeSet::new());
    }
    assert!(children.are_known());
}
