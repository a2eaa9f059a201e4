//! Who talks to whom.
//!
//! A fleet's answer has many edges for few vertices and links: names are borrowed from the
//! answers until a vertex or link is there once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::shape::{FailureCount, Health, Link, Vertex};
use super::side::edges;
use crate::pb::{Counters, Edge, EdgeKey, Party, Pod};
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

/// What a vertex is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Named<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
}

/// What the proxies of one link counted, each for itself.
#[derive(Default)]
struct Sides<'a> {
    source: Counters,
    destination: Counters,
    waypoint: Counters,
    mtls: bool,
    plain: bool,
    protocol: &'a str,
    identity: &'a str,
    policies: BTreeSet<&'a str>,
    failures: BTreeMap<(&'a str, &'a str), u64>,
}

/// From, to, service and port.
type LinkKey<'a> = (usize, usize, &'a str, u32);

/// The graph so far.
struct Drawn<'a> {
    group: Group,
    /// Namespace and name.
    waypoints: HashSet<(&'a str, &'a str)>,
    places: HashMap<Named<'a>, usize>,
    vertices: Vec<Vertex>,
    links: HashMap<LinkKey<'a>, Sides<'a>>,
}

/// The graph of a window.
pub(super) fn graph(heard: &[Heard], group: Group) -> Graph {
    let waypoints = edges(heard)
        .map(|(_, key)| key.waypoint.as_str())
        .chain(heard.iter().filter_map(|heard| gateway_of(heard)))
        .filter_map(|name| name.split_once('/'))
        .collect();
    let (places, vertices, links) = (HashMap::new(), Vec::new(), HashMap::new());
    let mut drawn = Drawn { group, waypoints, places, vertices, links };
    edges(heard).for_each(|(edge, key)| drawn.edge(edge, key));
    pods(heard).for_each(|pod| drawn.pod(pod));
    drawn.finish()
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

impl<'a> Drawn<'a> {
    fn edge(&mut self, edge: &'a Edge, key: &'a EdgeKey) {
        for (from, to) in self.hops(key).into_iter().flatten() {
            let identity = |party: &'a Option<Party>| party.as_ref().map_or("", |p| &p.identity);
            let node = |reporter: &str| (key.reporter == reporter).then_some(edge.node.as_str());
            let from = self.note(from, identity(&key.source), node("source"));
            let to = self.note(to, identity(&key.destination), node("destination"));
            let sides = self.links.entry((from, to, &key.service, key.port)).or_default();
            sides.add(key, edge);
        }
    }

    fn pod(&mut self, pod: &'a Pod) {
        let at = self.note(self.named(&pod.namespace, &pod.workload, ""), "", None);
        let group = self.group;
        let Some(vertex) = self.vertices.get_mut(at) else { return };
        vertex.pods += 1;
        vertex.enrolled += usize::from(pod.state == "enrolled");
        if vertex.identity.is_empty() && group == Group::Workload {
            vertex.identity.clone_from(&pod.identity);
        }
    }

    /// The place of a vertex, which was seen on that node.
    fn note(&mut self, named: Named<'a>, identity: &str, node: Option<&str>) -> usize {
        let Named { kind, namespace, name } = named;
        let at = *self.places.entry(named).or_insert_with(|| {
            self.vertices.push(Vertex {
                id: format!("{kind}:{namespace}/{name}"),
                kind,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                identity: if kind == "workload" { identity.to_owned() } else { String::new() },
                ..Vertex::default()
            });
            self.vertices.len() - 1
        });
        if let (Some(vertex), Some(node)) = (self.vertices.get_mut(at), node)
            && !vertex.nodes.iter().any(|known| known == node)
        {
            vertex.nodes.push(node.to_owned());
        }
        at
    }

    /// The ways of an edge: what a waypoint counted is the way to it and the one from it.
    fn hops(&self, key: &'a EdgeKey) -> [Option<(Named<'a>, Named<'a>)>; 2] {
        let of = |party: &'a Option<Party>| {
            party.as_ref().map_or(("", ""), |p| (p.namespace.as_str(), p.workload.as_str()))
        };
        let (source, destination) = (of(&key.source), of(&key.destination));
        let from = self.named(source.0, source.1, "");
        let to = |service: &'a str| self.named(destination.0, destination.1, service);
        if key.reporter != "waypoint" {
            // The next hop is a waypoint: the service is not there.
            let service = if self.waypoints.contains(&destination) { "" } else { &key.service };
            return [Some((from, to(service))), None];
        }
        let (namespace, name) = key.waypoint.split_once('/').unwrap_or(("", &key.waypoint));
        let between = match self.group {
            Group::Namespace => Named { kind: "namespace", namespace, name: namespace },
            Group::Workload | Group::Service => Named { kind: "waypoint", namespace, name },
        };
        let served = key.destination.as_ref().is_some_and(|party| *party != Party::default());
        let service = if key.backend.is_empty() { &key.service } else { &key.backend };
        [Some((from, between)), served.then(|| (between, to(service)))]
    }

    fn named(&self, namespace: &'a str, workload: &'a str, service: &'a str) -> Named<'a> {
        let (of, host) = service.split_once('/').unwrap_or(("", service));
        if workload.is_empty() && namespace.is_empty() {
            return match host {
                "" => Named { kind: "unknown", namespace: "", name: "unknown" },
                _ => Named { kind: "external", namespace: of, name: host },
            };
        }
        let party = (namespace, workload);
        let namespace = if namespace.is_empty() { of } else { namespace };
        match self.group {
            Group::Namespace => Named { kind: "namespace", namespace, name: namespace },
            _ if self.waypoints.contains(&party) => {
                Named { kind: "waypoint", namespace, name: workload }
            }
            Group::Service if !host.is_empty() => {
                let short = host.split('.').next().unwrap_or_default();
                Named { kind: "service", namespace: of, name: short }
            }
            Group::Service | Group::Workload => {
                Named { kind: "workload", namespace, name: workload }
            }
        }
    }

    fn finish(self) -> Graph {
        let Self { mut vertices, links, .. } = self;
        let id = |at: usize| vertices.get(at).map_or("", |vertex| vertex.id.as_str());
        let mut links: Vec<_> = links.into_iter().collect();
        links.sort_unstable_by_key(|((from, to, service, port), _)| {
            (id(*from), id(*to), *service, *port)
        });
        let ends: Vec<usize> = links.iter().map(|((_, to, ..), _)| *to).collect();
        let edges: Vec<Link> = links
            .into_iter()
            .map(|((from, to, service, port), sides)| sides.link(id(from), id(to), service, port))
            .collect();
        for (to, link) in ends.into_iter().zip(&edges) {
            if let Some(vertex) = vertices.get_mut(to) {
                vertex.health = vertex.health.max(link.health);
            }
        }
        vertices.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Graph { vertices, edges }
    }
}

impl<'a> Sides<'a> {
    fn add(&mut self, key: &'a EdgeKey, edge: &Edge) {
        let (sum, add): (_, fn(&mut Counters, &Counters)) = match key.reporter.as_str() {
            "source" => (&mut self.source, Counters::merge_connections),
            "destination" => (&mut self.destination, Counters::merge_connections),
            _ => (&mut self.waypoint, Counters::merge_requests),
        };
        let (mut failed, mut errors) = (0u64, 0u64);
        for counters in edge.buckets.iter().filter_map(|bucket| bucket.counters.as_ref()) {
            add(sum, counters);
            failed = failed.saturating_add(counters.failed);
            errors = errors.saturating_add(counters.errors());
        }
        match key.security.as_str() {
            "mtls" => self.mtls = true,
            _ => self.plain = true,
        }
        if self.protocol.is_empty() || key.protocol != "tcp" {
            self.protocol = &key.protocol;
        }
        if let Some(source) = key.source.as_ref().filter(|source| !source.identity.is_empty()) {
            self.identity = &source.identity;
        }
        if !key.policy.is_empty() {
            self.policies.insert(&key.policy);
        }
        if !key.failure.is_empty() {
            let count = self.failures.entry((&key.failure, &key.policy)).or_default();
            *count = count.saturating_add(failed.max(errors));
        }
    }

    fn link(self, from: &str, to: &str, service: &str, port: u32) -> Link {
        // What the destination refused is a failure of the source too, and known better there.
        let failed = self.source.failed.max(self.destination.failed);
        let refused = self.source.refused.max(self.destination.refused);
        // Where the caller has no proxy, the other end counts alone.
        let mut all = if self.source.is_empty() { self.destination } else { self.source };
        (all.failed, all.refused) = (failed, refused);
        all.merge(&self.waypoint);
        let failure = |((failure, policy), count): ((&str, &str), u64)| FailureCount {
            failure: failure.to_owned(),
            policy: policy.to_owned(),
            count,
        };
        Link {
            from: from.to_owned(),
            to: to.to_owned(),
            service: service.to_owned(),
            port,
            protocol: self.protocol.to_owned(),
            security: match (self.mtls, self.plain) {
                (true, false) => "mtls",
                (true, true) => "mixed",
                (false, _) => "plain",
            },
            identity: self.identity.to_owned(),
            health: Health::of(&all),
            totals: (&all).into(),
            policies: self.policies.into_iter().map(str::to_owned).collect(),
            failures: self.failures.into_iter().map(failure).collect(),
        }
    }
}

/// The links of one workload, in or out, for its page.
pub(super) fn links(heard: &[Heard]) -> (Vec<Vertex>, Vec<Link>) {
    let Graph { vertices, edges } = graph(heard, Group::Workload);
    (vertices, edges)
}
