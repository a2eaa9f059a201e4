//! HTTPRoute, for the waypoints of its parents.

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::{Binding, duration, filter, group, is_waypoint, of_service};
use crate::api::gateway::{
    BackendRef, HttpMatch, HttpRoute, HttpRouteRule, ParentRef, PathMatch, Retry, ValueMatch,
};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::translate::backend::resolve;
use crate::translate::membership::hostname;
use crate::translate::{Derived, Family, Resource};

/// Adds the route `key` for the waypoints of its parents.
pub fn add(world: &World, key: &Key, derived: &mut Derived) {
    let Some(route) = world.route(key) else { return };
    let mut groups = BTreeSet::new();
    let mut parents = Vec::new();
    for parent in &route.spec.parent_refs {
        if let Some((parent, waypoints)) = self::parent(world, key, parent, derived) {
            parents.push(parent);
            groups.extend(waypoints);
        }
    }
    if parents.is_empty() {
        return;
    }
    let message = pb::Route {
        object: Some(super::object("HTTPRoute", key)),
        created_ms: created(route),
        parents,
        hostnames: route.spec.hostnames.clone(),
        rules: route.spec.rules.iter().map(|rule| self::rule(world, key, rule, derived)).collect(),
    };
    derived.resources.push(Resource {
        family: Family::WaypointRoute,
        name: format!("HTTPRoute/{key}"),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: groups.into_iter().collect(),
    });
}

/// Milliseconds since the epoch; 0 for a document without a time, which is as old as can be.
fn created(route: &HttpRoute) -> i64 {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(&route.meta.created, &Rfc3339);
    time.map_or(0, |time| time.unix_timestamp().saturating_mul(1000))
}

/// A parent and the groups of its waypoints. A service of another namespace is not a producer's
/// own: a route there would change what others call, so it is left out.
fn parent(
    world: &World,
    route: &Key,
    parent: &ParentRef,
    derived: &mut Derived,
) -> Option<(pb::Parent, Vec<String>)> {
    let key = Key::new(parent.namespace.as_deref().unwrap_or(&route.namespace), &parent.name);
    let port = u32::from(parent.port.unwrap_or(0));
    if key.namespace != route.namespace {
        return None;
    }
    match parent.kind.as_deref().unwrap_or("Gateway") {
        "Service" => {
            derived.looked_at.insert(ObjectRef::new(Kind::Service, &key.namespace, &key.name));
            let service = world.service(&key)?;
            let Binding::Bound(bound) = of_service(world, service, &mut derived.looked_at) else {
                return None;
            };
            let canary = bound.canary.iter().map(|(gateway, _)| gateway);
            let groups =
                std::iter::once(&bound.primary).chain(canary).map(|g| group(world, g)).collect();
            let service = pb::ServiceRef {
                namespace: key.namespace.clone(),
                hostname: hostname(world, &key),
            };
            Some((pb::Parent { target: Some(pb::parent::Target::Service(service)), port }, groups))
        }
        "Gateway" => {
            derived.looked_at.insert(ObjectRef::new(Kind::Gateway, &key.namespace, &key.name));
            let gateway = world.gateway(&key)?;
            if !is_waypoint(world, gateway, &mut derived.looked_at) {
                return None;
            }
            // The port of a Gateway parent is its listener's, not a service's.
            let target = pb::parent::Target::Gateway(super::object("Gateway", &key));
            Some((pb::Parent { target: Some(target), port: 0 }, vec![group(world, &key)]))
        }
        _ => None,
    }
}

fn rule(world: &World, route: &Key, rule: &HttpRouteRule, derived: &mut Derived) -> pb::RouteRule {
    let mut filters: Vec<_> = rule.filters.iter().map(filter::filter).collect();
    let timeouts = rule.timeouts.clone().unwrap_or_default();
    let mut time = |field: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let read = duration::read(text);
        if read.is_none() {
            filters.push(filter::unsupported(format!(
                "{field} is {text:?}; write a duration such as 500ms"
            )));
        }
        read
    };
    let request_timeout = time("timeouts.request", &timeouts.request);
    let backend_timeout = time("timeouts.backendRequest", &timeouts.backend_request);
    pb::RouteRule {
        name: rule.name.clone().unwrap_or_default(),
        matches: rule.matches.iter().map(matching).collect(),
        filters,
        backends: rule
            .backend_refs
            .iter()
            .map(|backend| self::backend(world, route, backend, derived))
            .collect(),
        request_timeout,
        backend_timeout,
        retry: rule.retry.as_ref().map(retry),
    }
}

fn retry(retry: &Retry) -> pb::Retry {
    pb::Retry {
        codes: retry.codes.iter().map(|code| u32::from(*code)).collect(),
        attempts: retry.attempts.unwrap_or(1),
        backoff: retry.backoff.as_ref().and_then(|text| duration::read(text)),
    }
}

fn matching(matching: &HttpMatch) -> pb::RouteMatch {
    pb::RouteMatch {
        path: matching.path.as_ref().map(path),
        headers: matching.headers.iter().map(value).collect(),
        query: matching.query_params.iter().map(value).collect(),
        method: matching.method.clone().unwrap_or_default(),
    }
}

/// A kind that is not known compares with what no path is, so that the match never holds.
fn path(path: &PathMatch) -> pb::PathMatch {
    use pb::path_match::Kind;
    let value = path.value.clone().unwrap_or_else(|| "/".to_owned());
    let kind = match path.kind.as_deref().unwrap_or("PathPrefix") {
        "Exact" => Kind::Exact(value),
        "PathPrefix" => Kind::Prefix(value),
        "RegularExpression" => Kind::Regex(value),
        _ => Kind::Exact(String::new()),
    };
    pb::PathMatch { kind: Some(kind) }
}

fn value(value: &ValueMatch) -> pb::ValueMatch {
    use pb::value_match::Kind;
    let kind = match value.kind.as_deref().unwrap_or("Exact") {
        "Exact" => Some(Kind::Exact(value.value.clone())),
        "RegularExpression" => Some(Kind::Regex(value.value.clone())),
        _ => None,
    };
    pb::ValueMatch { name: value.name.clone(), kind }
}

fn backend(world: &World, route: &Key, backend: &BackendRef, derived: &mut Derived) -> pb::Backend {
    let target = match resolve(world, &route.namespace, backend, derived) {
        Ok(service) => pb::backend::Target::Service(pb::ServiceRef {
            namespace: service.meta.key.namespace.clone(),
            hostname: hostname(world, &service.meta.key),
        }),
        Err(why) => pb::backend::Target::Invalid(format!("backend {why}")),
    };
    pb::Backend {
        weight: backend.weight.unwrap_or(1),
        target: Some(target),
        port: u32::from(backend.port.unwrap_or(0)),
        filters: backend.filters.iter().map(filter::filter).collect(),
    }
}

#[cfg(test)]
mod tests;
