//! Waypoints: a Gateway, and the pod in which its node's supervisor runs it.

use std::time::Duration;

use serde_json::Value;

use super::namespace::USE_WAYPOINT;
use super::pod::MeshPod;
use super::{Mesh, MeshError, PATIENCE};
use crate::manifests;

/// The label by which a pod is a Gateway's.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The class that Ambit serves.
const CLASS: &str = "ambit-waypoint";
/// For whom a waypoint works.
const FOR: &str = "istio.io/waypoint-for";

impl Mesh {
    /// Makes a waypoint `namespace/name` for services and pods, with one pod `name` on a node:
    /// Gateway, service, pod. Who goes through it is a label of others; see
    /// [`Mesh::use_waypoint`].
    ///
    /// # Errors
    /// As for pods.
    pub async fn waypoint(&self, name: &str, node: &str) -> Result<MeshPod, MeshError> {
        let (namespace, short) = name.split_once('/').unwrap_or(("default", name));
        self.namespace(namespace)?;
        let mut gateway = manifests::waypoint((namespace, short), CLASS);
        gateway["metadata"]["labels"] = serde_json::json!({ FOR: "all" });
        self.apply(&gateway)?;
        self.service(name)
            .named_port("hbone", 15008, 15008)
            .selecting(GATEWAY_NAME, short)
            .labelled(GATEWAY_NAME, short)
            .create()?;
        self.pod(name).on(node).labelled(GATEWAY_NAME, short).await
    }

    /// Sends traffic for a namespace through its waypoint `name`, or no longer.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn use_waypoint(&self, namespace: &str, name: Option<&str>) -> Result<(), MeshError> {
        self.label_namespace(namespace, USE_WAYPOINT, name)
    }

    /// Waits until every ztunnel sends traffic for a pod through a waypoint, or no longer.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn has_waypoint(&self, pod: &MeshPod, has: bool) -> Result<Duration, MeshError> {
        let uid = pod.workload();
        let what = format!("every ztunnel knows a waypoint of {}: {has}", pod.full_name());
        let is = |dump: &Value| {
            let workloads = dump.get("workloads").and_then(Value::as_array);
            workloads.is_some_and(|all| {
                all.iter().any(|workload| {
                    workload.get("uid").and_then(Value::as_str) == Some(&uid)
                        && workload.get("waypoint").is_some() == has
                })
            })
        };
        self.inner.until(what, PATIENCE, async || self.every_dump(is).await).await
    }
}
