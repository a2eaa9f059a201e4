//! Who talks to whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::shape::{FailureCount, Health, Link, Vertex};
use super::side::{edges, layer4, layer7, sum};
use crate::pb::{Counters, EdgeKey, Party, Pod};
use crate::source::Heard;

/// What a vertex stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// A workload: the owner of pods.
    #[default]
    Workload,
    /// All of a namespace.
    Namespace,
    /// What is called: the service where there is one.
    Service,
}

impl Group {
    /// The group of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("workload") => Ok(Self::Workload),
            Some("namespace") => Ok(Self::Namespace),
            Some("service") => Ok(Self::Service),
            Some(other) => Err(format!("{other:?} is none of workload, namespace, service")),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Graph {
    vertices: Vec<Vertex>,
    edges: Vec<Link>,
}

/// What the proxies of one link counted, each for itself.
#[derive(Default)]
struct Sides {
    source: Counters,
    destination: Counters,
    waypoint: Counters,
    mtls: bool,
    plain: bool,
    protocol: String,
    identity: String,
    policies: BTreeSet<String>,
    failures: BTreeMap<(String, String), u64>,
}

type LinkKey = (String, String, String, u32);

/// The graph of a window.
pub(super) fn graph(heard: &[Heard], group: Group) -> Graph {
    let waypoints: BTreeSet<&str> = edges(heard)
        .map(|(_, key)| key.waypoint.as_str())
        .chain(heard.iter().filter_map(|heard| gateway_of(heard)))
        .filter(|name| !name.is_empty())
        .collect();
    let mut vertices: BTreeMap<String, Vertex> = BTreeMap::new();
    let mut links: BTreeMap<LinkKey, Sides> = BTreeMap::new();
    for (edge, key) in edges(heard) {
        let counters = sum(edge);
        for (from, to) in hops(key, group, &waypoints) {
            let link = (from.id.clone(), to.id.clone(), key.service.clone(), key.port);
            let sides = links.entry(link).or_default();
            sides.add(key, &counters);
            note(&mut vertices, from, (key.reporter == "source").then_some(&edge.node));
            note(&mut vertices, to, (key.reporter == "destination").then_some(&edge.node));
        }
    }
    for pod in pods(heard) {
        let party = Party {
            namespace: pod.namespace.clone(),
            workload: pod.workload.clone(),
            ..Party::default()
        };
        let vertex = vertex(&party, "", group, &waypoints);
        let vertex = vertices.entry(vertex.id.clone()).or_insert(vertex);
        vertex.pods += 1;
        vertex.enrolled += usize::from(pod.state == "enrolled");
        if vertex.identity.is_empty() && group == Group::Workload {
            vertex.identity.clone_from(&pod.identity);
        }
    }
    let edges: Vec<Link> = links.into_iter().map(|(key, sides)| sides.link(key)).collect();
    for link in &edges {
        if let Some(vertex) = vertices.get_mut(&link.to) {
            vertex.health = vertex.health.max(link.health);
        }
    }
    Graph { vertices: vertices.into_values().collect(), edges }
}

fn gateway_of(heard: &Heard) -> Option<&str> {
    // Of routes, since an origin has namespace and name apart.
    let state = heard.result.as_ref().ok()?.state.as_ref()?;
    state.routes.first().map(|route| route.waypoint.as_str())
}

fn pods(heard: &[Heard]) -> impl Iterator<Item = &Pod> {
    // The same pod is known to its node's proxy and to control, which knows more.
    let whole = heard.iter().any(|h| h.origin.kind == "control");
    let of = heard.iter().filter(move |h| !whole || h.origin.kind == "control");
    of.filter_map(|h| h.result.as_ref().ok()?.state.as_ref()).flat_map(|state| &state.pods)
}

fn note(vertices: &mut BTreeMap<String, Vertex>, vertex: Vertex, node: Option<&String>) {
    let vertex = vertices.entry(vertex.id.clone()).or_insert(vertex);
    if let Some(node) = node
        && !vertex.nodes.contains(node)
    {
        vertex.nodes.push(node.clone());
    }
}

/// The ways of an edge: what a waypoint counted is the way to it and the one from it.
fn hops(key: &EdgeKey, group: Group, waypoints: &BTreeSet<&str>) -> Vec<(Vertex, Vertex)> {
    let none = Party::default();
    let (source, destination) =
        (key.source.as_ref().unwrap_or(&none), key.destination.as_ref().unwrap_or(&none));
    let from = vertex(source, "", group, waypoints);
    let to = |service: &str| vertex(destination, service, group, waypoints);
    if key.reporter != "waypoint" {
        // The next hop is a waypoint: the service is not there.
        let service = if is_waypoint(destination, waypoints) { "" } else { &key.service };
        return vec![(from, to(service))];
    }
    let between = waypoint_vertex(&key.waypoint, group);
    let served = *destination != none;
    let service = if key.backend.is_empty() { &key.service } else { &key.backend };
    let onward = served.then(|| (between.clone(), to(service)));
    std::iter::once((from, between)).chain(onward).collect()
}

fn is_waypoint(party: &Party, waypoints: &BTreeSet<&str>) -> bool {
    waypoints.contains(format!("{}/{}", party.namespace, party.workload).as_str())
}

fn waypoint_vertex(name: &str, group: Group) -> Vertex {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    if group == Group::Namespace {
        return named("namespace", namespace, namespace);
    }
    named("waypoint", namespace, name)
}

fn vertex(party: &Party, service: &str, group: Group, waypoints: &BTreeSet<&str>) -> Vertex {
    let (of, host) = service.split_once('/').unwrap_or(("", service));
    let short = host.split('.').next().unwrap_or_default();
    let namespace = if party.namespace.is_empty() { of } else { &party.namespace };
    if party.workload.is_empty() && party.namespace.is_empty() {
        return match host {
            "" => named("unknown", "", "unknown"),
            _ => named("external", of, host),
        };
    }
    match group {
        Group::Namespace => named("namespace", namespace, namespace),
        _ if is_waypoint(party, waypoints) => named("waypoint", namespace, &party.workload),
        Group::Service if !host.is_empty() => named("service", of, short),
        Group::Service | Group::Workload => {
            let vertex = named("workload", namespace, &party.workload);
            Vertex { identity: party.identity.clone(), ..vertex }
        }
    }
}

fn named(kind: &'static str, namespace: &str, name: &str) -> Vertex {
    Vertex {
        id: format!("{kind}:{namespace}/{name}"),
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Vertex::default()
    }
}

impl Sides {
    fn add(&mut self, key: &EdgeKey, counters: &Counters) {
        match key.reporter.as_str() {
            "source" => self.source.merge(&layer4(counters)),
            "destination" => self.destination.merge(&layer4(counters)),
            _ => self.waypoint.merge(&layer7(counters)),
        }
        match key.security.as_str() {
            "mtls" => self.mtls = true,
            _ => self.plain = true,
        }
        if self.protocol.is_empty() || key.protocol != "tcp" {
            self.protocol.clone_from(&key.protocol);
        }
        if let Some(source) = key.source.as_ref().filter(|source| !source.identity.is_empty()) {
            self.identity.clone_from(&source.identity);
        }
        if !key.policy.is_empty() {
            self.policies.insert(key.policy.clone());
        }
        if !key.failure.is_empty() {
            let count = counters.failed.max(counters.errors());
            *self.failures.entry((key.failure.clone(), key.policy.clone())).or_default() += count;
        }
    }

    fn link(self, (from, to, service, port): LinkKey) -> Link {
        // Where the caller has no proxy, the other end counts alone.
        let mut all =
            if self.source.is_empty() { self.destination.clone() } else { self.source.clone() };
        // What the destination refused is a failure of the source too, and known better there.
        all.failed = self.source.failed.max(self.destination.failed);
        all.refused = self.source.refused.max(self.destination.refused);
        all.merge(&self.waypoint);
        let failures = self.failures.into_iter();
        Link {
            from,
            to,
            service,
            port,
            protocol: self.protocol,
            security: match (self.mtls, self.plain) {
                (true, false) => "mtls",
                (true, true) => "mixed",
                (false, _) => "plain",
            },
            identity: self.identity,
            health: Health::of(&all),
            totals: (&all).into(),
            policies: self.policies.into_iter().collect(),
            failures: failures
                .map(|((failure, policy), count)| FailureCount { failure, policy, count })
                .collect(),
        }
    }
}

/// The links of one workload, in or out, for its page.
pub(super) fn links(heard: &[Heard]) -> (Vec<Vertex>, Vec<Link>) {
    let Graph { vertices, edges } = graph(heard, Group::Workload);
    (vertices, edges)
}
