//! Waypoints: a Gateway, for which the nodes run instances; or with it the pod in which they
//! are to run it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::unistd::Pid;
use serde_json::Value;

use super::namespace::USE_WAYPOINT;
use super::page;
use super::pod::MeshPod;
use super::{Mesh, MeshError, Metrics, PATIENCE};
use crate::manifests;
use crate::netns::Netns;

/// The label by which a pod is a Gateway's.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The class that Ambit serves.
const CLASS: &str = "ambit-waypoint";
/// Port of an instance's metrics.
const STATS: u16 = 15020;
/// For whom a waypoint works.
const FOR: &str = "istio.io/waypoint-for";

/// A waypoint of which only the Gateway is written. A clone is the same one.
#[derive(Clone)]
pub struct Deployed {
    mesh: Mesh,
    namespace: String,
    name: String,
}

impl Deployed {
    /// Its identity, `spiffe://cluster.local/ns/NAMESPACE/sa/NAME`.
    pub fn identity(&self) -> String {
        format!("spiffe://cluster.local/ns/{}/sa/{}", self.namespace, self.name)
    }

    /// Its instances that run now, on all nodes.
    pub fn processes(&self) -> Vec<Pid> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let pids = names.filter_map(|name| name.parse().ok());
        pids.filter(|pid| self.runs(*pid)).map(Pid::from_raw).collect()
    }

    fn runs(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |name: &str, value: &str| {
            let wanted = format!("{name}={value}");
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        };
        has("GATEWAY_NAME", &self.name) && has("POD_NAMESPACE", &self.namespace)
    }

    /// The metrics of each instance.
    ///
    /// # Errors
    /// `Page` if one does not answer.
    pub async fn metrics(&self) -> Result<Vec<Metrics>, MeshError> {
        let mut all = Vec::new();
        for pid in self.processes() {
            // An absolute path stands for itself.
            let path = format!("/proc/{pid}/ns/net");
            let failed = |problem: String| MeshError::Page { page: path.clone(), problem };
            let netns = Netns::open(&path).map_err(|error| failed(error.to_string()))?;
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), STATS);
            all.push(Metrics::parse(&page::ask(&netns, address, "GET", "/metrics").await?.body));
        }
        Ok(all)
    }

    /// Waits until control says that so many instances are ready; 0 waits for none.
    ///
    /// # Errors
    /// `Late` with the status.
    pub async fn ready(&self, instances: usize) -> Result<(), MeshError> {
        let what = format!("{instances} instances of waypoint {} are ready", self.name);
        let object = format!("Gateway {}/{}", self.namespace, self.name);
        let start = format!("{instances} of ");
        let is = |status: &Value| {
            let conditions = status["objects"][&object].as_array();
            conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "Programmed"
                    && condition["message"].as_str().unwrap_or_default().starts_with(&start)
            })
        };
        self.mesh.control().status_is(&what, is).await.map(drop)
    }

    /// Deletes the Gateway.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn delete(&self) -> Result<(), MeshError> {
        self.mesh.remove("Gateway", &self.namespace, &self.name)
    }
}

impl Mesh {
    /// Asks for a waypoint `namespace/name` for services and pods by a Gateway alone: control
    /// deploys it and the nodes run it.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn gateway(&self, name: &str) -> Result<Deployed, MeshError> {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        self.namespace(namespace)?;
        let mut gateway = manifests::waypoint((namespace, name), CLASS);
        gateway["metadata"]["labels"] = serde_json::json!({ FOR: "all" });
        self.apply(&gateway)?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Ok(Deployed { mesh: self.clone(), namespace, name })
    }

    /// Makes a waypoint `namespace/name` for services and pods, with one pod `name` on a node:
    /// service, pod, Gateway. Who goes through it is a label of others; see
    /// [`Mesh::use_waypoint`].
    ///
    /// # Errors
    /// As for pods.
    pub async fn waypoint(&self, name: &str, node: &str) -> Result<MeshPod, MeshError> {
        let (_, short) = name.split_once('/').unwrap_or(("default", name));
        self.service(name)
            .named_port("hbone", 15008, 15008)
            .selecting(GATEWAY_NAME, short)
            .labelled(GATEWAY_NAME, short)
            .create()?;
        let pod = self.pod(name).on(node).labelled(GATEWAY_NAME, short).await?;
        // Last: without a pod of its own control would deploy some.
        self.gateway(name)?;
        Ok(pod)
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
