//! What a mesh is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::control::ControlPlane;
use super::machine::Machine;
use super::{Inner, Mesh, MeshError};
use crate::bed::Testbed;
use crate::manifests;

/// Name and value of a variable.
pub(crate) type Variable = (String, String);

/// A mesh before its start.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    pub(crate) ambit: PathBuf,
    pub(crate) nodes: u8,
    pub(crate) node_env: Vec<Variable>,
    pub(crate) control_env: Vec<Variable>,
    pub(crate) ztunnel: Option<PathBuf>,
}

impl MeshOptions {
    pub(crate) fn new(ambit: impl Into<PathBuf>) -> Self {
        Self {
            ambit: ambit.into(),
            nodes: 2,
            node_env: Vec::new(),
            control_env: Vec::new(),
            ztunnel: None,
        }
    }

    /// So many nodes, `node-a` and so on; 2 otherwise, at most 26.
    #[must_use]
    pub fn nodes(mut self, count: u8) -> Self {
        self.nodes = count;
        self
    }

    /// A variable of every node's programs: agent, ztunnel, waypoints.
    #[must_use]
    pub fn node_env(mut self, name: &str, value: &str) -> Self {
        self.node_env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of the control plane.
    #[must_use]
    pub fn control_env(mut self, name: &str, value: &str) -> Self {
        self.control_env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another program as ztunnel than `ambit ztunnel`.
    #[must_use]
    pub fn ztunnel(mut self, program: impl Into<PathBuf>) -> Self {
        self.ztunnel = Some(program.into());
        self
    }

    /// Starts control and every node, and waits until all are ready. No pod is there yet.
    ///
    /// # Errors
    /// If a program does not start or is not ready in time; the message shows its log.
    pub async fn start(&self, bed: &Testbed) -> Result<Mesh, MeshError> {
        let manifests = bed.manifests()?;
        let nodes = bed.nodes(self.nodes)?;
        for node in &nodes {
            manifests.apply(&manifests::node(node))?;
        }
        let control = ControlPlane::new(bed, self)?;
        control.start()?;
        // Its root certificate is what the nodes trust.
        control.ready().await?;
        let mut machines = BTreeMap::new();
        for node in nodes {
            let machine = Machine::new(bed, node, self, &control).await?;
            machine.start()?;
            machines.insert(machine.node().name().to_owned(), machine);
        }
        let bed = bed.clone();
        let inner = Inner { bed, manifests, control, machines, state: std::sync::Mutex::default() };
        let mesh = Mesh { inner: Arc::new(inner) };
        mesh.ready().await?;
        Ok(mesh)
    }
}
