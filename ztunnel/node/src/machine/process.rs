//! A process that runs a program: our child, or one that a supervisor before us left behind
//! when it was killed. The latter goes on serving and is taken over as it is, if it was
//! started as we would start it; else it is replaced.
//!
//! A record in a file says which process it is: number, time of start and boot, so that
//! another process with the same number is never touched.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::Program;
use crate::atomic;
use crate::handle::search::started;

/// Between two looks whether a process that is no child of ours still runs.
const LOOK: Duration = Duration::from_millis(50);

/// Longest record that is read, in bytes.
const MAX_RECORD: u64 = 64 << 10;

/// Which process runs a program, and how it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: u32,
    /// Clock ticks since boot.
    started: u64,
    /// The boot, as the kernel names it.
    boot: String,
    /// Path, arguments and variables.
    command: Vec<String>,
}

/// A running program.
#[derive(Debug)]
pub(super) enum Process {
    /// Started by us.
    Child(Child),
    /// Started by a supervisor before us.
    Left(Left),
}

/// A process that is no child of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pid: u32,
    started: u64,
}

impl Left {
    /// The process that the record in `path` names, if it still runs.
    pub(super) fn find(path: &Path) -> Option<Self> {
        let record = Record::read(path)?;
        let left = Self { pid: record.pid, started: record.started };
        (record.boot == boot() && left.runs()).then_some(left)
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs; a number that was given to another process does not count.
    fn runs(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    async fn ended(&self) {
        while self.runs() {
            sleep(LOOK).await;
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.runs() {
            return Ok(());
        }
        send(self.pid, signal)
    }

    /// Ends it: SIGTERM, and SIGKILL if it runs longer than `drain`.
    pub(super) async fn end(&self, drain: Duration) -> io::Result<()> {
        self.signal(Signal::SIGTERM)?;
        if timeout(drain, self.ended()).await.is_err() {
            self.signal(Signal::SIGKILL)?;
            self.ended().await;
        }
        Ok(())
    }
}

impl Record {
    fn new(program: &Program, pid: u32) -> Option<Self> {
        let command = command(program);
        Some(Self { pid, started: started(pid)?, boot: boot(), command })
    }

    fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(path).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Process {
    /// What a supervisor before us left behind, taken over if it was started as `program` is,
    /// ended otherwise.
    pub(super) async fn take_over(program: &Program, drain: Duration) -> Option<Self> {
        let path = program.record.as_deref()?;
        let left = Left::find(path)?;
        let same = Record::read(path).is_some_and(|record| record.command == command(program));
        if same {
            info!(program = program.name, pid = left.pid, "program of a former supervisor goes on");
            return Some(Self::Left(left));
        }
        info!(program = program.name, pid = left.pid, "program of a former supervisor is replaced");
        let begun = Instant::now();
        if let Err(error) = left.end(drain).await {
            warn!(program = program.name, pid = left.pid, %error, "it cannot be ended");
        }
        info!(program = program.name, seconds = begun.elapsed().as_secs_f64(), "it has ended");
        None
    }

    /// Starts the program and notes it down.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(program: &Program) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        let variables = program.environment.iter().map(|(name, value)| (name, value));
        command.args(&program.arguments).envs(variables).kill_on_drop(true);
        let child = match &program.netns {
            // A child starts in the namespace of the thread that makes it.
            Some(netns) => netns.run(|| command.spawn())??,
            None => command.spawn()?,
        };
        let process = Self::Child(child);
        process.note(program);
        Ok(process)
    }

    fn note(&self, program: &Program) {
        let (Some(path), Some(pid)) = (&program.record, self.pid()) else { return };
        let Some(record) = Record::new(program, pid) else { return };
        let written = serde_json::to_vec(&record).map_err(io::Error::from).and_then(|bytes| {
            path.parent().map_or(Ok(()), make_directory)?;
            atomic::replace(path, &bytes)
        });
        if let Err(error) = written {
            warn!(program = program.name, %error, path = %path.display(),
                "program not noted: were we killed, nobody would find it");
        }
    }

    /// Its number; `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Child(child) => child.id(),
            Self::Left(left) => Some(left.pid),
        }
    }

    /// Waits for its end; the status is known of a child only.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub(super) async fn wait(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        match self {
            Self::Child(child) => child.wait().await.map(Some),
            Self::Left(left) => {
                left.ended().await;
                Ok(None)
            }
        }
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        let sent = match (self, self.pid()) {
            (Self::Left(left), _) => left.signal(Signal::SIGTERM),
            (Self::Child(_), Some(pid)) => send(pid, Signal::SIGTERM),
            (Self::Child(_), None) => Ok(()),
        };
        if let Err(error) = sent {
            warn!(%error, "program cannot be asked to end");
        }
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::Child(child) => child.kill().await,
            Self::Left(left) => {
                left.signal(Signal::SIGKILL)?;
                left.ended().await;
                Ok(())
            }
        }
    }
}

/// Forgets the process of a program that is not to run any more.
pub(super) fn forget(record: Option<&PathBuf>) {
    if let Some(path) = record {
        // Nobody would believe it: the process has ended.
        let _ = std::fs::remove_file(path);
    }
}

fn command(program: &Program) -> Vec<String> {
    let path = program.path.to_string_lossy().into_owned();
    let arguments = program.arguments.iter().map(|word| word.to_string_lossy().into_owned());
    let variables = program.environment.iter();
    let variables = variables.map(|(name, value)| format!("{name}={}", value.to_string_lossy()));
    std::iter::once(path).chain(arguments).chain(variables).collect()
}

/// One that has ended in this very moment needs no signal.
fn send(pid: u32, signal: Signal) -> io::Result<()> {
    // 0 and 1 would be groups and init.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).ok_or(io::ErrorKind::InvalidInput)?;
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.unwrap_or_default().trim().to_owned()
}

fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests;
