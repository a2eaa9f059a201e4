//! A running mesh on a testbed: real processes of the `ambit` command.
//!
//! ```text
//!   infra: ambit control ── 192.0.2.1:15012 ──┬── node-a: ambit node ── ambit ztunnel
//!          /run/bed/manifests                 └── node-b: ambit node ── ambit ztunnel
//! ```
//!
//! In the order in which a scenario meets them:
//!
//! - [`options`]: what is started, and how
//! - [`control`]: the control plane; its status, logs, death and return
//! - [`machine`]: a node's programs; [`ztunnel`] its proxy, the same
//! - [`namespace`]: namespaces and their labels: enrolment is one
//! - [`pod`]: pods, their manifests, their programs
//! - [`service`]: services with addresses and names
//! - [`pair`]: the usual case, a client and a server
//! - [`talk`]: connections of the test itself
//! - [`waypoint`]: Gateways and the pods that serve them
//! - [`logs`], [`metrics`], [`page`]: what the programs say
//!
//! Programs find services through `/etc/hosts`, because nothing here serves DNS. Everything
//! between control and nodes passes the router itself and never the way from node to node,
//! so a capture of that holds the mesh's traffic only.

pub mod control;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod namespace;
pub mod options;
pub mod page;
pub mod pair;
pub mod pod;
pub mod service;
pub mod talk;
pub mod waypoint;
pub mod ztunnel;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub use control::ControlPlane;
pub use logs::{LogQuery, Mark};
pub use machine::Machine;
pub use metrics::Metrics;
pub use options::MeshOptions;
pub use pair::Pair;
pub use pod::{MeshPod, PodRequest};
pub use service::{MeshService, ServiceRequest};
pub use talk::Chat;
pub use waypoint::Deployed;
pub use ztunnel::Ztunnel;

use crate::announce::AnnounceError;
use crate::bed::{BedError, Testbed};
use crate::manifests::{ManifestError, Manifests};
use crate::netns::NetnsError;
use crate::process::ProcessError;
use crate::wait::{TooLate, eventually};

/// How long a wait of this module goes on unless a caller says otherwise. A machine with two
/// busy processors needs a part of it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why the mesh is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The testbed.
    #[error(transparent)]
    Bed(#[from] BedError),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A program.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The node agent did not take a pod.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// A network namespace.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A file of the mesh.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A page of a program could not be read.
    #[error("{page}: {problem}")]
    Page {
        /// Whose, and which.
        page: String,
        /// What is wrong.
        problem: String,
    },
    /// A condition did not come true.
    #[error("{late}\n{logs}")]
    Late {
        /// What was waited for.
        late: TooLate,
        /// The end of the logs that tell why.
        logs: String,
    },
    /// Something that is not there.
    #[error("{object} {name:?} is not there")]
    Missing {
        /// What kind of thing.
        object: &'static str,
        /// Which.
        name: String,
    },
}

/// A running mesh. A clone is the same mesh; the programs end with the last clone, and a
/// [`MeshPod`] holds one.
#[derive(Clone)]
pub struct Mesh {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) bed: Testbed,
    pub(crate) manifests: Manifests,
    pub(crate) control: ControlPlane,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) state: Mutex<State>,
}

/// What the manifests say, to change it step by step.
#[derive(Default)]
pub(crate) struct State {
    /// Labels of each namespace.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Services so far; each has its number in its addresses.
    pub(crate) services: u16,
    pub(crate) pods: BTreeMap<String, Arc<pod::Shared>>,
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of everybody's log, for a message.
    pub(crate) fn tails(&self) -> String {
        let control = [self.control.tail()];
        let tails = control.into_iter().chain(self.machines.values().map(Machine::tail));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Waits at most `limit` for `condition`; says `what` and shows the logs otherwise.
    pub(crate) async fn until(
        &self,
        what: impl fmt::Display,
        limit: Duration,
        condition: impl AsyncFnMut() -> bool,
    ) -> Result<Duration, MeshError> {
        let waited = eventually(what, limit, condition).await;
        waited.map_err(|late| MeshError::Late { late, logs: self.tails() })
    }
}

impl Mesh {
    /// Starts a mesh of two nodes, `node-a` and `node-b`, with `ambit` as the command.
    ///
    /// # Errors
    /// What [`MeshOptions::start`] says.
    pub async fn start(bed: &Testbed, ambit: impl Into<PathBuf>) -> Result<Self, MeshError> {
        MeshOptions::new(ambit).start(bed).await
    }

    /// What can be set about a mesh before it is started.
    pub fn options(ambit: impl Into<PathBuf>) -> MeshOptions {
        MeshOptions::new(ambit)
    }

    /// The testbed below it.
    pub fn bed(&self) -> &Testbed {
        &self.inner.bed
    }

    /// The directory of Kubernetes YAML that `control` reads.
    pub fn manifests(&self) -> &Manifests {
        &self.inner.manifests
    }

    /// The control plane.
    pub fn control(&self) -> &ControlPlane {
        &self.inner.control
    }

    /// The programs of a node.
    ///
    /// # Errors
    /// `Missing` without a node of this name.
    pub fn node(&self, name: &str) -> Result<&Machine, MeshError> {
        let machine = self.inner.machines.get(name);
        machine.ok_or_else(|| MeshError::Missing { object: "node", name: name.to_owned() })
    }

    /// The programs of all nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Machine> {
        self.inner.machines.values()
    }

    /// The way between the first two nodes.
    ///
    /// # Errors
    /// `Missing` if there are less.
    pub fn link(&self) -> Result<crate::Link, MeshError> {
        let mut machines = self.nodes();
        match (machines.next(), machines.next()) {
            (Some(one), Some(other)) => Ok(self.bed().link(one.node(), other.node())),
            _ => Err(MeshError::Missing { object: "node", name: "node-b".to_owned() }),
        }
    }

    /// Waits until control has read its manifests and every ztunnel is ready.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn ready(&self) -> Result<Duration, MeshError> {
        self.inner
            .until("control and every ztunnel are ready", PATIENCE, async || {
                if !self.control().is_ready().await {
                    return false;
                }
                for machine in self.nodes() {
                    if !machine.is_ready().await || !machine.ztunnel().is_ready().await {
                        return false;
                    }
                }
                true
            })
            .await
    }

    /// Adds an object to the manifests, or replaces it.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn apply(&self, object: &Value) -> Result<(), MeshError> {
        Ok(self.manifests().apply(object)?)
    }

    /// Takes an object away; `namespace` is empty for objects without one.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<(), MeshError> {
        Ok(self.manifests().remove(kind, namespace, name)?)
    }

    /// Waits until every ztunnel has (`true`) or has not (`false`) a policy `namespace/name`.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn policy_is_known(&self, name: &str, known: bool) -> Result<Duration, MeshError> {
        let what = format!("every ztunnel knows the policy {name}: {known}");
        let has = |dump: &Value| {
            let key = |p: &Value| {
                let part = |field: &str| p.get(field).and_then(Value::as_str).unwrap_or_default();
                format!("{}/{}", part("namespace"), part("name"))
            };
            let policies = dump.get("policies").and_then(Value::as_array);
            policies.is_some_and(|all| all.iter().any(|policy| key(policy) == name))
        };
        self.inner
            .until(what, PATIENCE, async || self.every_dump(|dump| has(dump) == known).await)
            .await
    }

    /// Whether the state of every ztunnel is such.
    pub async fn every_dump(&self, mut is: impl FnMut(&Value) -> bool) -> bool {
        for machine in self.nodes() {
            match machine.ztunnel().config_dump().await {
                Ok(dump) if is(&dump) => {}
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
