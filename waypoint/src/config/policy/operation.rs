//! What is asked: the `to` of a rule.

use hbone::matching::StringMatch;
use hbone::wire::pb::ambit::waypoint::v1 as pb;

use super::source::Lists;
use super::text::{PathPattern, port, wildcard};
use super::{PolicyInput, Truth};
use crate::config::view::RequestView;

#[derive(Debug)]
pub(super) struct OperationMatch {
    hosts: Lists<HostMatch>,
    ports: Lists<u16>,
    methods: Lists<StringMatch>,
    paths: Lists<PathPattern>,
}

/// A host, compared without case; with a port only if the policy writes one.
#[derive(Debug)]
struct HostMatch {
    text: StringMatch,
    with_port: bool,
}

impl OperationMatch {
    pub(super) fn read(wire: &pb::Operation) -> Result<Self, String> {
        let operation = Self {
            hosts: Lists::read(&wire.hosts, &wire.not_hosts, |text| Ok(HostMatch::new(text)))?,
            ports: Lists::read(&wire.ports, &wire.not_ports, port)?,
            methods: Lists::read(&wire.methods, &wire.not_methods, |text| Ok(wildcard(text)))?,
            paths: Lists::read(&wire.paths, &wire.not_paths, PathPattern::read)?,
        };
        let names_http = operation.names_http();
        if !names_http && operation.ports.is_empty() {
            return Err("to.operation names nothing".into());
        }
        Ok(operation)
    }

    fn names_http(&self) -> bool {
        !(self.hosts.is_empty() && self.methods.is_empty() && self.paths.is_empty())
    }

    pub(super) fn evaluate(&self, input: &PolicyInput<'_>) -> Truth {
        let port = input.destination.port();
        let ports = self.ports.holds(|want| *want == port);
        let http = match &input.request {
            Some(request) => self.request(request),
            None if self.names_http() => Truth::Unknown,
            None => Truth::Yes,
        };
        Truth::all([ports, http])
    }

    fn request(&self, request: &RequestView<'_>) -> Truth {
        Truth::all([
            self.hosts.holds(|want| want.matches(request)),
            self.methods.holds(|want| want.matches(Some(request.method.as_str()))),
            self.paths.holds(|want| want.matches(request.path)),
        ])
    }
}

impl HostMatch {
    fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        // `[::1]` has colons of its own.
        let with_port = text.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        Self { text: wildcard(&text), with_port }
    }

    fn matches(&self, request: &RequestView<'_>) -> bool {
        match request.host_port {
            Some(port) if self.with_port => {
                self.text.matches(Some(&format!("{}:{port}", request.host)))
            }
            Some(_) | None => self.text.matches(Some(request.host)),
        }
    }
}
