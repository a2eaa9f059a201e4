//! HTTPRoute and GRPCRoute, for the waypoints of their parents.

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::offer::{groups, offer, services};
use super::{Binding, duration, filter, group, is_waypoint};
use crate::api::gateway::{
    BackendRef, GrpcMatch, GrpcMethodMatch, HttpFilter, HttpMatch, ParentRef, PathMatch, Retry,
    Route, RouteRule, ValueMatch,
};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::translate::backend::resolve;
use crate::translate::membership::hostname;
use crate::translate::route::Matches;
use crate::translate::{Derived, Family, Resource};

/// A match of a route, as a waypoint compares it.
pub trait Compared {
    /// On the wire. What is not understood never holds.
    fn on_the_wire(&self) -> pb::RouteMatch;

    /// What every request of the kind fits; nothing where that is every request at all.
    fn any() -> Option<pb::RouteMatch>;
}

/// Adds the route `key` for the waypoints of its parents.
pub fn add<M: Matches + Compared>(world: &World, key: &Key, derived: &mut Derived) {
    let Some(route) = M::route(world, key) else { return };
    let kind = format!("{:?}", M::KIND);
    let mut groups = BTreeSet::new();
    let mut parents = Vec::new();
    for parent in &route.spec.parent_refs {
        if let Some((parent, waypoints)) = self::parent(world, key, parent, derived) {
            parents.extend(parent);
            groups.extend(waypoints);
        }
    }
    if parents.is_empty() {
        return;
    }
    let message = pb::Route {
        object: Some(super::object(&kind, key)),
        created_ms: created(route),
        parents,
        hostnames: route.spec.hostnames.clone(),
        rules: rules(world, route, derived),
        unreadable: route.spec.unreadable,
    };
    derived.resources.push(Resource {
        family: Family::WaypointRoute,
        name: format!("{kind}/{key}"),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: groups.into_iter().collect(),
    });
}

/// The rules; of a route that cannot be read one that answers with an error.
fn rules<M: Matches + Compared>(
    world: &World,
    route: &Route<M>,
    derived: &mut Derived,
) -> Vec<pb::RouteRule> {
    if route.spec.unreadable {
        return vec![pb::RouteRule {
            matches: M::any().into_iter().collect(),
            filters: vec![filter::unsupported("the route cannot be read".to_owned())],
            ..pb::RouteRule::default()
        }];
    }
    route.spec.rules.iter().map(|rule| self::rule(world, route, rule, derived)).collect()
}

/// Milliseconds since the epoch; 0 for a document without a time, which is as old as can be.
fn created<M>(route: &Route<M>) -> i64 {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(&route.meta.created, &Rfc3339);
    time.map_or(0, |time| time.unix_timestamp().saturating_mul(1000))
}

/// A parent, of a ServiceEntry one for each host, and the groups of its waypoints. A route in
/// another namespace than its service's is a consumer's (GEP-1426): it concerns what that
/// namespace sends and nothing else.
fn parent(
    world: &World,
    route: &Key,
    parent: &ParentRef,
    derived: &mut Derived,
) -> Option<(Vec<pb::Parent>, BTreeSet<String>)> {
    let key = Key::new(parent.namespace.as_deref().unwrap_or(&route.namespace), &parent.name);
    let port = u32::from(parent.port.unwrap_or(0));
    let consumer = key.namespace != route.namespace;
    match parent.kind.as_deref().unwrap_or("Gateway") {
        kind @ ("Service" | "ServiceEntry") => {
            let group = parent.group.as_deref().unwrap_or_default();
            let offer = offer(world, group, kind, &key, derived).ok()?;
            let Binding::Bound(bound) = offer.binding(world, &mut derived.looked_at) else {
                return None;
            };
            let consumer_namespace = if consumer { route.namespace.clone() } else { String::new() };
            let parent = |service| pb::Parent {
                target: Some(pb::parent::Target::Service(service)),
                port,
                consumer_namespace: consumer_namespace.clone(),
            };
            let services = services(world, offer).into_iter().map(parent);
            Some((services.collect(), groups(world, &bound)))
        }
        "Gateway" if !consumer => {
            derived.looked_at.insert(ObjectRef::new(Kind::Gateway, &key.namespace, &key.name));
            let gateway = world.gateway(&key)?;
            if !is_waypoint(world, gateway, &mut derived.looked_at) {
                return None;
            }
            // The port of a Gateway parent is its listener's, not a service's.
            let target = pb::parent::Target::Gateway(super::object("Gateway", &key));
            let parent = pb::Parent { target: Some(target), ..pb::Parent::default() };
            Some((vec![parent], [group(world, &key)].into()))
        }
        _ => None,
    }
}

fn rule<M: Matches + Compared>(
    world: &World,
    route: &Route<M>,
    rule: &RouteRule<M>,
    derived: &mut Derived,
) -> pb::RouteRule {
    let mut filters: Vec<_> = rule.filters.iter().map(filter::<M>).collect();
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
        matches: if rule.matches.is_empty() {
            M::any().into_iter().collect()
        } else {
            rule.matches.iter().map(Compared::on_the_wire).collect()
        },
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

/// A filter, if the kind of route has it.
fn filter<M: Matches>(filter: &HttpFilter) -> pb::Filter {
    if M::FILTERS.contains(&filter.kind.as_str()) {
        filter::filter(filter)
    } else {
        filter::unsupported(format!("filter {:?} is not served", filter.kind))
    }
}

impl Compared for HttpMatch {
    fn on_the_wire(&self) -> pb::RouteMatch {
        pb::RouteMatch {
            path: self.path.as_ref().map(path),
            headers: self.headers.iter().map(value).collect(),
            query: self.query_params.iter().map(value).collect(),
            method: self.method.clone().unwrap_or_default(),
            grpc: None,
        }
    }

    fn any() -> Option<pb::RouteMatch> {
        None
    }
}

impl Compared for GrpcMatch {
    fn on_the_wire(&self) -> pb::RouteMatch {
        let method = if self.problem().is_none() {
            self.method.as_ref().map_or_else(pb::GrpcMatch::default, called)
        } else {
            // No service has such a name, so that the match never holds.
            pb::GrpcMatch { service: "/".to_owned(), ..pb::GrpcMatch::default() }
        };
        let headers = self.headers.iter().map(value).collect();
        pb::RouteMatch { headers, grpc: Some(method), ..pb::RouteMatch::default() }
    }

    fn any() -> Option<pb::RouteMatch> {
        Some(Self::default().on_the_wire())
    }
}

fn called(method: &GrpcMethodMatch) -> pb::GrpcMatch {
    pb::GrpcMatch {
        service: method.service.clone().unwrap_or_default(),
        method: method.method.clone().unwrap_or_default(),
        regex: method.kind.as_deref() == Some("RegularExpression"),
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

fn backend<M: Matches>(
    world: &World,
    route: &Route<M>,
    backend: &BackendRef,
    derived: &mut Derived,
) -> pb::Backend {
    let target = match resolve(world, route, backend, derived) {
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
        filters: backend.filters.iter().map(filter::<M>).collect(),
    }
}

#[cfg(test)]
mod tests;
