//! One program that runs for as long as its machine.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};
use testbed::sandbox::PRIVATE_VARIABLES;

/// What to run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Service {
    /// Its name, for messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where its output is added.
    pub log: PathBuf,
    /// What must exist before it is started: the socket of another.
    pub after: Option<PathBuf>,
}

impl Service {
    /// `program` with `args`; its output goes to `logs`.
    pub fn new(program: PathBuf, logs: &Path, args: Vec<String>) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = logs.join(format!("{name}.log"));
        Self { name, program, args, log, after: None }
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the log or the program cannot be opened.
    pub fn spawn(&self) -> io::Result<Child> {
        self.command()?.spawn()
    }

    /// Starts it with this search path for the programs that it needs.
    ///
    /// # Errors
    /// If the log or the program cannot be opened.
    pub fn spawn_with(&self, path: &str) -> io::Result<Child> {
        self.command()?.env("PATH", path).spawn()
    }

    fn command(&self) -> io::Result<Command> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        Ok(command)
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
