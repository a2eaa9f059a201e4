//! What the nodes say about their pods.

use serde::{Deserialize, Serialize};

/// Where a pod stands with its enrolment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enrolment {
    /// No part of the mesh.
    #[default]
    NotEnrolled,
    /// Not yet; the node tries.
    Pending,
    /// Its traffic is redirected.
    Enrolled,
    /// The node gave up.
    Failed,
}

/// One pod's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Where it stands.
    pub state: Enrolment,
    /// Why it is pending or failed.
    pub reason: String,
    /// Connections older than the enrolment.
    pub older_connections: u64,
    /// The waypoint that the node runs in the pod is ready.
    #[serde(default)]
    pub waypoint_ready: bool,
}
