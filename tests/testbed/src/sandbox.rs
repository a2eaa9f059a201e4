//! The sandbox: one first process that owns a whole run.
//!
//! ```text
//! caller ── unshare(1) ── init, PID 1 in new PID, mount and network namespaces
//!    │                      ├── body: the same executable and arguments; the real work
//!    └──── lifeline ────────┘   └── everything that the body starts
//! ```
//!
//! The caller holds the write end of a pipe, the *lifeline*. However the caller ends, the
//! pipe closes, PID 1 sees it and exits, and the kernel kills every process of the PID
//! namespace and drops its mounts and networks. PID 1 also collects orphans and passes the
//! body's exit status on.
//!
//! Namespaces are made by unshare(1) of util-linux and not by this process: a user namespace
//! can only be entered by a process with one thread, and a test harness has several.

mod init;
mod probe;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};

use crate::runs::Registration;

/// Says which step of a sandbox a process is; unset outside.
const STAGE: &str = "AMBIT_SANDBOX_STAGE";
/// Number of the lifeline's read end, for PID 1.
const LIFELINE: &str = "AMBIT_SANDBOX_LIFELINE";
/// Name of the run, for the registry and messages.
const RUN: &str = "AMBIT_SANDBOX_RUN";

/// Where [`enter`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Inside: this process is the body, go on.
    Inside,
    /// Outside: the sandbox has come and gone; exit with this status.
    Outside(i32),
}

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Neither root nor user namespaces.
    #[error(
        "the testbed needs root or unprivileged user namespaces, and this machine grants neither \
         ({reason}): run as root, or allow them with \
         `sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    NotPermitted {
        /// What unshare(1) said.
        reason: String,
    },
    /// A helper program is missing.
    #[error("`{program}` could not be started: {source}; install the package {package}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A step inside failed.
    #[error("sandbox: {step} failed: {source}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn step(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Step { step, source }
    }

    pub(crate) fn errno(step: &'static str) -> impl Fn(nix::Error) -> Self {
        move |source| Self::Step { step, source: source.into() }
    }
}

/// Whether this process runs inside a sandbox.
pub fn is_inside() -> bool {
    std::env::var_os(STAGE).is_some_and(|stage| stage == "body")
}

/// The name of the run this process is in, if it is in one.
pub fn run_name() -> Option<String> {
    is_inside().then(|| std::env::var(RUN).ok()).flatten()
}

/// Variables that must not reach programs started inside a sandbox.
pub const PRIVATE_VARIABLES: [&str; 3] = [STAGE, LIFELINE, RUN];

/// Moves the program into a sandbox named `run`; for the first lines of a `main`.
///
/// It runs the current executable again with the same arguments. Outside, the call returns
/// when that run has ended; inside, it returns at once. Ctrl-C is left to the program inside.
///
/// # Errors
/// `NotPermitted` if the machine allows neither root's namespaces nor a user's.
pub fn enter(run: &str) -> Result<Place, SandboxError> {
    if is_inside() {
        return Ok(Place::Inside);
    }
    if is_init() {
        init::main();
    }
    let mut sandbox = Sandbox::start(run, std::env::args_os().skip(1), |_| {})?;
    // The terminal sends Ctrl-C to every process in the foreground; the body answers it and
    // we wait for its status. Blocked only now, so that the body does not inherit the mask.
    let mut quiet = SigSet::empty();
    quiet.add(Signal::SIGINT);
    quiet.thread_block().map_err(SandboxError::errno("blocking SIGINT"))?;
    let status = sandbox.wait()?;
    Ok(Place::Outside(code(status)))
}

/// Whether this process is a sandbox's PID 1 that has not begun its work.
fn is_init() -> bool {
    std::env::var_os(STAGE).is_some_and(|stage| stage == "init")
}

/// Does the work of PID 1 and never returns, if this process is that; else does nothing.
pub(crate) fn serve_if_init() {
    if is_init() {
        init::main();
    }
}

/// A sandbox seen from outside. Dropping it ends everything inside.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    lifeline: Option<OwnedFd>,
    registration: Option<Registration>,
}

impl Sandbox {
    /// Runs the current executable with `args` in a new sandbox; `set` may add pipes and
    /// variables to the command.
    pub(crate) fn start(
        run: &str,
        args: impl IntoIterator<Item = OsString>,
        set: impl FnOnce(&mut Command),
    ) -> Result<Self, SandboxError> {
        let flags = probe::namespaces()?;
        let exe = std::env::current_exe().map_err(SandboxError::step("finding the executable"))?;
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map_err(SandboxError::errno("making the lifeline"))?;
        fcntl(&read, FcntlArg::F_SETFD(FdFlag::empty()))
            .map_err(SandboxError::errno("making the lifeline"))?;
        let mut command = Command::new("unshare");
        command.args(flags).arg("--").arg(exe).args(args);
        command.env(STAGE, "init").env(RUN, run);
        command.env(LIFELINE, read.as_raw_fd().to_string());
        set(&mut command);
        let child = command.spawn().map_err(probe::missing_unshare)?;
        let registration = Registration::write(run, child.id());
        if let Err(error) = &registration {
            tracing::warn!(%error, "the run is not listed; `ambit exec` will not find it");
        }
        Ok(Self { child, lifeline: Some(write), registration: registration.ok() })
    }

    /// The process outside whose only child is PID 1 inside.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end of the body.
    ///
    /// # Errors
    /// `Step` if the process cannot be waited for.
    pub fn wait(&mut self) -> Result<ExitStatus, SandboxError> {
        self.child.wait().map_err(SandboxError::step("waiting for the sandbox"))
    }

    /// Ends everything inside and waits until it is gone.
    ///
    /// # Errors
    /// `Step` if the process cannot be waited for.
    pub fn end(&mut self) -> Result<ExitStatus, SandboxError> {
        self.lifeline = None;
        self.wait()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.end();
        self.registration = None;
    }
}

/// The shell's number for an exit status: the code, or 128 and the signal.
pub(crate) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
