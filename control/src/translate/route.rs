//! The conditions of a route.

use super::Derived;
use super::backend::resolve;
use super::waypoint::offer::NETWORKING;
use crate::api::gateway::{GrpcMatch, HttpMatch, ParentRef, Route};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::status::Condition;

mod problem;

/// What differs between the kinds of route beside their matches.
pub trait Matches: Sized {
    /// The kind of object.
    const KIND: Kind;
    /// Filters that are served.
    const FILTERS: &'static [&'static str];

    /// The route of that name.
    fn route<'a>(world: &'a World, key: &Key) -> Option<&'a Route<Self>>;

    /// Why it can match nothing, if it cannot be understood.
    fn problem(&self) -> Option<String>;
}

impl Matches for HttpMatch {
    const KIND: Kind = Kind::HTTPRoute;
    const FILTERS: &'static [&'static str] =
        &["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];

    fn route<'a>(world: &'a World, key: &Key) -> Option<&'a Route<Self>> {
        world.route(key)
    }

    fn problem(&self) -> Option<String> {
        problem::http(self)
    }
}

impl Matches for GrpcMatch {
    const KIND: Kind = Kind::GRPCRoute;
    const FILTERS: &'static [&'static str] = &["RequestHeaderModifier", "ResponseHeaderModifier"];

    fn route<'a>(world: &'a World, key: &Key) -> Option<&'a Route<Self>> {
        world.grpc_route(key)
    }

    fn problem(&self) -> Option<String> {
        problem::grpc(self)
    }
}

/// Derives whether a route's parents and backends are there, and whether it is understood.
pub fn derive<M: Matches>(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(route) = M::route(world, key) else { return derived };
    let parents = parents(world, key, &route.spec.parent_refs, &mut derived);
    let parents: Vec<String> = parents.into_iter().flatten().collect();
    let resolved = resolved_refs(world, route, &mut derived);
    let conditions = vec![accepted(&parents, &unserved(route)), resolved];
    let name = ObjectRef::new(M::KIND, &key.namespace, &key.name);
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

/// The conditions of a route for each of its parents that are ours to judge: Services,
/// ServiceEntries, and Gateways for which `serves` says so.
pub fn by_parent<M: Matches>(
    world: &World,
    key: &Key,
    serves: impl Fn(&Key) -> bool,
) -> Vec<(ParentRef, Vec<Condition>)> {
    let mut derived = Derived::default();
    let Some(route) = M::route(world, key) else { return Vec::new() };
    let unserved = unserved(route);
    let refs = &route.spec.parent_refs;
    let problems = parents(world, key, refs, &mut derived);
    let resolved = resolved_refs(world, route, &mut derived);
    let is_ours = |parent: &ParentRef| match parent.kind.as_deref().unwrap_or("Gateway") {
        "Service" => matches!(parent.group.as_deref().unwrap_or_default(), "" | "core"),
        "ServiceEntry" => parent.group.as_deref() == Some(NETWORKING),
        "Gateway" => {
            let namespace = parent.namespace.as_deref().unwrap_or(&key.namespace);
            serves(&Key::new(namespace, &parent.name))
        }
        _ => false,
    };
    let judged = refs.iter().zip(problems).filter(|(parent, _)| is_ours(parent));
    let conditions = |problem: Option<String>| {
        let problems: Vec<String> = problem.into_iter().collect();
        vec![accepted(&problems, &unserved), resolved.clone()]
    };
    judged.map(|(parent, problem)| (parent.clone(), conditions(problem))).collect()
}

/// A route without its parent is accepted by nobody; else what is not served counts.
fn accepted(parents: &[String], unserved: &[String]) -> Condition {
    if parents.is_empty() {
        condition("Accepted", "Accepted", "UnsupportedValue", unserved)
    } else {
        condition("Accepted", "Accepted", "NoMatchingParent", parents)
    }
}

fn resolved_refs<M: Matches>(world: &World, route: &Route<M>, derived: &mut Derived) -> Condition {
    let backends = bad_backends(world, route, derived);
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
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    if key.namespace != route.namespace && kind == "Gateway" {
        let right = "a route for a whole waypoint is written beside it";
        return Some(format!("{field} names {key} of another namespace; {right}"));
    }
    let there = match kind {
        "Service" => look(world, Kind::Service, &key, derived),
        "Gateway" => look(world, Kind::Gateway, &key, derived),
        "ServiceEntry" if parent.group.as_deref() == Some(NETWORKING) => {
            look(world, Kind::ServiceEntry, &key, derived)
        }
        "ServiceEntry" => {
            let found = parent.group.as_deref().unwrap_or_default();
            return Some(format!("{field}.group is {found:?}; write {NETWORKING}"));
        }
        other => {
            return Some(format!("{field}.kind is {other:?}; write Service or ServiceEntry"));
        }
    };
    (!there).then(|| format!("{field} names {key}, which is not there"))
}

/// What is not served or not understood: such a filter makes its rule answer 500, and such a
/// match matches nothing.
fn unserved<M: Matches>(route: &Route<M>) -> Vec<String> {
    let mut problems = Vec::new();
    if route.spec.unreadable {
        problems.push("it cannot be read; what comes to its parents is answered 500".to_owned());
    }
    for (r, rule) in route.spec.rules.iter().enumerate() {
        for (m, matching) in rule.matches.iter().enumerate() {
            let problem = matching.problem();
            problems.extend(problem.map(|why| format!("spec.rules[{r}].matches[{m}].{why}")));
        }
        let own =
            rule.filters.iter().enumerate().map(|(f, filter)| (format!("filters[{f}]"), filter));
        let of_backends = rule.backend_refs.iter().enumerate().flat_map(|(b, backend)| {
            let filters = backend.filters.iter().enumerate();
            filters.map(move |(f, filter)| (format!("backendRefs[{b}].filters[{f}]"), filter))
        });
        for (place, filter) in own.chain(of_backends) {
            if !M::FILTERS.contains(&filter.kind.as_str()) {
                let served = M::FILTERS.join(", ");
                let (kind, field) = (&filter.kind, format!("spec.rules[{r}].{place}.type"));
                problems.push(format!(
                    "{field} is {kind:?}, which is not served; write one of {served}"
                ));
            }
        }
    }
    problems
}

/// Reasons and problems.
fn bad_backends<M: Matches>(
    world: &World,
    route: &Route<M>,
    derived: &mut Derived,
) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    for (r, rule) in route.spec.rules.iter().enumerate() {
        for (b, backend) in rule.backend_refs.iter().enumerate() {
            if let Err(error) = resolve(world, route, backend, derived) {
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
        Kind::ServiceEntry => world.entry(key).is_some(),
        _ => world.gateway(key).is_some(),
    }
}

#[cfg(test)]
mod tests;
