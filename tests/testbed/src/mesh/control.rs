//! The control plane of a mesh, as a process that can be killed and come back.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::logs::{LogFiles, LogQuery, Mark};
use super::options::MeshOptions;
use super::page::{self, Page};
use super::{MeshError, Metrics, PATIENCE};
use crate::bed::Testbed;
use crate::process::{Command, Process};
use crate::wait::eventually;

/// Port of discovery, certificates and the node service.
const PORT: u16 = 15012;
/// Port of status, readiness and metrics.
const ADMIN: u16 = 15016;

/// The control plane. A clone is the same one.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    bed: Testbed,
    command: Command,
    token: Command,
    state: PathBuf,
    process: Arc<Mutex<Option<Process>>>,
    logs: LogFiles,
}

impl ControlPlane {
    pub(super) fn new(bed: &Testbed, options: &MeshOptions) -> Result<Self, MeshError> {
        let state = bed.directory("control")?;
        let manifests = bed.manifests()?;
        let names: Vec<String> = bed.infra_ips().iter().map(ToString::to_string).collect();
        let mut command = bed
            .command(&options.ambit)
            .named("control")
            .arg("control")
            .env("CONTROL_DIRECTORY", manifests.path())
            .env("CONTROL_STATE", &state)
            .env("CONTROL_LISTEN", format!("[::]:{PORT}"))
            .env("CONTROL_ADMIN", format!("127.0.0.1:{ADMIN}"))
            .env("CONTROL_SERVER_NAMES", names.join(","))
            .env("LOG_FORMAT", "json");
        for (name, value) in &options.control_env {
            command = command.env(name, value);
        }
        let token = bed.command(&options.ambit).named("token").args(["control", "token"]);
        let token = token.env("CONTROL_STATE", &state);
        let (process, logs) = (Arc::default(), LogFiles::default());
        Ok(Self { bed: bed.clone(), command, token, state, process, logs })
    }

    /// Starts it, or starts it again.
    ///
    /// # Errors
    /// `Process` if there is no such program.
    pub fn start(&self) -> Result<(), MeshError> {
        let process = self.command.spawn()?;
        self.logs.follow(&process);
        *self.slot() = Some(process);
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// `Missing` if it does not run.
    pub async fn kill(&self) -> Result<(), MeshError> {
        Ok(self.take()?.kill().await?)
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// `Missing` if it does not run.
    pub async fn stop(&self) -> Result<(), MeshError> {
        let process = self.take()?;
        process.signal(Signal::SIGTERM)?;
        process.wait(PATIENCE).await?;
        Ok(())
    }

    /// Waits until it has read its manifests.
    ///
    /// # Errors
    /// `Late` with its log.
    pub async fn ready(&self) -> Result<Duration, MeshError> {
        let waited = eventually("control is ready", PATIENCE, async || self.is_ready().await);
        waited.await.map_err(|late| MeshError::Late { late, logs: self.tail() })
    }

    /// Whether it has read its manifests.
    pub async fn is_ready(&self) -> bool {
        self.page("/ready").await.is_ok_and(|page| page.status == 200)
    }

    /// What it says about every object: `synced`, `objects`, `problems`.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn status(&self) -> Result<Value, MeshError> {
        let page = self.page("/debug/status").await?;
        serde_json::from_str(&page.body).map_err(|error| MeshError::Page {
            page: "/debug/status of control".to_owned(),
            problem: error.to_string(),
        })
    }

    /// Waits until what it says about every object is such.
    ///
    /// # Errors
    /// `Late` with `what` and the last status.
    pub async fn status_is(
        &self,
        what: &str,
        mut is: impl FnMut(&Value) -> bool,
    ) -> Result<Value, MeshError> {
        let mut last = Value::Null;
        let waited = eventually(what, PATIENCE, async || {
            last = self.status().await.unwrap_or_default();
            is(&last)
        });
        match waited.await {
            Ok(_) => Ok(last),
            Err(late) => Err(MeshError::Late { late, logs: format!("{last:#}\n{}", self.tail()) }),
        }
    }

    /// A page of its API, below `/api/v1/`, with the query.
    ///
    /// # Errors
    /// `Page` if it does not answer, or not with 200.
    pub async fn api(&self, path: &str) -> Result<Value, MeshError> {
        page::json("control", path, self.page(&format!("/api/v1/{path}")).await?)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn metrics(&self) -> Result<Metrics, MeshError> {
        Ok(Metrics::parse(&self.page("/metrics").await?.body))
    }

    async fn page(&self, path: &str) -> Result<Page, MeshError> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ADMIN);
        page::ask(self.bed.infra(), address, "GET", path).await
    }

    /// Lines of its log with this message.
    pub fn logs(&self, message: &str) -> LogQuery {
        self.logs.query("control", message)
    }

    /// Where its log ends now.
    pub fn mark(&self) -> Mark {
        self.logs.mark()
    }

    /// The address by which nodes call it.
    pub fn address(&self) -> String {
        let [ip, _] = self.bed.infra_ips();
        format!("https://{ip}:{PORT}")
    }

    /// The root certificate of the mesh.
    pub fn root_certificate(&self) -> PathBuf {
        self.state.join("root-cert.pem")
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A join token for a node, made by `ambit control token`.
    ///
    /// # Errors
    /// `Process` if that fails.
    pub async fn token(&self, node: &str) -> Result<String, MeshError> {
        let made = self.token.clone().arg(node).run(PATIENCE).await?;
        Ok(made.success()?.trim().to_owned())
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        self.logs.tail("control")
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Process, MeshError> {
        let missing = || MeshError::Missing { object: "process", name: "control".to_owned() };
        self.slot().take().ok_or_else(missing)
    }
}
