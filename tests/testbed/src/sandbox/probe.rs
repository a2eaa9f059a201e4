//! Which namespaces this machine lets us make.

use std::io;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::SandboxError;

/// What every sandbox has. The child is killed if unshare(1) itself is.
const ALWAYS: [&str; 7] = [
    "--pid",
    "--mount",
    "--net",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation=private",
];
/// What a user needs before that: be root in a namespace of its own.
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// The arguments of unshare(1) that work here; tried once for each process.
pub(super) fn namespaces() -> Result<Vec<&'static str>, SandboxError> {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    if let Some(flags) = FOUND.get() {
        return Ok(flags.clone());
    }
    let mut reason = None;
    for flags in candidates(nix::unistd::geteuid().is_root()) {
        match attempt(&flags)? {
            None => return Ok(FOUND.get_or_init(|| flags).clone()),
            // The first refusal is the one that the reader can act on.
            Some(refusal) => reason = reason.or(Some(refusal)),
        }
    }
    Err(SandboxError::NotPermitted { reason: reason.unwrap_or_default() })
}

/// Root tries without a user namespace first; root of a container may still need one.
fn candidates(root: bool) -> Vec<Vec<&'static str>> {
    let with_user: Vec<_> = AS_USER.into_iter().chain(ALWAYS).collect();
    if root { vec![ALWAYS.to_vec(), with_user] } else { vec![with_user] }
}

/// `None` if a process can be started so, else what unshare(1) said.
fn attempt(flags: &[&str]) -> Result<Option<String>, SandboxError> {
    let output = Command::new("unshare")
        .args(flags)
        .args(["--", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(missing_unshare)?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Some(said.lines().next().unwrap_or("unshare failed without a word").to_owned()))
}

pub(super) fn missing_unshare(source: io::Error) -> SandboxError {
    SandboxError::Program { program: "unshare", package: "util-linux", source }
}
