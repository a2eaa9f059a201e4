//! The conditions of an HTTPRoute.

use super::Derived;
use super::backend::resolve;
use crate::api::gateway::{HttpRoute, ParentRef};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

/// Derives whether a route's parents and backends are there.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(route) = world.route(key) else { return derived };
    let parents: Vec<String> =
        parents(world, key, &route.spec.parent_refs, &mut derived).into_iter().flatten().collect();
    let conditions = vec![
        condition("Accepted", "Accepted", "NoMatchingParent", &parents),
        resolved_refs(world, key, route, &mut derived),
    ];
    let name = ObjectRef::new(Kind::HTTPRoute, &key.namespace, &key.name);
    derived.conditions.push((name, conditions));
    derived
}

/// What is wrong with each of a route's parents.
fn parents(
    world: &World,
    key: &Key,
    parents: &[ParentRef],
    derived: &mut Derived,
) -> Vec<Option<String>> {
    let parents = parents.iter().enumerate();
    parents.map(|(i, parent)| missing_parent(world, key, i, parent, derived)).collect()
}

/// The conditions of a route for each of its parents that are ours to judge: Services, and
/// Gateways for which `serves` says so.
pub fn by_parent(
    world: &World,
    key: &Key,
    serves: impl Fn(&Key) -> bool,
) -> Vec<(ParentRef, Vec<Condition>)> {
    let mut derived = Derived::default();
    let Some(route) = world.route(key) else { return Vec::new() };
    let refs = &route.spec.parent_refs;
    let problems = parents(world, key, refs, &mut derived);
    let resolved = resolved_refs(world, key, route, &mut derived);
    let is_ours = |parent: &ParentRef| match parent.kind.as_deref().unwrap_or("Gateway") {
        "Service" => matches!(parent.group.as_deref().unwrap_or_default(), "" | "core"),
        "Gateway" => {
            let namespace = parent.namespace.as_deref().unwrap_or(&key.namespace);
            serves(&Key::new(namespace, &parent.name))
        }
        _ => false,
    };
    let judged = refs.iter().zip(problems).filter(|(parent, _)| is_ours(parent));
    let conditions = |problem: Option<String>| {
        let problems: Vec<String> = problem.into_iter().collect();
        let accepted = condition("Accepted", "Accepted", "NoMatchingParent", &problems);
        vec![accepted, resolved.clone()]
    };
    judged.map(|(parent, problem)| (parent.clone(), conditions(problem))).collect()
}

fn resolved_refs(world: &World, key: &Key, route: &HttpRoute, derived: &mut Derived) -> Condition {
    let backends = bad_backends(world, key, route, derived);
    // The first one's reason, as there is one for all.
    let reason = backends.first().map_or("ResolvedRefs", |(reason, _)| reason);
    let backends: Vec<String> = backends.into_iter().map(|(_, problem)| problem).collect();
    condition("ResolvedRefs", "ResolvedRefs", reason, &backends)
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
    if key.namespace != route.namespace {
        let right = "a route is written beside its parent";
        return Some(format!("{field} names {key} of another namespace; {right}"));
    }
    let there = match parent.kind.as_deref().unwrap_or("Gateway") {
        "Service" => look(world, Kind::Service, &key, derived),
        "Gateway" => look(world, Kind::Gateway, &key, derived),
        other => return Some(format!("{field}.kind is {other:?}; write Service")),
    };
    (!there).then(|| format!("{field} names {key}, which is not there"))
}

/// Reasons and problems.
fn bad_backends(
    world: &World,
    key: &Key,
    route: &HttpRoute,
    derived: &mut Derived,
) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    for (r, rule) in route.spec.rules.iter().enumerate() {
        for (b, backend) in rule.backend_refs.iter().enumerate() {
            if let Err(error) = resolve(world, &key.namespace, backend, derived) {
                let field = format!("spec.rules[{r}].backendRefs[{b}]");
                problems.push((error.reason(), format!("{field}: {error}")));
            }
        }
    }
    problems
}

fn look(world: &World, kind: Kind, key: &Key, derived: &mut Derived) -> bool {
    derived.looked_at.insert(ObjectRef::new(kind, &key.namespace, &key.name));
    match kind {
        Kind::Service => world.service(key).is_some(),
        _ => world.gateway(key).is_some(),
    }
}

#[cfg(test)]
mod tests;
