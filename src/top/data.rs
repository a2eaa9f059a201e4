//! Rows out of what is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use observe::pb::Connection;

use super::view::Level;
use crate::audit::side;
use crate::failure::Failure;
use crate::mesh::Mesh;
use crate::remembered::shape::{Connections, NodeCard, Nodes, Totals, WorkloadRow, Workloads};
use crate::remembered::{Asked, Remembered};
use crate::terminal::{clean, units};

/// A value of a row: what is shown, and by what it is sorted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) order: Order,
}

/// Numbers before texts.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) enum Order {
    Number(f64),
    Text(String),
}

/// A row of some level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) values: Vec<Value>,
    /// By what it is found below another: node names, namespace, `namespace/workload`.
    pub(super) nodes: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) workloads: Vec<String>,
    /// Whether something fails there.
    pub(super) bad: bool,
}

/// All rows of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    nodes: Vec<Row>,
    namespaces: Vec<Row>,
    workloads: Vec<Row>,
    connections: Vec<Row>,
    /// Proxies that did not answer.
    pub(super) missing: Vec<String>,
    /// Why it is not of now.
    pub(super) stale: Option<String>,
}

impl Data {
    /// Asks for all of it.
    pub(super) async fn look(
        remembered: &Remembered,
        mesh: &Mesh,
        window: Duration,
    ) -> Result<Self, Failure> {
        let asked = Asked {
            namespace: mesh.namespaces.only().unwrap_or_default().to_owned(),
            ..Asked::last(window)
        };
        let busiest = Asked { limit: Some(1_000), ..asked.clone() };
        let (nodes, workloads, connections) = futures_util::try_join!(
            remembered.page::<Nodes>("nodes", &asked),
            remembered.page::<Workloads>("workloads", &asked),
            remembered.page::<Connections>("connections", &busiest),
        )?;
        let missing = nodes.missing.iter().map(|missing| clean(&missing.text()).into_owned());
        let missing = missing.collect();
        let mut all = workloads.page.workloads;
        all.retain(|one| mesh.namespaces.has(&one.namespace));
        Ok(Self {
            missing,
            ..Self::of(&nodes.page.nodes, &all, &connections.page.connections, window)
        })
    }

    /// Rows out of the pages.
    pub(super) fn of(
        nodes: &[NodeCard],
        workloads: &[WorkloadRow],
        connections: &[Connection],
        window: Duration,
    ) -> Self {
        let seconds = window.as_secs_f64().max(1.0);
        Self {
            nodes: nodes.iter().map(|node| node_row(node, seconds)).collect(),
            namespaces: namespace_rows(workloads, seconds),
            workloads: workloads.iter().map(|one| workload_row(one, seconds)).collect(),
            connections: connections.iter().map(connection_row).collect(),
            missing: Vec::new(),
            stale: None,
        }
    }

    /// The rows of a level.
    pub(super) fn rows(&self, level: Level) -> &[Row] {
        match level {
            Level::Nodes => &self.nodes,
            Level::Namespaces => &self.namespaces,
            Level::Workloads => &self.workloads,
            Level::Connections => &self.connections,
        }
    }
}

fn text(text: &str) -> Value {
    let text = clean(text).into_owned();
    Value { order: Order::Text(text.clone()), text }
}

fn number(value: f64, text: String) -> Value {
    Value { text, order: Order::Number(value) }
}

fn count(value: u64) -> Value {
    number(value as f64, value.to_string())
}

fn rate(value: u64, seconds: f64) -> Value {
    let rate = value as f64 / seconds;
    number(rate, format!("{rate:.1}/s"))
}

fn bytes_rate(value: u64, seconds: f64) -> Value {
    let rate = value as f64 / seconds;
    number(rate, format!("{}/s", units::bytes(rate as u64)))
}

fn node_row(node: &NodeCard, seconds: f64) -> Row {
    let totals = &node.totals;
    Row {
        values: vec![
            text(&node.name),
            text(if node.ready { "ready" } else { "not ready" }),
            count(node.pods),
            count(node.proven),
            count(node.connections),
            rate(totals.opened, seconds),
            bytes_rate(totals.sent_bytes + totals.received_bytes, seconds),
            count(totals.failed),
            number(node.cpu_percent, format!("{:.1} %", node.cpu_percent)),
            number(node.resident_bytes as f64, units::bytes(node.resident_bytes)),
        ],
        nodes: vec![node.name.clone()],
        namespaces: Vec::new(),
        workloads: Vec::new(),
        bad: !node.ready || totals.failed > 0,
    }
}

/// What is counted of a workload or a namespace.
fn traffic(inbound: &Totals, outbound: &Totals, seconds: f64) -> Vec<Value> {
    vec![
        rate(inbound.opened, seconds),
        rate(outbound.opened, seconds),
        rate(inbound.requests, seconds),
        bytes_rate(inbound.sent_bytes + inbound.received_bytes, seconds),
        count(inbound.failed + outbound.failed),
        count(inbound.refused),
    ]
}

fn workload_row(one: &WorkloadRow, seconds: f64) -> Row {
    let mut values = vec![
        text(&one.namespace),
        text(&one.name),
        number(one.pods as f64, format!("{}/{}", one.enrolled, one.pods)),
    ];
    values.extend(traffic(&one.inbound, &one.outbound, seconds));
    values.push(text(&one.health));
    Row {
        values,
        nodes: one.nodes.clone(),
        namespaces: vec![one.namespace.clone()],
        workloads: vec![format!("{}/{}", one.namespace, one.name)],
        bad: matches!(one.health.as_str(), "failing" | "warning"),
    }
}

fn namespace_rows(workloads: &[WorkloadRow], seconds: f64) -> Vec<Row> {
    let mut by_name: BTreeMap<&str, Vec<&WorkloadRow>> = BTreeMap::new();
    for one in workloads {
        by_name.entry(&one.namespace).or_default().push(one);
    }
    let row = |(name, all): (&str, Vec<&WorkloadRow>)| {
        let sum = |of: fn(&WorkloadRow) -> &Totals| {
            all.iter().map(|one| of(one)).fold(Totals::default(), |sum, one| Totals {
                opened: sum.opened + one.opened,
                failed: sum.failed + one.failed,
                refused: sum.refused + one.refused,
                sent_bytes: sum.sent_bytes + one.sent_bytes,
                received_bytes: sum.received_bytes + one.received_bytes,
                requests: sum.requests + one.requests,
                ..Totals::default()
            })
        };
        let pods: u64 = all.iter().map(|one| one.pods).sum();
        let enrolled: u64 = all.iter().map(|one| one.enrolled).sum();
        let mut values = vec![
            text(name),
            count(all.len() as u64),
            number(pods as f64, format!("{enrolled}/{pods}")),
        ];
        values.extend(traffic(&sum(|one| &one.inbound), &sum(|one| &one.outbound), seconds));
        let bad = all.iter().any(|one| matches!(one.health.as_str(), "failing" | "warning"));
        let mut nodes: Vec<String> = all.iter().flat_map(|one| one.nodes.clone()).collect();
        nodes.sort();
        nodes.dedup();
        Row { values, nodes, namespaces: vec![name.to_owned()], workloads: Vec::new(), bad }
    };
    by_name.into_iter().map(row).collect()
}

fn connection_row(one: &Connection) -> Row {
    let key = one.key.clone().unwrap_or_default();
    let from = side(key.source.as_ref(), &one.source_pod, &one.source_address);
    let to = side(key.destination.as_ref(), &one.destination_pod, &one.destination_address);
    let age = u64::try_from(observe::now_ms() - one.began_ms).unwrap_or_default();
    let parties = [key.source, key.destination];
    let parties: Vec<_> = parties.into_iter().flatten().collect();
    Row {
        values: vec![
            text(&from),
            text(&to),
            count(u64::from(key.port)),
            text(&key.security),
            number(age as f64, units::span(Duration::from_millis(age))),
            bytes_rate(one.sent_rate, 1.0),
            bytes_rate(one.received_rate, 1.0),
            number(
                (one.sent_bytes + one.received_bytes) as f64,
                units::bytes(one.sent_bytes + one.received_bytes),
            ),
            text(&one.node),
        ],
        nodes: vec![one.node.clone()],
        namespaces: parties.iter().map(|party| party.namespace.clone()).collect(),
        workloads: parties.iter().map(|p| format!("{}/{}", p.namespace, p.workload)).collect(),
        bad: key.security == "plain",
    }
}
