use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::object::{Action, AuthorizationPolicy, Key};

fn watched(kind: Kind) -> Watched {
    *ALL.iter().find(|watched| watched.kind == kind).expect("a watched kind")
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

fn service(name: &str, port: u16) -> DynamicObject {
    object(json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": port}]},
    }))
}

fn name(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Service, "shop", name)
}

/// Everything was listed and found empty.
fn empty() -> Held {
    let mut held = Held::new(
        Context { mesh_config: Key::new("istio-system", "istio"), has_status: true },
        Observed::default(),
    );
    assert!(held.update().is_none());
    for watched in ALL {
        held.list_begins(watched);
        held.list_is_complete(watched);
    }
    let update = held.update().expect("the first state");
    assert!(update.synced && update.changes.is_empty());
    held
}

/// Which objects an update brings (`+`) and takes (`-`).
fn changed(held: &mut Held) -> Vec<String> {
    let changes = held.update().map(|update| update.changes).unwrap_or_default();
    let sign = |object: &Option<Object>| if object.is_some() { '+' } else { '-' };
    changes.iter().map(|(name, object)| format!("{}{}", sign(object), name.name)).collect()
}

#[test]
fn nothing_is_told_before_every_kind_is_known() {
    let mut held = Held::new(
        Context { mesh_config: Key::new("istio-system", "istio"), has_status: true },
        Observed::default(),
    );
    let (last, others) = ALL.split_last().expect("kinds");
    for watched in others {
        held.list_begins(*watched);
        held.list_is_complete(*watched);
        assert!(held.update().is_none(), "{watched}");
    }
    assert!(held.is_unknown(*last, Instant::now()), "a kind without definition is empty");
    assert!(held.update().is_some_and(|update| update.synced));
}

#[test]
fn a_new_list_changes_only_what_differs_and_only_when_it_is_complete() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    held.list_begins(services);
    for name in ["a", "b", "c"] {
        held.listed(services, &service(name, 80));
    }
    held.list_is_complete(services);
    assert_eq!(changed(&mut held), ["+a", "+b", "+c"]);
    // The watch was lost: b has changed and c is gone.
    held.list_begins(services);
    held.listed(services, &service("a", 80));
    held.listed(services, &service("b", 81));
    assert_eq!(changed(&mut held), ["+b"], "nothing is gone before the list is complete");
    held.list_is_complete(services);
    assert_eq!(changed(&mut held), ["-c"]);
}

#[test]
fn a_list_that_breaks_takes_nothing_away() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    held.apply(services, &service("a", 80));
    held.apply(services, &service("b", 80));
    assert_eq!(changed(&mut held), ["+a", "+b"]);
    held.list_begins(services);
    held.listed(services, &service("a", 80));
    held.list_begins(services);
    held.listed(services, &service("b", 80));
    held.listed(services, &service("a", 80));
    held.list_is_complete(services);
    assert!(changed(&mut held).is_empty());
}

#[test]
fn an_object_that_cannot_be_read_keeps_its_last_good_version_and_is_told() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    held.apply(services, &service("a", 80));
    changed(&mut held);
    let wrong = json!({
        "metadata": {"name": "a", "namespace": "shop"}, "spec": {"ports": "many"},
    });
    held.apply(services, &object(wrong));
    let update = held.update().expect("a problem");
    assert!(update.changes.is_empty());
    let problem = update.problems.first().expect("a problem");
    assert_eq!((problem.object.as_str(), problem.field.as_str()), ("Service shop/a", "spec.ports"));
    assert!(problem.message.contains("last good version"), "{}", problem.message);
    held.apply(services, &service("a", 80));
    assert!(held.update().expect("the problem is over").problems.is_empty());
    held.delete(services, "shop", "a");
    assert_eq!(changed(&mut held), ["-a"]);
    assert!(!held.objects.contains_key(&name("a")));
}

#[test]
fn a_definition_that_is_missing_for_a_moment_takes_nothing_away() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    held.apply(services, &service("a", 80));
    changed(&mut held);
    let now = Instant::now();
    assert!(held.is_unknown(services, now));
    assert!(!held.is_unknown(services, now + Duration::from_secs(5)), "told once");
    assert!(changed(&mut held).is_empty());
    held.is_unknown(services, now + UNKNOWN);
    assert_eq!(changed(&mut held), ["-a"]);
}

#[test]
fn what_controllers_say_of_a_route_is_no_mistake_of_its_author() {
    let (mut held, routes) = (empty(), watched(Kind::HTTPRoute));
    let route = json!({
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "web"}]},
        "status": {"parents": []},
    });
    held.apply(routes, &object(route));
    let update = held.update().expect("an object");
    assert!(update.problems.is_empty(), "{:?}", update.problems);
}

#[test]
fn fields_of_a_newer_server_are_no_mistakes_but_those_of_a_route_are() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    let service = json!({
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}], "ofTheFuture": true},
    });
    held.apply(services, &object(service));
    assert!(held.update().expect("an object").problems.is_empty());
    let route = json!({
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "web"}], "sticky": true},
    });
    held.apply(watched(Kind::HTTPRoute), &object(route));
    let update = held.update().expect("an object");
    assert_eq!(update.problems.first().expect("a note").field, "spec.sticky");
}

#[test]
fn a_grant_is_read_in_the_version_that_every_definition_has() {
    let (mut held, grants) = (empty(), watched(Kind::ReferenceGrant));
    let grant = json!({
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "x"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    });
    held.apply(grants, &object(grant));
    let update = held.update().expect("an object");
    let Some((_, Some(Object::ReferenceGrant(grant)))) = update.changes.first() else {
        panic!("no grant: {update:?}")
    };
    assert!(
        grant.lets_routes("HTTPRoute", "x", "store")
            && !grant.lets_routes("HTTPRoute", "y", "store")
    );
}

fn policy(action: &str, app: &str) -> DynamicObject {
    object(json!({
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"action": action, "selector": {"matchLabels": {"app": app}}, "rules": [{}]},
    }))
}

/// Action and selected app of the policy in a change, and what is said of it.
fn told(held: &mut Held) -> (Option<(Action, String)>, String) {
    let update = held.update().expect("an update");
    let policy = update.changes.into_iter().find_map(|(_, object)| match object? {
        Object::AuthorizationPolicy(policy) => Some(*policy),
        _ => None,
    });
    let app = |policy: &AuthorizationPolicy| policy.selector.as_ref().expect("pods")["app"].clone();
    let message = update.problems.first().map(|p| p.message.clone()).unwrap_or_default();
    (policy.map(|policy| (policy.action, app(&policy))), message)
}

#[test]
fn a_policy_that_was_never_read_denies_its_target_until_it_can_be_read() {
    let (mut held, policies) = (empty(), watched(Kind::AuthorizationPolicy));
    // As after a restart: what it last said well is not known.
    held.list_begins(policies);
    held.listed(policies, &policy("BLOCK", "store"));
    held.list_is_complete(policies);
    let (found, said) = told(&mut held);
    assert_eq!(found, Some((Action::Deny, "store".to_owned())));
    assert!(
        said.ends_with(
            "it denies everything to pods with app=store in the scope of namespace shop"
        ),
        "{said}"
    );
    // Wrong in another way: what stands in for it is no good version to be kept.
    held.apply(policies, &policy("BLOCK", "bank"));
    assert_eq!(told(&mut held).0, Some((Action::Deny, "bank".to_owned())));
    held.apply(policies, &policy("ALLOW", "store"));
    assert_eq!(told(&mut held), (Some((Action::Allow, "store".to_owned())), String::new()));
    held.apply(policies, &policy("BLOCK", "bank"));
    let (found, said) = told(&mut held);
    assert!(found.is_none() && said.ends_with("its last good version stays in force"), "{said}");
    held.delete(policies, "shop", "p");
    assert_eq!(changed(&mut held), ["-p"]);
    held.apply(policies, &policy("BLOCK", "store"));
    assert_eq!(told(&mut held).0, Some((Action::Deny, "store".to_owned())), "a new one");
}

#[test]
fn of_what_needs_no_stand_in_nothing_is_in_force_and_it_says_so() {
    let (mut held, services) = (empty(), watched(Kind::Service));
    let wrong = json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"ports": "many"}});
    held.apply(services, &object(wrong));
    let update = held.update().expect("a problem");
    assert!(update.changes.is_empty());
    assert!(update.problems[0].message.ends_with("nothing of it is in force"), "{update:?}");
}
