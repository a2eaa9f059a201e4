//! The conditions of an HTTPRoute.

use super::Derived;
use crate::api::gateway::{BackendRef, HttpRoute, ParentRef};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

/// Derives whether a route's parents and backends are there.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(route) = world.route(key) else { return derived };
    let parents: Vec<String> = route
        .spec
        .parent_refs
        .iter()
        .enumerate()
        .filter_map(|(i, parent)| missing_parent(world, key, i, parent, &mut derived))
        .collect();
    let backends = missing_backends(world, key, route, &mut derived);
    let conditions = vec![
        condition("Accepted", "Accepted", "NoMatchingParent", &parents),
        condition("ResolvedRefs", "ResolvedRefs", "BackendNotFound", &backends),
    ];
    let name = ObjectRef::new(Kind::HTTPRoute, &key.namespace, &key.name);
    derived.conditions.push((name, conditions));
    derived
}

fn condition(kind: &str, good: &str, bad: &str, problems: &[String]) -> Condition {
    let reason = if problems.is_empty() { good } else { bad };
    Condition::new(kind, problems.is_empty(), reason, problems.join("; "))
}

fn missing_parent(
    world: &World,
    route: &Key,
    index: usize,
    parent: &ParentRef,
    derived: &mut Derived,
) -> Option<String> {
    let key = Key::new(parent.namespace.as_deref().unwrap_or(&route.namespace), &parent.name);
    let field = format!("spec.parentRefs[{index}]");
    let there = match parent.kind.as_deref().unwrap_or("Gateway") {
        "Service" => look(world, Kind::Service, &key, derived),
        "Gateway" => look(world, Kind::Gateway, &key, derived),
        other => return Some(format!("{field}.kind is {other:?}; write Service")),
    };
    (!there).then(|| format!("{field} names {key}, which is not there"))
}

fn missing_backends(
    world: &World,
    key: &Key,
    route: &HttpRoute,
    derived: &mut Derived,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (r, rule) in route.spec.rules.iter().enumerate() {
        for (b, backend) in rule.backend_refs.iter().enumerate() {
            let field = format!("spec.rules[{r}].backendRefs[{b}]");
            problems.extend(
                missing_backend(world, key, backend, derived)
                    .map(|problem| format!("{field} {problem}")),
            );
        }
    }
    problems
}

fn missing_backend(
    world: &World,
    route: &Key,
    backend: &BackendRef,
    derived: &mut Derived,
) -> Option<String> {
    if let Some(kind) = backend.kind.as_deref().filter(|k| *k != "Service") {
        return Some(format!("has kind {kind:?}; write Service"));
    }
    let key = Key::new(backend.namespace.as_deref().unwrap_or(&route.namespace), &backend.name);
    if !look(world, Kind::Service, &key, derived) {
        return Some(format!("names Service {key}, which is not there"));
    }
    let Some(port) = backend.port else {
        return Some(format!("names no port of Service {key}; write one"));
    };
    let has = world.service(&key).is_some_and(|s| s.ports.iter().any(|p| p.port == port));
    (!has).then(|| format!("names port {port}, which Service {key} does not have"))
}

fn look(world: &World, kind: Kind, key: &Key, derived: &mut Derived) -> bool {
    derived.looked_at.insert(ObjectRef::new(kind, &key.namespace, &key.name));
    match kind {
        Kind::Service => world.service(key).is_some(),
        _ => world.gateway(key).is_some(),
    }
}
