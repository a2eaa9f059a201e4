//! Workloads: what comes in and goes out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flat;
use super::graph;
use super::policy::{self, PolicyRow};
use super::shape::{Health, Link, Point, Totals, Vertex};
use super::side::{Course, LAYER4, LAYER7, Part, edges};
use crate::pb::{Counters, EdgeKey, Incident, Party, Pod, Sketch};
use crate::sketch::bounds;
use crate::source::Heard;

/// Fields by which the edges of a list are summed.
pub(super) const LIST: &[&str] = &["reporter", "source", "destination", "failure", "waypoint"];

/// Upper bounds of a heat map's rows, in microseconds.
const HEAT: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

#[derive(Debug, Serialize)]
pub(super) struct List {
    workloads: Vec<Row>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    namespace: String,
    name: String,
    kind: &'static str,
    identity: String,
    pods: usize,
    enrolled: usize,
    nodes: Vec<String>,
    inbound: Totals,
    outbound: Totals,
    health: Health,
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    workload: Row,
    pods: Vec<Pod>,
    inbound: Side,
    outbound: Side,
    incidents: Vec<Incident>,
    policies: Vec<PolicyRow>,
}

#[derive(Debug, Serialize)]
struct Side {
    totals: Totals,
    points: Vec<Point>,
    peers: Vec<Peer>,
    heat: Heat,
}

#[derive(Debug, Serialize)]
struct Peer {
    #[serde(flatten)]
    link: Link,
    peer: Vertex,
}

#[derive(Debug, Serialize)]
struct Heat {
    bounds: Vec<u64>,
    steps: Vec<HeatStep>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeatStep {
    at_ms: i64,
    counts: Vec<u64>,
}

/// What one workload sent and got.
#[derive(Default)]
struct Both {
    inbound: Course,
    outbound: Course,
    identity: String,
}

/// Namespace and name.
type Name<'a> = (&'a str, &'a str);

fn name(party: Option<&Party>) -> Option<Name<'_>> {
    let party = party.filter(|party| !party.workload.is_empty())?;
    Some((&party.namespace, &party.workload))
}

/// What this edge counts for its destination, and for its source.
fn parts(key: &EdgeKey) -> (Option<Part>, Option<Part>) {
    match key.reporter.as_str() {
        "source" => (None, Some(LAYER4)),
        "destination" => (Some(LAYER4), None),
        "waypoint" => (Some(LAYER7), Some(LAYER7)),
        _ => (None, None),
    }
}

fn courses(heard: &[Heard]) -> BTreeMap<Name<'_>, Both> {
    let mut all: BTreeMap<Name<'_>, Both> = BTreeMap::new();
    for (edge, key) in edges(heard) {
        let (inbound, outbound) = parts(key);
        if let (Some(part), Some(name)) = (inbound, name(key.destination.as_ref())) {
            all.entry(name).or_default().inbound.add(edge, part);
        }
        if let (Some(part), Some(name)) = (outbound, name(key.source.as_ref())) {
            let both = all.entry(name).or_default();
            both.outbound.add(edge, part);
            if let Some(source) = key.source.as_ref().filter(|s| !s.identity.is_empty()) {
                both.identity.clone_from(&source.identity);
            }
        }
    }
    all
}

/// Pods by workload.
fn pods(heard: &[Heard]) -> BTreeMap<Name<'_>, Vec<&Pod>> {
    let whole = heard.iter().any(|h| h.origin.kind == "control" && h.result.is_ok());
    let of = heard.iter().filter(|h| !whole || h.origin.kind == "control");
    let states = of.filter_map(|h| h.result.as_ref().ok()?.state.as_ref());
    let mut all: BTreeMap<Name<'_>, Vec<&Pod>> = BTreeMap::new();
    for pod in states.flat_map(|state| &state.pods) {
        all.entry((&pod.namespace, &pod.workload)).or_default().push(pod);
    }
    all
}

/// All workloads that run or had traffic.
pub(super) fn list(heard: &[Heard]) -> List {
    let mut courses = courses(heard);
    let pods = pods(heard);
    for name in pods.keys() {
        courses.entry(*name).or_default();
    }
    let none = Vec::new();
    let row = |(name, both): (Name<'_>, Both)| row(name, &both, pods.get(&name).unwrap_or(&none));
    List { workloads: courses.into_iter().map(row).collect() }
}

fn row((namespace, name): Name<'_>, both: &Both, own: &[&Pod]) -> Row {
    let mut nodes: Vec<String> = own.iter().map(|pod| pod.node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    let identity = own.first().map_or(&both.identity, |pod| &pod.identity);
    let (inbound, outbound) = (both.inbound.total(), both.outbound.total());
    Row {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        kind: "workload",
        identity: identity.clone(),
        pods: own.len(),
        enrolled: own.iter().filter(|pod| pod.state == "enrolled").count(),
        nodes,
        health: Health::of(&inbound).max(Health::of(&outbound)),
        inbound: (&inbound).into(),
        outbound: (&outbound).into(),
    }
}

/// One workload.
pub(super) fn page(heard: &[Heard], namespace: &str, workload: &str, limit: usize) -> Page {
    let key: Name<'_> = (namespace, workload);
    let both = courses(heard).remove(&key).unwrap_or_default();
    let own = pods(heard).remove(&key).unwrap_or_default();
    let (vertices, links) = graph::links(heard);
    let id = vertices
        .iter()
        .find(|v| v.namespace == namespace && v.name == workload && v.kind != "namespace")
        .map_or_else(|| format!("workload:{namespace}/{workload}"), |vertex| vertex.id.clone());
    let peer = |id: &str| {
        let found = vertices.iter().find(|vertex| vertex.id == id).cloned();
        found.unwrap_or_else(|| Vertex { id: id.to_owned(), kind: "unknown", ..Vertex::default() })
    };
    let peers = |of: fn(&Link) -> &String, other: fn(&Link) -> &String| {
        let mine = links.iter().filter(|link| *of(link) == id);
        mine.map(|link| Peer { peer: peer(other(link)), link: link.clone() }).collect()
    };
    Page {
        workload: row(key, &both, &own),
        pods: own.into_iter().cloned().collect(),
        inbound: side(&both.inbound, peers(|l| &l.to, |l| &l.from)),
        outbound: side(&both.outbound, peers(|l| &l.from, |l| &l.to)),
        incidents: flat::newest_incidents(heard, limit.min(200)),
        policies: policy::rows(heard),
    }
}

fn side(course: &Course, peers: Vec<Peer>) -> Side {
    Side { totals: (&course.total()).into(), points: course.points(), peers, heat: heat(course) }
}

fn heat(course: &Course) -> Heat {
    let requests = course.total().latencies.is_some();
    let of = |counters: &Counters| {
        let sketch = if requests { &counters.latencies } else { &counters.durations };
        sketch.as_ref().map(rows).unwrap_or_else(|| vec![0; HEAT.len() + 1])
    };
    let steps = course.steps().map(|(at_ms, counters)| HeatStep { at_ms, counts: of(counters) });
    Heat { bounds: HEAT.to_vec(), steps: steps.collect() }
}

fn rows(sketch: &Sketch) -> Vec<u64> {
    let mut rows = vec![0u64; HEAT.len() + 1];
    for (bin, count) in sketch.bins.iter().zip(&sketch.counts) {
        let (low, high) = bounds(*bin);
        let middle = f64::midpoint(low, high);
        let at = HEAT.iter().position(|bound| middle < *bound as f64).unwrap_or(HEAT.len());
        if let Some(row) = rows.get_mut(at) {
            *row = row.saturating_add(*count);
        }
    }
    rows
}
