//! Nodes: what their proxies carry and cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flat;
use super::shape::{Point, Totals};
use super::side::{Course, LAYER4};
use crate::pb::{Answer, Connection, Cost, Counters, Event, Incident, Pod, State};
use crate::source::Heard;

/// Fields by which a node's edges are summed.
pub(super) const GROUP: &[&str] = &["reporter", "failure"];

#[derive(Debug, Serialize)]
pub(super) struct Cards {
    nodes: Vec<Card>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Card {
    name: String,
    ready: bool,
    connected_ms: i64,
    version: String,
    pods: usize,
    enrolled: usize,
    proven: usize,
    connections: u64,
    edges: u64,
    edge_limit: u64,
    disk_bytes: u64,
    totals: Totals,
    cpu_percent: f64,
    resident_bytes: u64,
    descriptors: u32,
    handshakes_per_second: f64,
    certificates: usize,
    next_expiry_ms: i64,
    points: Vec<NodePoint>,
    waypoints: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodePoint {
    #[serde(flatten)]
    point: Point,
    #[serde(flatten)]
    cost: CostPoint,
}

/// What a proxy cost in a step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct CostPoint {
    cpu_percent: f64,
    resident_bytes: u64,
    descriptors: u32,
    handshakes: u64,
    handshake_failures: u64,
    connections: u64,
    #[serde(skip)]
    duration_ms: i64,
    #[serde(skip)]
    cpu_us: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    kind: String,
    name: String,
    points: Vec<ProcessPoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessPoint {
    at_ms: i64,
    #[serde(flatten)]
    cost: CostPoint,
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    node: Card,
    processes: Vec<Process>,
    connections: Vec<Connection>,
    incidents: Vec<Incident>,
    events: Vec<Event>,
    pods: Vec<Pod>,
}

/// A card for each node that a proxy or control knows.
pub(super) fn cards(heard: &[Heard]) -> Cards {
    let mut by_node: BTreeMap<&str, Vec<&Heard>> = BTreeMap::new();
    for one in heard.iter().filter(|heard| heard.origin.kind != "control") {
        by_node.entry(&one.origin.node).or_default().push(one);
    }
    let known: Vec<&Pod> =
        control(heard).map(|state| state.pods.iter().collect()).unwrap_or_default();
    for pod in &known {
        if !pod.node.is_empty() {
            by_node.entry(&pod.node).or_default();
        }
    }
    let nodes = by_node.into_iter().map(|(name, heard)| card(name, &heard, &known)).collect();
    Cards { nodes }
}

fn control(heard: &[Heard]) -> Option<&State> {
    heard
        .iter()
        .find(|heard| heard.origin.kind == "control")
        .and_then(|heard| heard.result.as_ref().ok()?.state.as_ref())
}

fn card(name: &str, heard: &[&Heard], known: &[&Pod]) -> Card {
    let mut card = Card { name: name.to_owned(), ..Card::default() };
    let (mut course, mut costs) = (Course::default(), Costs::default());
    let mut pods: Vec<&Pod> = known.iter().filter(|pod| pod.node == name).copied().collect();
    for one in heard {
        if one.origin.kind == "ztunnel" {
            card.connected_ms = one.connected_ms;
            card.version.clone_from(&one.origin.version);
        } else {
            card.waypoints.push(format!("{}/{}", one.origin.namespace, one.origin.gateway));
        }
        let Ok(answer) = &one.result else { continue };
        for edge in &answer.edges {
            let reporter = edge.key.as_ref().map_or("", |key| &key.reporter);
            if reporter != "waypoint" {
                course.add(edge, LAYER4);
            }
        }
        costs.add(answer);
        let Some(state) = &answer.state else { continue };
        if one.origin.kind == "ztunnel" {
            card.ready = state.ready;
            card.edge_limit = state.edge_limit;
            if known.is_empty() {
                pods.extend(&state.pods);
            }
        }
        card.edges += state.edges;
        card.disk_bytes += state.disk_bytes;
        card.connections += state.open_connections;
        let ends = state.certificates.iter().map(|certificate| certificate.not_after_ms);
        let next = ends.filter(|end| *end > 0).min();
        card.certificates += state.certificates.len();
        if let Some(next) = next {
            let before = Some(card.next_expiry_ms).filter(|end| *end > 0);
            card.next_expiry_ms = before.map_or(next, |before| before.min(next));
        }
    }
    card.pods = pods.len();
    card.enrolled = pods.iter().filter(|pod| pod.state == "enrolled").count();
    card.proven = pods.iter().filter(|pod| pod.proof == "proven").count();
    card.waypoints.sort();
    card.waypoints.dedup();
    card.totals = (&course.total()).into();
    let whole = costs.whole();
    card.cpu_percent = whole.cpu_percent;
    card.resident_bytes = whole.resident_bytes;
    card.descriptors = whole.descriptors;
    card.handshakes_per_second =
        rounded(whole.handshakes as f64 * 1000.0 / (whole.duration_ms.max(1) as f64));
    card.points = costs.points(&course);
    card
}

/// Costs of the processes of a node, by step.
#[derive(Default)]
struct Costs {
    by_step: BTreeMap<i64, Vec<Cost>>,
    step_ms: i64,
}

impl Costs {
    fn add(&mut self, answer: &Answer) {
        self.step_ms = answer.step_ms.max(1);
        for cost in &answer.costs {
            let step = answer.from_ms + crate::step_of(cost.at_ms - answer.from_ms, self.step_ms);
            self.by_step.entry(step).or_default().push(cost.clone());
        }
    }

    fn whole(&self) -> CostPoint {
        let all: Vec<&Cost> = self.by_step.values().flatten().collect();
        sum(&all)
    }

    /// With the traffic of the same steps.
    fn points(&self, course: &Course) -> Vec<NodePoint> {
        let none = Counters::default();
        let traffic: BTreeMap<i64, &Counters> = course.steps().collect();
        let steps: std::collections::BTreeSet<i64> =
            self.by_step.keys().chain(traffic.keys()).copied().collect();
        let point = |at_ms: i64| {
            let counters = traffic.get(&at_ms).copied().unwrap_or(&none);
            let costs: Vec<&Cost> = self.by_step.get(&at_ms).into_iter().flatten().collect();
            NodePoint { point: Point { at_ms, totals: counters.into() }, cost: sum(&costs) }
        };
        steps.into_iter().map(point).collect()
    }
}

/// Several costs: times are added; of what is at the end of a step, the last of each process.
fn sum(costs: &[&Cost]) -> CostPoint {
    let mut sum = CostPoint::default();
    let mut last: BTreeMap<(&str, &str), &Cost> = BTreeMap::new();
    let mut durations: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for cost in costs {
        let process = (cost.kind.as_str(), cost.name.as_str());
        sum.cpu_us += cost.cpu_us;
        sum.handshakes += cost.handshakes;
        sum.handshake_failures += cost.handshake_failures;
        *durations.entry(process).or_default() += cost.duration_ms;
        let known = last.entry(process).or_insert(cost);
        if cost.at_ms >= known.at_ms {
            *known = cost;
        }
    }
    for cost in last.values() {
        sum.resident_bytes += cost.resident_bytes;
        sum.descriptors += cost.descriptors;
        sum.connections += cost.connections;
    }
    sum.duration_ms = durations.values().copied().max().unwrap_or(0);
    sum.cpu_percent = rounded(sum.cpu_us as f64 / 10.0 / (sum.duration_ms.max(1) as f64));
    sum
}

/// Two digits are enough for people.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The page of one node.
pub(super) fn page(heard: &[Heard], name: &str, limit: usize) -> Page {
    let here: Vec<&Heard> = heard
        .iter()
        .filter(|heard| heard.origin.node == name && heard.origin.kind != "control")
        .collect();
    let known: Vec<&Pod> = control(heard)
        .map(|state| state.pods.iter().filter(|pod| pod.node == name).collect())
        .unwrap_or_default();
    let own: Vec<Heard> = here.iter().map(|heard| (*heard).clone()).collect();
    // What control knows of the node: it was asked for that alone.
    let by_control = heard.iter().filter(|heard| heard.origin.kind == "control").cloned();
    let events: Vec<Heard> = by_control.chain(own.iter().cloned()).collect();
    let processes = here.iter().filter_map(|heard| {
        let mut costs = Costs::default();
        costs.add(heard.result.as_ref().ok()?);
        let points = costs.by_step.iter().map(|(at, costs)| ProcessPoint {
            at_ms: *at,
            cost: sum(&costs.iter().collect::<Vec<_>>()),
        });
        let (kind, name) = (heard.origin.kind.clone(), heard.origin.name.clone());
        Some(Process { kind, name, points: points.collect() })
    });
    let mut pods: Vec<Pod> = known.iter().map(|pod| (*pod).clone()).collect();
    if pods.is_empty() {
        let states = flat::borrowed(&own).filter_map(|answer| answer.state.as_ref());
        pods.extend(states.flat_map(|state| state.pods.clone()));
    }
    Page {
        node: card(name, &here, &known),
        processes: processes.collect(),
        connections: flat::busiest(&own, limit.min(100)),
        incidents: flat::newest_incidents(&own, limit.min(200)),
        events: flat::newest_events(&events, limit.min(200)),
        pods,
    }
}
