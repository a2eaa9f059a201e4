//! A node's proxy: its pages, its memory, its death.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::logs::{LogQuery, Mark};
use super::machine::Machine;
use super::page::{self, Page};
use super::{MeshError, Metrics};

/// Port of the administrative pages.
const ADMIN: u16 = 15000;
/// Port of the metrics.
const STATS: u16 = 15020;
/// Port of readiness.
const READINESS: u16 = 15021;

/// A node's proxy. The node's supervisor starts it again when it ends.
#[derive(Debug, Clone)]
pub struct Ztunnel {
    machine: Machine,
}

impl Ztunnel {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine }
    }

    /// Lines of its log with this message.
    pub fn logs(&self, message: &str) -> LogQuery {
        self.machine.logs(message)
    }

    /// Where its log ends now.
    pub fn mark(&self) -> Mark {
        self.machine.mark()
    }

    /// Its metrics.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn metrics(&self) -> Result<Metrics, MeshError> {
        Ok(Metrics::parse(&self.ask(STATS, "GET", "/metrics").await?.body))
    }

    /// A page of its API, below `/api/v1/`, with the query.
    ///
    /// # Errors
    /// `Page` if it does not answer, or not with 200.
    pub async fn api(&self, path: &str) -> Result<Value, MeshError> {
        let page = self.ask(ADMIN, "GET", &format!("/api/v1/{path}")).await?;
        page::json(self.machine.node().name(), path, page)
    }

    /// Its state: workloads, services, policies, certificates, pods.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn config_dump(&self) -> Result<Value, MeshError> {
        let page = self.ask(ADMIN, "GET", "/config_dump").await?;
        serde_json::from_str(&page.body).map_err(|error| MeshError::Page {
            page: format!("/config_dump of {}", self.machine.node().name()),
            problem: error.to_string(),
        })
    }

    /// An administrative page.
    ///
    /// # Errors
    /// `Page` if it does not answer.
    pub async fn admin(&self, method: &str, path: &str) -> Result<Page, MeshError> {
        self.ask(ADMIN, method, path).await
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        self.ask(READINESS, "GET", "/healthz/ready").await.is_ok_and(|page| page.status == 200)
    }

    async fn ask(&self, port: u16, method: &str, path: &str) -> Result<Page, MeshError> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        page::ask(self.machine.node().netns(), address, method, path).await
    }

    /// Its process.
    ///
    /// # Errors
    /// `Missing` while there is none.
    pub fn pid(&self) -> Result<i32, MeshError> {
        let name = || self.machine.node().name().to_owned();
        let found = self.pids().into_iter().next();
        found.ok_or_else(|| MeshError::Missing { object: "ztunnel of node", name: name() })
    }

    /// Every process that is one; more than one only while something is wrong.
    pub fn pids(&self) -> Vec<i32> {
        let all = self.machine.node().netns().processes();
        all.into_iter().filter(|pid| is_ztunnel(*pid)).collect()
    }

    /// Sends it a signal: SIGKILL for a crash, SIGTERM for a drain, SIGSTOP for a hang.
    ///
    /// # Errors
    /// `Missing` while it does not run.
    pub fn signal(&self, signal: Signal) -> Result<(), MeshError> {
        let pid = self.pid()?;
        kill(Pid::from_raw(pid), signal)
            .map_err(|_| MeshError::Missing { object: "process", name: pid.to_string() })
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// `Missing` while it does not run.
    pub fn kill(&self) -> Result<(), MeshError> {
        self.signal(Signal::SIGKILL)
    }

    /// Its resident memory in bytes, and the part of it that is no file: what it allocated.
    ///
    /// # Errors
    /// `Missing` while it does not run.
    pub fn memory(&self) -> Result<Memory, MeshError> {
        let path = format!("/proc/{}/status", self.pid()?);
        let text = fs::read_to_string(&path)
            .map_err(|source| MeshError::File { path: path.into(), source })?;
        let kib = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |key| kib(key).unwrap_or_default() * 1024;
        Ok(Memory { resident: bytes("VmRSS"), anonymous: bytes("RssAnon") })
    }
}

/// What a process holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that is resident: `VmRSS`.
    pub resident: u64,
    /// What it allocated: `RssAnon`, without the program's own text.
    pub anonymous: u64,
}

/// By its arguments: `ambit ztunnel`, or a program of that name.
fn is_ztunnel(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let name = Path::new(&*program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.contains("ztunnel") || (name == "ambit" && words.next().as_deref() == Some("ztunnel"))
}
