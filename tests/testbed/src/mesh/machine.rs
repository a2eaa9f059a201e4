//! The programs of one node: `ambit node`, and under it ztunnel and waypoints.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;

use super::control::ControlPlane;
use super::logs::{LogFiles, LogQuery, Mark};
use super::options::MeshOptions;
use super::page;
use super::ztunnel::Ztunnel;
use super::{MeshError, Metrics, PATIENCE};
use crate::bed::{Node, Testbed};
use crate::process::{Command, Process};

/// Port of the agent's readiness.
const HEALTH: u16 = 8000;
/// Port of the agent's metrics.
const METRICS: u16 = 15014;

/// The programs of one node. A clone is the same machine.
#[derive(Debug, Clone)]
pub struct Machine {
    node: Node,
    command: Command,
    directory: PathBuf,
    process: Arc<Mutex<Option<Process>>>,
    pub(super) logs: LogFiles,
}

impl Machine {
    pub(super) async fn new(
        bed: &Testbed,
        node: Node,
        options: &MeshOptions,
        control: &ControlPlane,
    ) -> Result<Self, MeshError> {
        let directory = bed.directory(node.name())?;
        let token = directory.join("join-token");
        fs::write(&token, control.token(node.name()).await?)
            .map_err(|source| MeshError::File { path: token.clone(), source })?;
        let mut command = node
            .command(&options.ambit)
            .named("node")
            .arg("node")
            .env("NODE_NAME", node.name())
            .env("INSTANCE_IP", node.ip4().to_string())
            .env("XDS_ADDRESS", control.address())
            .env("XDS_ROOT_CA", control.root_certificate())
            .env("AMBIT_JOIN_TOKEN_FILE", &token)
            .env("AMBIT_CREDENTIAL_FILE", directory.join("credential"))
            .env("AMBIT_RUN_DIR", directory.join("run"))
            .env("ZTUNNEL_UDS_ADDRESS", directory.join("ztunnel.sock"))
            .env("LOG_FORMAT", "json");
        if let Some(program) = &options.ztunnel {
            command = command.env("AMBIT_ZTUNNEL", program);
        }
        for (name, value) in &options.node_env {
            command = command.env(name, value);
        }
        let (process, logs) = (Arc::default(), LogFiles::default());
        Ok(Self { node, command, directory, process, logs })
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its proxy.
    pub fn ztunnel(&self) -> Ztunnel {
        Ztunnel::new(self.clone())
    }

    /// Starts the node, or starts it again; it needs no new join token.
    ///
    /// # Errors
    /// `Process` if there is no such program.
    pub fn start(&self) -> Result<(), MeshError> {
        let process = self.command.spawn()?;
        self.logs.follow(&process);
        *self.slot() = Some(process);
        Ok(())
    }

    /// Asks agent, ztunnel and waypoints to end, as a shutdown does, and waits until they have.
    ///
    /// # Errors
    /// `Missing` if it does not run.
    pub async fn stop(&self) -> Result<(), MeshError> {
        let process = self.take()?;
        process.signal(Signal::SIGTERM)?;
        process.wait(PATIENCE).await?;
        Ok(())
    }

    /// Kills the agent with SIGKILL; ztunnel and waypoints are left without a supervisor.
    ///
    /// # Errors
    /// `Missing` if it does not run.
    pub async fn kill(&self) -> Result<(), MeshError> {
        Ok(self.take()?.kill().await?)
    }

    /// Whether the agent knows its pods.
    pub async fn is_ready(&self) -> bool {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), HEALTH);
        let asked = page::ask(self.node.netns(), address, "GET", "/readyz").await;
        asked.is_ok_and(|page| page.status == 200)
    }

    /// The agent's metrics.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn metrics(&self) -> Result<Metrics, MeshError> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), METRICS);
        let page = page::ask(self.node.netns(), address, "GET", "/metrics").await?;
        Ok(Metrics::parse(&page.body))
    }

    /// Lines with this message in the log that all programs of the node share.
    pub fn logs(&self, message: &str) -> LogQuery {
        self.logs.query(self.node.name(), message)
    }

    /// Where that log ends now.
    pub fn mark(&self) -> Mark {
        self.logs.mark()
    }

    /// Where the agent's sockets are.
    pub fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The file with the node's credential.
    pub fn credential(&self) -> PathBuf {
        self.directory.join("credential")
    }

    /// The directory of the node's files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        self.logs.tail(self.node.name())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Process, MeshError> {
        let name = self.node.name();
        let missing = || MeshError::Missing { object: "process of node", name: name.to_owned() };
        self.slot().take().ok_or_else(missing)
    }
}
