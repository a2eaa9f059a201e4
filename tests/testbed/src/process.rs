//! Programs inside a network namespace.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin};
use tokio::time::timeout;

use crate::bed::RUN_DIR;
use crate::netns::{Netns, NetnsError};
use crate::sandbox;
use crate::wait::{TooLate, eventually};

/// Why a program did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{program} in {place} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// The namespace.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its namespace could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// It did not end in time; it was killed.
    #[error("{name} did not end within {limit:?}\n{logs}")]
    TooLong {
        /// The process.
        name: String,
        /// What it was given.
        limit: Duration,
        /// The end of its output.
        logs: String,
    },
    /// It ended with a failure.
    #[error("{name} ended with {status}\n{logs}")]
    Failed {
        /// The process.
        name: String,
        /// How.
        status: ExitStatus,
        /// The end of its output.
        logs: String,
    },
    /// It never wrote what was waited for.
    #[error("{name}: {late}\n{logs}")]
    Silent {
        /// The process.
        name: String,
        /// What was waited for.
        late: TooLate,
        /// The end of its output.
        logs: String,
    },
    /// It could not be waited for or signalled.
    #[error("{name}: {source}")]
    Control {
        /// The process.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A program to start: in a namespace, with its output in files of the run.
#[derive(Debug, Clone)]
pub struct Command {
    netns: Netns,
    place: String,
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    piped: bool,
}

impl Command {
    pub(crate) fn new(netns: Netns, place: &str, program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_owned();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            netns,
            place: place.to_owned(),
            name,
            program,
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            piped: false,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// One more variable; the others are those of this process.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The directory it starts in; this process's otherwise.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// What logs and messages call it; the program's file name otherwise.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With a pipe as standard input, see [`Process::stdin`]; otherwise it is empty.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.piped = true;
        self
    }

    /// Starts it. It is killed when the value is dropped. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// `Start` if there is no such program.
    pub fn spawn(&self) -> Result<Process, ProcessError> {
        let failed = |source| ProcessError::Start {
            program: self.program.display().to_string(),
            place: self.place.clone(),
            source,
        };
        let name = format!("{}/{}", self.place, self.name);
        let logs = Logs::create(&self.place, &self.name).map_err(failed)?;
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).kill_on_drop(true);
        command.stdin(if self.piped { Stdio::piped() } else { Stdio::null() });
        command.stdout(File::create(&logs.out).map_err(failed)?);
        command.stderr(File::create(&logs.err).map_err(failed)?);
        for key in sandbox::PRIVATE_VARIABLES {
            command.env_remove(key);
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let runtime = tokio::runtime::Handle::current();
        let spawned = self.netns.run(|| {
            let _runtime = runtime.enter();
            command.spawn()
        })?;
        Ok(Process { name, child: spawned.map_err(failed)?, logs })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// `TooLong` after `limit`. A failure of the program is not an error here; see
    /// [`Finished::success`].
    pub async fn run(&self, limit: Duration) -> Result<Finished, ProcessError> {
        self.spawn()?.wait(limit).await
    }
}

#[derive(Debug, Clone)]
struct Logs {
    out: PathBuf,
    err: PathBuf,
}

impl Logs {
    fn create(place: &str, name: &str) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let directory = Path::new(RUN_DIR).join("logs");
        fs::create_dir_all(&directory)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{number:03}-{place}-{}", name.replace('/', "-"));
        let file = |end| directory.join(format!("{stem}.{end}"));
        Ok(Self { out: file("out"), err: file("err") })
    }

    /// The end of both, for a message.
    fn tail(&self) -> String {
        let part = |path: &Path| tail(path, 4096);
        format!("stdout: {}\nstderr: {}", part(&self.out), part(&self.err))
    }
}

/// The last bytes of a file as text.
pub(crate) fn tail(path: &Path, bytes: usize) -> String {
    let content = fs::read(path).unwrap_or_default();
    let start = content.len().saturating_sub(bytes);
    String::from_utf8_lossy(content.get(start..).unwrap_or_default()).trim_end().to_owned()
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    logs: Logs,
}

/// A program that has ended, and its output.
#[derive(Debug, Clone)]
pub struct Finished {
    name: String,
    logs: Logs,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// The output, if it ended with status 0.
    ///
    /// # Errors
    /// `Failed` with the end of its output.
    pub fn success(self) -> Result<String, ProcessError> {
        if self.status.success() {
            return Ok(self.text());
        }
        Err(ProcessError::Failed {
            name: self.name.clone(),
            status: self.status,
            logs: self.logs.tail(),
        })
    }

    /// The exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Its output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Process {
    /// Its number inside the sandbox; 0 once it has been waited for.
    pub fn pid(&self) -> i32 {
        self.child.id().map_or(0, u32::cast_signed)
    }

    /// `place/name`, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its standard input, once, if it was started with a pipe. Dropping it closes the pipe.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it wrote so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.logs.out).unwrap_or_default()).into_owned()
    }

    /// What it complained about so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.logs.err).unwrap_or_default()).into_owned()
    }

    /// The file its standard output goes to.
    pub fn stdout_path(&self) -> &Path {
        &self.logs.out
    }

    /// The file its standard error goes to.
    pub fn stderr_path(&self) -> &Path {
        &self.logs.err
    }

    /// Waits until its output or complaints contain `text`.
    ///
    /// # Errors
    /// `Silent` after `limit`, or at once when it has ended without.
    pub async fn logs(&mut self, text: &str, limit: Duration) -> Result<(), ProcessError> {
        let what = format!("{text:?} in its output");
        let mut found = false;
        let waited = eventually(what, limit, async || {
            let ended = !self.is_running();
            found = self.stdout().contains(text) || self.stderr().contains(text);
            found || ended
        });
        let late = match waited.await {
            Ok(_) if found => return Ok(()),
            Ok(_) => TooLate::ended(text),
            Err(late) => late,
        };
        Err(ProcessError::Silent { name: self.name.clone(), late, logs: self.logs.tail() })
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `TooLong` after `limit`, when it is killed.
    pub async fn wait(mut self, limit: Duration) -> Result<Finished, ProcessError> {
        let Ok(waited) = timeout(limit, self.child.wait()).await else {
            let logs = self.logs.tail();
            self.end().await?;
            return Err(ProcessError::TooLong { name: self.name.clone(), limit, logs });
        };
        let status = waited.map_err(|error| self.control(error))?;
        let (name, logs) = (self.name.clone(), self.logs.clone());
        let stdout = fs::read(&logs.out).map_err(|error| self.control(error))?;
        let stderr = fs::read(&logs.err).map_err(|error| self.control(error))?;
        Ok(Finished { name, logs, status, stdout, stderr })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `Control` if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let pid = match self.pid() {
            0 => return Err(self.control(io::ErrorKind::NotFound.into())),
            pid => Pid::from_raw(pid),
        };
        kill(pid, signal).map_err(|error| self.control(error.into()))
    }

    /// Stops it in its tracks: SIGSTOP.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on: SIGCONT.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGCONT)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// `Control` if it cannot be waited for.
    pub async fn kill(mut self) -> Result<(), ProcessError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), ProcessError> {
        let killed = self.child.kill().await;
        killed.map_err(|error| self.control(error))
    }

    fn control(&self, source: io::Error) -> ProcessError {
        ProcessError::Control { name: self.name.clone(), source }
    }
}

/// One of the testbed's own programs, such as `bed-echo`, beside the running executable.
///
/// # Errors
/// A sentence that says how to build it.
pub fn program(name: &str) -> Result<PathBuf, ProcessError> {
    let exe = std::env::current_exe().unwrap_or_default();
    // target/PROFILE/deps/test-hash or target/PROFILE/ambit.
    let beside = exe.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    beside.into_iter().find(|path| path.is_file()).ok_or_else(|| ProcessError::Start {
        program: name.to_owned(),
        place: "the testbed".to_owned(),
        source: io::Error::other("it is not built; run `cargo build -p ambit-testbed --bins`"),
    })
}
