//! `ambit exec`: a command inside a pod of a running mesh, as `kubectl exec` would.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

/// What to run, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pod (NAMESPACE/NAME or NAME), node, or `infra` for the machine room
    place: String,

    /// Name of the run, needed when several are up
    #[arg(long)]
    run: Option<String>,

    /// Command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Options {
    /// The command and its arguments.
    #[cfg(test)]
    pub(crate) fn command(&self) -> &[OsString] {
        &self.command
    }
}

/// Becomes the command; comes back only if that cannot be.
///
/// # Errors
/// If there is no such run or place, or nsenter(1) is missing.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let run = testbed::runs::find(options.run.as_deref())
        .context("start one with `ambit demo`, or choose one with --run")?;
    let mut command = testbed::enter(&run, &options.place, &options.command)?;
    let error = command.exec();
    Err(anyhow::Error::from(error).context("nsenter, of the package util-linux"))
}
