//! PID 1 of a sandbox: prepares mounts, starts the body, collects orphans, dies on time.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::RawFd;
use std::path::Path;
use std::process::{Command, exit};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::{LIFELINE, STAGE, SandboxError};
use crate::bed::{HOSTS, INFRA, RUN_DIR};
use crate::{ip, netns};

/// Exit status when the sandbox itself failed.
const FAILED: i32 = 125;

/// Runs as PID 1 and exits with the body's status.
pub(super) fn main() -> ! {
    match serve() {
        Ok(status) => exit(status),
        Err(error) => {
            eprintln!("{error}");
            exit(FAILED)
        }
    }
}

fn serve() -> Result<i32, SandboxError> {
    watch_lifeline()?;
    mounts()?;
    network()?;
    let body = start_body()?;
    collect(body)
}

/// Exits when the caller is gone: the pipe's last writer has closed it.
fn watch_lifeline() -> Result<(), SandboxError> {
    const STEP: &str = "taking the lifeline";
    let number: RawFd = std::env::var(LIFELINE)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| SandboxError::step(STEP)(io::ErrorKind::InvalidInput.into()))?;
    // Opened anew with close-on-exec; the inherited number would go on to every program.
    let mut pipe =
        File::open(format!("/proc/self/fd/{number}")).map_err(SandboxError::step(STEP))?;
    nix::unistd::close(number).map_err(SandboxError::errno(STEP))?;
    std::thread::spawn(move || {
        let _ = pipe.read(&mut [0]);
        exit(FAILED)
    });
    Ok(())
}

/// A private `/run` with the run's directory, and private names.
fn mounts() -> Result<(), SandboxError> {
    const STEP: &str = "mounting a private /run";
    let none: Option<&str> = None;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .map_err(SandboxError::errno(STEP))?;
    for dir in [RUN_DIR, netns::DIR] {
        fs::create_dir_all(dir).map_err(SandboxError::step(STEP))?;
    }
    let resolver = format!("{RUN_DIR}/resolv.conf");
    // Nobody listens there, so that a name which is not in the hosts file fails at once.
    fs::write(&resolver, "nameserver 127.0.0.1\n").map_err(SandboxError::step(STEP))?;
    fs::write(HOSTS, "127.0.0.1 localhost\n::1 localhost\n").map_err(SandboxError::step(STEP))?;
    for (private, public) in [(HOSTS, "/etc/hosts"), (&resolver, "/etc/resolv.conf")] {
        if Path::new(public).is_file() {
            mount(Some(private), public, none, MsFlags::MS_BIND, none)
                .map_err(SandboxError::errno("mounting private files over those of /etc"))?;
        }
    }
    Ok(())
}

/// The sandbox's own network namespace is the infrastructure between the nodes.
fn network() -> Result<(), SandboxError> {
    let failed =
        |error: String| SandboxError::step("preparing the network")(io::Error::other(error));
    netns::Netns::adopt(INFRA).map_err(|error| failed(error.to_string()))?;
    ip::batch(INFRA, "link set lo up\n").map_err(|error| failed(error.to_string()))
}

fn start_body() -> Result<Pid, SandboxError> {
    let exe = std::env::current_exe().map_err(SandboxError::step("finding the executable"))?;
    let child = Command::new(exe)
        .args(std::env::args_os().skip(1))
        .env(STAGE, "body")
        .env_remove(LIFELINE)
        .spawn()
        .map_err(SandboxError::step("starting the program"))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Waits for every child, own or orphaned, until the body ends.
fn collect(body: Pid) -> Result<i32, SandboxError> {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == body => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == body => {
                return Ok(128 + signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(SandboxError::errno("waiting for the program")(error)),
        }
    }
}
