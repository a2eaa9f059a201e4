//! What control says: `/debug/mesh` and `/debug/status` (docs/wire.md, "Telemetry").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dump::{Policy, Service, Workload};

/// What it knows, and what it publishes to node proxies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MeshDump {
    pub(crate) version: String,
    pub(crate) cluster: String,
    pub(crate) system_namespace: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) services: Vec<Service>,
    pub(crate) policies: Vec<Policy>,
}

/// A machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// It has had no stream for longer than the grace.
    pub(crate) silent: bool,
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) service_account: String,
    pub(crate) ready: bool,
    pub(crate) terminated: bool,
    pub(crate) host_network: bool,
    /// Its labels say that it takes part.
    pub(crate) enrol: bool,
    /// Whose label decided: `pod`, `namespace` or empty.
    pub(crate) label: String,
    /// Of which Gateway it is an instance.
    pub(crate) waypoint: String,
    /// What its node said last: `NotEnrolled`, `Pending`, `Enrolled`, `Failed`.
    pub(crate) state: Option<String>,
    pub(crate) reason: String,
    pub(crate) older_connections: u64,
}

/// What it says about the objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusReport {
    pub(crate) synced: bool,
    /// By `Kind namespace/name`.
    pub(crate) objects: BTreeMap<String, Vec<Condition>>,
    pub(crate) problems: Vec<Problem>,
}

/// A condition of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What is not taken as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) document: usize,
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) message: String,
}
