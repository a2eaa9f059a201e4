//! Running sandboxes, seen and entered from outside.
//!
//! Each run has a file NAME-PID.json in the user's runtime directory. The rest of what there
//! is to know (nodes, pods, namespaces) is inside, in the run's own directory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bed::{REGISTRY, Registry};
use crate::netns;

/// How long we look for PID 1 after its parent was started.
const APPEARS_WITHIN: Duration = Duration::from_secs(2);

/// A running sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The name it was started under.
    pub name: String,
    /// Its PID 1, as numbered outside.
    pub first: i32,
    /// When that process started, in clock ticks after boot; tells it from a later one.
    pub started: u64,
}

/// Why a run could not be listed or entered.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No run of that name, or none at all.
    #[error("no run {wanted:?} is up; running: {}", or_none(.running))]
    NotRunning {
        /// What was asked for.
        wanted: String,
        /// What there is.
        running: Vec<String>,
    },
    /// More than one, and none was named.
    #[error("several runs are up: {}", .0.join(", "))]
    Several(Vec<String>),
    /// No pod or node of that name.
    #[error("run {run} has no pod or node {wanted:?}; it has: {}", or_none(.known))]
    NoSuchPlace {
        /// The run.
        run: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// PID 1 did not appear.
    #[error("process {0} started no sandbox")]
    NoFirstProcess(u32),
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Where runs are listed: `$XDG_RUNTIME_DIR/ambit`, `/run/ambit` for root without one, else
/// a directory in `/tmp` that carries the user's number.
pub fn directory() -> PathBuf {
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        return Path::new(&dir).join("ambit");
    }
    let user = nix::unistd::geteuid();
    if user.is_root() {
        PathBuf::from("/run/ambit")
    } else {
        PathBuf::from(format!("/tmp/ambit-{user}"))
    }
}

/// The runs that are up, by name. Files of runs that are gone are removed.
pub fn runs() -> Vec<Run> {
    let Ok(entries) = fs::read_dir(directory()) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let run = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Run>(&text).ok());
        match run {
            Some(run) if start_of(run.first) == Some(run.started) => found.push(run),
            Some(_) => drop(fs::remove_file(&path)),
            None => {}
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name).then(a.first.cmp(&b.first)));
    found
}

/// The run called `name`, or the only one that is up.
///
/// # Errors
/// `NotRunning` with the names that there are; `Several` if none was named.
pub fn find(name: Option<&str>) -> Result<Run, RunError> {
    let mut all = runs();
    let running: Vec<String> = all.iter().map(|run| run.name.clone()).collect();
    match name {
        Some(name) => all.retain(|run| run.name == name),
        None if all.len() > 1 => return Err(RunError::Several(running)),
        None => {}
    }
    let wanted = name.unwrap_or_default().to_owned();
    all.pop().ok_or(RunError::NotRunning { wanted, running })
}

impl Run {
    /// Its nodes and pods.
    ///
    /// # Errors
    /// `File` if the run has just ended or belongs to another user.
    pub fn registry(&self) -> Result<Registry, RunError> {
        let path = self.inside(REGISTRY);
        let failed = |source| RunError::File { path: path.clone(), source };
        let text = fs::read(&path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))
    }

    /// A path of the run's own file system, as seen from outside.
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }
}

/// A command that runs `argv` in a pod (`namespace/name`, or a name that is unique), node or
/// `infra` of a run that is up. It needs nsenter(1) of util-linux.
///
/// # Errors
/// `NoSuchPlace` with what there is.
pub fn enter<S: AsRef<OsStr>>(run: &Run, place: &str, argv: &[S]) -> Result<Command, RunError> {
    let registry = run.registry()?;
    let namespace = registry.namespace_of(place).ok_or_else(|| RunError::NoSuchPlace {
        run: run.name.clone(),
        wanted: place.to_owned(),
        known: registry.places(),
    })?;
    let first = run.first;
    let network = run.inside(&format!("{}/{namespace}", netns::DIR));
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={first}"));
    // A namespace that is ours already cannot be entered again.
    if fs::read_link("/proc/self/ns/user").ok()
        != fs::read_link(format!("/proc/{first}/ns/user")).ok()
    {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.args(["--mount", "--pid"]);
    command.arg(format!("--net={}", network.display())).arg("--").args(argv);
    Ok(command)
}

/// A run's entry in the list, removed with the value.
#[derive(Debug)]
pub(crate) struct Registration {
    path: PathBuf,
}

impl Registration {
    /// Lists the run whose PID 1 is the child of `parent`.
    pub(crate) fn write(name: &str, parent: u32) -> Result<Self, RunError> {
        let first = first_child(parent).ok_or(RunError::NoFirstProcess(parent))?;
        let started = start_of(first).ok_or(RunError::NoFirstProcess(parent))?;
        let run = Run { name: name.to_owned(), first, started };
        let directory = directory();
        let path = directory.join(format!("{}-{first}.json", name.replace('/', "-")));
        let failed = |source| RunError::File { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let text = serde_json::to_vec(&run).map_err(|error| failed(error.into()))?;
        fs::write(&path, text).map_err(failed)?;
        Ok(Self { path })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The child of a process that has one; it may take a moment to appear.
fn first_child(parent: u32) -> Option<i32> {
    let deadline = Instant::now() + APPEARS_WITHIN;
    let parent_path = format!("/proc/{parent}/stat");
    while Instant::now() < deadline && stat_field(&parent_path, 3).as_deref() != Some("Z") {
        let found = fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let up: u32 = stat_field(&format!("/proc/{pid}/stat"), 4)?.parse().ok()?;
            (up == parent).then_some(pid)
        });
        if found.is_some() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// When a process started, in clock ticks after boot.
fn start_of(pid: i32) -> Option<u64> {
    stat_field(&format!("/proc/{pid}/stat"), 22)?.parse().ok()
}

/// A field of proc(5)'s stat by its number, from 3; the name before may hold anything.
fn stat_field(path: &str, number: usize) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let after_name = text.get(text.rfind(')')? + 1..)?;
    after_name.split_whitespace().nth(number - 3).map(str::to_owned)
}
