//! Answers of the API (docs/observe.md), as far as they are shown. What is missing is 0 or empty.

use observe::pb::{Connection, Edge, Incident};
use serde::{Deserialize, Serialize};

/// A page with what is said about its window.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub(crate) struct Framed<T> {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) oldest_ms: i64,
    pub(crate) missing: Vec<Missing>,
    #[serde(flatten)]
    pub(crate) page: T,
}

/// A proxy that did not answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Missing {
    pub(crate) node: String,
    pub(crate) name: String,
    pub(crate) error: String,
}

impl Missing {
    /// As a sentence.
    pub(crate) fn text(&self) -> String {
        format!("no answer from {} {}: {}", self.node, self.name, self.error)
    }
}

/// Sums of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Totals {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) latency_p50_us: Option<u64>,
    pub(crate) latency_p99_us: Option<u64>,
}

/// `mesh`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Graph {
    pub(crate) edges: Vec<Link>,
}

/// Who called whom.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Link {
    /// `kind:namespace/name`.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) service: String,
    pub(crate) port: u32,
    pub(crate) protocol: String,
    /// `mtls`, `plain` or `mixed`.
    pub(crate) security: String,
    pub(crate) identity: String,
    pub(crate) totals: Totals,
    pub(crate) health: String,
    pub(crate) policies: Vec<String>,
}

/// `answer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Records {
    pub(crate) edges: Vec<Edge>,
}

/// `incidents`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Incidents {
    pub(crate) incidents: Vec<Incident>,
    pub(crate) dropped: u64,
}

/// `connections`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connections {
    pub(crate) connections: Vec<Connection>,
}

/// `policies`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Policies {
    pub(crate) policies: Vec<PolicyRow>,
}

/// What a policy decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRow {
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) enforced_by: String,
    pub(crate) scope: String,
    pub(crate) dry_run: bool,
    pub(crate) allowed: u64,
    pub(crate) refused: u64,
}

/// `nodes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<NodeCard>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeCard {
    pub(crate) name: String,
    pub(crate) ready: bool,
    pub(crate) pods: u64,
    pub(crate) enrolled: u64,
    pub(crate) proven: u64,
    pub(crate) connections: u64,
    pub(crate) totals: Totals,
    pub(crate) cpu_percent: f64,
    pub(crate) resident_bytes: u64,
}

/// `workloads`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Workloads {
    pub(crate) workloads: Vec<WorkloadRow>,
}

/// A workload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WorkloadRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pods: u64,
    pub(crate) enrolled: u64,
    pub(crate) nodes: Vec<String>,
    pub(crate) inbound: Totals,
    pub(crate) outbound: Totals,
    pub(crate) health: String,
}
