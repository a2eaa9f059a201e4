//! Routes: from the wire to what a request is matched against.

use std::sync::Arc;
use std::time::Duration;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::StatusCode;

pub use backend::{Backend, BackendTarget};
pub use filter::{Filters, HeaderEdit, HeaderEdits, PathChange, Redirect, Rewrite};
pub use matching::{HostPattern, RouteMatch};
pub use table::RouteTable;

use super::object::ObjectName;
use super::policy::Target;
use super::service_name;

mod backend;
mod filter;
mod matching;
mod table;

/// Most tries after the first that a route may ask for.
pub const MAX_RETRIES: u32 = 10;

/// An HTTPRoute of the user, compiled.
#[derive(Debug)]
pub struct Route {
    /// The object.
    pub object: ObjectName,
    /// Creation, milliseconds since the epoch.
    pub created_ms: i64,
    /// What it is attached to.
    pub parents: Vec<Parent>,
    /// Hosts of a route of the whole gateway; empty means every host.
    pub hostnames: Vec<HostPattern>,
    /// It could not be read: its rules go before those of every other route.
    pub unreadable: bool,
    /// Its rules in order, each with its matches (never empty).
    pub rules: Vec<(Arc<Rule>, Vec<RouteMatch>)>,
}

/// What a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The service or Gateway.
    pub target: Target,
    /// Only requests to this service port.
    pub port: Option<u16>,
    /// Only requests from this namespace, in the place of the service's own routes.
    pub consumer: Option<Arc<str>>,
}

/// One rule of a route.
#[derive(Debug)]
pub struct Rule {
    /// The route that made it.
    pub object: ObjectName,
    /// Its name, or its position.
    pub name: Arc<str>,
    /// What to change or answer.
    pub filters: Filters,
    /// Where to, by weight.
    pub backends: Vec<Backend>,
    /// From the request's arrival to the last byte of the answer.
    pub request_timeout: Option<Duration>,
    /// The same for one try.
    pub backend_timeout: Option<Duration>,
    /// When to try again.
    pub retry: Option<Retry>,
}

/// When to try again, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Statuses of the application that are worth another try.
    pub codes: Vec<StatusCode>,
    /// Tries after the first, at most [`MAX_RETRIES`].
    pub attempts: u32,
    /// Least wait before the first retry; doubles from try to try.
    pub backoff: Duration,
}

/// Wait before a retry when the route names none.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);

impl Route {
    /// Compiles a route. What cannot be understood never matches (a match) or is answered
    /// 500 (a filter, a backend): the rest of the route stays in force.
    pub fn compile(wire: &pb::Route) -> Self {
        let object = ObjectName::from_wire(wire.object.as_ref());
        let rules = wire.rules.iter().enumerate();
        Self {
            created_ms: wire.created_ms,
            unreadable: wire.unreadable,
            parents: wire.parents.iter().filter_map(Parent::compile).collect(),
            hostnames: wire.hostnames.iter().map(|h| HostPattern::new(h)).collect(),
            rules: rules.map(|(position, rule)| compile_rule(&object, position, rule)).collect(),
            object,
        }
    }
}

impl Parent {
    fn compile(wire: &pb::Parent) -> Option<Self> {
        let target = match wire.target.as_ref()? {
            pb::parent::Target::Service(service) => Target::Service(service_name(service)),
            pb::parent::Target::Gateway(gateway) => Target::Gateway(ObjectName::gateway(gateway)),
        };
        let port = u16::try_from(wire.port).ok()?;
        let consumer = &wire.consumer_namespace;
        let consumer = (!consumer.is_empty()).then(|| consumer.as_str().into());
        Some(Self { target, port: (port != 0).then_some(port), consumer })
    }
}

fn compile_rule(
    object: &ObjectName,
    position: usize,
    wire: &pb::RouteRule,
) -> (Arc<Rule>, Vec<RouteMatch>) {
    let rule = Rule {
        object: object.clone(),
        name: if wire.name.is_empty() {
            position.to_string().into()
        } else {
            wire.name.as_str().into()
        },
        filters: Filters::compile(&wire.filters),
        backends: wire.backends.iter().map(Backend::compile).collect(),
        request_timeout: wire.request_timeout.as_ref().and_then(duration),
        backend_timeout: wire.backend_timeout.as_ref().and_then(duration),
        retry: wire.retry.as_ref().map(Retry::compile),
    };
    let matches = if wire.matches.is_empty() {
        vec![RouteMatch::any()]
    } else {
        wire.matches.iter().map(RouteMatch::compile).collect()
    };
    (Arc::new(rule), matches)
}

impl Retry {
    fn compile(wire: &pb::Retry) -> Self {
        let code = |code: &u32| StatusCode::from_u16(u16::try_from(*code).ok()?).ok();
        Self {
            codes: wire.codes.iter().filter_map(code).collect(),
            attempts: wire.attempts.min(MAX_RETRIES),
            backoff: wire.backoff.as_ref().and_then(duration).unwrap_or(DEFAULT_BACKOFF),
        }
    }
}

/// A positive duration; zero means "no limit" in the Gateway API.
pub(crate) fn duration(wire: &prost_types::Duration) -> Option<Duration> {
    Duration::try_from(*wire).ok().filter(|d| !d.is_zero())
}

#[cfg(test)]
mod tests;
